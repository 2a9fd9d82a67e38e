"""A log: from the run's file where a byoc writes one, else from the engine; and how it is followed."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from byoc_cli.engine.types import Engine, Thing
from byoc_cli.errors import ByocError
from byoc_cli.local import history, hosting, labels, runs
from byoc_cli.local.output import LineMerger, prefixed
from byoc_cli.local.running import containers
from byoc_cli.local.runs import Run
from byoc_cli.project import Project

_BLOCK = 1 << 16  # as much as a pipe takes at once: a reader that has gone is noticed
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 2.0  # how often the engine is asked whether a job's byoc still lives


def read_logs(
    connect: Callable[[], Engine], project: Project, name: str, *, follow: bool, tail: int | None
) -> Iterator[bytes]:
    """Give the log of an endpoint or a job, of what runs or ran last without a name; `follow` goes on to its end.

    A job's log is its run's file, where all its hosts' are one. An endpoint's is in the engine, and so is that of a
    container by its own name and of a job whose byoc was killed. For a job that has ended no engine is needed.

    Raises:
        ByocError: there is none.

    """
    run = runs.find(project, name)
    if run and run.log.is_file() and run.describe().get("TrainingJobStatus", "InProgress") != "InProgress":
        return _read(run, tail)
    engine = connect()
    known = containers(engine, project)
    container = next((thing for thing in known if (name in {thing.job, thing.name} if name else thing.running)), None)
    if container:
        run = _written(project, container, name)
        if run is None:
            return _of_containers(engine, known, container, name, follow=follow, tail=tail)
    elif not name:
        run = next(iter(runs.all_runs(project)), None)
    if run is None:
        raise _unknown(project, name, known)
    job = _Job(engine, project, run)
    if follow and job.goes_on():
        return _follow(job, tail)
    if not run.log.is_file():
        raise ByocError(f"there is no log of '{run.name}'\nits container has not started", hint="byoc runs")
    return _read(run, tail)


def _of_containers(
    engine: Engine, known: Sequence[Thing], found: Thing, name: str, *, follow: bool, tail: int | None
) -> Iterator[bytes]:
    """Give a container's own log; of an endpoint with several those of all, with prefixes as on the terminal."""
    all_ = [thing for thing in reversed(known) if thing.job == found.job and thing.kind == hosting.KIND]
    if len(all_) < 2 or name == found.name:
        return engine.container(found.id).logs(tail=tail, follow=follow)
    logs = {
        f"{thing.labels.get(labels.HOST_LABEL, thing.name)} | ": engine.container(thing.id).logs(
            tail=tail, follow=follow
        )
        for thing in all_
    }
    return _as_they_come(logs) if follow else _one_by_one(logs)


def _one_by_one(logs: Mapping[str, Iterator[bytes]]) -> Iterator[bytes]:
    for prefix, log in logs.items():
        yield prefixed(b"".join(log), prefix)


def _as_they_come(logs: Mapping[str, Iterator[bytes]]) -> Iterator[bytes]:
    came: queue.Queue[bytes | BaseException | None] = queue.Queue()

    def read(prefix: str, log: Iterator[bytes]) -> None:
        merger = LineMerger(lambda data: came.put(prefixed(data, prefix)))
        try:
            for data in log:
                merger.feed("", data)
            merger.close()
            came.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            came.put(error)

    for prefix, log in logs.items():
        threading.Thread(target=read, args=(prefix, log), daemon=True).start()
    left = len(logs)
    while left:
        data = came.get()
        if isinstance(data, BaseException):
            raise data
        if data is None:
            left -= 1
        else:
            yield data


def _written(project: Project, container: Thing, name: str) -> Run | None:
    """Return the run whose file has what a container prints; None where no living byoc writes one."""
    if container.kind == hosting.KIND or labels.orphaned(container) or name == container.name:
        return None
    run = runs.find(project, container.job)
    return run if run and run.log.is_file() else None


def _unknown(project: Project, name: str, known: list[Thing]) -> ByocError:
    if not name:
        return ByocError("nothing has run here yet", hint="byoc ps --all, or byoc local-train")
    names = [thing.job for thing in known] + [run.name for run in runs.all_runs(project)]
    return ByocError(
        f"there is no log of '{name}'\nno job or endpoint of this project has that name",
        hint=runs.did_you_mean(name, list(dict.fromkeys(names))),
    )


@dataclass
class _Job:
    """A job whose log is followed."""

    engine: Engine
    project: Project
    run: Run
    looked: float = -_LOOK_SECONDS

    def goes_on(self) -> bool:
        """Whether more may come: job.json says when it has ended, the engine says whether its byoc was killed."""
        described = self.run.describe()
        if described.get("TrainingJobStatus") != "InProgress":
            return False
        if time.monotonic() - self.looked < _LOOK_SECONDS:
            return True
        self.looked = time.monotonic()
        return not history.is_orphaned(self.run, described, self.engine.things(project=self.project.id))


def _follow(job: _Job, tail: int | None) -> Iterator[bytes]:
    while not job.run.log.is_file():
        if not job.goes_on():
            return
        time.sleep(_POLL_SECONDS)
    with job.run.log.open("rb") as log:
        yield from _last(log, tail)
        more = True
        while more:
            more = job.goes_on()  # asked before the file is read: nothing comes after the end
            while data := log.read(_BLOCK):
                yield data
            if more:
                time.sleep(_POLL_SECONDS)


def _read(run: Run, tail: int | None) -> Iterator[bytes]:
    with run.log.open("rb") as log:
        yield from _last(log, tail)


def _last(log: BinaryIO, lines: int | None) -> Iterator[bytes]:
    """Give the last lines, or all; lines end at newlines only, as the engine counts them: a progress bar is one."""
    if lines is not None:
        yield from deque(log, maxlen=lines)
    while data := log.read(_BLOCK):
        yield data
