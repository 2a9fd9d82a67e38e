"""The table of commands, and main(): the one place that catches ByocError."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from byoc_cli import __version__
from byoc_cli.commands.options import Command, Doors, command
from byoc_cli.console import Console, written
from byoc_cli.errors import ByocError, Interrupted, UsageError

# What `byoc --help` lists, in the order of the work. Each is the function of its name in byoc_cli/commands/ (of two
# words: dev_train).
COMMANDS: Sequence[tuple[str, str]] = (
    ("init", "Start a project from a template."),
    ("adopt", "Make a byoc.toml for a container that is there already."),
    ("build", "Build the project's image."),
    ("check", "Check the image against SageMaker's contract."),
    ("local-train", "Train on this machine as SageMaker does."),
    ("serve", "Serve a model on this machine as SageMaker does."),
    ("dev train", "Train with the source as it is now."),
    ("dev serve", "Serve with the source as it is now, and anew when it changes."),
    ("predict", "Send files to the endpoint."),
    ("batch", "Transform files on this machine as a batch job does."),
    ("push", "Push the image to ECR, and prove that SageMaker takes it."),
    ("stop", "Stop an endpoint or a job."),
    ("ps", "List jobs and endpoints."),
    ("runs", "List the training jobs that were run here."),
    ("metrics", "Print a job's metrics, and draw their curves."),
    ("logs", "Print what a container printed."),
    ("shell", "Open a shell in a container that runs."),
    ("doctor", "Look whether this machine is ready."),
    ("login", "Log the docker client in to ECR."),
    ("clean", "Remove what was left."),
)

# Of commands of two words the first one.
GROUPS = {"dev": "Train and serve with the source as it is now, without a build."}

_HELP = """\b
Examples:
  byoc init my-model
  byoc build
  byoc local-train --hyperparam train-steps=100
  byoc serve
  byoc predict cat.png

Build, train, serve, predict and check your own SageMaker container on your own machine.
"""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"byoc {__version__}")
        raise typer.Exit


class _Commands(TyperGroup):
    """All commands, or those of a group. One is imported when it is meant: --help needs only its line.

    What --help and --version print is a result as any other.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._group = f"{self.name} " if self.name in GROUPS else ""
        for words, short in COMMANDS:
            name, _, second = words.removeprefix(self._group).partition(" ")
            if words.startswith(self._group) and name not in self.commands:
                self.add_command(TyperCommand(name, short_help=GROUPS[name] if second else short))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, _command(f"{self._group}{name}"), rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with written():
            return super().parse_args(ctx, args)


def _command(name: str) -> Any:
    """Make the Typer command of a row of the table, or a group's."""
    if name in GROUPS:
        return typer.main.get_command(_group(name))
    word = name.replace("-", "_").replace(" ", "_")
    module = import_module(f"byoc_cli.commands.{word}")
    function = getattr(module, word)
    text = f"\b\nExamples:{module.EXAMPLES.rstrip()}\n\n{_paragraphs(function.__doc__ or '')}"
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name.rpartition(" ")[2], cls=Command, help=text)(command(function))
    return typer.main.get_command(app)


def make() -> typer.Typer:
    """Make the Typer application of the table."""
    app = typer.Typer(
        name="byoc",
        cls=_Commands,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        # Plain help: what rich would draw costs as much start-up time as all the rest.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(help=_HELP)
    def _root(
        ctx: typer.Context,
        version: Annotated[  # noqa: ARG001 - its callback prints it
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)

    return app


def _group(name: str) -> typer.Typer:
    """Make a group; alone it says which commands it has."""
    group = typer.Typer(
        name=name, cls=_Commands, invoke_without_command=True, add_completion=False, rich_markup_mode=None
    )
    examples = "\n".join(f"  byoc {words}" for words, _ in COMMANDS if words.startswith(f"{name} "))

    @group.callback(help=f"\b\nExamples:\n{examples}\n\n{GROUPS[name]}")
    def _alone(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)

    return group


def _paragraphs(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def main(argv: Sequence[str] | None = None, doors: Doors | None = None) -> int:
    """Run one command; returns the exit code (design decision 6)."""
    signal.signal(signal.SIGTERM, _terminated)
    console = Console()
    try:
        words = list(argv) if argv is not None else None
        code = make()(args=words, obj=doors, prog_name="byoc", standalone_mode=False)
    except SystemExit as exit_:  # shell completion
        return exit_.code if isinstance(exit_.code, int) else 0
    except typer.TyperException as error:  # a wrong option, a missing argument
        return _fail(console, _wrong_words(error), argv)
    except ByocError as error:
        return _fail(console, error, argv)
    except Interrupted as interrupted:
        if interrupted.result is not None and _wants_json(argv):
            console.json(interrupted.result)
        return interrupted.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        _let_go()
    return code if isinstance(code, int) else 0  # what --version and a Ctrl-C ended with


def _wrong_words(error: typer.TyperException) -> UsageError:
    """Say in our words what Typer has against the command line."""
    text = re.sub(r" \(Possible options: (.*)\)$", r" Did you mean \1?", error.format_message())
    said, _, guess = text.partition(" Did you mean ")
    for theirs, ours in (("a valid int range", "a whole number"), ("a valid float range", "a number")):
        said = said.replace(f"is not {theirs}", f"is not {ours}")
    context = getattr(error, "ctx", None)
    hint = f"did you mean {guess}" if guess else f"{context.command_path if context else 'byoc'} -h"
    return UsageError(said[:1].lower() + said[1:].rstrip("."), hint=hint)


def _let_go() -> None:
    """Let go of what nobody reads (`byoc logs | head`): Python would complain when it closes it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(console: Console, error: ByocError, argv: Sequence[str] | None) -> int:
    if error.result is not None and _wants_json(argv):
        console.json(error.result)
    with suppress(BrokenPipeError):
        console.error(error)
    return error.exit_code


def _wants_json(argv: Sequence[str] | None) -> bool:
    words = list(argv) if argv is not None else sys.argv[1:]
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)
