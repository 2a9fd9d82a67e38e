"""Each image is built once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from tests.integration.check.images import Recipe, built
from tests.integration.conftest import Build
from tests.integration.world import make_project

Make = Callable[[Recipe], str]


@pytest.fixture(scope="session")
def good(build: Build) -> str:
    """The image that breaks no rule."""
    return build("good")


@pytest.fixture(scope="session")
def make(docker_client: docker.DockerClient, good: str, tag: str) -> Make:
    """`make(recipe)` gives the image's reference."""
    return lambda recipe: built(docker_client, recipe, good, tag)


@pytest.fixture
def folder(good: str, tmp_path: Path) -> Path:
    """A project of the good image."""
    return make_project(tmp_path / "project", good)
