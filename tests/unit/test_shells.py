"""Which container `byoc shell` goes to, and the docker CLI that it goes through."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from byoc_cli.engine import terminal
from byoc_cli.engine.types import ContainerSpec
from byoc_cli.errors import ByocError, MachineError, UsageError
from byoc_cli.local import labels
from byoc_cli.local.shells import shell_of, target
from byoc_cli.project import Project
from tests.fakes import FakeContainer, FakeEngine
from tests.unit.test_training_hosts import waiting


class Place:
    """An engine in which containers of one project run."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine(folder / "engine")
        self.engine.add_image("i", {"train": waiting()})
        self.engine.add_image("i:latest", {"train": waiting()})
        self.project = Project(root=folder, image="i")

    def run(self, job: str, host: str = "", kind: str = "train") -> FakeContainer:
        own = labels.for_job(self.project, kind, job) | ({labels.HOST_LABEL: host} if host else {})
        made = self.engine.create(ContainerSpec("i", ["train"], f"byoc-{job}-{host}", own))
        made.start()
        return made

    def target(self, name: str = "", host: str = "") -> str:
        return target(self.engine, self.project, name, host).name


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for thing in made.engine.things():
        made.engine.remove(thing)


def test_the_only_one_needs_no_name(place: Place) -> None:
    place.run("a", "algo-1")
    assert place.target() == place.target("a") == place.target("byoc-a-algo-1") == "byoc-a-algo-1"


def test_a_container_of_an_endpoint_may_have_any_name(place: Place) -> None:
    place.run("e", "prepare", kind="endpoint")
    place.run("e", "large", kind="endpoint")
    assert place.target(host="large") == "byoc-e-large"
    assert place.target() == "byoc-e-prepare", "the first one"


def test_several_are_listed(place: Place) -> None:
    place.run("a", "algo-1")
    place.run("b", kind="endpoint")
    with pytest.raises(UsageError, match=r"2 of this project are running: which one\?\nb, a"):
        place.target()
    assert place.target("b") == "byoc-b-"


def test_of_several_hosts_it_is_the_first_that_runs(place: Place) -> None:
    first = place.run("a", "algo-2")
    place.run("a", "algo-10")
    assert place.target() == "byoc-a-algo-2"
    assert place.target(host="algo-10") == "byoc-a-algo-10"
    first.kill()
    assert place.target() == "byoc-a-algo-10"
    with pytest.raises(UsageError, match="no such host of a is running\nrunning: algo-10"):
        place.target(host="algo-2")


def test_an_endpoint_has_no_hosts(place: Place) -> None:
    place.run("e", kind="endpoint")
    with pytest.raises(UsageError, match=r"--host algo-1: .*\nrunning: an endpoint has no hosts"):
        place.target(host="algo-1")


def test_what_does_not_run_cannot_be_entered(place: Place) -> None:
    with pytest.raises(ByocError, match="nothing of this project is running"):
        place.target("a")
    place.run("a", "algo-1")
    with pytest.raises(ByocError, match="nothing of the name 'c' is running\nrunning: a") as caught:
        place.target("c")
    assert (caught.value.exit_code, caught.value.hint) == (1, "byoc shell a")


@pytest.mark.parametrize(
    ("there", "shell"),
    [(["/bin/sh", "/usr/bin/bash"], "/usr/bin/bash"), (["/bin/sh"], "/bin/sh"), (["/busybox/sh"], "/busybox/sh")],
)
def test_bash_before_sh(place: Place, there: list[str], shell: str) -> None:
    container = place.run("a")
    for path in there:
        container.inside(path).parent.mkdir(parents=True, exist_ok=True)
        container.inside(path).touch()
    assert shell_of(container) == shell


def test_an_image_without_a_shell(place: Place) -> None:
    with pytest.raises(ByocError, match="the image of byoc-a- has no shell\nneither bash nor sh is in"):
        shell_of(place.run("a"))


# -- the docker CLI ----------------------------------------------------------------------------------------------------


@pytest.fixture
def docker(tmp_path: Path) -> str:
    """A docker client that notes its words and its stdin, and ends as CODE says."""
    file = tmp_path / "docker"
    file.write_text(
        f'#!/bin/sh\nfor word; do echo "$word"; done > {tmp_path}/words\ncat > {tmp_path}/stdin\neval "$CODE"\n'
    )
    file.chmod(0o755)
    return str(file)


@pytest.mark.usefixtures("no_stdin")
@pytest.mark.parametrize(("ends", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_a_command_and_its_end(
    docker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, code: int
) -> None:
    monkeypatch.setenv("CODE", ends)
    assert terminal.execute(docker, "id", ["ls", "-l", "a b"], terminal=False) == code
    assert (tmp_path / "words").read_text().splitlines() == ["exec", "--interactive", "id", "ls", "-l", "a b"]


@pytest.mark.usefixtures("no_stdin")
def test_with_a_terminal_ctrl_p_is_the_shell_s(docker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", "exit 0")
    terminal.execute(docker, "id", ["bash"], terminal=True)
    keys = ["--detach-keys", "ctrl-@,ctrl-@"]
    assert (tmp_path / "words").read_text().splitlines() == ["exec", "--interactive", "--tty", *keys, "id", "bash"]
    terminal.attach(docker, "id")
    assert (tmp_path / "words").read_text().splitlines() == ["start", "--attach", "--interactive", *keys, "id"]


@pytest.mark.usefixtures("no_stdin")
def test_what_an_attached_container_prints_is_on_stderr(
    docker: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CODE", "echo printed; exit 3")
    assert terminal.attach(docker, "id") == 3
    assert capfd.readouterr() == ("", "printed\n")


@pytest.mark.usefixtures("no_stdin")
def test_without_a_client_it_is_the_machine(docker: str, tmp_path: Path) -> None:
    assert terminal.client({"PATH": str(tmp_path)}) == docker
    with pytest.raises(MachineError, match="there is no docker client on PATH"):
        terminal.client({"PATH": str(tmp_path / "empty")})


@pytest.fixture
def no_stdin() -> Iterator[None]:
    """File descriptor 0, which children inherit, at its end."""
    own, null = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    yield
    os.dup2(own, 0)
    os.close(own)
    os.close(null)


def test_a_terminal_is_left_as_it_was(docker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the client dies in raw mode."""
    import pty
    import termios

    monkeypatch.setenv("CODE", "stty raw -echo; kill -9 $$")
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    own = os.dup(0)
    os.dup2(slave, 0)
    threading.Timer(0.3, lambda: os.write(master, b"\x04")).start()  # the end of the client's stdin
    try:
        assert terminal.execute(docker, "id", ["bash"], terminal=True) == 137
        assert termios.tcgetattr(slave) == before
    finally:
        os.dup2(own, 0)
        for number in (own, master, slave):
            os.close(number)
