"""`byoc ps`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from byoc_cli.commands.options import AllOption, Outcome, Session

EXAMPLES = """
  byoc ps
  byoc ps --all --json
"""

_ONLY_HOST = "algo-1"


def ps(session: Session, all_projects: AllOption = False) -> Outcome:
    """List the jobs and endpoints of this project that are in the engine.

    With --json: a list of objects with name, kind (train or endpoint), host (algo-1, … of a job), state, image,
    container, port, created, project.
    """
    from byoc_cli.contract.hosting import PORT
    from byoc_cli.local import running
    from byoc_cli.local.labels import HOST_LABEL

    found = running.containers(session.engine, None if all_projects else session.project())
    rows = [
        {
            "name": thing.job,
            "kind": thing.kind,
            "host": thing.labels.get(HOST_LABEL),
            "state": running.state(thing),
            "image": thing.image,
            "container": thing.name,
            "port": thing.ports.get(PORT),
            "created": datetime.fromtimestamp(thing.created, UTC).isoformat(),
            "project": thing.project,
        }
        for thing in found
    ]

    hosts = any(thing.labels.get(HOST_LABEL, _ONLY_HOST) != _ONLY_HOST for thing in found)
    header = [
        "NAME",
        "KIND",
        *(["HOST"] if hosts else []),
        "STATE",
        "PORT",
        "AGE",
        *(["PROJECT"] if all_projects else []),
    ]
    table = [
        [
            *(thing.job, thing.kind),
            *([thing.labels.get(HOST_LABEL, "")] if hosts else []),
            *(running.state(thing), str(thing.ports.get(PORT, "")), _age(thing.created)),
            *([thing.project] if all_projects else []),
        ]
        for thing in found
    ]
    if not found:
        session.console.log(
            "nothing is running" if all_projects else "nothing of this project is running (all projects: byoc ps --all)"
        )
    return Outcome(rows, lambda console: console.rows(header, table) if table else None)


def _age(created: float) -> str:
    seconds = int(time.time() - created)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"
