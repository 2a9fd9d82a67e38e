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

    With --json: a list of objects with name, kind (train, endpoint, transform or check), host (algo-1, … of a job),
    state, image, container, port, created, project.
    """
    from byoc_cli.local import running
    from byoc_cli.local.hosting import port_of
    from byoc_cli.local.labels import HOST_LABEL

    found = running.containers(session.engine, None if all_projects else session.project())
    states = [running.state(thing) for thing in found]
    for thing, state in zip(found, states, strict=True):
        if state == "unreachable":
            session.console.warn(
                f"the local endpoint of {thing.job} is gone, its container runs on", f"byoc stop {thing.job}"
            )
    rows = [
        {
            "name": thing.job,
            "kind": thing.kind,
            "host": thing.labels.get(HOST_LABEL),
            "state": state,
            "image": thing.image,
            "container": thing.name,
            "port": port_of(thing),
            "created": datetime.fromtimestamp(thing.created, UTC).isoformat(),
            "project": thing.project,
        }
        for thing, state in zip(found, states, strict=True)
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
            *(state, str(port_of(thing) or ""), _age(thing.created)),
            *([thing.project] if all_projects else []),
        ]
        for thing, state in zip(found, states, strict=True)
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
