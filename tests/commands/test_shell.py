"""`byoc shell` through a docker client of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from byoc_cli import project as projects
from byoc_cli.engine.types import ContainerSpec
from byoc_cli.local import labels
from tests.commands.conftest import Byoc
from tests.fakes import FakeContainer, FakeEngine
from tests.unit.test_training_hosts import waiting


@pytest.fixture
def running(engine: FakeEngine, project: Path) -> FakeContainer:
    """A job's container that runs."""
    engine.add_image("my-model:latest", {"train": waiting()})
    own = labels.for_job(projects.load(project), "train", "job") | {labels.HOST_LABEL: "algo-1"}
    made = engine.create(ContainerSpec("my-model:latest", ["train"], "byoc-job", own))
    made.start()
    return made


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The words of a docker client that is the only one, prints what its stdin has, and ends with 7."""
    folder, words = tmp_path / "bin", tmp_path / "words"
    folder.mkdir()
    (folder / "docker").write_text(f'#!/bin/sh\nfor word; do echo "$word"; done > {words}\necho from inside\nexit 7\n')
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    own, null = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    yield words
    os.dup2(own, 0)
    os.close(own)
    os.close(null)


@pytest.mark.parametrize("before", [[], ["job"], ["--host", "algo-1"], ["job", "--quiet"], ["--json"]])
def test_what_stands_behind_the_dashes_is_the_command(
    byoc: Byoc, running: FakeContainer, client: Path, before: list[str]
) -> None:
    ran = byoc("shell", *before, "--", "ls", "--json", "--host", "x", "--", "-l")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "from inside\n", "")
    assert client.read_text().splitlines() == [
        *("exec", "--interactive", running.id),
        *("ls", "--json", "--host", "x", "--", "-l"),
    ]


def test_no_terminal_and_no_command(byoc: Byoc, running: FakeContainer, client: Path) -> None:
    for words in ([], ["job"], ["job", "--"]):
        ran = byoc("shell", *words)
        assert (ran.code, ran.stdout) == (2, "")
        assert ran.stderr == "error: there is no terminal for a shell\n\nhint: byoc shell NAME -- COMMAND\n"
    assert not client.exists()


def test_a_name_that_is_none(byoc: Byoc, running: FakeContainer, client: Path) -> None:
    ran = byoc("shell", "jib", "--", "ls")
    assert ran.code == 1
    assert "nothing of the name 'jib' is running\nrunning: job\n" in ran.stderr


def test_no_docker_client(byoc: Byoc, running: FakeContainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    ran = byoc("shell", "--", "ls")
    assert ran.code == 3
    assert "there is no docker client on PATH" in ran.stderr
