"""`byoc stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from byoc_cli.commands.options import Outcome, Session

EXAMPLES = """
  byoc stop
  byoc stop my-model-2026-11-23-10-00-00-000
"""


def stop(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="An endpoint or a job.", show_default=False)] = "",
) -> Outcome:
    """Stop this project's endpoints, or the endpoint or job of that name, as SageMaker would.

    An endpoint gets SIGTERM and 30 s, a training job SIGTERM and 120 s; its `byoc local-train` then collects what
    it made, or, where that was killed, this command.

    With --json: a list of the names that were stopped.
    """
    from byoc_cli.local.running import stop as stop_running

    stopped = stop_running(session.engine, session.project(), name, session.console)
    if not stopped:
        session.console.log("nothing is running")
    return Outcome(stopped, lambda console: console.result("\n".join(stopped)) if stopped else None)
