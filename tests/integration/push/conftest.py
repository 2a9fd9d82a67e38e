"""One AWS and one registry a session; each test has a repository, an image and a HOME of its own."""

from __future__ import annotations

import base64
import io
import json
import secrets
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.integration.push import ecr, registry
from tests.integration.push.ecr import Aws
from tests.integration.push.engine import Engine, proxied
from tests.integration.push.registry import Registry
from tests.integration.world import Byoc, Live, Ran

REGION = "us-west-2"
_PROGRAM = """
import runpy, sys, time
time.sleep = lambda _: None
del sys.argv[0]
runpy.run_path(sys.argv[0], None, "__main__")
"""
_IN_NO_TIME = (sys.executable, "-c", _PROGRAM)


@pytest.fixture(scope="session")
def registry_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry with a password."""
    if not registry.program():
        pytest.skip("there is no docker-registry: scripts/setup engine installs it")
    with registry.running(tmp_path_factory.mktemp("registry"), ecr.TOKEN) as port:
        yield port


@pytest.fixture(scope="session")
def _world(registry_port: int) -> Iterator[tuple[Registry, Aws]]:
    with registry.proxied(registry_port, ecr.TOKEN) as proxy, ecr.served(proxy) as aws:
        yield proxy, aws


@pytest.fixture
def hub(_world: tuple[Registry, Aws], docker_client: docker.DockerClient) -> Iterator[Registry]:
    """The registry. What a test asks to go wrong has to go wrong, and no name of it stays in the engine."""
    proxy = _world[0]
    proxy.reset()
    yield proxy
    # Tags first; an image that lost its tag to another one is known by its digest only.
    for kind in ("RepoTags", "RepoDigests"):
        for row in docker_client.api.images():
            for name in row[kind] or []:
                if name.startswith(proxy.host):
                    docker_client.api.remove_image(name)
    assert proxy.unused == []


@pytest.fixture
def cloud(_world: tuple[Registry, Aws], hub: Registry) -> Iterator[Aws]:
    """AWS."""
    aws = _world[1]
    aws.reset()
    yield aws
    assert aws.unused == []


def tiny_image(client: docker.DockerClient, reference: str, content: bytes, layers: int = 1) -> str:
    """Make an image of some bytes, without a build; gives its id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    repository, _, tag = reference.rpartition(":")
    client.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag)
    return str(client.images.get(reference).id)


def logged_in(folder: Path, hub: Registry, password: str = "") -> str:
    """Make a DOCKER_CONFIG of a user who has logged in to the registry."""
    login = base64.b64encode(f"{registry.USER}:{password or hub.password}".encode()).decode()
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text(json.dumps({"auths": {hub.host: {"auth": login}}}))
    return str(folder / "docker")


@dataclass
class Shop:
    """A project with an image, a HOME, and the command in them: `shop("push", "--region", …)`."""

    byoc: Byoc
    aws: Aws
    folder: Path
    home: Path
    name: str
    image_id: str

    @property
    def reference(self) -> str:
        """The local image."""
        return f"{self.name}:v1"

    @property
    def uri(self) -> str:
        """The repository."""
        return f"{self.aws.host}/{self.name}"

    def environment(self, **changes: str) -> dict[str, str]:
        """The command's environment; "" takes a variable out."""
        known = {"HOME": str(self.home), "DOCKER_CONFIG": str(self.home / ".docker")} | self.aws.environment()
        return {key: value for key, value in (known | changes).items() if value}

    def __call__(self, *words: str, **changes: str) -> Ran:
        """Run it to its end."""
        return self.byoc(*words, cwd=self.folder, env=self.environment(**changes))

    def push(self, *words: str, **changes: str) -> Ran:
        """`byoc push` in the usual region."""
        return self("push", "--region", REGION, *words, **changes)

    def push_in_no_time(self, *words: str, **changes: str) -> Ran:
        """The same, where no second passes: what byoc and botocore wait between two tries is not waited for."""
        words = ("push", "--region", REGION, *words)
        return self.byoc(*words, cwd=self.folder, env=self.environment(**changes), before=_IN_NO_TIME)

    def start(self, *words: str, **changes: str) -> Live:
        """Start it."""
        return self.byoc.start(*words, cwd=self.folder, env=self.environment(**changes))


@pytest.fixture
def shop(byoc: Byoc, cloud: Aws, docker_client: docker.DockerClient, tmp_path: Path) -> Iterator[Shop]:
    """A project whose image has a few bytes."""
    name = f"shop-{secrets.token_hex(4)}"
    image_id = tiny_image(docker_client, f"{name}:v1", secrets.token_bytes(2000))
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "byoc.toml").write_text(f'image = "{name}:v1"\n')
    yield Shop(byoc, cloud, folder, home, name, image_id)
    for tag in docker_client.images.get(image_id).tags:
        docker_client.api.remove_image(tag, force=True)


@pytest.fixture
def engine(hub: Registry) -> Iterator[Engine]:
    """The engine, which says of itself what a test wants: `shop.push(DOCKER_HOST=engine.address)`."""
    with proxied() as middle:
        middle.digest = lambda: hub.rewritten
        yield middle
