"""`byoc build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import push_words
from byoc_cli.commands.options import Outcome, Session, pairs, path_of
from byoc_cli.commands.push import ProfileOption, RegionOption, RepositoryOption, order_of, push_order
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.project import Project

EXAMPLES = """
  byoc build
  byoc build ./container --tag my-model:v2
  byoc build --build-arg BASE_IMAGE=python:3.12-slim --secret id=netrc,src=$HOME/.netrc
  byoc build --push --region us-west-2
  docker run --rm $(byoc build -q) train
"""


def build(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.", show_default=False)] = Path(),
    tag: Annotated[
        str, typer.Option("--tag", "-t", metavar="NAME[:TAG]", help="The image's name.", envvar="BYOC_IMAGE")
    ] = "",
    platform: Annotated[
        str,
        typer.Option(
            metavar="OS/ARCH",
            help="linux/amd64 (the default) or linux/arm64.",
            envvar="BYOC_PLATFORM",
            show_default=False,
        ),
    ] = "",
    build_arg: Annotated[
        list[str], typer.Option("--build-arg", metavar="K=V", help="Build argument.", show_default=False)
    ] = [],
    secret: Annotated[
        list[str],
        typer.Option(
            "--secret", metavar="id=ID,src=FILE", help="Secret for RUN --mount=type=secret.", show_default=False
        ),
    ] = [],
    target: Annotated[str, typer.Option(metavar="STAGE", help="Build up to this stage.")] = "",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do every step anew.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Look for a newer base image.")] = False,
    push: Annotated[bool, typer.Option("--push", help="Push it to ECR afterwards, as `byoc push` does.")] = False,
    region: RegionOption = [],
    profile: ProfileOption = "",
    repository: RepositoryOption = "",
) -> Outcome:
    """Build the project's image, with a manifest that SageMaker accepts; print its reference.

    The builder is found by itself: docker buildx, an old client's own BuildKit, or the classic API (BYOC_BUILDER
    forces one). The host's CA bundle and pip configuration are offered as the build secrets `ca` and `pipconf`.

    With --json: image (the reference), id, platform, size (bytes), seconds. With --push what `byoc push` prints;
    its --region, --profile and --repository are good here, too.
    """
    import time

    from byoc_cli.commands.ecr_login import ecr_login
    from byoc_cli.console.build_view import BuildView
    from byoc_cli.local.building import BuildOptions, build_project

    project = session.project(folder)
    regions = _regions(project, tag, region, profile, repository, push=push)
    options = BuildOptions(
        tag=tag,
        platform=platform,
        args=pairs(build_arg, "--build-arg"),
        secrets=_secrets(secret),
        target=target,
        no_cache=no_cache,
        pull=pull,
    )
    start = time.monotonic()
    with BuildView(session.console) as view:
        reference, image = build_project(session.engine, project, options, ecr_login, session.console, view)
    seconds = time.monotonic() - start
    session.console.log(f"{reference}: {image.size / 1e6:,.0f} MB, {seconds:.1f} s")
    if push:
        return push_order(session, order_of(project, (reference, image), repository), regions, profile)
    data = {
        "image": reference,
        "id": image.id,
        "platform": f"{image.os}/{image.architecture}",
        "size": image.size,
        "seconds": round(seconds, 3),
    }
    return Outcome(data, lambda console: console.result(reference))


def _regions(project: Project, tag: str, region: list[str], profile: str, repository: str, *, push: bool) -> list[str]:
    """Return the regions to push to: wrong words are said before the build takes its time."""
    if push:
        return push_words.places(project, tag, region, profile, repository)
    if region or repository:
        option = "--region" if region else "--repository"
        raise UsageError(f"{option} goes with --push", hint=f"byoc build --push {option} …")
    return []


def _secrets(values: list[str]) -> dict[str, Path]:
    found = {}
    for value in values:
        options = dict(part.partition("=")[::2] for part in value.split(","))
        name, source = options.get("id", ""), options.get("src") or options.get("source") or ""
        if not name or not source:
            raise UsageError(f"--secret {value}: it needs an id and a file", hint="--secret id=netrc,src=$HOME/.netrc")
        path = path_of(source, Path.cwd(), f"--secret {value}")
        if not path.is_file() or not os.access(path, os.R_OK):
            why = "it is not a file" if not path.is_file() else "permission denied"
            raise UsageError(f"--secret {value} cannot be read\n{why}: {path}", hint="a secret is one readable file")
        found[name] = path
    return found
