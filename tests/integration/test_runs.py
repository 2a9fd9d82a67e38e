"""`byoc runs`, `metrics` and `logs` of a job that runs, ends, or whose byoc is killed, on the real engine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.integration.world import Byoc, make_project

pytestmark = pytest.mark.integration

METRICS = "[train.metrics]\nloss = 'loss=([0-9.]+)'\nnumber = 'signal (\\d+)'\nnever = 'never=(\\d+)'\n"


@pytest.fixture
def project(actor: str, tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", actor, METRICS)


def test_a_job_while_it_runs_and_afterwards(byoc: Byoc, project: Path) -> None:
    byoc("local-train", "--hyperparam", "act=look", "--name", "done", cwd=project)
    live = byoc.start("local-train", "--hyperparam", "act=wait", "--name", "live", cwd=project)
    live.until("training\n")
    follower = byoc.start("logs", "--follow", cwd=project)
    follower.until("training\n")
    going, done = byoc("runs", "--json", cwd=project).json()
    assert (going["TrainingJobName"], going["SecondaryStatus"], going["Orphaned"]) == ("live", "Training", False)
    assert (done["TrainingJobName"], done["TrainingJobStatus"], done["Latest"]) == ("done", "Completed", True)
    assert {each["MetricName"]: each["Value"] for each in done["FinalMetricDataList"]}["loss"] > 0
    assert byoc("metrics", "live", "--json", cwd=project).json()["Unmatched"] == ["loss", "number", "never"]

    live.ctrl_c()
    live.end()
    followed = follower.end()
    assert (followed.code, followed.stdout, followed.stderr) == (0, "training\nsignal 15: saving\n", "")
    assert byoc("runs", "--json", "-n", "1", cwd=project).json()[0]["TrainingJobStatus"] == "Stopped"
    assert byoc("metrics", "live", "--json", cwd=project).json()["FinalMetricDataList"][0]["Value"] == 15
    latest = byoc("metrics", cwd=project)
    assert sorted(latest.stdout.splitlines()[1].split()[:2]) == ["3", "loss"]
    assert "job done: the latest completed one\na newer one: byoc metrics live\n" in latest.stderr
    assert "warning: metric 'never' never matched the log\n" in latest.stderr
    assert "┤" in byoc("metrics", "--plot", "-q", cwd=project).stdout


def test_a_job_whose_byoc_was_killed(byoc: Byoc, project: Path) -> None:
    live = byoc.start("local-train", "--hyperparam", "act=wait", "--name", "killed", cwd=project)
    live.until("training\n")
    follower = byoc.start("logs", "killed", "--follow", cwd=project)
    follower.until("training\n")
    live.send(signal.SIGKILL)
    live.end()
    assert follower.end().stdout == "training\n"
    ran = byoc("runs", cwd=project)
    assert ran.stdout.splitlines()[1].split()[:2] == ["killed", "Orphaned"]
    assert "hint: byoc clean removes it\n" in ran.stderr
    # Its container prints on, where no byoc reads it: the engine has the log.
    follower = byoc.start("logs", "killed", "--follow", cwd=project)
    follower.until("training\n")
    byoc("stop", "killed", cwd=project)
    assert follower.end().stdout.startswith("training\nsignal 15: saving\n")
    assert byoc("logs", "killed", cwd=project).stdout == "training\nsignal 15: saving\n", "stop completed its log"
