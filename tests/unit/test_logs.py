"""Logs: from the run's file, from the engine, and followed to a job's end."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from byoc_cli.engine.types import JOB_LABEL, KIND_LABEL, PROJECT_LABEL, ContainerSpec, Exit, Stream
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import labels, runs
from byoc_cli.local.logs import read_logs
from byoc_cli.local.runs import Run
from byoc_cli.project import Project
from tests.fakes import Box, FakeContainer, FakeEngine


def until_stopped(box: Box) -> Generator[tuple[Stream, bytes], None, int | Exit]:
    yield "stdout", b"one\n"
    yield "stdout", b"two\n"
    box.wait_for_signal()
    return 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(root=tmp_path / "project", image="x")


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    engine = FakeEngine(tmp_path / "engine")
    engine.add_image("x:1", {"train": until_stopped, "serve": until_stopped})
    return engine


def no_engine() -> FakeEngine:
    raise MachineError("the Docker Engine is not running")


def start(engine: FakeEngine, project: Project, job: str, *, killed: bool = False) -> FakeContainer:
    """A job's container that has printed two lines."""
    marks = labels.for_job(project, "train", job)
    if killed:
        marks[labels.OWNER_LABEL] = marks[labels.OWNER_LABEL].rpartition("/")[0] + "/1.00"
    container = engine.create(ContainerSpec("x:1", ["train"], f"byoc-{job}", marks))
    container.start()
    output = container.output()
    assert [next(output), next(output)][1] == ("stdout", b"two\n")
    return container


def made(project: Project, job: str, status: str = "", log: bytes | None = None) -> Run:
    run = runs.create(project, job)
    if status:
        run.write_description({"TrainingJobStatus": status})
    if log is not None:
        run.log.write_bytes(log)
    return run


def log(engine: FakeEngine, project: Project, name: str = "", tail: int | None = None) -> bytes:
    return b"".join(read_logs(lambda: engine, project, name, follow=False, tail=tail))


TAILS = [(None, b"one\ntwo\n"), (1, b"two\n"), (0, b""), (9, b"one\ntwo\n")]


@pytest.mark.parametrize(("tail", "lines"), TAILS)
def test_logs_of_what_runs_and_of_what_ran(
    engine: FakeEngine, project: Project, tail: int | None, lines: bytes
) -> None:
    container = start(engine, project, "job-1")
    assert log(engine, project, tail=tail) == lines
    assert log(engine, project, "job-1", tail=tail) == lines
    container.remove()
    made(project, "job-1", log=b"one\ntwo\n")
    assert log(engine, project, tail=tail) == lines
    assert log(engine, project, "job-1", tail=tail) == lines


def test_a_log_on_disk_is_split_at_newlines_only(engine: FakeEngine, project: Project) -> None:
    made(project, "job-1", log=b"10%\r20%\r30%\nlast")
    assert log(engine, project, tail=1) == b"last"
    assert log(engine, project, tail=2) == b"10%\r20%\r30%\nlast"


def test_a_job_that_runs_is_read_from_the_file_that_has_all_its_hosts(engine: FakeEngine, project: Project) -> None:
    made(project, "job-1", "InProgress", b"algo-1 | one\nalgo-2 | one\n")
    start(engine, project, "job-1")
    assert log(engine, project) == log(engine, project, "job-1") == b"algo-1 | one\nalgo-2 | one\n"
    assert log(engine, project, "byoc-job-1") == b"one\ntwo\n", "a container by its own name"


def test_where_byoc_was_killed_the_engine_knows_more(engine: FakeEngine, project: Project) -> None:
    made(project, "job-1", "InProgress", b"one\n")
    start(engine, project, "job-1", killed=True)
    assert log(engine, project, "job-1") == b"one\ntwo\n"


def test_an_endpoint_is_read_from_the_engine(engine: FakeEngine, project: Project) -> None:
    marks = {PROJECT_LABEL: project.id, KIND_LABEL: "endpoint", JOB_LABEL: "e"}
    container = engine.create(ContainerSpec("x:1", ["serve"], "byoc-e", marks))
    container.start()
    assert [data for _, data in zip(range(2), container.output(), strict=False)]
    assert log(engine, project) == log(engine, project, "e") == b"one\ntwo\n"


@pytest.mark.parametrize("follow", [True, False])
def test_a_job_that_has_ended_needs_no_engine(project: Project, follow: bool) -> None:
    made(project, "job-1", "Completed", b"one\n")
    assert b"".join(read_logs(no_engine, project, "job-1", follow=follow, tail=None)) == b"one\n"


# -- followed ----------------------------------------------------------------------------------------------------------


def test_a_job_is_followed_to_its_end(engine: FakeEngine, project: Project) -> None:
    container = start(engine, project, "job-1")
    run = made(project, "job-1", "InProgress", b"one\ntwo\n")
    followed = read_logs(lambda: engine, project, "job-1", follow=True, tail=1)
    assert next(followed) == b"two\n"

    def go_on() -> None:
        with run.log.open("ab", buffering=0) as file:
            time.sleep(0.3)
            file.write(b"10%\r")  # no whole line
            container.remove()
            file.write(b"20%")
        run.write_description({"TrainingJobStatus": "Failed"})

    thread = threading.Thread(target=go_on)
    thread.start()
    assert b"".join(followed) == b"10%\r20%"
    thread.join()


def test_a_job_that_has_printed_nothing_yet_is_waited_for(engine: FakeEngine, project: Project) -> None:
    run = made(project, "job-1", "InProgress")

    def go_on() -> None:
        time.sleep(0.2)
        run.log.write_bytes(b"one\n")
        run.write_description({"TrainingJobStatus": "Completed"})

    thread = threading.Thread(target=go_on)
    thread.start()
    assert b"".join(read_logs(lambda: engine, project, "", follow=True, tail=None)) == b"one\n"
    thread.join()


def test_following_ends_where_the_byoc_was_killed(engine: FakeEngine, project: Project) -> None:
    import os

    run = made(project, "job-1", "InProgress", b"one\n")
    os.utime(run.description, (1, 1))
    assert b"".join(read_logs(lambda: engine, project, "job-1", follow=True, tail=None)) == b"one\n"


def test_following_ends_where_the_run_was_removed(engine: FakeEngine, project: Project) -> None:
    run = made(project, "job-1", "InProgress", b"one\n")
    followed = read_logs(lambda: engine, project, "job-1", follow=True, tail=None)
    assert next(followed) == b"one\n"
    runs.remove(run)
    assert list(followed) == []


# -- there is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("jobone", "there is no log of 'jobone'\nno job or endpoint", "did you mean 'job-one'?"),
        ("x", "there is no log of 'x'\nno job or endpoint", "byoc runs lists the jobs"),
        ("live", "there is no log of 'live'\nno job or endpoint", "did you mean 'lively'?"),
        ("job-one", "there is no log of 'job-one'\nits container has not started", "byoc runs"),
    ],
)
def test_no_log(engine: FakeEngine, project: Project, name: str, message: str, hint: str) -> None:
    made(project, "job-one", "Failed")
    start(engine, project, "lively")
    with pytest.raises(ByocError) as caught:
        log(engine, project, name)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


def test_nothing_has_run(engine: FakeEngine, project: Project) -> None:
    with pytest.raises(ByocError, match="nothing has run here yet"):
        log(engine, project)
    with pytest.raises(ByocError) as caught:
        log(engine, project, "x")
    assert caught.value.hint == "byoc local-train"
