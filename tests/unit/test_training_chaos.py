"""What is taken away from a job while it runs: its container, its folders, its byoc. On the fake engine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.contract import paths
from byoc_cli.engine.types import ContainerGone, ContainerSpec, EngineGone, Mount
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local import claims, history, labels, running, runs
from byoc_cli.local.collect import CannotCollect
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.progress import Heard
from byoc_cli.local.training.results import bring_up_to_date
from tests.fakes import Box, FakeContainer, Told
from tests.unit.training_world import Printed, World, failing


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class When(Told):
    """Does something, once, when so many hosts' containers printed a word."""

    def __init__(self, word: bytes, call: Callable[[], object], *, hosts: int = 1) -> None:
        super().__init__()
        self.word, self.call, self.waits_for = word, call, hosts

    def output(self, data: bytes, prefix: str = "") -> None:
        super().output(data, prefix)
        if self.word in data:
            self.waits_for -= 1
            if self.waits_for == 0:
                self.call()


def saving(box: Box) -> Printed:
    box.path("/opt/ml/model/before").write_bytes(b"b")
    yield "stdout", b"ready\n"
    box.wait_for_signal()
    box.path("/opt/ml/model/saved").write_bytes(b"s")
    return 0


def going_on(box: Box) -> Printed:
    yield "stdout", b"loss=1.5\n"
    time.sleep(0.1)
    box.path("/opt/ml/model/weights").write_bytes(b"w")
    yield "stdout", b"loss=0.5\n"
    return 0


# -- its container -----------------------------------------------------------------------------------------------------


def test_a_container_that_somebody_removes(world: World) -> None:
    world.told = When(b"ready", lambda: world.engine.container("byoc-job-1").remove())
    with pytest.raises(ContainerGone, match="somebody removed the container byoc-job-1") as caught:
        world.train(saving)
    assert (caught.value.exit_code, world.described["TrainingJobStatus"]) == (1, "Failed")
    assert not world.run.model_tar.exists()
    assert world.engine.empty


def test_what_the_other_hosts_left_is_collected(world: World) -> None:
    world.told = When(b"ready", lambda: world.engine.container("byoc-job-1-algo-2").remove(), hosts=2)
    with pytest.raises(ContainerGone) as caught:
        world.train(saving, instance_count=2)
    assert caught.value.message == (
        "somebody removed the container byoc-job-1-algo-2 before its results were collected\n"
        f"what algo-2 left is lost; what the other hosts left is in {world.run.folder}"
    )
    assert (world.run.model / "before").is_file()
    assert world.run.model_tar.is_file()
    assert world.engine.empty


class Unreachable(FakeContainer):
    """An engine that goes away when the results are asked for."""

    def get(self, path: str) -> Any:
        self.fetched.append(path)
        raise EngineGone("the Docker Engine does not answer any more\nConnection refused", hint="start it")


class Refusing(FakeContainer):
    def get(self, path: str) -> Any:
        self.fetched.append(path)
        raise ByocError("the Docker Engine refused\nerror while mounting volume")


@pytest.mark.parametrize(
    ("kind", "error", "code", "hint"),
    [
        (Unreachable, EngineGone, 3, "`byoc doctor` looks at the engine; when it answers again: docker cp"),
        (Refusing, CannotCollect, 1, "to save what the job made: docker cp"),
    ],
)
def test_results_that_are_out_of_reach_are_kept(
    world: World, kind: type[FakeContainer], error: type[ByocError], code: int, hint: str
) -> None:
    create = world.engine.create
    world.engine.create = lambda spec: kind(world.engine, create(spec)._life)  # type: ignore[method-assign]
    with pytest.raises(error) as caught:
        world.train(going_on)
    assert caught.value.exit_code == code
    assert caught.value.hint == f"{hint} byoc-job-1:/opt/ml/model . (and `byoc clean` when you have it)"
    assert world.described["TrainingJobStatus"] == "Failed"
    assert [life.spec.name for life in world.engine.lives.values()] == ["byoc-job-1"]


def test_an_engine_that_is_about_to_remove_a_container_says_anything(world: World) -> None:
    class Vanishing(FakeContainer):
        def get(self, path: str) -> Any:
            self.fetched.append(path)
            self.remove()
            raise ByocError("the Docker Engine refused\nRWLayer of container is unexpectedly nil")

    create = world.engine.create
    world.engine.create = lambda spec: Vanishing(world.engine, create(spec)._life)  # type: ignore[method-assign]
    with pytest.raises(ContainerGone, match="somebody removed the container byoc-job-1 before"):
        world.train(going_on)
    assert world.engine.empty


def test_a_host_that_lost_the_network_is_named(world: World) -> None:
    world.told = When(b"oops", world.engine.networks.clear)
    world.fails(failing(1))
    text = "algo-1 is not on the job's network any more: somebody disconnected it"
    assert (text, "") in world.told.warnings


# -- its folders -------------------------------------------------------------------------------------------------------


def test_a_run_s_folder_that_somebody_removes_is_made_again(world: World) -> None:
    world.told = When(b"1.5", lambda: shutil.rmtree(world.run.folder))
    description = world.train(going_on, metrics={"loss": r"loss=([0-9.]+)"})
    assert description["TrainingJobStatus"] == "Completed"
    assert world.described == description
    assert world.run.log.read_bytes() == b"loss=1.5\nloss=0.5\n"
    assert (world.run.config / "hyperparameters.json").is_file()
    assert world.run.model_tar.is_file()
    assert [text for text, _ in world.told.warnings] == [
        f"somebody removed {world.run.log} while the job ran: it is made again"
    ]


def test_checkpoints_that_cannot_be_brought_up_to_date_stay_as_they_are(tmp_path: Path) -> None:
    own, job = tmp_path / "own", tmp_path / "job"
    (own / "taken").mkdir(parents=True)
    (own / "taken" / "mine").write_text("somebody else's")
    (own / "old").write_text("old")
    before = frozenset({Path("old")})

    with pytest.raises(ByocError, match="the job's own are gone") as gone:
        bring_up_to_date(own, job, before)
    assert gone.value.hint == ""
    assert (own / "old").read_text() == "old", "that nothing is there does not mean that the job deleted it"

    job.mkdir()
    (job / "new").write_text("new")
    (job / "taken").write_text("a file where a folder is that holds what is not the job's")
    with pytest.raises(ByocError, match=r"cannot be brought up to date\nDirectory not empty: .*/own/taken") as caught:
        bring_up_to_date(own, job, before)
    assert caught.value.hint == f"the job's are in {job}: cp -a {job}/. {own}"
    assert (own / "taken" / "mine").is_file()
    assert not list(own.glob(".*"))


def test_a_file_may_become_a_folder_and_a_folder_a_file(tmp_path: Path) -> None:
    own, job = tmp_path / "own", tmp_path / "job"
    (own / "a").mkdir(parents=True)
    (own / "a" / "1").write_text("1")
    (own / "b").write_text("b")
    (job / "b").mkdir(parents=True)
    (job / "b" / "2").write_text("2")
    (job / "a").write_text("a")
    (job / "link").symlink_to("a")
    bring_up_to_date(own, job, frozenset({Path("a"), Path("a/1"), Path("b")}))
    assert {path.name: path.read_text() for path in own.rglob("*") if path.is_file()} == {
        "a": "a",
        "2": "2",
        "link": "a",
    }
    assert (own / "link").is_symlink()
    assert not list(own.glob(".*"))


def test_checkpoints_are_handed_back_when_a_spot_instance_is_interrupted(world: World, tmp_path: Path) -> None:
    """As in the cloud, where S3 has them all the time: whatever comes after, they are there."""
    own = tmp_path / "own"
    own.mkdir()

    def program(box: Box) -> Printed:
        file = box.path("/opt/ml/checkpoints/step")
        if file.exists():
            yield "stdout", b"again\n"
            box.wait_for_signal()
            return 0
        file.write_text("1")
        yield "stdout", b"first\n"
        box.wait_for_signal()
        return 0

    def engine_fails() -> None:
        assert (own / "step").read_text() == "1"
        os.kill(os.getpid(), signal.SIGINT)

    world.told = When(b"again", engine_fails)
    with pytest.raises(Interrupted):
        world.train(program, checkpoints=own, interrupt_after=0.8)
    assert (own / "step").read_text() == "1"
    assert world.engine.empty


# -- its byoc ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead_owner() -> str:
    """The owner label of a byoc that was killed."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    return f"{socket.gethostname()}/{gone.pid}/12345.67"


def orphan(world: World, owner: str, hosts: int) -> runs.Run:
    """A job as a killed byoc leaves it: it runs on, in its run's folder is what was written until then."""
    world.engine.add_image("x:1", {"train": saving})
    run = runs.create(world.project, "lost")
    run.write_description(
        {
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "TrainingStartTime": history.stamp(time.time() - 60),
            "ResourceConfig": {"InstanceCount": hosts},
        }
    )
    run.log.write_bytes(b"")
    run.staging.mkdir()
    for number in range(1, hosts + 1):
        marks = labels.for_job(world.project, "train", "lost") | {labels.OWNER_LABEL: owner}
        marks |= {labels.HOST_LABEL: f"algo-{number}"}
        mounts = [Mount(path) for path in (paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS)]
        container = world.engine.create(
            ContainerSpec("x:1", ["train"], f"byoc-lost-algo-{number}", marks, mounts=mounts)
        )
        container.start()
        next(iter(container.output()))
    world.engine.create_network("byoc-lost", marks)
    world.engine.create_volume("byoc-lost-a-writes", marks)
    return run


@pytest.mark.parametrize("hosts", [1, 2])
def test_stop_ends_an_orphan_as_its_byoc_would_have(world: World, dead_owner: str, hosts: int) -> None:
    run = orphan(world, dead_owner, hosts)
    assert running.stop(world.engine, world.project, "lost", world.told) == ["lost"]
    assert world.engine.empty
    assert sorted(path.name for path in run.model.iterdir()) == ["before", "saved"]
    assert run.model_tar.is_file()
    assert run.log.read_bytes() == (b"ready\n" if hosts == 1 else b"algo-1 | ready\nalgo-2 | ready\n")
    described = run.describe()
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert described["TrainingTimeInSeconds"] == pytest.approx(60, abs=5)
    assert described["ModelArtifacts"] == {"S3ModelArtifacts": run.model_tar.as_uri()}
    assert not run.staging.exists()


@pytest.mark.parametrize("began_with", ["the user's", "an attempt's", "an attempt's, moved"])
def test_t52_of_an_orphan_s_checkpoints_an_old_copy_does_not_win(
    world: World, tmp_path: Path, dead_owner: str, began_with: str
) -> None:
    run = orphan(world, dead_owner, 2)
    folder = {"the user's": tmp_path / "my own", "an attempt's": run.checkpoints}.get(began_with, run.restored)
    for place in (
        folder,
        *(run.of_host(host).checkpoints for host in ("algo-1", "algo-2") if folder == run.checkpoints),
    ):
        place.mkdir(parents=True)
        for name in ("old", "algo-1", "algo-2"):
            (place / name).write_text("0")
    described = run.describe()
    if began_with == "the user's":
        described["CheckpointConfig"] = {"S3Uri": folder.as_uri()}
        run.checkpoints.mkdir()
        (run.checkpoints / "half").write_text("of a byoc that was killed while it collected")
    else:
        described["SecondaryStatusTransitions"] = [{"Status": "Restarting"}, {"Status": "Training"}]
    run.write_description(described)
    for host, other in (("algo-1", "algo-2"), ("algo-2", "algo-1")):
        inside = world.engine.container(f"byoc-lost-{host}").inside(paths.CHECKPOINTS)
        (inside / host).write_text("0+1")
        (inside / other).write_text("0")
    (world.engine.container("byoc-lost-algo-2").inside(paths.CHECKPOINTS) / "old").write_text("0")  # algo-1 removed it
    assert running.stop(world.engine, world.project, "lost", world.told) == ["lost"]
    left = {path.name: path.read_text() for path in run.checkpoints.iterdir()}
    assert left == {"algo-1": "0+1", "algo-2": "0+1"}
    assert not [text for text, _ in world.told.warnings if "checkpoints" in text]
    assert world.engine.empty


def test_an_orphan_whose_run_is_gone_is_only_removed(world: World, dead_owner: str) -> None:
    shutil.rmtree(orphan(world, dead_owner, 1).folder)
    assert running.stop(world.engine, world.project, "lost", world.told) == ["lost"]
    assert world.engine.empty


def test_clean_knows_what_a_killed_byoc_staged(world: World, dead_owner: str) -> None:
    run = orphan(world, dead_owner, 1)
    living = runs.create(world.project, "living")
    with claims.claim(living.staging):
        found = running.waste(world.engine, world.project, all_projects=False, keep=None)
        assert found.staging == [run.staging], "not that of a job that has nothing in the engine yet"
        running.clean(world.engine, found)
        assert living.staging.is_dir()
    assert world.engine.empty
    assert not run.staging.exists()
    assert run.description.is_file()


def test_staging_goes_with_an_old_run(world: World) -> None:
    run = runs.create(world.project, "old")
    run.staging.mkdir()
    found = running.waste(world.engine, world.project, all_projects=False, keep=0)
    assert (found.runs, found.staging) == ([run], [])


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "staging"
    assert not claims.claimed(folder)
    script = (
        "import pathlib, sys, time\nfrom byoc_cli.local.claims import claim\n"
        f"with claim(pathlib.Path({str(folder)!r})):\n  print('held', flush=True)\n  time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert claims.claimed(folder)
        assert claims.claimed(folder), "to look is not to take"
        holder.kill()
    assert not claims.claimed(folder)


# -- its reader --------------------------------------------------------------------------------------------------------


def test_a_reader_that_goes_is_a_signal_once() -> None:
    class Gone(Told):
        def log(self, text: str) -> None:
            super().log(text)
            raise BrokenPipeError

    stopped: list[str] = []
    heard = Heard(Gone())
    with Interrupts(heard.log) as interrupts:
        heard.on_gone = interrupts.reader_gone
        interrupts.on_signal(lambda: stopped.append("stop"), lambda: stopped.append("kill"))
        for _ in range(3):
            heard.log("x")
        heard.warn("x")
    assert stopped == ["stop"]
    assert interrupts.signal == 13
