"""`byoc push`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byoc_cli.commands.options import ImageArgument, Outcome, Session, pairs
from byoc_cli.errors import ByocError, UsageError

if TYPE_CHECKING:
    from byoc_cli.cloud.pushing import PushOrder, PushResult

EXAMPLES = """
  byoc push --region us-west-2
  byoc push my-model:v2 --region us-west-2 --region eu-central-1 --repository team/my-model
  byoc push --region us-west-2 --immutable --keep 20 --wait-scan --fail-on critical
  byoc push --to registry.example/my-model:v2
"""

RegionOption = Annotated[
    list[str],
    typer.Option(
        "--region",
        metavar="R",
        help="AWS region (repeatable); AWS_REGION or the profile's without it.",
        show_default=False,
    ),
]
ProfileOption = Annotated[str, typer.Option("--profile", metavar="NAME", help="AWS profile.", envvar="BYOC_PROFILE")]


def push(
    session: Session,
    image: ImageArgument = "",
    region: RegionOption = [],
    profile: ProfileOption = "",
    repository: Annotated[str, typer.Option(metavar="NAME", help="Repository; the image's name without it.")] = "",
    tag: Annotated[str, typer.Option("--tag", "-t", metavar="TAG", help="Tag; the image's without it.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="REF", help="Another registry, with your own Docker login.")] = "",
    create: Annotated[bool, typer.Option("--create/--no-create", help="Make the repository if it is missing.")] = True,
    immutable: Annotated[bool, typer.Option("--immutable", help="New repository: tags cannot be moved.")] = False,
    kms_key: Annotated[str, typer.Option(metavar="KEY", help="New repository: encrypt with this KMS key.")] = "",
    keep: Annotated[
        int, typer.Option(metavar="N", min=0, help="New repository: keep the last N images.", show_default=False)
    ] = 0,
    aws_tag: Annotated[
        list[str], typer.Option("--aws-tag", metavar="K=V", help="New repository: a tag on it.", show_default=False)
    ] = [],
    allow_account: Annotated[
        list[str],
        typer.Option(
            "--allow-account", metavar="ID", help="New repository: let this account pull.", show_default=False
        ),
    ] = [],
    wait_scan: Annotated[bool, typer.Option("--wait-scan", help="Wait for the scan's findings.")] = False,
    fail_on: Annotated[
        str, typer.Option(metavar="SEVERITY", help="With --wait-scan: fail on this or worse.", show_default=False)
    ] = "",
    image_ref_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the reference there, too.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> Outcome:
    """Push the image to ECR and prove that SageMaker will take it; print REPOSITORY@sha256:….

    The repository is made if it is missing (scan on push); one that is there is left as it is. An OCI manifest,
    which SageMaker refuses, is converted on the way. Interrupted pushes go on where they stopped.

    With --json: image, repository, tag, digest, media_type, size (bytes that a pull fetches), region, account,
    seconds, created, and with --wait-scan findings; for several regions a list of them.
    """
    from byoc_cli.cloud import account

    project = session.project()
    reference, found = session.image(image, project)  # before any word to AWS
    if to:
        return _elsewhere(session, reference, found.id, to, image_ref_file, dry_run=dry_run)
    settings = (create, immutable, kms_key, keep, pairs(aws_tag, "--aws-tag"), allow_account)
    order = _order(session, (reference, found), (repository, tag), settings, (wait_scan, fail_on))
    regions = account.regions(region, profile)
    if dry_run:
        return _dry_run(session, order, regions)
    results = _push_all(session, order, regions, profile)
    return _outcome(session, results, image_ref_file)


def _order(session: Session, image: Any, names: tuple[str, str], settings: Any, scan: tuple[bool, str]) -> PushOrder:
    from byoc_cli import image_ref
    from byoc_cli.cloud.ecr import SEVERITIES, RepositorySettings, check_repository_name
    from byoc_cli.cloud.pushing import PushOrder
    from byoc_cli.contract.image import architecture_for

    reference, found = image
    parsed = image_ref.parse(session.project().image if reference.startswith("sha256:") else reference)
    create, immutable, kms_key, keep, aws_tags, accounts = settings
    for each in accounts:
        if not (each.isdigit() and len(each) == 12):
            raise UsageError(f"--allow-account {each}: an account is 12 digits", hint="--allow-account 123456789012")
    repository, tag = names[0] or parsed.path, names[1] or parsed.tag or "latest"
    check_repository_name(repository)
    image_ref.parse(f"{repository}:{tag}")
    wait, fail_on = scan
    if fail_on and fail_on.upper() not in SEVERITIES:
        raise UsageError(
            f"--fail-on {fail_on}: there is no such severity", hint="one of: " + ", ".join(SEVERITIES).lower()
        )
    if fail_on and not wait:
        raise UsageError("--fail-on needs --wait-scan: findings come some time after the push", hint="add --wait-scan")
    return PushOrder(
        image=found,
        reference=reference,
        repository=repository,
        tag=tag,
        settings=RepositorySettings(create, immutable, kms_key, keep, aws_tags, tuple(accounts)),
        architecture=architecture_for(session.project().train.instance_type),
        fail_on=fail_on,
        wait_scan=wait,
    )


def _push_all(
    session: Session, order: PushOrder, regions: Sequence[str], profile: str
) -> dict[str, PushResult | ByocError]:
    """Push to every region side by side; one that fails does not stop the others."""
    from byoc_cli.cloud.account import account
    from byoc_cli.cloud.pushing import push_to_ecr
    from byoc_cli.console.push_view import PushView

    several = len(regions) > 1

    def one(region: str) -> PushResult | ByocError:
        name = region if several else ""
        log: Callable[[str], None] = lambda text: session.console.log(f"{name}: {text}" if name else text)  # noqa: E731
        try:
            # An engine of its own: requests' sessions are not made for threads.
            engine = session.doors.connect() if several else session.engine
            with PushView(session.console, name, bars=not several) as view:
                return push_to_ecr(engine, account(region, profile), order, view, log)
        except ByocError as error:
            return error

    if not several:
        return {regions[0]: one(regions[0])}
    with ThreadPoolExecutor(len(regions)) as pool:
        return dict(zip(regions, pool.map(one, regions), strict=True))


def _outcome(session: Session, results: dict[str, Any], file: Path | None) -> Outcome:
    failed = {region: result for region, result in results.items() if isinstance(result, ByocError)}
    if len(results) == 1 and failed:
        raise next(iter(failed.values()))
    done = [result for result in results.values() if not isinstance(result, ByocError)]
    if file:
        file.write_text("".join(f"{result.uri}\n" for result in done))
    data = [result.data() for result in done]
    if len(results) > 1:
        for region, result in results.items():
            said = result.message.partition("\n")[0] if isinstance(result, ByocError) else result.digest
            session.console.log(f"{region:<16} {said}")
    if failed:
        if not session.console.as_json:
            for result in done:
                session.console.result(result.uri)
        reasons = "\n".join(f"{region}: {error.message}" for region, error in failed.items())
        hints = "; ".join(dict.fromkeys(error.hint for error in failed.values() if error.hint))
        raise ByocError(
            f"the push failed in {len(failed)} of {len(results)} regions\n{reasons}", hint=hints, result=data
        )
    return Outcome(
        data if len(results) > 1 else data[0], lambda console: console.result("\n".join(result.uri for result in done))
    )


def _dry_run(session: Session, order: PushOrder, regions: Sequence[str]) -> Outcome:
    from byoc_cli.cloud.pushing import check_architecture, planned_calls
    from byoc_cli.engine.push import layers

    check_architecture(order)
    parts = layers(session.engine, order.image.id)
    calls = [{"region": region, "call": call} for region in regions for call in planned_calls(order)]
    lines = [f"{call['region']}: {call['call']}" for call in calls]
    lines += [f"{size / 1e6:10,.1f} MB  {made_by[:90]}" for made_by, size in parts]
    data = {"calls": calls, "layers": [{"layer": made_by, "size": size} for made_by, size in parts]}
    return Outcome(data, lambda console: console.result("\n".join(lines)))


def _elsewhere(
    session: Session, reference: str, image_id: str, to: str, file: Path | None, *, dry_run: bool
) -> Outcome:
    """Push to a registry that is not ECR, with the user's own Docker credentials."""
    from byoc_cli import image_ref
    from byoc_cli.console.push_view import PushView
    from byoc_cli.engine import push as door

    target = image_ref.parse(to).tagged
    if target.digest:
        raise UsageError(f"--to {to}: a push goes to a tag, not to a digest", hint="--to REGISTRY/NAME:TAG")
    repository = str(image_ref.ImageRef(target.host, target.path))
    if dry_run:
        return Outcome({"to": str(target)}, lambda console: console.result(f"push {reference} to {target}"))
    session.console.log(f"pushing {reference} to {target}, with your own Docker login")
    door.give_name(session.engine, image_id, repository, target.tag)
    with PushView(session.console) as view:
        digest = door.push(session.engine, repository, target.tag, None, view)
    uri = f"{repository}@{digest}"
    if file:
        file.write_text(f"{uri}\n")
    data = {"image": uri, "repository": repository, "tag": target.tag, "digest": digest}
    return Outcome(data, lambda console: console.result(uri))
