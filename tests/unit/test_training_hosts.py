"""Jobs of several hosts, and jobs that end before they are done, on the fake engine (T-40, T-42, T-47, T-52, T-72)."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.engine.types import ContainerSpec
from byoc_cli.errors import READER_GONE, Interrupted, MachineError
from byoc_cli.local import runs
from byoc_cli.local.resources import Resources
from byoc_cli.local.training import JobFailed, TrainingJob
from tests.fakes import Box, FakeContainer, Program, Told
from tests.unit.training_world import Printed, World, failing, good


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def host_of(box: Box) -> str:
    return str(json.loads(box.path("/opt/ml/input/config/resourceconfig.json").read_text())["current_host"])


def each(**programs: Program) -> Program:
    """A program that is another one on each host: algo_1=…"""

    def program(box: Box) -> Printed:
        return (yield from programs[host_of(box).replace("-", "_")](box))

    return program


def waiting(code: int = 0, says: bytes = b"ready\n") -> Program:
    """Waits for SIGTERM, saves, ends."""

    def program(box: Box) -> Printed:
        yield "stdout", says
        box.wait_for_signal()
        box.path("/opt/ml/model/saved").write_bytes(b"s")
        yield "stdout", b"saved\n"
        return code

    return program


def after(event: threading.Event, program: Program) -> Program:
    def later(box: Box) -> Printed:
        assert event.wait(60)
        return (yield from program(box))

    return later


def announcing(event: threading.Event, program: Program) -> Program:
    def first(box: Box) -> Printed:
        event.set()
        return (yield from program(box))

    return first


# -- several hosts -----------------------------------------------------------------------------------------------------


def test_t15_t17_each_host_knows_itself_and_all(world: World) -> None:
    seen: dict[str, Any] = {}

    def look(box: Box) -> Printed:
        config = json.loads(box.path("/opt/ml/input/config/resourceconfig.json").read_text())
        seen[config["current_host"]] = config["hosts"]
        yield "stdout", b"."
        return 0

    world.train(look, instance_count=11)
    names = [f"algo-{number}" for number in range(1, 12)]
    assert seen == dict.fromkeys(names, sorted(names)), "sorted as strings: algo-10 before algo-2"
    assert {spec.name: list(spec.aliases) for spec in world.engine.specs} == {
        f"byoc-job-1-{name}": [name] for name in names
    }
    assert {spec.network for spec in world.engine.specs} == {"byoc-job-1"}
    assert len({spec.hostname for spec in world.engine.specs} & set(names)) == 0
    assert world.described["ResourceConfig"]["InstanceCount"] == 11
    assert world.engine.empty


def test_t69_one_log_whose_lines_say_which_host(world: World) -> None:
    def speak(box: Box) -> Printed:
        yield "stdout", b"loss=1.0\n10%\r20%\r"
        yield "stderr", f"I am {host_of(box)}".encode()
        return 0

    world.train(speak, instance_count=2, metrics={"loss": "^loss=([0-9.]+)"})
    lines = world.run.log.read_bytes().decode()
    assert lines.count("algo-1 | loss=1.0\n") == lines.count("algo-2 | loss=1.0\n") == 1
    assert "algo-1 | 10%\ralgo-1 | 20%\r" in lines
    assert "algo-1 | I am algo-1\n" in lines, "a last line without newline does not run into another host's"
    assert world.told.printed.decode() == lines
    assert world.run.metrics.read_text().count("loss,") == 2, "a regex sees the line without the prefix"


def test_t47_what_the_hosts_left_is_merged_and_clashes_are_said(world: World) -> None:
    def write(box: Box) -> Printed:
        host = host_of(box)
        model, data = box.path("/opt/ml/model"), box.path("/opt/ml/output/data")
        (model / "1").mkdir()
        (model / "1" / host).write_text(host)
        (model / "same").write_text("same")
        (model / "differs").write_text(host)
        (data / host).mkdir()
        (data / host / "report").write_text(host)
        box.path(f"/opt/ml/checkpoints/{host}").write_text(host)
        yield "stdout", b"."
        return 0

    world.train(write, instance_count=2)
    run = world.run
    assert sorted(path.read_text() for path in (run.model / "1").iterdir()) == ["algo-1", "algo-2"]
    assert (run.model / "differs").read_text() == "algo-1"
    assert (run.folder / "hosts/algo-2/model/differs").read_text() == "algo-2", "what each wrote is kept"
    with tarfile.open(run.model_tar) as tar:
        assert sorted(tar.getnames()) == ["1", "1/algo-1", "1/algo-2", "differs", "same"]
        assert {(member.uid, member.uname) for member in tar} == {(0, "root")}
    with tarfile.open(run.output_tar) as tar:
        assert sorted(tar.getnames()) == ["algo-1", "algo-1/report", "algo-2", "algo-2/report"]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["algo-1", "algo-2"]
    assert [text for text, _ in world.told.warnings] == [
        "/opt/ml/model/differs is not the same on algo-1 and algo-2: only one of them is kept (T-47)"
    ]


def test_t72_one_host_that_fails_ends_the_others_which_may_save(world: World) -> None:
    ready = threading.Event()
    program = each(
        algo_1=announcing(ready, waiting()), algo_2=after(ready, failing(3, failure="no data", says=b"oops\n"))
    )
    error = world.fails(program, instance_count=2)
    assert error.message == (
        "the training job failed on algo-2\nits last lines:\n  oops\n"
        "FailureReason: AlgorithmError: no data, exit code: 3"
    )
    assert "algo-2 failed (exit code 3): stopping the others, up to 120 s" in world.told.logs
    assert (world.run.model / "saved").is_file()
    assert world.described["ExitCode"] == 3
    assert world.engine.empty


def test_a_host_that_is_done_does_not_end_the_others(world: World) -> None:
    done = threading.Event()

    def short(_: Box) -> Printed:
        yield "stdout", b"short\n"
        done.set()
        return 0

    description = world.train(each(algo_1=short, algo_2=after(done, good)), instance_count=2)
    assert description["TrainingJobStatus"] == "Completed"
    assert (world.run.model / "weights").read_bytes() == b"abc"


def test_the_failure_file_is_the_failed_host_s(world: World) -> None:
    ready = threading.Event()

    def other(box: Box) -> Printed:
        yield "stdout", b"."
        ready.set()
        box.wait_for_signal()
        box.path("/opt/ml/output/failure").write_text("I was told to stop")
        return 1

    error = world.fails(each(algo_1=other, algo_2=after(ready, failing(1, failure="the cause"))), instance_count=2)
    assert error.message.endswith("FailureReason: AlgorithmError: the cause, exit code: 1")
    assert not [text for text, _ in world.told.warnings if "failure" in text]


def test_a_host_that_somebody_stops_through_the_engine_stops_the_job(world: World) -> None:
    class Stopper(Told):
        def output(self, data: bytes, prefix: str = "") -> None:
            super().output(data, prefix)
            if self.printed.count(b"ready") == 2:
                self.printed += b"."
                threading.Thread(target=lambda: world.engine.container("byoc-job-1-algo-1").stop(5)).start()

    world.told = Stopper()
    error = world.fails(waiting(code=143), instance_count=2)
    assert error.message.startswith("the training job was stopped\n")
    assert world.described["TrainingJobStatus"] == "Stopped"
    assert (world.run.folder / "hosts/algo-2/model/saved").is_file()


def test_one_host_that_cannot_start_ends_the_job(tmp_path: Path) -> None:
    world = World(tmp_path, gpus=0)
    sizes = [Resources(), Resources(gpus="1")]
    with pytest.raises(MachineError, match="no GPU"):
        world.train(waiting(), instance_count=2, resources=sizes)
    assert world.engine.empty
    assert world.described["TrainingJobStatus"] == "Failed"


def test_each_host_gets_its_share_of_the_machine(world: World) -> None:
    sizes = [Resources(cpuset="0", memory=1 << 30, shm_size=1 << 20), Resources(cpuset="1", memory=1 << 30)]
    world.train(good, instance_count=2, resources=sizes)
    assert [(spec.cpuset, spec.memory, spec.shm_size) for spec in world.engine.specs] == [
        ("0", 1 << 30, 1 << 20),
        ("1", 1 << 30, 0),
    ]


# -- jobs that end before they are done --------------------------------------------------------------------------------


class Interrupting(Told):
    """Sends a signal to byoc when the container prints."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def output(self, data: bytes, prefix: str = "") -> None:
        super().output(data, prefix)
        if self.printed.count(b"ready") == 2 and self.number:
            number, self.number = self.number, 0
            os.kill(os.getpid(), number)


def test_t40_an_interrupt_stops_all_hosts(world: World) -> None:
    world.told = Interrupting(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        world.train(waiting(), instance_count=2)
    assert caught.value.exit_code == 143
    assert world.described["TrainingJobStatus"] == "Stopped"
    assert [(world.run.folder / f"hosts/algo-{n}/model/saved").is_file() for n in (1, 2)] == [True, True]
    assert world.engine.empty


def test_t42_a_job_that_runs_too_long(world: World) -> None:
    error = world.fails(waiting(), max_runtime=1.0)
    assert error.message == (
        f"the training job ran longer than 1 s: MaxRuntimeExceeded (T-42)\nwhat it left is in {world.run.folder}"
    )
    assert error.exit_code == 1
    assert (world.described["TrainingJobStatus"], world.described["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )
    assert world.described["StoppingCondition"] == {"MaxRuntimeInSeconds": 1.0}
    assert (world.run.model / "saved").is_file()
    assert runs.latest(world.project) is None


def test_a_job_that_is_done_in_time(world: World) -> None:
    assert world.train(good, max_runtime=60.0)["TrainingJobStatus"] == "Completed"
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def counting(stop_at: int) -> Program:
    """Counts in its checkpoints: waits for the end at the first `stop_at`, is done when it starts there."""

    def program(box: Box) -> Printed:
        file = box.path("/opt/ml/checkpoints/count")
        config = box.path("/opt/ml/input/config/checkpointconfig.json")
        assert json.loads(config.read_text()) == {"LocalPath": "/opt/ml/checkpoints"}
        count = int(file.read_text()) if file.exists() else 0
        box.path(f"/opt/ml/model/{count}").touch()
        if count < stop_at:
            file.write_text(str(stop_at))
            yield "stdout", b"waiting\n"
            box.wait_for_signal()
            return 0
        file.write_text(str(count + 1))
        yield "stdout", f"went on at {count}\n".encode()
        return 0

    return program


def test_t54_a_spot_instance_is_interrupted_and_starts_again_with_the_checkpoints(world: World) -> None:
    description = world.train(counting(3), interrupt_after=0.8)
    assert [transition["Status"] for transition in description["SecondaryStatusTransitions"]] == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Restarting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert world.run.log.read_text() == "waiting\nwent on at 3\n"
    assert (world.run.checkpoints / "count").read_text() == "4"
    assert [path.name for path in world.run.model.iterdir()] == ["3"], "the model of the first start is lost"
    assert description["EnableManagedSpotTraining"] is True
    assert world.engine.empty


def test_an_interruption_that_comes_too_late_is_none(world: World) -> None:
    description = world.train(good, interrupt_after=60.0)
    assert "Interrupted" not in [transition["Status"] for transition in description["SecondaryStatusTransitions"]]


def test_t52_checkpoints_are_restored_and_brought_up_to_date(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "1").write_text("goes")
    (folder / "count").write_text("5")

    def program(box: Box) -> Printed:
        box.path("/opt/ml/checkpoints/old/1").unlink()
        box.path("/opt/ml/checkpoints/old").rmdir()
        (folder / "meanwhile").write_text("somebody else's")
        return (yield from counting(3)(box))

    description = world.train(program, checkpoints=folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"count": "6", "meanwhile": "somebody else's"}
    assert description["CheckpointConfig"] == {"S3Uri": folder.as_uri(), "LocalPath": "/opt/ml/checkpoints"}
    (folder / "count").write_text("changed in place")
    assert (world.run.checkpoints / "count").read_text() == "6", "the run's own are its own"


def on_with_its_own(box: Box) -> Printed:
    """Goes on with what has the host's name; algo-1 removes what is old."""
    own = box.path(f"/opt/ml/checkpoints/{host_of(box)}")
    first = not own.exists()
    own.write_text("1" if first else own.read_text() + "+1")
    old = box.path("/opt/ml/checkpoints/old")
    if host_of(box) == "algo-1" and old.exists():
        old.unlink()
    yield "stdout", b"ready\n"
    if first:
        box.wait_for_signal()
    return 0


def test_t52_a_host_s_old_copy_does_not_win_over_what_another_went_on_with(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("old", "algo-1", "algo-2"):
        (folder / name).write_text("0")
    world.train(on_with_its_own, instance_count=2, checkpoints=folder)
    expected = {"algo-1": "0+1", "algo-2": "0+1"}
    assert {path.name: path.read_text() for path in world.run.checkpoints.iterdir()} == expected
    assert {path.name: path.read_text() for path in folder.iterdir()} == expected
    assert not [text for text, _ in world.told.warnings if "checkpoints" in text]


def test_t54_of_an_interrupted_job_s_hosts_each_keeps_what_it_went_on_with(world: World) -> None:
    world.train(on_with_its_own, instance_count=2, interrupt_after=1.5)
    left = {path.name: path.read_text() for path in world.run.checkpoints.iterdir()}
    assert left == {"algo-1": "1+1", "algo-2": "1+1"}
    assert not [text for text, _ in world.told.warnings if "checkpoints" in text]


def test_t53_what_two_hosts_changed_is_a_clash_after_a_restart_too(world: World, tmp_path: Path) -> None:
    def write(box: Box) -> Printed:
        box.path("/opt/ml/checkpoints/count").write_text(host_of(box))
        yield "stdout", b"."
        return 0

    given = tmp_path / "given"
    given.mkdir()
    (given / "count").write_text("0")
    world.train(write, instance_count=2, checkpoints=given)
    assert (given / "count").read_text() == "algo-1"
    assert [text for text, _ in world.told.warnings if "(T-53)" in text] == [
        "/opt/ml/checkpoints/count is not the same on algo-1 and algo-2: only one of them is kept (T-53)"
    ]


def test_told_to_stop_while_hosts_are_made_no_more_are(world: World) -> None:
    make = world.engine.create

    def create(spec: ContainerSpec) -> FakeContainer:
        made = make(spec)
        if len(world.engine.specs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return made

    world.engine.create = create  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        world.train(good, instance_count=20)
    assert len(world.engine.specs) == 2
    assert world.engine.empty
    assert world.described["TrainingJobStatus"] == "Stopped"


def test_checkpoints_of_a_failed_job_are_kept_too(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()

    def program(box: Box) -> Printed:
        box.path("/opt/ml/checkpoints/step-1").write_text("1")
        return (yield from failing(1)(box))

    world.fails(program, checkpoints=folder)
    assert (folder / "step-1").read_text() == "1"


# -- what is run -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "expected"),
    [
        ([], [], (None, ["train"])),
        (["a", "b"], [], (["a"], ["b"])),
        ([], ["x", "y"], (None, ["x", "y"])),
        (["a", "b"], ["x"], (["a"], ["b", "x"])),
    ],
)
def test_t01_to_t04_entrypoint_and_arguments(
    world: World, entrypoint: list[str], arguments: list[str], expected: tuple[list[str] | None, list[str]]
) -> None:
    image = world.engine.add_image("my-model:latest", {"train": good, "a": good, "x": good})
    job = TrainingJob(name="job-1", image=image, reference="m", entrypoint=entrypoint, arguments=arguments)
    assert not job.problems()
    world.train_job(job)
    (spec,) = world.engine.specs
    assert (spec.entrypoint and list(spec.entrypoint), list(spec.command)) == expected


def test_t05_t42_what_would_be_refused(world: World) -> None:
    image = world.engine.add_image("my-model:latest")
    job = TrainingJob("j", image, "m", entrypoint=["a"] * 101, arguments=["x" * 257], max_runtime=0.5)
    assert [problem.rpartition(" ")[2] for problem in job.problems()] == ["(T-05)", "(T-05)", "(T-42)"]


def test_t74_isolation_is_an_internal_network(world: World) -> None:
    seen: list[bool] = []

    def look(_: Box) -> Printed:
        seen.append("byoc-job-1" in world.engine.internal)
        yield "stdout", b"."
        return 0

    description = world.train(look, network_isolation=True)
    assert seen == [True]
    assert description["EnableNetworkIsolation"] is True


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_reader_that_is_gone_stops_the_job_which_may_save(world: World, hosts: int) -> None:
    class Gone(Told):
        def log(self, text: str) -> None:
            super().log(text)
            raise BrokenPipeError

        def output(self, data: bytes, prefix: str = "") -> None:
            super().output(data, prefix)
            raise BrokenPipeError

    world.told = Gone()
    with pytest.raises(Interrupted) as caught:
        world.train(waiting(), instance_count=hosts)
    assert caught.value.exit_code == READER_GONE
    assert world.described["TrainingJobStatus"] == "Stopped"
    assert world.run.model_tar.is_file()
    assert world.engine.empty


def test_a_failed_job_s_failure_is_raised_once(world: World) -> None:
    with pytest.raises(JobFailed):
        world.train(failing(1), instance_count=3)
    assert world.engine.empty
