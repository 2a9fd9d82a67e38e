"""Real parts: a Docker Engine, the byoc command as a process, images built by it. Nothing may be left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

REPOSITORY = Path(__file__).parents[2]
BYOC = str(Path(sys.executable).with_name("byoc"))
STAND_IN = "byoc-base:bookworm-py3.11"


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A docker-py client, for looking at the engine from outside of byoc."""
    client = docker.from_env()
    yield client
    client.close()


Inventory = tuple[set[str], set[str], set[str]]


def inventory(client: docker.DockerClient) -> Inventory:
    """Every container, network and volume of the engine."""
    return (
        {row["Id"] for row in client.api.containers(all=True)},
        {row["Id"] for row in client.api.networks()},
        {row["Name"] for row in client.api.volumes()["Volumes"] or []},
    )


@pytest.fixture(autouse=True)
def nothing_left(docker_client: docker.DockerClient, request: pytest.FixtureRequest) -> Iterator[None]:
    """Count containers, networks and volumes before and after every integration test."""
    before = inventory(docker_client)
    yield
    left = [sorted(now - then) for now, then in zip(inventory(docker_client), before, strict=True)]
    assert left == [[], [], []], f"left behind (containers, networks, volumes): {left}"


@dataclass(frozen=True)
class Ran:
    """How a byoc process ended."""

    code: int
    stdout: str
    stderr: str


Byoc = Callable[..., Ran]


@pytest.fixture
def byoc() -> Byoc:
    """Run byoc as a user does: `byoc("build", cwd=folder)`; `env` is added to this process's environment."""

    def run(*words: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = "", timeout: float = 300) -> Ran:
        ended = subprocess.run(
            [BYOC, *words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def free_port() -> int:
    """A port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def cifar10_data() -> Path:
    """The TFRecords that the set-up made."""
    folder = REPOSITORY / "container" / "data" / "cifar-10"
    assert (folder / "train.tfrecords").is_file(), "run `make setup` first"
    return folder


@pytest.fixture(scope="session")
def cifar10_image() -> str:
    """The bundled container, built by byoc."""
    built = subprocess.run([BYOC, "build", "-q"], cwd=REPOSITORY / "container", capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


@pytest.fixture(scope="session")
def trained_model(cifar10_image: str, cifar10_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/ml/model of 100 steps on the real data."""
    folder = tmp_path_factory.mktemp("cifar10")
    shutil.copy(REPOSITORY / "container" / "byoc.toml", folder)
    trained = subprocess.run(
        [BYOC, "local-train", cifar10_image, "--channel", f"training={cifar10_data}", "--hyperparam", "train-steps=100"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr
    return folder / trained.stdout.strip() / "model"
