"""State is in the engine's labels (design decision 4): whose a thing is, and whether its byoc still lives."""

from __future__ import annotations

from byoc_cli.engine import owner
from byoc_cli.engine.types import IMAGE_LABEL, JOB_LABEL, KIND_LABEL, PROJECT_LABEL, Engine, Thing
from byoc_cli.project import Project

OWNER_LABEL = owner.OWNER_LABEL
HOST_LABEL = "byoc.host"
"""On a training container: which of the job's hosts it is (algo-1, …); on one of an endpoint's several containers: what
it is called (container-1, …)."""


PORT_LABEL = "byoc.port"
"""On an endpoint's container: the port of the local endpoint that stands before it; none with --raw."""


def for_job(project: Project, kind: str, job: str, *, image: str = "", detached: bool = False) -> dict[str, str]:
    """Labels of what belongs to a job or an endpoint; a detached one has no owner.

    `image` is the image's name: a container is made from its id, and knows no other.
    """
    owned = {} if detached else {OWNER_LABEL: owner.me()}
    named = {IMAGE_LABEL: image} if image else {}
    return {PROJECT_LABEL: project.id, KIND_LABEL: kind, JOB_LABEL: job} | named | owned


def orphaned(thing: Thing) -> bool:
    """Whether the byoc that would have removed it is gone (killed): only said of this host's."""
    return owner.gone(thing.labels.get(OWNER_LABEL, ""))


def remove_job(engine: Engine, project: Project, job: str, *, networks_only: bool = False) -> None:
    """Remove all that a job has in the engine, by its labels: also what was being made when a signal came."""
    for thing in engine.things(project=project.id):  # containers first, then networks and volumes
        if thing.job == job and (thing.type == "network" or not networks_only):
            engine.remove(thing)
