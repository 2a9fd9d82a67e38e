"""State is in the engine's labels (design decision 4): whose a thing is, and whether its byoc still lives."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from byoc_cli.engine.types import JOB_LABEL, KIND_LABEL, PROJECT_LABEL, Thing
from byoc_cli.project import Project

OWNER_LABEL = "byoc.owner"
"""<host>/<process id>/<start of the process>: on what lives and dies with one byoc process."""


def for_job(project: Project, kind: str, job: str, *, detached: bool = False) -> dict[str, str]:
    """Labels of what belongs to a job or an endpoint; a detached one has no owner."""
    owner = {} if detached else {OWNER_LABEL: _owner(os.getpid())}
    return {PROJECT_LABEL: project.id, KIND_LABEL: kind, JOB_LABEL: job} | owner


def orphaned(thing: Thing) -> bool:
    """Whether the byoc that would have removed it is gone (killed): only said of this host's."""
    host, _, rest = thing.labels.get(OWNER_LABEL, "").rpartition("/")[0].partition("/")
    if not rest or host != socket.gethostname():
        return False
    return _owner(int(rest)) != thing.labels[OWNER_LABEL]


def _owner(pid: int) -> str:
    # psutil is imported late: it takes longer than the rest of this module.
    import psutil

    started = 0.0
    with suppress(psutil.Error):
        started = psutil.Process(pid).create_time()
    return f"{socket.gethostname()}/{pid}/{started:.2f}"
