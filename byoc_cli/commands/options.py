"""What every command shares: its session, its options, and the way its outcome is shown."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from byoc_cli.console import Console, written
from byoc_cli.errors import READER_GONE, ByocError, Interrupted, UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.docker_engine import DockerEngine
    from byoc_cli.engine.types import Image
    from byoc_cli.local.gateway.process import Gateway, Launch
    from byoc_cli.local.places import ObjectStore, S3Door
    from byoc_cli.project import Project

ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="An image; the project's without it.", show_default=False)
]
EnvOption = Annotated[
    list[str],
    typer.Option(
        "--env", "-e", metavar="K=V", help="Environment variable; K alone takes it from here.", show_default=False
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(metavar="PATH", help="A folder or a model.tar.gz; the last run's without it.", show_default=False),
]
EnvFileOption = Annotated[Path | None, typer.Option(metavar="FILE", help="File with K=V lines.", show_default=False)]
ContentTypeOption = Annotated[
    str, typer.Option(metavar="TYPE", help="Content type of the requests.", show_default=False)
]
AcceptOption = Annotated[
    str, typer.Option(metavar="TYPE", help="Content type that is wanted back.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", "-a", help="Of all projects, not only of this one.")]


def _connect() -> DockerEngine:
    from byoc_cli.engine.docker_engine import connect  # late: --help needs no docker

    return connect()


def _launch(listener: socket, log: Path) -> Gateway:
    from byoc_cli.local.gateway.process import launch

    return launch(listener, log, "byoc_cli.commands.endpoint_process")


def _s3() -> ObjectStore:
    from byoc_cli.cloud.s3_objects import Objects  # late: --help needs no AWS

    return Objects()


@dataclass
class Doors:
    """The ways out of the program, made when first used; tests pass their own."""

    connect: Callable[[], DockerEngine] = _connect
    launch: Launch = _launch
    s3: S3Door = _s3


@dataclass
class Session:
    """What a command is given: the terminal, the project, the engine."""

    console: Console
    doors: Doors = field(default_factory=Doors)

    @cached_property
    def engine(self) -> DockerEngine:
        """The engine, connected when first asked for."""
        return self.doors.connect()

    def project(self, folder: Path | None = None) -> Project:
        """Return the project of a folder, the current one without it."""
        from byoc_cli import project  # late: --help needs no project

        return project.load(folder or Path.cwd())

    def reference(self, given: str, project: Project) -> str:
        """Name the image that was given, else the project's; an image id is no reference, and is good all the same."""
        from byoc_cli import image_ref

        return given if given.startswith("sha256:") else str(image_ref.parse(given or project.image).tagged)

    def image(self, given: str, project: Project) -> tuple[str, Image]:
        """Return (reference, image) of what was given, else of the project.

        Raises:
            ByocError: it is not there (1: what was asked for failed); the hint is to build it.

        """
        reference = self.reference(given, project)
        image = self.engine.image(reference)
        if image is None and re.fullmatch(r"[0-9a-f]{6,64}", given) and (image := self.engine.image(given)):
            reference = image.id  # the short form that `docker images` shows
        if image is None:
            hint = f"docker pull {reference}, or byoc build" if given else "byoc build"
            if not given and not project.file and not project.dockerfile.is_file():
                hint = "go to the folder of your Dockerfile, or name an image"
            raise ByocError(f"there is no image '{reference}' here", hint=hint)
        return reference, image


@dataclass(frozen=True)
class Outcome:
    """What a command has to show: `data` with --json, else what `show` prints.

    `exit_code` is another one than 0 only where it is not byoc's own: that of a program which byoc ran for the user.
    """

    data: Any = None
    show: Callable[[Console], None] | None = None
    exit_code: int = 0


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result, warnings and errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print more of what is done.")]


def command(function: Callable[..., Outcome]) -> Callable[..., None]:
    """Make a Typer command of a function that takes a Session first and gives an Outcome.

    Adds --json, --quiet and --verbose, and shows the outcome: the one place where a command's result is printed.
    """

    def run(ctx: typer.Context, **given: Any) -> None:
        console = Console(quiet=given.pop("quiet"), verbose=given.pop("verbose"), as_json=given.pop("json"))
        ctx.meta["console"] = console
        try:
            outcome = function(Session(console, ctx.obj or Doors()), **given)
            if console.as_json:
                if outcome.data is not None:
                    console.json(outcome.data)
            elif outcome.show:
                outcome.show(console)
            if outcome.exit_code:
                raise typer.Exit(outcome.exit_code)
        except BrokenPipeError as error:  # Typer would end with 1
            raise Interrupted(READER_GONE - 128) from error
        finally:
            console.end_line()

    kinds = {"json": JsonOption, "quiet": QuietOption, "verbose": VerboseOption}
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    added = [inspect.Parameter(name, keyword, default=False, annotation=kind) for name, kind in kinds.items()]
    parameters = [context, *(parameter.replace(kind=keyword) for parameter in own), *added]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


class Command(TyperCommand):
    """A command whose `command` argument, if it has one, is all that stands behind `--`, and nothing of it another's.

    Click itself forgets where the `--` was: of `byoc shell -- ls` it would make the name `ls`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words before `--` as usual."""
        if "--" not in args or all(parameter.name != "command" for parameter in self.params):
            return self._parse(ctx, args)
        at = args.index("--")
        rest = self._parse(ctx, args[:at])
        ctx.params["command"] = [*(ctx.params["command"] or ()), *args[at + 1 :]]
        return rest

    def _parse(self, ctx: Any, args: list[str]) -> list[str]:
        with written():  # --help prints
            return super().parse_args(ctx, args)


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """Parse repeated K=V.

    Raises:
        UsageError: one has no "=" or no key.

    """
    found = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise UsageError(
                f"{option} {value}: there is no '='" if not equals else f"{option} {value}: there is no name",
                hint=f"{option} NAME=VALUE",
            )
        found[key] = rest
    return found


def environment(values: Sequence[str], file: Path | None, warn: Callable[[str], None]) -> dict[str, str]:
    """Read --env-file, then --env over it, as docker does: K alone is taken from this process."""
    lines = [(f"--env-file {file}: {line}", line) for line in (_env_file(file) if file else [])]
    found: dict[str, str] = {}
    for said, value in [*lines, *((f"--env {value}", value) for value in values)]:
        key, equals, rest = value.partition("=")
        if not key:
            raise UsageError(f"{said}: there is no name", hint="NAME=VALUE, or NAME to take it from here")
        if equals:
            found[key] = rest
        elif key in os.environ:
            found[key] = os.environ[key]
        else:
            warn(f"{said}: it is not set here, so it is not passed on")
    return found


def _env_file(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--env-file {file} cannot be read\n{reason}", hint="a file with NAME=VALUE lines") from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def choice(given: str, option: str, words: Sequence[str]) -> Any:
    """Find the word that is meant; capitals do not matter."""
    for word in words:
        if given.lower() == word.lower():
            return word
    raise UsageError(f"{option} {given}: there is no such word", hint=f"{option} {'|'.join(words)}")


def gpus(value: str) -> str:
    """Check --gpus: none, all, or a count."""
    if value in {"none", "all"} or (value.isdecimal() and int(value) > 0):
        return value
    if value == "0":
        return "none"
    raise UsageError(f"--gpus {value} is wrong", hint="--gpus none, --gpus all, or a number of them")


def region() -> str:
    """Return the region that things on this machine are named by; nothing is asked there."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def job_names(incomplete: str) -> list[str]:
    """Complete the name of one of the project's jobs, the newest first; a shell has no use for an error."""
    from byoc_cli import project
    from byoc_cli.local import runs

    try:
        return [run.name for run in runs.all_runs(project.load(Path.cwd())) if run.name.startswith(incomplete)]
    except ByocError:
        return []


def refuse(problems: Sequence[str]) -> None:
    """Raise all that AWS would refuse, at once."""
    if problems:
        raise UsageError("SageMaker would refuse this\n" + "\n".join(problems))


def path_of(value: str, base: Path, what: str) -> Path:
    """Return an absolute path that exists.

    Raises:
        UsageError: it does not; says where it was looked for.

    """
    from byoc_cli.project.home import expanded

    path = (base / expanded(value)).resolve()
    if not path.exists():
        raise UsageError(f"{what}: there is no such file or folder\nlooked for {path}", hint="give a path that exists")
    return path


def stdin_bytes() -> bytes:
    """Read all of standard input."""
    return sys.stdin.buffer.read()


def redacted(values: Mapping[str, str]) -> str:
    """Names only: values may be secrets."""
    return ", ".join(values)
