"""The words of `byoc push`: what is wrong with them is said before anything is looked up, built or sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.image_ref import ImageRef
    from byoc_cli.project import Project


def places(
    project: Project, image: str, region: list[str], profile: str, repository: str = "", tag: str = ""
) -> list[str]:
    """Return the regions to push to, the names being good as well: all that can be known without the image.

    Raises:
        UsageError: a wrong region, profile, repository or tag.

    """
    from byoc_cli.cloud import account

    names_of(project, image or project.image, repository, tag)
    return account.regions(region, profile)


def names_of(project: Project, reference: str, repository: str, tag: str) -> tuple[str, str]:
    """Return (repository, tag): what is given, else the image's own names, of a mere id the project's.

    Raises:
        UsageError: ECR would not take one of them.

    """
    from byoc_cli import image_ref
    from byoc_cli.cloud.ecr import check_repository_name

    own = image_ref.parse(project.image if reference.startswith("sha256:") else reference)
    repository, tag = repository or own.path, tag or own.tag or "latest"
    check_repository_name(repository)
    if problem := image_ref.tag_problem(tag):
        raise UsageError(f"'{tag}' is no tag\n{problem}", hint="choose one with --tag")
    return repository, tag


def target(to: str) -> ImageRef:
    """Parse --to."""
    from byoc_cli import image_ref

    found = image_ref.parse(to).tagged
    if found.digest:
        raise UsageError(f"--to {to}: a push goes to a tag, not to a digest", hint="--to REGISTRY/NAME:TAG")
    return found


def account_ids(values: Sequence[str]) -> tuple[str, ...]:
    """Check --allow-account."""
    for value in values:
        if not (value.isascii() and value.isdigit() and len(value) == 12):
            raise UsageError(f"--allow-account {value}: an account is 12 digits", hint="--allow-account 123456789012")
    return tuple(values)


def severity(value: str, *, wait: bool) -> str:
    """Check --fail-on."""
    from byoc_cli.cloud.orders import SEVERITIES

    if value and value.upper() not in SEVERITIES:
        known = ", ".join(SEVERITIES).lower()
        raise UsageError(f"--fail-on {value}: there is no such severity", hint=f"one of: {known}")
    if value and not wait:
        raise UsageError("--fail-on needs --wait-scan: findings come some time after the push", hint="add --wait-scan")
    return value


def check_writable(file: Path | None) -> None:
    """A file that cannot be written is said before a gigabyte goes up."""
    if file is None:
        return
    try:
        there = file.exists()
        folder = file.is_dir() or not (there or file.parent.is_dir())
        reason = "" if os.access(file if there else file.parent, os.W_OK) else "you may not write there"
        reason = "that is no file in a folder that exists" if folder else reason
    except (OSError, ValueError) as error:  # a name that no file can have
        reason = str(getattr(error, "strerror", error))
    if reason:
        raise UsageError(f"--image-ref-file {file} cannot be written\n{reason}", hint="give another file")
