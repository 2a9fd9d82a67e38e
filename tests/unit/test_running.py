"""What runs, what is waste, and how it is stopped and read: all from labels."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from byoc_cli.engine.owner import OWNER_LABEL, left_scratch, me, scratch
from byoc_cli.engine.types import JOB_LABEL, KIND_LABEL, PROJECT_LABEL, ContainerSpec, Exit, Stream, Thing
from byoc_cli.errors import ByocError
from byoc_cli.local import labels, running, runs
from byoc_cli.project import Project
from tests.fakes import Box, FakeContainer, FakeEngine, Told


def until_stopped(box: Box) -> Generator[tuple[Stream, bytes], None, int | Exit]:
    yield "stdout", b"one\n"
    yield "stdout", b"two\n"
    box.wait_for_signal()
    return 0


def at_once(_: Box) -> Generator[tuple[Stream, bytes], None, int | Exit]:
    yield "stdout", b"done\n"
    return 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(root=tmp_path / "project", image="x")


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    engine = FakeEngine(tmp_path / "engine")
    engine.add_image("x:1", {"serve": until_stopped, "train": until_stopped, "quick": at_once})
    return engine


def owner_of(thing_labels: dict[str, str]) -> Thing:
    return Thing("container", "1", "c", "train", "job", "p", state="running", labels=thing_labels)


@pytest.fixture
def dead_owner() -> str:
    """The owner label of a byoc that was killed."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    return f"{socket.gethostname()}/{gone.pid}/12345.67"


def start(
    engine: FakeEngine,
    project: Project,
    job: str,
    *,
    kind: str = "train",
    owner: str | None = None,
    command: str = "train",
) -> FakeContainer:
    """A job as `byoc` makes it: a network and a container. `owner` None is this process, "" a detached one."""
    marks = {PROJECT_LABEL: project.id, KIND_LABEL: kind, JOB_LABEL: job}
    if owner is None:
        marks = labels.for_job(project, kind, job)
    elif owner:
        marks[labels.OWNER_LABEL] = owner
    engine.create_network(f"byoc-{job}", marks)
    ports = {8080: 0} if kind == "endpoint" else {}
    container = engine.create(ContainerSpec("x:1", [command], f"byoc-{job}", marks, network=f"byoc-{job}", ports=ports))
    container.start()
    if command == "quick":
        container.wait()
    return container


def names(engine: FakeEngine, project: Project, *, all_projects: bool = False) -> list[str]:
    return [
        f"{thing.type} {thing.name}"
        for thing in running.waste(engine, project, all_projects=all_projects, keep=None).things
    ]


# -- owners ------------------------------------------------------------------------------------------------------------


def test_what_this_process_made_is_no_orphan(project: Project) -> None:
    assert not labels.orphaned(owner_of(labels.for_job(project, "train", "job-1")))


def test_what_a_killed_byoc_made_is(dead_owner: str) -> None:
    assert labels.orphaned(owner_of({labels.OWNER_LABEL: dead_owner}))


def test_a_process_with_the_same_number_that_started_later_is_another(project: Project) -> None:
    mine = labels.for_job(project, "train", "job-1")[labels.OWNER_LABEL]
    assert labels.orphaned(owner_of({labels.OWNER_LABEL: mine.rpartition("/")[0] + "/1.00"}))


@pytest.mark.parametrize("label", [None, "", "another-host/1/2.00"])
def test_what_nobody_here_owns_is_no_orphan(label: str | None) -> None:
    assert not labels.orphaned(owner_of({} if label is None else {labels.OWNER_LABEL: label}))


@pytest.mark.parametrize("label", ["nonsense", "a/b", f"{socket.gethostname()}/not-a-number/1.0"])
def test_a_label_that_somebody_else_wrote_is_no_crash(label: str) -> None:
    assert not labels.orphaned(owner_of({labels.OWNER_LABEL: label}))


def test_a_detached_endpoint_has_no_owner(project: Project) -> None:
    assert labels.for_job(project, "endpoint", "e", detached=True) == {
        PROJECT_LABEL: str(project.root),
        KIND_LABEL: "endpoint",
        JOB_LABEL: "e",
    }
    assert f"/{os.getpid()}/" in labels.for_job(project, "train", "j")[labels.OWNER_LABEL]


# -- waste -------------------------------------------------------------------------------------------------------------


def test_what_runs_is_no_waste(engine: FakeEngine, project: Project) -> None:
    start(engine, project, "job-1")
    start(engine, project, "endpoint-1", kind="endpoint", owner="")
    assert names(engine, project) == []


def test_a_job_whose_byoc_still_collects_is_no_waste(engine: FakeEngine, project: Project) -> None:
    start(engine, project, "job-1", command="quick")
    assert names(engine, project) == []


def test_a_network_whose_container_is_about_to_be_made_is_no_waste(engine: FakeEngine, project: Project) -> None:
    engine.create_network("byoc-job-1", labels.for_job(project, "train", "job-1"))
    assert names(engine, project) == []


def test_what_a_killed_byoc_left_is_waste_running_or_not(engine: FakeEngine, project: Project, dead_owner: str) -> None:
    start(engine, project, "job-1", owner=dead_owner)
    start(engine, project, "job-2", owner=dead_owner, command="quick")
    engine.create_volume("byoc-job-2-model", {PROJECT_LABEL: project.id, JOB_LABEL: "job-2"})
    assert names(engine, project) == [
        *["container byoc-job-1", "container byoc-job-2"],
        *["network byoc-job-1", "network byoc-job-2"],
        "volume byoc-job-2-model",
    ]


def test_an_ended_detached_endpoint_is_waste(engine: FakeEngine, project: Project) -> None:
    start(engine, project, "endpoint-1", kind="endpoint", owner="", command="quick")
    assert names(engine, project) == ["container byoc-endpoint-1", "network byoc-endpoint-1"]


def test_other_projects_waste_only_with_all(engine: FakeEngine, project: Project, tmp_path: Path) -> None:
    other = Project(root=tmp_path / "other", image="x")
    start(engine, other, "job-1", owner="", command="quick")
    assert names(engine, project) == []
    assert names(engine, project, all_projects=True) == ["container byoc-job-1", "network byoc-job-1"]


def test_the_same_job_name_in_another_project_keeps_nothing_alive(
    engine: FakeEngine, project: Project, tmp_path: Path
) -> None:
    engine.create_volume("left", {PROJECT_LABEL: project.id, JOB_LABEL: "job-1"})
    start(engine, Project(root=tmp_path / "other", image="x"), "job-1")
    assert names(engine, project, all_projects=True) == ["volume left"]


def test_cleaning_removes_it_all(engine: FakeEngine, project: Project, dead_owner: str) -> None:
    start(engine, project, "job-1", owner=dead_owner)
    runs.create(project, "job-1")
    running.clean(engine, running.waste(engine, project, all_projects=False, keep=0))
    assert engine.empty
    assert runs.all_runs(project) == []


def test_what_a_killed_build_left_is_waste_of_every_project(
    engine: FakeEngine, project: Project, dead_owner: str
) -> None:
    engine.add_image("byoc-secrets:left", labels={OWNER_LABEL: dead_owner})
    engine.add_image("byoc-secrets:used", labels={OWNER_LABEL: me()})
    engine.add_image("byoc-secrets:unknown")
    with scratch("build") as used:
        dead = Path(used).with_name(Path(used).name.replace(me().replace("/", "-"), dead_owner.replace("/", "-")))
        dead.mkdir()
        (dead / "pip.conf").write_text("secret")
        what = running.waste(engine, project, all_projects=False, keep=None)
        assert [thing.name for thing in what.things] == ["byoc-secrets:left"]
        assert what.folders == [dead]
        running.clean(engine, what)
        assert not running.waste(engine, project, all_projects=True, keep=None)
        assert not dead.exists()
        assert Path(used).is_dir()
    assert engine.image("byoc-secrets:left") is None
    assert engine.image("byoc-secrets:used")


def test_folders_of_another_kind_are_not_ours() -> None:
    for name in ("byoc-build-abc", "byoc-x", "byoc-build-other-host-1-2-abc", "byoc-build-1-2"):
        (Path(tempfile.gettempdir()) / name).mkdir()
    assert left_scratch() == []


def made(project: Project, *jobs: str) -> None:
    for age, job in enumerate(jobs):
        run = runs.create(project, job)
        os.utime(run.folder, (1000 - age, 1000 - age))


@pytest.mark.parametrize(("keep", "old"), [(None, []), (0, ["b", "d"]), (1, ["b", "d"]), (2, ["d"]), (10, [])])
def test_old_runs_but_never_the_latest_nor_one_that_runs(
    engine: FakeEngine, project: Project, keep: int | None, old: list[str]
) -> None:
    made(project, "latest-one", "b", "going", "d")
    runs.point_latest(project, runs.Run(project.home / "runs" / "latest-one"))
    start(engine, project, "going")
    what = running.waste(engine, project, all_projects=False, keep=keep)
    assert [run.name for run in what.runs] == old


# -- stop --------------------------------------------------------------------------------------------------------------


def test_stop_without_a_name_stops_endpoints_and_leaves_jobs(engine: FakeEngine, project: Project) -> None:
    job = start(engine, project, "job-1")
    start(engine, project, "endpoint-1", kind="endpoint", owner="")
    told = Told()
    assert running.stop(engine, project, "", told) == ["endpoint-1"]
    assert job.exited() is None
    assert [thing.name for thing in engine.things()] == ["byoc-job-1", "byoc-job-1"]
    assert told.logs == ["stopping endpoint-1: SIGTERM, up to 30 s"]


@pytest.mark.parametrize("name", ["job-1", "byoc-job-1"])
def test_a_job_is_stopped_by_name_and_collected_by_its_own_byoc(
    engine: FakeEngine, project: Project, name: str
) -> None:
    container = start(engine, project, "job-1")
    assert running.stop(engine, project, name, Told()) == ["job-1"]
    assert container.was_signalled()
    assert engine.container("byoc-job-1").exited() == Exit(0)


def test_an_orphaned_job_is_removed_for_nobody_else_will(engine: FakeEngine, project: Project, dead_owner: str) -> None:
    start(engine, project, "job-1", owner=dead_owner)
    assert running.stop(engine, project, "job-1", Told()) == ["job-1"]
    assert engine.empty


def test_a_name_that_does_not_run_names_those_that_do(engine: FakeEngine, project: Project) -> None:
    start(engine, project, "job-1")
    with pytest.raises(ByocError) as caught:
        running.stop(engine, project, "job-2", Told())
    assert caught.value.message == "nothing of the name 'job-2' is running\nrunning: job-1"
    assert caught.value.hint == "byoc ps"


def test_nothing_to_stop_is_no_error(engine: FakeEngine, project: Project) -> None:
    assert running.stop(engine, project, "", Told()) == []


def test_another_project_s_endpoint_is_not_ours_to_stop(engine: FakeEngine, project: Project, tmp_path: Path) -> None:
    start(engine, Project(root=tmp_path / "other", image="x"), "e", kind="endpoint", owner="")
    assert running.stop(engine, project, "", Told()) == []


def test_an_orphan_s_state_has_a_word(engine: FakeEngine, project: Project, dead_owner: str) -> None:
    start(engine, project, "job-1")
    start(engine, project, "job-2", owner=dead_owner)
    start(engine, project, "job-3", command="quick")
    states = {thing.job: running.state(thing) for thing in running.containers(engine, project)}
    assert states == {"job-1": "running", "job-2": "orphaned", "job-3": "exited"}
    assert next(iter(states)) == "job-3", "the newest first"
