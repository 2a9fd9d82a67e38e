"""A job whose byoc was killed: it is ended as that one would have done."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from byoc_cli.contract import training
from byoc_cli.engine.types import Engine
from byoc_cli.errors import ByocError
from byoc_cli.local import labels, runs
from byoc_cli.local.background import side_by_side
from byoc_cli.local.history import metrics_of, stamp
from byoc_cli.local.output import prefixed
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training import results
from byoc_cli.local.training.hosts import Host, how_to_save
from byoc_cli.project import Project


def end(engine: Engine, project: Project, job: str, progress: Progress) -> None:
    """Stop all hosts of a job (T-40), collect what they left, and remove what the job has in the engine.

    Raises:
        CannotCollect: its results; the containers are kept.
        ContainerGone: somebody removed a container meanwhile.

    """
    hosts = [
        Host(thing.labels.get(labels.HOST_LABEL, thing.name), engine.container(thing.id))
        for thing in sorted(engine.things(project=project.id), key=lambda thing: (len(thing.name), thing.name))
        if thing.type == "container" and thing.job == job and thing.state != "created"
    ]
    grace = training.STOP_GRACE_SECONDS
    side_by_side(*(partial(host.container.stop, grace) for host in hosts), abandon=lambda: None)
    if hosts and (run := runs.find(project, job)):
        _collect(hosts, run, progress)
    labels.remove_job(engine, project, job)


def _collect(hosts: list[Host], run: Run, progress: Progress) -> None:
    restored = _restored(run)
    if restored != run.checkpoints:  # what a byoc that was killed while it collected had made of them
        shutil.rmtree(run.checkpoints, ignore_errors=True)
    try:
        results.gather(hosts, run, progress, decided_by=hosts[0].name, restored=restored)
    except results.CannotCollect as error:
        error.hint = how_to_save(error, hosts)
        raise
    _write_rest_of_log(hosts, run)
    _write_last_word(run)
    shutil.rmtree(run.staging, ignore_errors=True)
    progress.log(f"what {run.name} left is in {run.folder}")


def _restored(run: Run) -> Path | None:
    """Find the checkpoints that the hosts began with: an interrupted attempt's (T-54), else the user's (T-52)."""
    if run.restored.is_dir():  # moved there by a byoc that was killed while it collected
        return run.restored
    described = run.describe()
    if run.checkpoints.is_dir() and any(each["Status"] == "Restarting" for each in _transitions(described)):
        return run.checkpoints
    config = described.get("CheckpointConfig")
    given = Path(unquote(urlsplit(config["S3Uri"]).path)) if config else None
    return given if given and given.is_dir() else None


def _transitions(described: dict[str, Any]) -> list[dict[str, Any]]:
    found = described.get("SecondaryStatusTransitions")
    return found if isinstance(found, list) else []


def _write_rest_of_log(hosts: list[Host], run: Run) -> None:
    """Write what the hosts printed since nobody wrote it down; an unfinished line of then comes again."""
    with run.log.open("a+b") as log:
        log.seek(0)
        written = log.readlines()
        for host in hosts:
            prefix = f"{host.name} | " if len(hosts) > 1 else ""
            before = sum(line.startswith(prefix.encode()) for line in written)
            lines = b"".join(host.container.logs()).splitlines(keepends=True)
            log.write(prefixed(b"".join(lines[before:]), prefix))


def _write_last_word(run: Run) -> None:
    described, now = run.describe(), stamp(time.time())
    start = runs.seconds(described.get("TrainingStartTime"))
    last = {"Status": "Stopped", "StartTime": now, "EndTime": now}
    description = described | {
        "TrainingJobStatus": "Stopped",
        "SecondaryStatus": "Stopped",
        "SecondaryStatusTransitions": [*_transitions(described), last],
        "LastModifiedTime": now,
    }
    if start:
        description |= {"TrainingEndTime": now, "TrainingTimeInSeconds": round(time.time() - start, 3)}
    description["FinalMetricDataList"] = metrics_of(run).final(stamp)
    if run.model_tar.is_file():
        description["ModelArtifacts"] = {"S3ModelArtifacts": run.model_tar.as_uri()}
    try:
        run.write_description(description)
    except OSError as error:
        raise ByocError(f"{run.description} cannot be written\n{error.strerror}") from error
