"""T-52 to T-54: checkpoints, and a spot instance that is taken away."""

from __future__ import annotations

import json

import pytest

from tests.integration.training.lab import Lab, Probed, contents

pytestmark = pytest.mark.integration


def test_t52_checkpoints_are_restored_as_root_s(full: Probed) -> None:
    assert full.said("checkpoints") == [{"step-1": "1\n", "step-2": "2\n"}]
    tree = full.report()["tree"]
    assert {path: kind for path, kind in tree.items() if path.startswith("/opt/ml/checkpoints/")} == {
        "/opt/ml/checkpoints/step-1": "-rw-r--r-- 0:0",
        "/opt/ml/checkpoints/step-2": "-rw-r--r-- 0:0",
    }


def test_t52_they_are_brought_up_to_date_deletions_too(lab: Lab, full: Probed) -> None:
    left = {
        "below/algo-1": "algo-1",
        "below/same": "same\n",
        "clash": "algo-1",
        "step-2": "2\n",
        "step-3": "3 by algo-1\n",
    }
    assert contents(lab.project / "kept") == contents(full.folder / "checkpoints") == left


def test_t53_the_hosts_checkpoints_are_merged_and_a_clash_is_named(two: Probed) -> None:
    assert contents(two.folder / "checkpoints") == {
        "below/algo-1": "algo-1",
        "below/algo-2": "algo-2",
        "below/same": "same\n",
        "clash": "algo-1",
    }
    assert "warning: /opt/ml/checkpoints/clash is not the same on algo-1 and algo-2" in two.ran.stderr


def test_t54_an_interrupted_job_starts_anew_with_its_checkpoints(stopped: dict[str, Probed]) -> None:
    job = stopped["Spot"]
    assert job.ran.code == 0
    assert [name for name, _ in job.said("signals")[0]] == ["SIGTERM"]
    assert job.said("checkpoints") == [
        {"step-1": "1\n"},
        {"step-1": "1\n", "step-2": "2 by algo-1\n"},
    ]
    # A new container: what the first had in its model folder is gone.
    assert contents(job.folder / "model") == {"attempt-3": "x"}
    assert job.description["EnableManagedSpotTraining"] is True
    assert job.description["TrainingJobName"] == job.name
    first, second = (report["texts"]["config/trainingjobconfig.json"] for report in job.said("report"))
    assert first == second
    assert json.loads(first)["EnableManagedSpotTraining"] is True


def test_t52_what_is_added_later_is_not_fetched_and_stays(lab: Lab, stopped: dict[str, Probed]) -> None:
    assert contents(lab.project / "kept-by-spot") == {
        "late": "added while it ran\n",
        "step-2": "2 by algo-1\n",
        "step-3": "3 by algo-1\n",
    }
