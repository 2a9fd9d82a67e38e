"""What tests of training jobs are made of: programs for the fake engine, and a project with one image."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.engine.types import Exit, Stream
from byoc_cli.local import runs
from byoc_cli.local.runs import Run
from byoc_cli.local.training import JobFailed, TrainingJob, train
from byoc_cli.local.training.failure_shell import Attach
from byoc_cli.project import Project
from tests.fakes import Box, FakeEngine, Program, Told

Printed = Generator[tuple[Stream, bytes], None, int | Exit]


def good(box: Box) -> Printed:
    yield "stdout", b"loss=2.0\nlos"
    yield "stderr", b"a warning\n"
    yield "stdout", b"s=0.5\n"
    box.path("/opt/ml/model/weights").write_bytes(b"abc")
    box.path("/opt/ml/output/data/report").write_bytes(b"r")
    box.path("/opt/ml/checkpoints/1").write_bytes(b"c")
    return 0


def failing(code: int = 1, *, failure: str = "", out_of_memory: bool = False, says: bytes = b"oops\n") -> Program:
    def program(box: Box) -> Printed:
        yield "stderr", says
        box.path("/opt/ml/model/partial").write_bytes(b"p")
        if failure:
            box.path("/opt/ml/output/failure").write_text(failure)
        return Exit(code, out_of_memory)

    return program


class World:
    """A project, an engine with one image, and what a job leaves."""

    def __init__(self, folder: Path, **knobs: Any) -> None:
        self.engine = FakeEngine(folder / "engine", **knobs)
        root = folder / "project"
        root.mkdir()
        self.project = Project(root=root, image="my-model")
        self.told = Told()
        self.attach: Attach | None = None
        self.run = Run(root)

    def train(self, program: Program | None, *, name: str = "job-1", **more: Any) -> dict[str, Any]:
        image = self.engine.add_image("my-model:latest", {"train": program} if program else {})
        return self.train_job(TrainingJob(**{"name": name, "image": image, "reference": "my-model:latest", **more}))

    def train_job(self, job: TrainingJob) -> dict[str, Any]:
        self.run = runs.create(self.project, job.name)
        return train(self.engine, self.project, job, self.run, self.told, self.attach)

    def fails(self, program: Program | None, **more: Any) -> JobFailed:
        with pytest.raises(JobFailed) as caught:
            self.train(program, **more)
        assert self.run.describe() == caught.value.result
        return caught.value

    @property
    def described(self) -> dict[str, Any]:
        return self.run.describe()


def volume_of(world: World, channel: str) -> str:
    """The volume of a channel of the job "job-1", which has the project in its name."""
    return f"byoc-job-1-{hashlib.sha256(world.project.id.encode()).hexdigest()[:8]}-{channel}"
