"""What run folders tell: status, times, metrics; and whether a job's byoc was killed."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.engine.types import Thing
from byoc_cli.local import history, labels, runs
from byoc_cli.local.runs import Run
from byoc_cli.project import Project

DEFINITIONS = {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": r"^loss=(\S+)"}]}}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, image="x")


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def made(project: Project, job: str, described: dict[str, Any], *, age: float = 1000.0, log: bytes = b"") -> Run:
    """A run whose job.json was written `age` seconds ago."""
    run = runs.create(project, job)
    run.write_description(described)
    run.log.write_bytes(log)
    os.utime(run.description, (time.time() - age,) * 2)
    return run


def thing(project: Project, job: str, *, type_: str = "container", killed: bool = False) -> Thing:
    marks = labels.for_job(project, "train", job)
    if killed:
        marks[labels.OWNER_LABEL] = marks[labels.OWNER_LABEL].rpartition("/")[0] + "/1.00"
    state = "running" if type_ == "container" else ""
    return Thing(type_, "1", f"byoc-{job}", "train", job, project.id, state=state, labels=marks)  # type: ignore[arg-type]


def orphaned(project: Project, run: Run, things: list[Thing] | None) -> bool | None:
    return history.is_orphaned(run, run.describe(), things)


# -- orphans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", "nonsense", None])
def test_what_has_ended_is_no_orphan(project: Project, status: str | None) -> None:
    run = made(project, "j", {"TrainingJobStatus": status})
    assert orphaned(project, run, []) is False
    assert orphaned(project, run, None) is False


@pytest.mark.parametrize("type_", ["container", "network"])
def test_a_job_lives_while_the_byoc_lives_that_owns_something_of_it(project: Project, type_: str) -> None:
    run = made(project, "j", {"TrainingJobStatus": "InProgress"})
    assert orphaned(project, run, [thing(project, "j", type_=type_)]) is False
    assert orphaned(project, run, [thing(project, "j", type_=type_, killed=True)]) is True
    assert orphaned(project, run, [thing(project, "another", type_=type_)]) is True


def test_one_host_that_lives_is_enough(project: Project) -> None:
    run = made(project, "j", {"TrainingJobStatus": "InProgress"})
    assert orphaned(project, run, [thing(project, "j", killed=True), thing(project, "j")]) is False


def test_a_job_that_has_nothing_in_the_engine_yet_is_no_orphan(project: Project) -> None:
    assert orphaned(project, made(project, "j", {"TrainingJobStatus": "InProgress"}, age=1), []) is False
    assert orphaned(project, made(project, "k", {"TrainingJobStatus": "InProgress"}, age=60), []) is True


def test_without_an_engine_nobody_knows(project: Project) -> None:
    assert orphaned(project, made(project, "j", {"TrainingJobStatus": "InProgress"}), None) is None


# -- past --------------------------------------------------------------------------------------------------------------


def test_the_newest_first_and_the_latest_completed_one_is_marked(project: Project) -> None:
    for number, status in enumerate(["Completed", "Failed", "InProgress"]):
        made(project, f"job-{number}", {"TrainingJobStatus": status, "CreationTime": at(1000 + number)})
    runs.point_latest(project, runs.get(project, "job-0"))
    found = history.past(project, [])
    assert [(each.run.name, each.status, each.latest, each.orphaned) for each in found] == [
        ("job-2", "InProgress", False, True),
        ("job-1", "Failed", False, False),
        ("job-0", "Completed", True, False),
    ]
    assert [each.created for each in found] == [1002, 1001, 1000]
    assert [each.run.name for each in history.past(project, [], 2)] == ["job-2", "job-1"]


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"TrainingJobStatus": 3, "SecondaryStatus": [], "CreationTime": {}, "FailureReason": None},
        {"TrainingTimeInSeconds": "long", "FinalMetricDataList": {"loss": 1}},
        {"TrainingJobStatus": "Failed", "FinalMetricDataList": [1, {}, {"MetricName": "loss", "Value": "low"}]},
        {"TrainingJobStatus": "InProgress", "AlgorithmSpecification": [], "ResourceConfig": 3, "TrainingStartTime": 1},
        {"TrainingJobStatus": "InProgress", "AlgorithmSpecification": {"MetricDefinitions": [{"Name": 1}]}},
    ],
)
def test_a_description_that_byoc_did_not_write_breaks_nothing(project: Project, described: dict[str, Any]) -> None:
    made(project, "j", described)
    (found,) = history.past(project, [])
    assert (found.phase, found.reason, found.created, found.training_seconds) == ("", "", None, None)
    assert found.final_metrics() == []


def test_how_long_it_took_or_has_been_running(project: Project) -> None:
    def seconds(orphaned: bool | None, **described: object) -> float | None:
        return history.Past(Run(project.root), described, orphaned=orphaned).training_seconds

    assert seconds(False, TrainingJobStatus="Completed", TrainingTimeInSeconds=7) == 7
    running = {"TrainingJobStatus": "InProgress", "TrainingTimeInSeconds": 0, "TrainingStartTime": at(time.time() - 60)}
    assert seconds(False, **running) == pytest.approx(60, abs=5)
    assert seconds(True, **running) is None
    assert seconds(None, **running) is None
    assert seconds(False, TrainingJobStatus="InProgress") is None


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_the_metrics_of_a_job_that_goes_on_are_in_its_log(project: Project) -> None:
    run = made(project, "j", {"TrainingJobStatus": "InProgress", **DEFINITIONS}, log=b"loss=2\nloss=nan\nloss=1\n")
    values = [value for _, value in history.metrics_of(run).points["loss"]]
    assert (values[0], math.isnan(values[1]), values[2]) == (2, True, 1)
    (found,) = history.past(project, [])
    assert found.final_metrics() == [{"MetricName": "loss", "Value": 1.0, "Timestamp": None}]


def test_the_metrics_of_a_job_that_has_ended_are_in_its_table(project: Project) -> None:
    run = made(project, "j", {"TrainingJobStatus": "Completed", **DEFINITIONS}, log=b"loss=2\n")
    run.metrics.write_text("metric,index,time,value\nloss,1,10.5,3.0\n")
    assert history.metrics_of(run).points == {"loss": [(10.5, 3.0)]}
    assert history.metrics_of(run).silent() == []


@pytest.mark.parametrize("table", ["metric,index\nloss,1\n", "a\nloss,1,1,x\n", "a\nloss,1,2\n", "\0"])
def test_a_table_that_cannot_be_read_is_made_of_the_log_again(project: Project, table: str) -> None:
    run = made(project, "j", {"TrainingJobStatus": "Completed", **DEFINITIONS}, log=b"loss=2\n")
    run.metrics.write_text(table)
    assert [value for _, value in history.metrics_of(run).points.get("loss", [])] == ([] if table == "\0" else [2])


def test_of_several_hosts_the_prefix_is_no_part_of_the_line(project: Project) -> None:
    described = {"TrainingJobStatus": "InProgress", **DEFINITIONS}
    run = made(
        project, "j", {**described, "ResourceConfig": {"InstanceCount": 2}}, log=b"algo-1 | loss=2\ralgo-12 | loss=1\n"
    )
    assert [value for _, value in history.metrics_of(run).points["loss"]] == [2, 1]
    run = made(project, "k", {**described, "ResourceConfig": {"InstanceCount": 1}}, log=b"algo-1 | loss=2\n")
    assert history.metrics_of(run).silent() == ["loss"]


def test_a_run_without_anything_has_no_metrics(project: Project) -> None:
    metrics = history.metrics_of(runs.create(project, "j"))
    assert (metrics.points, metrics.silent()) == ({}, [])
