"""Push an image to ECR, and prove that SageMaker will take it (I-01 to I-05)."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.cloud.account import Account
from byoc_cli.cloud.ecr import SEVERITIES, Ecr, Manifest, RepositorySettings
from byoc_cli.contract import image as rules
from byoc_cli.engine import push as door
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push import PushFailed, PushWatcher
from byoc_cli.engine.types import Credentials, Image
from byoc_cli.errors import ByocError

ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 1.0
_SCAN_POLL_SECONDS = 3.0
_SCAN_TIMEOUT_SECONDS = 900.0

Log = Callable[[str], None]


@dataclass(frozen=True)
class PushOrder:
    """What goes where. `architecture` is what the project's instance types run, "" for any."""

    image: Image
    reference: str
    repository: str
    tag: str
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    architecture: str = ""
    fail_on: str = ""
    wait_scan: bool = False


@dataclass(frozen=True)
class PushResult:
    """A push that is proved: `uri` is what SageMaker is told, `size` what a pull fetches, in bytes."""

    uri: str
    repository: str
    tag: str
    digest: str
    media_type: str
    size: int
    region: str
    account: str
    seconds: float
    created: bool
    pushed: bool
    findings: dict[str, int] | None = None

    def data(self) -> dict[str, Any]:
        """What --json prints."""
        more = {} if self.findings is None else {"findings": self.findings}
        return {
            "image": self.uri,
            "repository": self.repository,
            "tag": self.tag,
            "digest": self.digest,
            "media_type": self.media_type,
            "size": self.size,
            "region": self.region,
            "account": self.account,
            "seconds": round(self.seconds, 3),
            "created": self.created,
            **more,
        }


class Unacceptable(ByocError):
    """What is in ECR now would be refused by CreateModel."""


def push_to_ecr(
    engine: DockerEngine,
    account: Account,
    order: PushOrder,
    watch: PushWatcher,
    log: Log,
    sleep: Callable[[float], None] = time.sleep,
) -> PushResult:
    """Push, read back, compare.

    Raises:
        ByocError: refused by ECR or the registry, or what came out is not what SageMaker takes.

    """
    start = time.monotonic()
    check_architecture(order)
    ecr = Ecr(account)
    log(f"account {account.id}, region {account.region}, repository {order.repository}")
    repository, created = _repository(ecr, order, log)
    uri = str(repository["repositoryUri"])
    if problem := rules.uri_problem(f"{uri}:{order.tag}"):
        raise ByocError(problem, hint="a shorter --repository or --tag")
    there = None if created else ecr.manifest(order.repository, tag=order.tag)
    pushed = not (there and _same(there, order.image))
    if pushed:
        there = _upload(engine, ecr, order, uri, there, watch, log, sleep)
    else:
        log(f"already up to date: {uri}:{order.tag}")
    assert there is not None
    findings = wait_for_scan(ecr, order, there.digest, log, sleep) if order.wait_scan else None
    return PushResult(
        uri=f"{uri}@{there.digest}",
        repository=uri,
        tag=order.tag,
        digest=there.digest,
        media_type=there.media_type,
        size=there.size,
        region=account.region,
        account=account.id,
        seconds=time.monotonic() - start,
        created=created,
        pushed=pushed,
        findings=findings,
    )


def check_architecture(order: PushOrder) -> None:
    """See that the image runs on the project's instance types (I-04).

    Raises:
        ByocError: it does not; nothing was sent.

    """
    if order.architecture and order.image.architecture != order.architecture:
        raise ByocError(
            f"'{order.reference}' is {order.image.os}/{order.image.architecture}, "
            f"but the project's instance type runs linux/{order.architecture}\n"
            "the container would end with 'exec format error' (I-04)",
            hint=f"byoc build --platform linux/{order.architecture}",
        )


def _repository(ecr: Ecr, order: PushOrder, log: Log) -> tuple[dict[str, Any], bool]:
    """Find the repository, or make it; what is there is never changed."""
    found = ecr.repository(order.repository)
    if found is not None:
        if order.settings != RepositorySettings(create=order.settings.create):
            log("the repository is there already: its settings are left as they are")
        return found, False
    if not order.settings.create:
        raise ByocError(
            f"there is no repository '{order.repository}' in {ecr.account.id}/{ecr.account.region}\n"
            "and --no-create says not to make it",
            hint="leave --no-create out, or give --repository",
        )
    made, created = ecr.create(order.repository, order.settings)
    if created:
        log(f"created the repository {order.repository} (scan on push)")
    return made, created


def _same(there: Manifest, image: Image) -> bool:
    """Whether what is in ECR is this image, and acceptable: its config is the image's id on a classic store."""
    return there.media_type == rules.ACCEPTED and there.content["config"]["digest"] == image.id


# -- sending ----------------------------------------------------------------------------------------------------------


def _upload(
    engine: DockerEngine,
    ecr: Ecr,
    order: PushOrder,
    uri: str,
    there: Manifest | None,
    watch: PushWatcher,
    log: Log,
    sleep: Callable[[float], None],
) -> Manifest:
    """Send the image and give the manifest that ECR has of it, in the form that SageMaker takes."""
    if not engine.info().containerd_store:
        digest = _send(engine, ecr, order.image.id, uri, order.tag, watch, log, sleep)
        return _proved(ecr, order, digest, uri, config=order.image.id)
    # The containerd store sends OCI manifests, which CreateModel refuses (I-01). They go up under a name of their
    # own, so that tags may be immutable; what gets the real name is the same image in Docker's words.
    temporary = f"byoc-{secrets.token_hex(6)}"
    try:
        _send(engine, ecr, order.image.id, uri, temporary, watch, log, sleep)
        manifest = _acceptable(ecr, order, temporary)
        if there is None or there.digest != _digest(manifest):
            ecr.put(order.repository, order.tag, manifest, rules.ACCEPTED)
        else:
            log(f"already up to date: {uri}:{order.tag}")
        return _proved(ecr, order, _digest(manifest), uri, config=json.loads(manifest)["config"]["digest"])
    finally:
        ecr.delete_tag(order.repository, temporary)


def _send(
    engine: DockerEngine,
    ecr: Ecr,
    image_id: str,
    uri: str,
    tag: str,
    watch: PushWatcher,
    log: Log,
    sleep: Callable[[float], None],
) -> str:
    """Push under one tag, again while what failed may pass; layers that arrived stay there.

    A tag that was made for this (and was none of the user's) is taken away if nothing came of it.
    """
    with _named(engine, image_id, uri, tag):
        credentials = Credentials(*ecr.token())
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return door.push(engine, uri, tag, credentials, watch)
            except PushFailed as error:
                if not error.passing or attempt == ATTEMPTS:
                    raise
                pause = 0.0 if error.expired else _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
                what = error.message.partition("\n")[2]
                log(f"{what}; trying again in {pause:.0f} s ({attempt} of {ATTEMPTS - 1})")
                sleep(pause)
                if error.expired:
                    credentials = Credentials(*ecr.token())
    raise AssertionError("unreachable")


@contextmanager
def _named(engine: DockerEngine, image_id: str, uri: str, tag: str) -> Iterator[None]:
    """Give the image the name to be pushed under; it is kept, but for a temporary one or a failure."""
    reference = f"{uri}:{tag}"
    was_there = engine.image(reference)
    door.give_name(engine, image_id, uri, tag)
    try:
        yield
    except BaseException:
        if was_there is None:
            door.take_name(engine, reference)
        raise
    if tag.startswith("byoc-"):
        door.take_name(engine, reference)


# -- proof ------------------------------------------------------------------------------------------------------------


def _acceptable(ecr: Ecr, order: PushOrder, tag: str) -> str:
    """Return the manifest under a tag in Docker's words (schema 2), with the same blobs.

    Raises:
        Unacceptable: it has none for the platform, or layers that Docker's manifest has no word for.

    """
    manifest = ecr.manifest(order.repository, tag=tag)
    if manifest is None:
        raise ByocError(f"'{order.repository}:{tag}' was pushed, but ECR does not show it", hint="byoc push again")
    try:
        if manifest.media_type in {rules.OCI_INDEX, rules.DOCKER_LIST}:
            digest = rules.manifest_of(manifest.content, order.image.os, order.image.architecture)
            manifest = ecr.manifest(order.repository, digest=digest)
            assert manifest is not None
        if manifest.media_type == rules.ACCEPTED:
            return manifest.text
        # The form that Docker itself writes, three blanks and all.
        return json.dumps(rules.docker_manifest(manifest.content), indent=3)
    except ValueError as error:
        raise Unacceptable(
            f"SageMaker would refuse this image, and it cannot be converted\n{error}", hint=rebuild_command(order)
        ) from error


def _proved(ecr: Ecr, order: PushOrder, digest: str, uri: str, config: str) -> Manifest:
    """Read back what SageMaker will read, and compare."""
    seen = ecr.manifest(order.repository, tag=order.tag)
    if seen is None:
        raise ByocError(f"'{uri}:{order.tag}' was pushed, but ECR does not show it", hint="byoc push again")
    if seen.media_type != rules.ACCEPTED:
        raise Unacceptable(
            f"SageMaker would refuse this image\n{rules.refusal(seen.media_type, f'{uri}:{order.tag}')}",
            hint=rebuild_command(order),
        )
    if (digest and seen.digest != digest) or _digest(seen.text) != seen.digest:
        raise ByocError(
            f"ECR has another image under '{uri}:{order.tag}' than was pushed\n{seen.digest}, not {digest}: "
            "somebody else pushes to the same tag",
            hint="push under another --tag",
        )
    if seen.content["config"]["digest"] != config:
        raise ByocError(
            f"ECR has another image under '{uri}:{order.tag}' than '{order.reference}'\nits config is "
            f"{seen.content['config']['digest']}, not {config}",
            hint="byoc push again",
        )
    return seen


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def rebuild_command(order: PushOrder) -> str:
    """How to build it so that it is taken."""
    return (
        f"docker buildx build --platform {order.image.os}/{order.image.architecture} --provenance=false --sbom=false "
        f"--output type=image,oci-mediatypes=false --tag {order.reference} .   (or: byoc build)"
    )


def wait_for_scan(
    ecr: Ecr, order: PushOrder, digest: str, log: Log, sleep: Callable[[float], None] = time.sleep
) -> dict[str, int]:
    """Wait for the scan; gives the number of findings by severity.

    Raises:
        ByocError: there are findings of `fail_on` or worse, or the scan does not end.

    """
    log("waiting for the scan's findings")
    deadline = time.monotonic() + _SCAN_TIMEOUT_SECONDS
    while (counts := ecr.findings(order.repository, digest)) is None:
        if time.monotonic() > deadline:
            raise ByocError(
                f"the scan did not end within {_SCAN_TIMEOUT_SECONDS / 60:.0f} minutes", hint="look in the ECR console"
            )
        sleep(_SCAN_POLL_SECONDS)
    said = ", ".join(f"{count} {severity.lower()}" for severity, count in counts.items()) or "none"
    log(f"findings: {said}")
    if order.fail_on:
        grave = SEVERITIES[SEVERITIES.index(order.fail_on.upper()) :]
        bad = {severity: count for severity, count in counts.items() if severity in grave and count}
        if bad:
            raise ByocError(
                f"the image has findings of severity {order.fail_on} or worse\n{said}",
                hint="the ECR console lists them with their remedies",
            )
    return counts


def planned_calls(order: PushOrder) -> list[str]:
    """Every call that a push would make, in order; what depends on an answer says so."""
    name, settings = order.repository, order.settings
    calls = ["sts:GetCallerIdentity", f"ecr:DescribeRepositories {name}"]
    if settings.create:
        calls.append(f"ecr:CreateRepository {name} (if it is missing)")
        calls += [f"ecr:PutLifecyclePolicy {name} (if it was made)"] if settings.keep else []
        calls += [f"ecr:SetRepositoryPolicy {name} (if it was made)"] if settings.allow_accounts else []
    calls.append(f"ecr:BatchGetImage {name}:{order.tag}")
    calls.append("ecr:GetAuthorizationToken (if it is not up to date)")
    calls.append(f"push {name}:{order.tag} (if it is not up to date)")
    calls.append(f"ecr:BatchGetImage {name}:{order.tag} (the proof)")
    calls += [f"ecr:DescribeImageScanFindings {name}"] if order.wait_scan else []
    return calls
