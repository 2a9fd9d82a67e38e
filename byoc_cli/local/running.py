"""What runs, and how it is stopped, cleaned and read: all from the engine's labels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from byoc_cli.contract import hosting as hosting_rules
from byoc_cli.contract import training
from byoc_cli.engine import owner
from byoc_cli.engine.types import Engine, Thing
from byoc_cli.errors import ByocError
from byoc_cli.local import claims, hosting, labels, runs
from byoc_cli.local.background import side_by_side
from byoc_cli.local.hosting import unpacked
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.project import Project

_SERVED = (hosting.KIND, hosting.TRANSFORM_KIND)


def containers(engine: Engine, project: Project | None) -> list[Thing]:
    """Return the containers of a project, or of all, the newest first."""
    found = [thing for thing in engine.things(project=project.id if project else None) if thing.type == "container"]
    return sorted(found, key=lambda thing: thing.created, reverse=True)


def state(thing: Thing) -> str:
    """Return a container's state for people: "orphaned" is one that runs on after its byoc was killed.

    Of an endpoint "unreachable" is one whose local endpoint was killed.
    """
    if not thing.running:
        return thing.state
    return "orphaned" if labels.orphaned(thing) else hosting.state_of(thing)


def alive(thing: Thing) -> bool:
    """Whether its job or endpoint lives; so does one that has a byoc, but no container yet or none any more."""
    return not labels.orphaned(thing) and (thing.running or labels.OWNER_LABEL in thing.labels)


def stop(engine: Engine, project: Project, name: str, progress: Progress) -> list[str]:
    """Stop the one of that name, or all endpoints of the project; gives the names.

    Raises:
        ByocError: nothing of that name runs.

    """
    running = [thing for thing in containers(engine, project) if thing.running]
    chosen = [thing for thing in running if (name in {thing.job, thing.name} if name else thing.kind == hosting.KIND)]
    if name and not chosen:
        known = ", ".join(thing.job for thing in running) or "nothing is running"
        raise ByocError(f"nothing of the name '{name}' is running\nrunning: {known}", hint="byoc ps")
    jobs = list(dict.fromkeys(thing.job for thing in chosen))
    for job in jobs:
        kind = next(thing.kind for thing in chosen if thing.job == job)
        progress.log(f"stopping {job}: SIGTERM, up to {_grace(kind)} s")
    # Side by side: each of a job's hosts has the whole grace.
    orphans = dict.fromkeys(thing.job for thing in chosen if thing.kind not in _SERVED and labels.orphaned(thing))
    side_by_side(
        *(partial(_end, engine, project, job, progress) for job in orphans),
        *(partial(_stop, engine, project, thing) for thing in chosen if thing.job not in orphans),
        abandon=lambda: None,
    )
    return jobs


def _end(engine: Engine, project: Project, job: str, progress: Progress) -> None:
    from byoc_cli.local.training import orphan  # late: `byoc ps` needs nothing of it

    orphan.end(engine, project, job, progress)


def _stop(engine: Engine, project: Project, thing: Thing) -> None:
    if labels.OWNER_LABEL not in thing.labels or labels.orphaned(thing):
        hosting.stop(engine, project, thing)
    else:
        # Its own byoc, which is in the foreground of some shell, collects the artifacts and removes it.
        engine.container(thing.id).stop(_grace(thing.kind))


def _grace(kind: str) -> int:
    return hosting_rules.STOP_GRACE_SECONDS if kind in _SERVED else training.STOP_GRACE_SECONDS


@dataclass(frozen=True)
class Waste:
    """What `byoc clean` would remove; `folders` are temporary ones outside of any project."""

    things: Sequence[Thing]
    runs: Sequence[Run]
    staging: Sequence[Path] = ()
    folders: Sequence[Path] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.things or self.runs or self.staging or self.folders)


def waste(engine: Engine, project: Project, *, all_projects: bool, keep: int | None) -> Waste:
    """Find what is left: ended or orphaned containers, networks and volumes that belong to none that runs, old runs.

    And what a killed byoc staged in a run's folder, or unpacked for an endpoint. Never what a job that runs needs;
    never the run that `.byoc/latest` points at. What a killed build left, which holds secrets, is of no project and
    found in any.
    """
    things = engine.things(project=None if all_projects else project.id) + engine.secret_holders()
    lively = {_whole(thing) for thing in things if alive(thing)}
    left = [thing for thing in things if _whole(thing) not in lively]
    order = {"container": 0, "network": 1, "volume": 2, "image": 3}
    alive_jobs = {job for _, job in lively}
    old = _old_runs(project, keep, alive_jobs)
    return Waste(
        things=sorted(left, key=lambda thing: order[thing.type]),
        runs=old,
        staging=[*_left_staging(project, old, alive_jobs), *unpacked.left(project, alive_jobs)],
        folders=owner.left_scratch(),
    )


def _left_staging(project: Project, old: Sequence[Run], alive: set[str]) -> list[Path]:
    """What runs that stay have staged, and checks; a job whose byoc lives may have nothing in the engine yet."""
    kept = [run for run in runs.all_runs(project) if run not in old and run.name not in alive]
    folders = [run.staging for run in kept] + sorted(runs.checks(project).glob("*"))
    return [folder for folder in folders if folder.is_dir() and not claims.claimed(folder)]


def _whole(thing: Thing) -> tuple[str, str]:
    """What it lives and dies with: its job, or nothing but itself."""
    return (thing.project, thing.job or thing.id)


def _old_runs(project: Project, keep: int | None, alive: set[str]) -> list[Run]:
    if keep is None:
        return []
    latest = runs.latest(project)
    ended = [run for run in runs.all_runs(project) if run.name not in alive]
    return [run for run in ended[keep:] if latest is None or run.name != latest.name]


def clean(engine: Engine, what: Waste) -> None:
    """Remove it."""
    for thing in what.things:
        engine.remove(thing)
    for run in what.runs:
        runs.remove(run)
    for folder in what.staging:
        shutil.rmtree(folder)
    for folder in what.folders:
        owner.remove_scratch(folder)
