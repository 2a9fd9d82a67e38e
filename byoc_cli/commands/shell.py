"""`byoc shell`, and how --shell-on-failure gets the user to a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands.options import Outcome, Session, job_names
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.local.training.failure_shell import Attach

EXAMPLES = """
  byoc shell
  byoc shell my-model-2026-11-23-10-00-00-000 --host algo-2
  byoc shell -- nvidia-smi
"""

OnFailureOption = Annotated[
    bool,
    typer.Option(
        "--shell-on-failure",
        help="Where the job fails, open a shell in a container like the failed one, with its /opt/ml.",
    ),
]


def shell(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A job or an endpoint that runs; the only one without it.",
            autocompletion=job_names,
            show_default=False,
        ),
    ] = "",
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND", help="A program and its words, in the place of a shell.", show_default=False
        ),
    ] = [],
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="Of a job's hosts, or an endpoint's containers, this one: algo-2.", show_default=False
        ),
    ] = "",
) -> Outcome:
    """Open a shell in the container of a job or an endpoint that runs, or run a program there.

    The shell is bash where the image has it, else sh. What stands behind `--` is run instead; that needs no terminal.
    Of several hosts it is the first without --host.

    Exits with the exit code of the shell or the program, as docker exec and ssh do.

    With --json: nothing more; stdout is the program's.
    """
    from byoc_cli.engine import terminal
    from byoc_cli.local.shells import shell_of, target

    at_terminal = session.console.interactive and session.console.terminal
    if not command and not at_terminal:
        raise UsageError("there is no terminal for a shell", hint="byoc shell NAME -- COMMAND")
    client = terminal.client()
    thing = target(session.engine, session.project(), name, host)
    words = command or [shell_of(session.engine.container(thing.id))]
    if not command:
        session.console.log(f"{words[0]} in {thing.name}; exit leaves it")
    return Outcome(exit_code=terminal.execute(client, thing.id, words, terminal=at_terminal))


def attach_to_failed(session: Session) -> Attach:
    """Give what makes a container's terminal the user's, for --shell-on-failure.

    Raises:
        UsageError: there is no terminal.
        MachineError: there is no docker client.

    """
    from byoc_cli.engine import terminal

    if not session.console.interactive:
        raise UsageError("--shell-on-failure: there is no terminal for a shell", hint="leave it out")
    client = terminal.client()
    return lambda container: terminal.attach(client, container.id)
