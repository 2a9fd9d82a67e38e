"""Build a project's image: look before building, offer what a build needs, find a base where no registry answers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from byoc_cli import image_ref
from byoc_cli.contract import hosting, training
from byoc_cli.engine import builders, context, copies, dockerfile
from byoc_cli.engine.build import BuildRequest, build
from byoc_cli.engine.build_progress import BuildWatcher
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.owner import scratch
from byoc_cli.engine.types import Credentials, Engine, Image
from byoc_cli.errors import Interrupted, UsageError
from byoc_cli.local import host_settings, runs
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project
from byoc_cli.project.settings import PLATFORM

BASE_ARGUMENT = "BASE_IMAGE"
LARGE_CONTEXT_BYTES = 200_000_000
_KEPT_LOGS = 10
_SOMEWHERE = "/path/to"  # where no COPY is seen to put it

Login = Callable[[str], Credentials]
"""Gives the credentials for an ECR host; only called for a base image that comes from one."""


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says; "" and {} leave it to the project."""

    tag: str = ""
    platform: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    pull: bool = False


def build_project(
    engine: DockerEngine,
    project: Project,
    options: BuildOptions,
    login: Login,
    progress: Progress,
    watcher: BuildWatcher,
) -> tuple[str, Image]:
    """Build; gives the image's reference and the image.

    Raises:
        UsageError: no Dockerfile, a wrong tag, platform or target.
        ByocError: the context cannot be read, or the build failed.

    """
    tag = _tag(options.tag or project.image)
    if not re.fullmatch(PLATFORM, options.platform or project.platform):
        raise UsageError(
            f"--platform {options.platform}: that is no platform of SageMaker's",
            hint="linux/amd64, or linux/arm64 for Graviton",
        )
    file = _parsed(project, options)
    target = options.target or project.build.target
    args = {**project.build.args, **options.args}
    platform = options.platform or project.platform
    _look(project, file, target, {**dockerfile.platform_arguments(platform), **args}, progress)
    builder = builders.find()
    args |= _substitute_base(engine, project, file, target, options, progress)
    bases = dockerfile.parse(_text(project), args).bases(target)
    progress.log(f"building {tag} with {builder}")
    with _secrets(options.secrets) as secrets:
        request = BuildRequest(
            folder=project.root,
            dockerfile=project.dockerfile,
            tag=tag,
            platform=platform,
            log=_new_log(project),
            args=host_settings.proxies(os.environ) | args,
            secrets=secrets,
            target=target,
            no_cache=options.no_cache,
            pull=options.pull,
            credentials=_credentials(engine, bases, login, pull=options.pull),
        )
        try:
            return tag, build(engine, builder, request, watcher)
        except (Interrupted, KeyboardInterrupt):
            progress.log("the build was stopped; the steps that ended are in the builder's cache")
            raise


def stale(project: Project, image: Image) -> bool:
    """Whether a file of the context is newer than the image."""
    if not project.dockerfile.is_file():
        return False
    return context.scan(project.root, project.dockerfile).newest > image.tagged


def _tag(name: str) -> str:
    reference = image_ref.parse(name).tagged
    if reference.digest:
        raise UsageError(
            f"'{name}' names an image by its digest, which only a build gives", hint="for example: --tag my-model:v1"
        )
    return str(reference)


def _text(project: Project) -> str:
    return project.dockerfile.read_text("utf-8-sig", errors="replace")


def _parsed(project: Project, options: BuildOptions) -> dockerfile.Dockerfile:
    if not project.dockerfile.is_file():
        where = (
            f"{project.file} names it"
            if project.file and project.build.dockerfile != "Dockerfile"
            else "byoc builds a Dockerfile"
        )
        raise UsageError(
            f"there is no {project.build.dockerfile} in {project.root}\n{where}",
            hint="go to the folder that has one, or: byoc build DIR",
        )
    return dockerfile.parse(_text(project), {**project.build.args, **options.args})


# -- before the build -------------------------------------------------------------------------------------------------


def _look(
    project: Project, file: dockerfile.Dockerfile, target: str, args: Mapping[str, str], progress: Progress
) -> None:
    """Say what would go wrong, before it costs time."""
    report = context.scan(project.root, project.dockerfile)
    report.refuse_unreadable(project.root)
    if report.size > LARGE_CONTEXT_BYTES and context.ignore_file(project.root, project.dockerfile) is None:
        biggest = ", ".join(f"{name} ({size / 1e6:,.0f} MB)" for name, size in report.biggest)
        names = "\\n".join(name for name, _ in report.biggest)
        progress.warn(
            f"the build context has {report.size / 1e6:,.0f} MB and there is no .dockerignore; the biggest: {biggest}",
            f"leave out what the image does not need: printf '{names}\\n' > {project.root / '.dockerignore'}",
        )
    for warning in _program_warnings(project, file, target, args):
        progress.warn(*warning)


def _program_warnings(
    project: Project, file: dockerfile.Dockerfile, target: str, args: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """CRLF or a missing execute bit on `train` and `serve`: the costliest mistakes of all (I-06)."""
    lines = [line for index in file.needed(target) for line in file.stages[index].instructions]
    placement = copies.placement(file, target, context.Tree(project.root, project.dockerfile), args=args)
    places = {placed.source: place for place, placed in placement.copied.items()}
    for relative in context.paths(project.root, project.dockerfile):
        path = project.root / relative
        if path.name not in {training.COMMAND, hosting.COMMAND} or not path.is_file():
            continue
        inside = places.get(relative, f"{_SOMEWHERE}/{path.name}")
        with path.open("rb") as opened:
            first = opened.readline(4096)
        if first.endswith(b"\r\n") and first.startswith(b"#!") and not mended(lines, inside, r"dos2unix|\\r"):
            yield (
                f"{relative} has Windows line ends: its interpreter will not be found (I-06)",
                f"convert it, or add to the Dockerfile: RUN sed -i 's/\\r$//' {inside}",
            )
        if not os.access(path, os.X_OK) and os.name == "posix" and not mended(lines, inside, "chmod"):
            yield (
                f"{relative} is not executable (I-06)",
                f"chmod +x {relative}, or add to the Dockerfile: RUN chmod +x {inside}",
            )


def mended(lines: Sequence[dockerfile.Instruction], inside: str, remedy: str) -> bool:
    """Whether an instruction with such a remedy is about that file of the image: by its name, or among others."""
    name = re.escape(PurePosixPath(inside).name)
    among = r"\*|\s(-R|--recursive)\s|\bfind\b|--chmod"
    about = "" if inside.startswith(_SOMEWHERE) else rf"(?<![\w.-]){name}(?![\w.-])|{among}"
    return any(re.search(remedy, line.text) and re.search(about, line.text) for line in lines)


# -- what a build is offered ------------------------------------------------------------------------------------------


def _substitute_base(
    engine: Engine,
    project: Project,
    file: dockerfile.Dockerfile,
    target: str,
    options: BuildOptions,
    progress: Progress,
) -> dict[str, str]:
    """Offer a local stand-in as BASE_IMAGE where the Dockerfile declares it and the registry does not answer.

    The stand-in is an image `byoc-base` of this engine that says by its label which reference it fills in for.
    """
    if BASE_ARGUMENT not in file.arguments or BASE_ARGUMENT in options.args:
        return {}
    wanted = project.build.args.get(BASE_ARGUMENT) or file.arguments[BASE_ARGUMENT] or ""
    if not wanted or wanted not in file.bases(target) or engine.image(wanted):
        return {}
    # Looked for first: the registry is asked only where there is something to offer.
    stand_in = engine.stand_in(wanted)
    if not stand_in or engine.registry_gives(wanted):
        return {}
    progress.log(f"no registry gives {wanted}: {BASE_ARGUMENT}={stand_in}, the local stand-in")
    return {BASE_ARGUMENT: stand_in}


def _credentials(engine: Engine, bases: list[str], login: Login, *, pull: bool) -> dict[str, Credentials]:
    """Log in for base images in ECR that are not here yet: the commonest Dockerfile of SageMaker starts from one."""
    hosts: dict[str, Credentials] = {}
    for base in bases:
        try:
            reference = image_ref.parse(base)
        except UsageError:
            continue  # the builder will say it better
        if reference.ecr and reference.host not in hosts and (pull or engine.image(base) is None):
            hosts[reference.host] = login(reference.host)
    return hosts


@contextmanager
def _secrets(given: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """The host's CA bundle and pip configuration, and what the user gives; the latter wins."""
    with scratch("secrets") as folder:
        offered: dict[str, Path] = {}
        if bundle := host_settings.ca_bundle(os.environ):
            offered[host_settings.CA_SECRET] = bundle
        if text := host_settings.pip_configuration(os.environ):
            file = Path(folder) / "pip.conf"
            file.touch(0o600)
            file.write_text(text, encoding="utf-8")
            offered[host_settings.PIP_SECRET] = file
        yield offered | dict(given)


def _new_log(project: Project) -> Path:
    """Make a place for the full output; the last ten are kept."""
    folder = runs.prepare_home(project) / "builds"
    folder.mkdir(exist_ok=True)
    for old in sorted(folder.glob("*.log"))[: -_KEPT_LOGS + 1]:
        old.unlink(missing_ok=True)
    return folder / datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f.log")  # noqa: DTZ005 - a name for the user's eyes
