"""What README says can be typed, typed: the whole path on the real CIFAR-10."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.world import BYOC, REPOSITORY

pytestmark = pytest.mark.integration


def block_of(name: str) -> str:
    """The code block below `<!-- tested: name -->`."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- tested: {re.escape(name)} -->\n```\w+\n(.*?)```", readme, re.DOTALL)
    assert found, f"README has no block '{name}'"
    return found[1]


@pytest.mark.usefixtures("cifar10_data")
def test_every_command_of_the_example_works_as_written(free_port: int) -> None:
    environment = {**os.environ, "PATH": f"{Path(BYOC).parent}:{os.environ['PATH']}", "BYOC_PORT": str(free_port)}
    said = {}
    for line in block_of("container").splitlines():
        command = line.removeprefix("$ ").partition("  #")[0]
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=REPOSITORY / "container",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        said[command] = ran.stdout

    assert said["byoc build"] == "sagemaker-tf-cifar10-example:latest\n"
    run = REPOSITORY / "container" / said["byoc local-train --hyperparam train-steps=100"].strip()
    assert {path.name for path in run.iterdir()} >= {
        "job.json",
        "log.txt",
        "metrics.png",
        "model.tar.gz",
        "output.tar.gz",
    }
    assert len(said["byoc predict cat.png"].splitlines()) == 10
    assert "requests/s" in said["byoc predict cat.png --repeat 50"]
