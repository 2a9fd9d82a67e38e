"""State is in the engine's labels (design decision 4): whose a thing is, and whether its byoc still lives."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from byoc_cli.engine.types import JOB_LABEL, KIND_LABEL, PROJECT_LABEL, Engine, Thing
from byoc_cli.project import Project

OWNER_LABEL = "byoc.owner"
"""<host>/<process id>/<start of the process>: on what lives and dies with one byoc process."""

HOST_LABEL = "byoc.host"
"""On a training container: which of the job's hosts it is (algo-1, …)."""


PORT_LABEL = "byoc.port"
"""On an endpoint's container: the port of the local endpoint that stands before it; none with --raw."""


def for_job(project: Project, kind: str, job: str, *, detached: bool = False) -> dict[str, str]:
    """Labels of what belongs to a job or an endpoint; a detached one has no owner."""
    owner = {} if detached else {OWNER_LABEL: _owner(os.getpid())}
    return {PROJECT_LABEL: project.id, KIND_LABEL: kind, JOB_LABEL: job} | owner


def orphaned(thing: Thing) -> bool:
    """Whether the byoc that would have removed it is gone (killed): only said of this host's."""
    host, _, rest = thing.labels.get(OWNER_LABEL, "").rpartition("/")[0].partition("/")
    if not rest.isdecimal() or host != socket.gethostname():
        return False
    return _owner(int(rest)) != thing.labels[OWNER_LABEL]


def remove_job(engine: Engine, project: Project, job: str) -> None:
    """Remove all that a job has in the engine, by its labels: also what was being made when a signal came."""
    for thing in engine.things(project=project.id):  # containers first, then networks and volumes
        if thing.job == job:
            engine.remove(thing)


def _owner(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{_start_of(pid)}"


def _start_of(pid: int) -> str:
    """Return what tells a process from another that has its number later; "0" for one that is gone."""
    stat = Path("/proc/self/stat")
    if stat.exists():
        # Its 22nd field, counted behind the name, which may hold anything. To import psutil for it takes 20 ms.
        with suppress(OSError):
            return stat.parent.with_name(str(pid)).joinpath("stat").read_text().rpartition(")")[2].split()[19]
        return "0"
    import psutil

    with suppress(psutil.Error):
        return f"{psutil.Process(pid).create_time():.2f}"
    return "0"
