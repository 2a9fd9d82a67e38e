"""`byoc serve --models`: what is refused, and before what."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from byoc_cli.contract.capabilities import MULTI_MODELS
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import FakeEngine

pytestmark = pytest.mark.usefixtures("project")

LABELS = {MULTI_MODELS: "true"}


@pytest.fixture
def image(engine: FakeEngine, project: Path) -> FakeEngine:
    """The project's image says that it can, and there is a folder of models."""
    engine.add_image("my-model:latest", {"serve": programs.serve}, labels=LABELS)
    (project / "models").mkdir()
    return engine


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "models", "--model", "models"], "--model is one of one model"),
        (["--models", "models", "--raw"], "--raw has no local endpoint, which loads them"),
        (["--models", "models", "--serverless", "2048"], "--serverless has one model"),
        (["--models", "nowhere"], "--models nowhere is not there"),
        (["--models", "byoc.toml"], "--models byoc.toml is a file, not a folder"),
    ],
)
def test_what_does_not_go_together(
    byoc: Byoc, image: FakeEngine, project: Path, words: list[str], message: str
) -> None:
    ran = byoc("serve", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert image.specs == []


@pytest.mark.parametrize("labels", [{}, {MULTI_MODELS: "false"}])
def test_h35_without_the_label_nothing_starts(
    byoc: Byoc, engine: FakeEngine, project: Path, labels: dict[str, str]
) -> None:
    engine.add_image("my-model:latest", {"serve": programs.serve}, labels=labels)
    (project / "models").mkdir()
    ran = byoc("serve", "--models", "models")
    assert (ran.code, ran.stdout) == (1, "")
    assert (
        "Your Ecr Image my-model:latest does not contain required com.amazonaws.sagemaker.capabilities." in ran.stderr
    )
    assert engine.specs == []


def test_h35_what_the_container_is_made_of(byoc: Byoc, image: FakeEngine, project: Path, port: int) -> None:
    assert byoc("serve", "--models", "models", "--detach", "--port", str(port)).code == 0
    (mount,) = image.specs[-1].mounts
    assert (mount.target, mount.read_only) == ("/opt/ml/models", True)
    assert Path(mount.source).parent.parent == project / ".byoc" / "endpoints"
    assert list(Path(mount.source).iterdir()) == []
    assert image.specs[-1].environment["SAGEMAKER_MULTI_MODEL"] == "true"
    assert byoc("stop").code == 0
    assert list((project / ".byoc" / "endpoints").glob("*/")) == []


def test_h35_gpus_are_for_triton(byoc: Byoc, engine: FakeEngine, project: Path, port: int) -> None:
    engine.add_image("my-model:latest", {"serve": programs.die}, labels=LABELS)
    (project / "models").mkdir()
    ran = byoc("serve", "--models", "models", "--gpus", "all", "--port", str(port))
    assert "SageMaker documents GPUs with many models only for Triton" in ran.stderr


def test_an_engine_that_does_not_see_this_machine_s_files(
    byoc: Byoc, image: FakeEngine, project: Path, port: int
) -> None:
    image.sees_files = False
    ran = byoc("serve", "--models", "models", "--port", str(port))
    assert ran.code == 3
    assert "the engine does not see this machine's files\n/opt/ml/models would be empty" in ran.stderr
    assert image.empty
    assert list((project / ".byoc" / "endpoints").iterdir()) == []
