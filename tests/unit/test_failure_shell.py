"""--shell-on-failure on the fake engine: what the user is brought to, when, and that it is gone afterwards (T-79)."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.engine.types import Container, ContainerSpec
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.training.failure_shell import failure_shell
from byoc_cli.local.training.hosts import Host
from tests.fakes import Box, FakeContainer, Program
from tests.unit.test_training_hosts import waiting
from tests.unit.training_world import Printed, World, failing, good


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Visit:
    """Notes what somebody sees who is brought to a container."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[str] = []
        self.left = ""

    def __call__(self, container: Container) -> None:
        assert isinstance(container, FakeContainer)
        self.seen.append(container.name)
        self.left = container.inside("/opt/ml/model/partial").read_text()
        assert [thing.job for thing in self._world.engine.things() if thing.type == "container"] == ["job-1"] * 2
        assert (self._world.run.folder / "model" / "partial").is_file(), "collected already"


def with_shell(program: Program, *, shell: str = "/bin/bash") -> Program:
    def run(box: Box) -> Printed:
        box.path(shell).parent.mkdir(parents=True, exist_ok=True)
        box.path(shell).touch()
        return (yield from program(box))

    return run


def test_the_container_is_made_as_the_failed_one(world: World) -> None:
    world.attach = visit = Visit(world)
    error = world.fails(with_shell(failing(3)), environment={"LEVEL": "3"})
    assert (error.exit_code, visit.seen, visit.left) == (1, ["byoc-job-1-shell"], "p")
    failed, shell = world.engine.specs
    assert (shell.entrypoint, shell.command, shell.terminal) == (["/bin/bash"], [], True)
    assert (shell.volumes_from != "", shell.mounts) == (True, ())
    own = ("name", "entrypoint", "command", "terminal", "volumes_from", "mounts")
    assert replace(failed, **{name: getattr(shell, name) for name in own}) == shell
    assert any(
        line.startswith("algo-1 failed: /bin/bash in a new container of its image, with its /opt/ml")
        for line in world.told.logs
    )
    assert world.engine.empty


def test_sh_where_there_is_no_bash(world: World) -> None:
    world.attach = Visit(world)
    world.fails(with_shell(failing(), shell="/busybox/sh"))
    assert world.engine.specs[1].entrypoint == ["/busybox/sh"]


def test_no_shell_in_the_image_is_a_warning_and_the_job_s_end_stays(world: World) -> None:
    world.attach = visit = Visit(world)
    error = world.fails(failing(3))
    assert "exit code: 3" in error.message
    assert visit.seen == []
    assert world.told.warnings[0][0].startswith(
        "there is no shell to look around in\nthe image of byoc-job-1 has no shell"
    )
    assert world.engine.empty


def test_a_client_that_fails_is_a_warning(world: World) -> None:
    def fail(_: Container) -> None:
        raise ByocError("no terminal today")

    world.attach = fail
    world.fails(with_shell(failing()))
    assert world.told.warnings[0][0] == "there is no shell to look around in\nno terminal today"
    assert world.engine.empty


def test_a_program_that_cannot_start_is_looked_for(world: World) -> None:
    names: list[str] = []
    world.attach = lambda container: names.append(container.name)
    create = world.engine.create

    def with_bash(spec: ContainerSpec) -> FakeContainer:
        made = create(spec)
        made.inside("/bin").mkdir(exist_ok=True)
        made.inside("/bin/bash").touch()
        return made

    world.engine.create = with_bash  # type: ignore[method-assign]
    error = world.fails(None)
    assert (names, "executable file not found" in error.message) == (["byoc-job-1-shell"], True)
    assert world.engine.empty


def test_a_job_that_completes_has_none(world: World) -> None:
    world.attach = visit = Visit(world)
    world.train(with_shell(good))
    assert visit.seen == []


def test_a_job_that_is_stopped_has_none(world: World) -> None:
    world.attach = visit = Visit(world)
    with pytest.raises(ByocError, match="MaxRuntimeExceeded"):
        world.train(with_shell(waiting()), max_runtime=1.0)
    assert visit.seen == []
    assert world.engine.empty


def test_the_host_that_failed_of_several(world: World) -> None:
    def program(box: Box) -> Printed:
        if '"current_host": "algo-2"' in box.path("/opt/ml/input/config/resourceconfig.json").read_text():
            return (yield from failing()(box))
        return (yield from waiting()(box))

    seen: list[str] = []
    world.attach = lambda container: seen.append(container.name)
    world.fails(with_shell(program), instance_count=2)
    assert seen == ["byoc-job-1-algo-2-shell"]
    assert world.engine.specs[2].aliases == ["algo-2"]
    assert world.engine.empty


def test_a_signal_removes_it_and_the_job_still_failed(world: World) -> None:
    def look(container: Container) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        end = time.monotonic() + 60
        while any(thing.name == container.name for thing in world.engine.things()):
            assert time.monotonic() < end, "the signal did not end it"
            time.sleep(0.01)

    world.attach = look
    error = world.fails(with_shell(failing(3)))
    assert "FailureReason: AlgorithmError: , exit code: 3" in error.message
    assert world.engine.empty


def test_whatever_happens_it_is_removed(world: World) -> None:
    def interrupted(_: Container) -> None:
        raise Interrupted(signal.SIGTERM)

    world.attach = interrupted
    with pytest.raises(Interrupted):
        world.train(with_shell(failing()))
    assert world.engine.empty


def test_it_is_on_every_network_of_the_host(world: World) -> None:
    world.engine.add_image("i:latest")
    made = world.engine.create(ContainerSpec("i:latest", ["train"], "byoc-j", {}, network="own"))
    made.inside("/bin").mkdir()
    made.inside("/bin/sh").touch()
    host = Host("algo-1", made, world.engine.specs[0], networks=["credentials"])
    networks: list[str] = []
    failure_shell(
        *(world.engine, host, lambda shell: networks.extend(world.engine.lives[shell.id].networks)),
        *(Interrupts(print), world.told),
    )
    assert networks == ["own", "credentials"]
    made.remove()
