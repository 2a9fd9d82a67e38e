"""The table of commands, and main(): the one place that catches ByocError."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from byoc_cli import __version__
from byoc_cli.commands import (
    batch,
    build,
    check,
    clean,
    dev,
    doctor,
    local_train,
    login,
    logs,
    metrics,
    predict,
    ps,
    push,
    runs,
    serve,
    shell,
    stop,
)
from byoc_cli.commands.options import Command, Doors, command
from byoc_cli.console import Console, written
from byoc_cli.errors import ByocError, Interrupted, UsageError

# What `byoc --help` lists, in the order of the work.
COMMANDS: Sequence[tuple[str, Callable[..., Any], str, str]] = (
    ("build", build.build, build.EXAMPLES, "Build the project's image."),
    ("check", check.check, check.EXAMPLES, "Check the image against SageMaker's contract."),
    ("local-train", local_train.local_train, local_train.EXAMPLES, "Train on this machine as SageMaker does."),
    ("serve", serve.serve, serve.EXAMPLES, "Serve a model on this machine as SageMaker does."),
    ("dev train", dev.train, dev.TRAIN_EXAMPLES, "Train with the source as it is now."),
    ("dev serve", dev.serve, dev.SERVE_EXAMPLES, "Serve with the source as it is now, and anew when it changes."),
    ("predict", predict.predict, predict.EXAMPLES, "Send files to the endpoint."),
    ("batch", batch.batch, batch.EXAMPLES, "Transform files on this machine as a batch job does."),
    ("push", push.push, push.EXAMPLES, "Push the image to ECR, and prove that SageMaker takes it."),
    ("stop", stop.stop, stop.EXAMPLES, "Stop an endpoint or a job."),
    ("ps", ps.ps, ps.EXAMPLES, "List jobs and endpoints."),
    ("runs", runs.runs, runs.EXAMPLES, "List the training jobs that were run here."),
    ("metrics", metrics.metrics, metrics.EXAMPLES, "Print a job's metrics, and draw their curves."),
    ("logs", logs.logs, logs.EXAMPLES, "Print what a container printed."),
    ("shell", shell.shell, shell.EXAMPLES, "Open a shell in a container that runs."),
    ("doctor", doctor.doctor, doctor.EXAMPLES, "Look whether this machine is ready."),
    ("login", login.login, login.EXAMPLES, "Log the docker client in to ECR."),
    ("clean", clean.clean, clean.EXAMPLES, "Remove what was left."),
)

# Of commands of two words the first one.
GROUPS = {"dev": (dev.EXAMPLES, "Train and serve with the source as it is now, without a build.")}

_HELP = """\b
Examples:
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
    """All commands, in the table's order; what --help and --version print is a result as any other."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = list(dict.fromkeys(word for name, *_ in COMMANDS for word in name.split()))
        return sorted(super().list_commands(ctx), key=order.index)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with written():
            return super().parse_args(ctx, args)


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

    groups: dict[str, typer.Typer] = {"": app}
    for words, function, examples, short in COMMANDS:
        group, _, name = words.rpartition(" ")
        if group not in groups:
            groups[group] = _group(group)
            app.add_typer(groups[group])
        text = _help(examples, function.__doc__ or "")
        groups[group].command(name, cls=Command, help=text, short_help=short)(command(function))
    return app


def _group(name: str) -> typer.Typer:
    """Make the group of the commands of two words that begin with a name; alone it says which there are."""
    group = typer.Typer(name=name, cls=_Commands, invoke_without_command=True, rich_markup_mode=None)

    examples, short = GROUPS[name]

    @group.callback(help=_help(examples, short), short_help=short)
    def _alone(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)

    return group


def _help(examples: str, text: str) -> str:
    paragraphs = "\n".join(line.strip() for line in text.splitlines())
    return f"\b\nExamples:{examples.rstrip()}\n\n{paragraphs}"


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
