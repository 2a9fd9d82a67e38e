"""`byoc logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from byoc_cli.commands.options import Outcome, Session, job_names

EXAMPLES = """
  byoc logs
  byoc logs --follow
  byoc logs my-model-2026-11-23-10-00-00-000 --tail 20
"""


def logs(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An endpoint or a job; what runs, or ran last, without it.",
            autocompletion=job_names,
            show_default=False,
        ),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until it ends.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", metavar="N", min=0, help="Only the last N lines.", show_default=False)
    ] = None,
) -> Outcome:
    """Print what a container printed, on stdout: an endpoint's, or a training job's while it runs and afterwards.

    With --json: one object with name-independent text: log (a string).
    """
    from byoc_cli.local.logs import read_logs

    chunks = read_logs(lambda: session.engine, session.project(), name, follow=follow, tail=tail)
    if session.console.as_json:
        return Outcome({"log": b"".join(chunks).decode(errors="replace")})
    for chunk in chunks:
        session.console.raw(chunk)
    return Outcome()
