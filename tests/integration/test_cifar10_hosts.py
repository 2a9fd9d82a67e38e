"""The bundled CIFAR-10 container on two hosts: they train one model, and it is the one that a single host trains."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.integration.world import REPOSITORY, Byoc, Job, job_of

pytestmark = pytest.mark.integration

STEPS = 30


def train(byoc: Byoc, image: str, data: Path, project: Path, *options: str) -> Job:
    words = ("--channel", f"training={data}", "--hyperparam", f"train-steps={STEPS}")
    ran = byoc("local-train", image, *words, *options, cwd=project)
    assert ran.code == 0, ran.stderr
    return job_of(project, ran)


def losses(job: Job) -> list[float]:
    """The means of each ten steps, in order."""
    return [float(text) for text in re.findall(r"\bstep=[0-9]+ loss=([0-9.]+)", job.ran.stderr)]


def test_two_hosts_reach_the_loss_of_one(byoc: Byoc, cifar10_image: str, cifar10_data: Path, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "container" / "byoc.toml", tmp_path)

    one = train(byoc, cifar10_image, cifar10_data, tmp_path, "--instance-count", "1")
    two = train(byoc, cifar10_image, cifar10_data, tmp_path, "--instance-count", "2")

    # Both train; the chief alone prints metrics and writes (T-47, T-53).
    for host in ("algo-1", "algo-2"):
        assert re.search(rf"^{host} \| resnet8: .* 64 of each 128 pictures", two.ran.stderr, re.MULTILINE), (
            two.ran.stderr
        )
    assert re.search(r"^algo-1 \| eval_loss=[0-9.]+ eval_accuracy=0\.[2-6]", two.ran.stderr, re.MULTILINE)
    assert not re.search(r"^algo-2 \| .*loss=", two.ran.stderr, re.MULTILINE)
    assert (two.folder / "model" / "cifar10" / "1" / "saved_model.pb").is_file()
    assert not list((two.folder / "hosts" / "algo-2").rglob("*.pb"))
    assert not list((two.folder / "hosts" / "algo-2").rglob("checkpoint-*"))
    # One model. Measured: 0.04 apart, and seeds are as far from each other.
    assert len(losses(two)) == len(losses(one)) == STEPS // 10
    assert losses(two)[-1] == pytest.approx(losses(one)[-1], abs=0.15)
    assert losses(two)[-1] < losses(two)[0] - 0.3
