"""T-31 to T-43: how a job ends, and how it is ended. (T-31 to T-35: tests/integration/test_failures.py.)"""

from __future__ import annotations

import pytest

from tests.integration.training.lab import Lab, Probed, contents

pytestmark = pytest.mark.integration

RUNNING = ["Starting", "Downloading", "Training", "Uploading"]


def phases(job: Probed) -> list[str]:
    return [each["Status"] for each in job.description["SecondaryStatusTransitions"]]


def test_t36_what_is_left_in_the_background_ends_with_pid_1(stopped: dict[str, Probed]) -> None:
    job = stopped["Background"]
    assert (job.ran.code, job.log, contents(job.folder / "model")) == (0, b"", {})
    assert job.description["TrainingJobStatus"] == "Completed"


def test_t40_one_sigterm_and_more_time_than_docker_s_own_10_seconds(stopped: dict[str, Probed]) -> None:
    job = stopped["Slow"]
    ((name, _),) = job.said("signals")[0]
    assert name == "SIGTERM"
    assert (job.ran.code, job.description["ExitCode"]) == (1, 0)
    assert job.ran.error == f"error: the training job was stopped\nwhat it left is in {job.folder}\n"
    assert job.description["TrainingTimeInSeconds"] > 11


def test_t41_what_is_saved_after_the_signal_is_collected(stopped: dict[str, Probed]) -> None:
    for job in (stopped["Slow"], stopped["Limited"]):
        assert contents(job.folder / "model") == {"saved-algo-1": "saved\n"}
        assert (job.folder / "model.tar.gz").is_file()


def test_t42_a_job_that_runs_too_long(stopped: dict[str, Probed]) -> None:
    job = stopped["Limited"]
    assert [name for name, _ in job.said("signals")[0]] == ["SIGTERM"]
    assert job.ran.code == 1
    assert job.ran.error == (
        f"error: the training job ran longer than 12 s: MaxRuntimeExceeded (T-42)\nwhat it left is in {job.folder}\n"
    )
    assert "the job runs longer than 12 s: SIGTERM, up to 120 s\n" in job.ran.stderr
    description = job.description
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert description["StoppingCondition"] == {"MaxRuntimeInSeconds": 12}
    assert 12 <= description["TrainingTimeInSeconds"] < 100


@pytest.mark.parametrize(("time", "said"), [("0.5s", "0.5 s"), ("29d", "2,505,600 s")])
def test_t42_a_time_that_the_cloud_would_refuse(lab: Lab, time: str, said: str) -> None:
    job = lab.run_one("Time", "--max-runtime", time)
    assert (job.ran.code, job.ran.error) == (
        2,
        f"error: SageMaker would refuse this\na maximal run time of {said}; 1 s to 28 days are allowed (T-42)\n",
    )


def test_t43_status_words(stopped: dict[str, Probed], plain: Probed) -> None:
    assert {name: phases(job) for name, job in (stopped | {"Plain": plain}).items()} == {
        "Plain": [*RUNNING, "Completed"],
        "Background": [*RUNNING, "Completed"],
        "Failing": [*RUNNING, "Failed"],
        "Limited": [*RUNNING, "MaxRuntimeExceeded"],
        "Shell": [*RUNNING, "Stopped"],
        "Slow": [*RUNNING, "Stopped"],
        "Spot": ["Starting", "Downloading", "Training", "Interrupted", "Restarting", *RUNNING[1:], "Completed"],
    }
