"""Real parts: a Docker Engine, the byoc command as a process, images built by it. Nothing may be left behind."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests

from tests import ports
from tests.integration.world import BYOC, REPOSITORY, Byoc, copied, make_project, nothing_stays

Build = Callable[..., str]
TRAIN = "byoc local-train --hyperparam train-steps=100"  # of README's example


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A docker-py client, for looking at the engine from outside of byoc."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's own folder is in."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture(autouse=True)
def nothing_left(docker_client: docker.DockerClient, root: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Count containers, networks and volumes before and after every integration test."""
    with nothing_stays(docker_client, root):
        yield


@pytest.fixture
def byoc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Byoc]:
    """The command as a process: `byoc("build", cwd=folder)`, `byoc.start("serve", cwd=folder)`."""
    runner = Byoc(tmp_path_factory.mktemp("output"))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def session_byoc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Byoc]:
    """The same for fixtures that many tests share."""
    runner = Byoc(tmp_path_factory.mktemp("output"))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def tag(docker_client: docker.DockerClient) -> Iterator[str]:
    """A tag of this session's own; what carries it goes at the end."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    for row in docker_client.api.images():
        for reference in row["RepoTags"] or []:
            if name in reference:
                docker_client.api.remove_image(reference, force=True)


@pytest.fixture(scope="session")
def build(session_byoc: Byoc, tag: str, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a folder of tests/integration/projects, once: `build("broken", "no-train")` gives the image's reference."""
    built: dict[tuple[str, str], str] = {}

    def once(name: str, target: str = "") -> str:
        if (name, target) not in built:
            project = copied(name, tmp_path_factory.mktemp("built"))
            reference = f"byoc-{name}:{tag}{target and '-' + target}"
            more = ("--target", target) if target else ()
            ran = session_byoc("build", "--quiet", "--tag", reference, *more, cwd=project)
            assert (ran.code, ran.stdout) == (0, f"{reference}\n"), ran.stderr
            built[name, target] = reference
        return built[name, target]

    return once


@pytest.fixture(scope="session")
def actor(build: Build) -> str:
    """The image that does what it is told."""
    return build("actor")


@pytest.fixture
def project(actor: str, tmp_path: Path) -> Path:
    """An empty project of that image."""
    return make_project(tmp_path / "project", actor)


@pytest.fixture
def free_port() -> int:
    """A port that nobody holds, and nobody is given by chance."""
    return ports.free_port()


@pytest.fixture(scope="session")
def cifar10_data() -> Path:
    """The TFRecords that the set-up made."""
    folder = REPOSITORY / "container" / "data" / "cifar-10"
    assert (folder / "train.tfrecords").is_file(), "run `make setup` first"
    return folder


@pytest.fixture(scope="session")
def cifar10_image() -> str:
    """The bundled container, built by byoc."""
    built = subprocess.run(
        [BYOC, "build", "-q"], cwd=REPOSITORY / "container", capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


def _block_of(name: str) -> str:
    """The code block of README below `<!-- tested: name -->`."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- tested: {re.escape(name)} -->\n```\w+\n(.*?)```", readme, re.DOTALL)
    assert found, f"README has no block '{name}'"
    return found[1]


@pytest.fixture(scope="session")
def example(cifar10_data: Path) -> dict[str, str]:
    """What each command of README's example printed on stdout."""
    environment = {
        **os.environ,
        "PATH": f"{Path(BYOC).parent}:{os.environ['PATH']}",
        "BYOC_PORT": str(ports.free_port()),
    }
    said = {}
    for line in _block_of("container").splitlines():
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
    return said


@pytest.fixture(scope="session")
def trained_model(example: dict[str, str]) -> Path:
    """/opt/ml/model of 100 steps on the real data."""
    return REPOSITORY / "container" / example[TRAIN].strip() / "model"


@pytest.fixture
def unprivileged() -> tuple[str, ...]:
    """Words before a command: root without its right to read and write everything (nothing for an ordinary user)."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()


@dataclass(frozen=True)
class Aws:
    """An AWS that is not: its URL, and the operations that it was asked for."""

    url: str

    def operations(self) -> list[str]:
        """Name what was called, in order."""
        recording = requests.get(f"{self.url}/moto-api/recorder/download-recording", timeout=60).text
        return re.findall(r"X-Amz-Target\W+\w+\.(\w+)", recording, re.IGNORECASE)


@pytest.fixture(scope="session", autouse=True)
def moto_s_recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where moto records to: it asks when it is imported, by whichever test comes first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_RECORDER_FILEPATH", str(tmp_path_factory.mktemp("moto") / "recording"))
        yield


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """moto's server, one for all: its end takes half a second."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def aws(moto: str) -> Iterator[Aws]:
    """An AWS with nothing in it, recording."""
    for order in ("reset", "recorder/reset-recording", "recorder/start-recording"):
        requests.post(f"{moto}/moto-api/{order}", timeout=60)
    yield Aws(moto)
    requests.post(f"{moto}/moto-api/recorder/stop-recording", timeout=60)
