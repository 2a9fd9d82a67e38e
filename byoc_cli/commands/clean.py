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

    Lists it first and asks. What runs is never touched, but for containers whose byoc was killed. What a killed build
    left is removed whatever the project: images with its secrets, and temporary folders.

    With --json: an object with containers, networks, volumes, images, staging (what a killed byoc left in a run's
    folder, or of an endpoint's models), runs, folders: the names of what was removed.
    """
    from byoc_cli.local import running

    found = running.waste(session.engine, session.project(), all_projects=all_projects, keep=keep)
    data = {
        f"{kind}s": [thing.name for thing in found.things if thing.type == kind]
        for kind in ("container", "network", "volume", "image")
    }
    data["staging"] = [os.path.relpath(folder) for folder in found.staging]
    data["runs"] = [os.path.relpath(run.folder) for run in found.runs]
    data["folders"] = [str(folder) for folder in found.folders]
    if not found:
        session.console.log("there is nothing to clean")
        return Outcome(data)
    listed = [f"  {kind.removesuffix('s')} {name}" for kind, names in data.items() for name in names]
    if yes:
        for line in listed:
            session.console.log(line)
    elif not session.console.confirm("remove all this?", about=listed, otherwise="--yes"):
        session.console.log("nothing was removed")
        return Outcome({kind: [] for kind in data})
    running.clean(session.engine, found)
    session.console.log(f"removed {len(listed)}")
    return Outcome(data)
