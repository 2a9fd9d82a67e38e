"""What ECR has of an image after a push, and whether SageMaker takes it (I-01, I-03b): read back, not assumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from byoc_cli.cloud.ecr import Ecr, Manifest
from byoc_cli.cloud.orders import PushOrder
from byoc_cli.contract import image as rules
from byoc_cli.engine.types import Image
from byoc_cli.errors import ByocError

_INDEXES = (rules.OCI_INDEX, rules.DOCKER_LIST)


class Unacceptable(ByocError):
    """What is in ECR would be refused by CreateModel."""


@dataclass(frozen=True)
class Conversion:
    """An image's manifest in Docker's words, and the media type that it had."""

    manifest: Manifest
    was: str


def is_it(there: Manifest | None, image: Image) -> bool:
    """Whether what ECR has is this image, and acceptable.

    The classic store calls an image by its config's digest, the containerd store by its manifest's.
    """
    if there is None or there.media_type != rules.ACCEPTED:
        return False
    return image.id in {there.content["config"]["digest"], there.digest}


def sent(ecr: Ecr, order: PushOrder, uri: str, tag: str, *, digest: str) -> Manifest:
    """Read back what went up under a tag, in whatever form; its digest is the one that was pushed ("" for any).

    Raises:
        ByocError: it is not what was sent.

    """
    seen = _there(ecr, order, tag=tag)
    _compare(seen, f"{uri}:{tag}", digest)
    return seen


def parts(manifest: Manifest) -> Sequence[str]:
    """Name the manifests that an index holds, by their digests; none of another manifest."""
    return [str(part["digest"]) for part in manifest.content.get("manifests", [])]


def converted(ecr: Ecr, order: PushOrder, manifest: Manifest) -> Conversion:
    """Say a manifest in Docker's words (schema 2): the same blobs, another manifest.

    Raises:
        Unacceptable: it has none for the platform, or layers that Docker's manifest has no word for.

    """
    was = manifest.media_type
    try:
        if was in _INDEXES:
            digest = rules.manifest_of(manifest.content, order.image.os, order.image.architecture)
            manifest = _there(ecr, order, digest=digest)
        if manifest.media_type != rules.ACCEPTED:
            # The form that Docker itself writes, three blanks and all.
            text = json.dumps(rules.docker_manifest(manifest.content), indent=3)
            manifest = Manifest(_digest(text), rules.ACCEPTED, text)
    except ValueError as error:
        raise Unacceptable(
            f"SageMaker would refuse this image, and it cannot be converted\n{error}", hint=order.rebuild_command
        ) from error
    return Conversion(manifest, was)


def proved(ecr: Ecr, order: PushOrder, uri: str, *, digest: str, config: str) -> Manifest:
    """Read back what SageMaker will read: its media type, its digest and its config's ("" for any).

    Raises:
        Unacceptable: CreateModel would refuse it, in these words.
        ByocError: it is not what was sent.

    """
    seen = _there(ecr, order, tag=order.tag)
    name = f"{uri}:{order.tag}"
    if seen.media_type != rules.ACCEPTED:
        raise Unacceptable(
            f"SageMaker would refuse this image\n{rules.refusal(seen.media_type, name)}", hint=order.rebuild_command
        )
    _compare(seen, name, digest)
    if config and (there := seen.content["config"]["digest"]) != config:
        raise ByocError(
            f"ECR has another image under '{name}' than '{order.reference}'\nits config is {there}, not {config}",
            hint="byoc push again",
        )
    return seen


def _compare(seen: Manifest, name: str, digest: str) -> None:
    if _digest(seen.text) != seen.digest:
        raise ByocError(
            f"ECR's manifest of '{name}' is not what its digest says\n{seen.digest}", hint="byoc push again"
        )
    if digest and seen.digest != digest:
        raise ByocError(
            f"ECR has another image under '{name}' than was pushed\n"
            f"{seen.digest}, not {digest}: somebody else pushes to the same tag",
            hint="push under another --tag",
        )


def _there(ecr: Ecr, order: PushOrder, *, tag: str = "", digest: str = "") -> Manifest:
    manifest = ecr.manifest(order.repository, tag=tag, digest=digest)
    if manifest is None:
        name = f"{order.repository}:{tag}" if tag else f"{order.repository}@{digest}"
        raise ByocError(f"'{name}' was pushed, but ECR does not show it", hint="byoc push again")
    return manifest


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
