"""Commands as a user types them, through main(); no Docker and no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.app import main
from tests.fakes import FakeEngine, doors
from tests.guard import guard, nothing_outside

__all__ = ["Byoc", "Ran", "guard", "nothing_outside"]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


Byoc = Callable[..., Ran]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with a Dockerfile and a byoc.toml."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM base:1\n")
    (folder / "byoc.toml").write_text('image = "my-model"\n')
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path / "engine")
    yield made
    for thing in made.things():
        if thing.type == "container":
            made.remove(thing)


@pytest.fixture
def byoc(engine: FakeEngine, capfdbinary: pytest.CaptureFixture[bytes]) -> Byoc:
    """`byoc("ps", "--json")` runs main() with the fake engine."""

    def run(*words: str) -> Ran:
        code = main(words, doors(engine))
        captured = capfdbinary.readouterr()
        return Ran(code, captured.out.decode(), captured.err.decode())

    return run
