"""`byoc push`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import push_words as words
from byoc_cli.commands.options import ImageArgument, Outcome, Session, pairs
from byoc_cli.errors import ByocError, Interrupted, MachineError, UsageError

if TYPE_CHECKING:
    from byoc_cli.cloud.orders import PushOrder, PushResult
    from byoc_cli.cloud.regions import Stop
    from byoc_cli.engine.types import Image
    from byoc_cli.image_ref import ImageRef
    from byoc_cli.project import Project

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
RepositoryOption = Annotated[
    str, typer.Option("--repository", metavar="NAME", help="Repository; the image's name without it.")
]


def push(
    session: Session,
    image: ImageArgument = "",
    region: RegionOption = [],
    profile: ProfileOption = "",
    repository: RepositoryOption = "",
    tag: Annotated[str, typer.Option("--tag", "-t", metavar="TAG", help="Tag; the image's without it.")] = "",
    to: Annotated[str, typer.Option(metavar="REF", help="Another registry, with your own Docker login.")] = "",
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
    which SageMaker refuses, is converted on the way. Interrupted pushes go on where they stopped. docs/push.md has
    the permissions that it needs.

    With --json: image, repository, tag, digest, media_type, size (bytes that a pull fetches), region, account,
    seconds, created, and with --wait-scan findings; for several regions a list of them. With --to: image, repository,
    tag, digest, media_type. With --dry-run: calls, layers.
    """
    from byoc_cli.cloud.orders import RepositorySettings

    settings = RepositorySettings(
        create, immutable, kms_key, keep, pairs(aws_tag, "--aws-tag"), words.account_ids(allow_account)
    )
    fail_on = words.severity(fail_on, wait=wait_scan)
    words.check_writable(image_ref_file)
    project = session.project()
    # Wrong words first, then the image, and then the first word to AWS.
    if to:
        if region or repository or tag or wait_scan or settings != RepositorySettings():
            raise UsageError("--to is for other registries, and goes with none of the options for ECR")
        return _elsewhere(session, image, project, words.target(to), image_ref_file, dry_run=dry_run)
    regions = words.places(project, image, region, profile, repository, tag)
    order = order_of(project, session.image(image, project), repository, tag)
    order = replace(order, settings=settings, wait_scan=wait_scan, fail_on=fail_on)
    return push_order(session, order, regions, profile, image_ref_file, dry_run=dry_run)


def order_of(project: Project, found: tuple[str, Image], repository: str = "", tag: str = "") -> PushOrder:
    """Make the order for a project's image; "" takes the image's own names."""
    from byoc_cli.cloud.orders import PushOrder
    from byoc_cli.contract.image import architecture_for

    reference, image = found
    names = words.names_of(project, reference, repository, tag)
    return PushOrder(image, reference, *names, architecture=architecture_for(project.train.instance_type))


def push_order(
    session: Session,
    order: PushOrder,
    regions: Sequence[str],
    profile: str,
    image_ref_file: Path | None = None,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Push to one region or to several, and show what came of it."""
    from byoc_cli.cloud.pushing import check_architecture

    check_architecture(order)
    if dry_run:
        return _dry_run(session, order, regions)
    with _told_how_to_go_on(session):
        if len(regions) == 1:
            result = _push_one(session, order, regions[0], profile)
            _write(image_ref_file, [result.uri], result.data())
            return Outcome(result.data(), lambda console: console.result(result.uri))
        return _push_several(session, order, regions, profile, image_ref_file)


@contextmanager
def _told_how_to_go_on(session: Session) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        session.console.log("interrupted; run it again to go on: the layers that arrived stay there")
        raise


def _push_one(session: Session, order: PushOrder, region: str, profile: str, *, stop: Stop | None = None) -> PushResult:
    """Push to one region; with `stop` beside others, in a thread."""
    from byoc_cli.cloud.account import account
    from byoc_cli.cloud.pushing import EcrPush
    from byoc_cli.console.push_view import PushView

    if stop is None:
        with PushView(session.console) as view:
            return EcrPush(session.engine, account(region, profile), view, session.console.log).run(order)

    def log(text: str) -> None:
        session.console.log(f"{region}: {text}")

    # An engine of its own: requests' sessions are not made for threads.
    with PushView(session.console, region, check=stop.check) as view:
        return EcrPush(session.doors.connect(), account(region, profile), view, log, stop.sleep).run(order)


def _push_several(
    session: Session, order: PushOrder, regions: Sequence[str], profile: str, file: Path | None
) -> Outcome:
    from byoc_cli.cloud.regions import side_by_side

    results = side_by_side(regions, lambda region, stop: _push_one(session, order, region, profile, stop=stop))
    done = [result for result in results.values() if not isinstance(result, ByocError)]
    failed = {region: result for region, result in results.items() if isinstance(result, ByocError)}
    for region, result in results.items():
        said = result.message.partition("\n")[0] if isinstance(result, ByocError) else result.digest
        session.console.log(f"{region:<16} {said}")
    data = [result.data() for result in done]
    if failed:
        _show(session, done)
        failure = _failure(failed, len(results), data)
        try:
            _write(file, [result.uri for result in done], data)
        except ByocError as error:  # no failure hides another
            failure.message += f"\n{error.message}"
        raise failure
    _write(file, [result.uri for result in done], data)
    return Outcome(data, lambda console: console.result("\n".join(result.uri for result in done)))


def _show(session: Session, done: Sequence[PushResult]) -> None:
    """What is done is a result, even beside a failure; --json prints it with the error."""
    if not session.console.as_json:
        for result in done:
            session.console.result(result.uri)


def _failure(failed: Mapping[str, ByocError], count: int, data: object) -> ByocError:
    reasons = "\n".join(f"{region}: {error.message}" for region, error in failed.items())
    hints = "; ".join(dict.fromkeys(error.hint for error in failed.values() if error.hint))
    # All for the same reason of this machine's (no credentials, no engine): then that is the exit code.
    ready = not (len(failed) == count and all(isinstance(error, MachineError) for error in failed.values()))
    kind = ByocError if ready else MachineError
    return kind(f"the push failed in {len(failed)} of {count} regions\n{reasons}", hint=hints, result=data)


def _dry_run(session: Session, order: PushOrder, regions: Sequence[str]) -> Outcome:
    from byoc_cli.contract.image import ACCEPTED
    from byoc_cli.engine.push import layers, manifest_type

    parts = layers(session.engine, order.image.id)
    converts = manifest_type(session.engine, order.image.id) != ACCEPTED
    calls = [{"region": region, "call": call} for region in regions for call in order.calls(converts=converts)]
    lines = [f"{call['region']}: {call['call']}" for call in calls]
    lines += [f"{size / 1e6:10,.3f} MB  {made_by[:90]}" for made_by, size in parts]
    data = {"calls": calls, "layers": [{"layer": made_by, "size": size} for made_by, size in parts]}
    return Outcome(data, lambda console: console.result("\n".join(lines)))


def _elsewhere(
    session: Session, given: str, project: Project, target: ImageRef, file: Path | None, *, dry_run: bool
) -> Outcome:
    """Push to a registry that is not ECR, with the user's own Docker credentials."""
    from byoc_cli.console.push_view import PushView
    from byoc_cli.contract import image as rules
    from byoc_cli.engine.push import manifest_type_in_registry
    from byoc_cli.engine.sending import Sender

    reference, image = session.image(given, project)
    repository = str(replace(target, tag=""))
    if dry_run:
        return Outcome({"to": str(target)}, lambda console: console.result(f"push {reference} to {target}"))
    session.console.log(f"pushing {reference} to {target}, with your own Docker login")
    with _told_how_to_go_on(session), PushView(session.console) as view:
        digest = Sender(session.engine, None, view, session.console.log).send(image.id, repository, target.tag)
    media_type = manifest_type_in_registry(session.engine, str(target))
    if media_type and media_type != rules.ACCEPTED:
        session.console.warn(rules.refusal(media_type, str(target)), "byoc build, then push again")
    uri = f"{repository}@{digest}" if digest else str(target)
    data = {
        "image": uri,
        "repository": repository,
        "tag": target.tag,
        "digest": digest,
        "media_type": media_type,
    }
    _write(file, [uri], data)
    return Outcome(data, lambda console: console.result(uri))


def _write(file: Path | None, references: Sequence[str], data: object) -> None:
    """Write what was pushed, a line for each; where nothing was, the file stays what it is."""
    if file and references:
        text = "".join(f"{reference}\n" for reference in references)
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ByocError(
                f"it was pushed, but {file} cannot be written\n{error.strerror}\n{text}".rstrip(), result=data
            ) from error
