"""`byoc clean`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from byoc_cli.commands.options import AllOption, Outcome, Session

EXAMPLES = """
  byoc clean
  byoc clean --keep 5 --yes
  byoc clean --all
"""


def clean(
    session: Session,
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Remove runs too, but the last N and the latest completed one.", show_default=False
        ),
    ] = None,
    all_projects: AllOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Outcome:
    """Remove what byoc made and left: ended containers, networks, volumes, and with --keep old runs.

    Lists it first and asks. What runs is never touched, but for containers whose byoc was killed.

    With --json: an object with containers, networks, volumes, staging (what a killed byoc left in a run's folder),
    runs: the names of what was removed.
    """
    from byoc_cli.local import running

    found = running.waste(session.engine, session.project(), all_projects=all_projects, keep=keep)
    data = {
        f"{kind}s": [thing.name for thing in found.things if thing.type == kind]
        for kind in ("container", "network", "volume")
    }
    data["staging"] = [os.path.relpath(folder) for folder in found.staging]
    data["runs"] = [os.path.relpath(run.folder) for run in found.runs]
    if not any(data.values()):
        session.console.log("there is nothing to clean")
        return Outcome(data)
    for kind, names in data.items():
        for name in names:
            session.console.log(f"  {kind.removesuffix('s')} {name}")
    if not yes and not session.console.confirm("remove all this?", otherwise="--yes"):
        session.console.log("nothing was removed")
        return Outcome({kind: [] for kind in data})
    running.clean(session.engine, found)
    session.console.log(f"removed {sum(len(names) for names in data.values())}")
    return Outcome(data)
