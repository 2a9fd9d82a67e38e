"""What README says can be typed, typed: the whole path on the real CIFAR-10."""

from __future__ import annotations

import pytest

from tests.integration.conftest import TRAIN
from tests.integration.world import REPOSITORY

pytestmark = pytest.mark.integration


def test_every_command_of_the_example_works_as_written(example: dict[str, str]) -> None:
    said = example
    assert said["byoc build"] == "sagemaker-tf-cifar10-example:latest\n"
    run = REPOSITORY / "container" / said[TRAIN].strip()
    assert {path.name for path in run.iterdir()} >= {
        "job.json",
        "log.txt",
        "metrics.png",
        "model.tar.gz",
        "output.tar.gz",
    }
    assert len(said["byoc predict cat.png"].splitlines()) == 10
    assert "requests/s" in said["byoc predict cat.png --repeat 50"]
