"""A training job from end to end, on the fake engine: what the container finds, how its end is read, what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.contract.training import ChannelConfig
from byoc_cli.engine.types import Image
from byoc_cli.errors import ByocError, Interrupted, MachineError
from byoc_cli.local import runs
from byoc_cli.local.channels import Channel
from byoc_cli.local.collect import NoSpace
from byoc_cli.local.resources import Resources
from byoc_cli.local.training import TrainingJob, train
from tests.fakes import Box, Program, Told, not_executable
from tests.unit.training_world import Printed, World, failing, good, volume_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# -- what the container finds ------------------------------------------------------------------------------------------


def test_t11_to_t24_what_the_container_finds(world: World, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def look(box: Box) -> Printed:
        config = box.path("/opt/ml/input/config")
        seen["files"] = {file.name: json.loads(file.read_text()) for file in config.iterdir()}
        seen["environment"] = box.environment
        seen["data"] = [path.name for path in box.path("/opt/ml/input/data/training").iterdir()]
        seen["list"] = box.path("/opt/ml/input/data/list/b.csv").read_text()
        seen["folders"] = [box.path(f"/opt/ml/{name}").is_dir() for name in ("model", "output/data", "checkpoints")]
        yield "stdout", b"."
        return 0

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_text("x")
    (tmp_path / "b.csv").write_text("1,2")
    world.train(
        look,
        hyperparameters={"steps": "100", "password": "hunter2"},
        environment={"LEVEL": "3", "AWS_REGION": "mine"},
        channels=[
            Channel("training", tmp_path / "a"),
            Channel("list", tmp_path / "b.csv", ChannelConfig(content_type="text/csv")),
        ],
        instance_type="ml.g5.xlarge",
        region="eu-west-1",
    )
    assert seen["files"]["hyperparameters.json"] == {"steps": "100", "password": "hunter2"}
    assert seen["files"]["resourceconfig.json"]["current_instance_type"] == "ml.g5.xlarge"
    assert seen["files"]["inputdataconfig.json"]["list"]["ContentType"] == "text/csv"
    assert set(seen["files"]) == {
        *("hyperparameters.json", "resourceconfig.json", "inputdataconfig.json", "init-config.json"),
        *("trainingjobconfig.json", "upstreamoutputdataconfig.json", "metric-definition-regex.json"),
    }
    assert seen["files"]["trainingjobconfig.json"]["HyperParameters"] == seen["files"]["hyperparameters.json"]
    assert seen["data"] == ["x.bin"]
    assert seen["list"] == "1,2"
    assert seen["folders"] == [True, True, True]
    assert seen["environment"] == {
        "TRAINING_JOB_NAME": "job-1",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:eu-west-1:000000000000:training-job/job-1",
        "AWS_REGION": "mine",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
        "LEVEL": "3",
    }


def test_t21_t22_without_what_no_document_names(world: World, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(box: Box) -> Printed:
        seen.extend(sorted(path.name for path in box.path("/opt/ml/input/config").iterdir()))
        seen.extend(sorted(path.name for path in box.path("/opt/ml/input/data").iterdir()))
        yield "stdout", b"."
        return 0

    (tmp_path / "a").mkdir()
    channels = [Channel("training", tmp_path / "a")]
    world.train(look, channels=channels, checkpoints=tmp_path / "a", platform_files=False)
    assert seen == ["hyperparameters.json", "inputdataconfig.json", "resourceconfig.json"]


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("beside_a_pipe", [False, True])
def test_t22_a_file_whose_name_is_no_text(world: World, tmp_path: Path, hosts: int, beside_a_pipe: bool) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / os.fsdecode(b"\xff.csv")).touch()
    (tmp_path / "piped").mkdir()
    seen: list[bytes] = []

    def look(box: Box) -> Printed:
        seen.append(box.path("/opt/ml/input/data/training-manifest").read_bytes())
        yield "stdout", b"."
        return 0

    piped = [Channel("piped", tmp_path / "piped", ChannelConfig(input_mode="Pipe"))] if beside_a_pipe else []
    distribution = "ShardedByS3Key" if hosts > 1 else "FullyReplicated"
    config = ChannelConfig(distribution=distribution)
    world.train(look, channels=[Channel("training", data, config), *piped], instance_count=hosts)
    assert set(seen) == {b"training\ns3://amzn-s3-demo-local/training/\xff.csv\n"}


def test_what_the_container_is_made_of(world: World, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    world.train(good, channels=[Channel("training", tmp_path / "a")])
    (spec,) = world.engine.specs
    assert list(spec.command) == ["train"]
    assert spec.name == spec.network == "byoc-job-1"
    assert list(spec.aliases) == ["algo-1"]
    assert re.fullmatch(r"ip-10-0-\d+-\d+\.ec2\.internal", spec.hostname)
    assert spec.image.startswith("sha256:"), "by its id: the name may move on meanwhile"
    assert [(mount.target, mount.source, mount.read_only) for mount in spec.mounts] == [
        ("/opt/ml/input", "", False),
        ("/opt/ml/model", "", False),
        ("/opt/ml/output", "", False),
        ("/opt/ml/checkpoints", "", False),
        ("/opt/ml/input/data/training", volume_of(world, "training"), False),
    ]
    assert world.engine.overlays == {volume_of(world, "training"): str(tmp_path / "a")}
    assert not spec.ports


# -- a job that completes ----------------------------------------------------------------------------------------------


def test_a_completed_job(world: World) -> None:
    description = world.train(good, metrics={"loss": "loss=([0-9.]+)"})
    assert description == world.described
    assert description["TrainingJobStatus"] == description["SecondaryStatus"] == "Completed"
    phases = [transition["Status"] for transition in description["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert description["ExitCode"] == 0
    assert "FailureReason" not in description
    (loss,) = description["FinalMetricDataList"]
    assert (loss["MetricName"], loss["Value"]) == ("loss", 0.5)
    assert description["ModelArtifacts"] == {"S3ModelArtifacts": world.run.model_tar.as_uri()}
    assert 0 <= description["TrainingTimeInSeconds"] < 5
    assert description["ImageId"].startswith("sha256:")
    assert description["Run"] == str(world.run.folder)


def test_what_it_left_is_collected(world: World) -> None:
    world.train(good, metrics={"loss": "loss=([0-9.]+)"})
    run = world.run
    assert (run.model / "weights").read_bytes() == b"abc"
    assert (run.output / "data" / "report").read_bytes() == b"r"
    assert (run.checkpoints / "1").read_bytes() == b"c"
    with tarfile.open(run.model_tar) as tar:
        assert tar.getnames() == ["weights"]
    with tarfile.open(run.output_tar) as tar:
        assert tar.getnames() == ["report"]
    assert run.log.read_bytes() == world.told.printed == b"loss=2.0\na warning\nloss=0.5\n"
    assert run.metrics.read_text().count("loss,") == 2
    assert run.curves.is_file()
    latest = runs.latest(world.project)
    assert latest is not None
    assert latest.name == "job-1"


def test_it_leaves_nothing_in_the_engine(world: World) -> None:
    world.train(good)
    assert world.engine.empty


def test_job_json_is_true_while_it_runs(world: World) -> None:
    seen: list[dict[str, Any]] = []

    def look(_: Box) -> Printed:
        seen.append(world.described)
        yield "stdout", b"."
        return 0

    world.train(look)
    assert (seen[0]["TrainingJobStatus"], seen[0]["SecondaryStatus"]) == ("InProgress", "Training")


def test_a_metric_that_never_matched_and_an_empty_model_are_warnings(world: World) -> None:
    def lazy(_: Box) -> Printed:
        yield "stdout", b"nothing here\n"
        return 0

    description = world.train(lazy, metrics={"loss": "loss=(.*)"})
    assert description["TrainingJobStatus"] == "Completed"
    assert [text for text, _ in world.told.warnings] == [
        "metric 'loss' never matched the log",
        "the job completed, but /opt/ml/model is empty",
    ]


def test_secrets_are_in_the_container_and_in_no_file(world: World) -> None:
    world.train(
        good,
        hyperparameters={"wandb_api_key": "hunter2", "steps": "1"},
        environment={"HF_TOKEN": "hunter3", "URL": "https://u:hunter4@a/b"},
    )
    text = "".join(file.read_text(errors="replace") for file in world.run.folder.rglob("*.json"))
    assert "hunter" not in text
    assert world.described["HyperParameters"] == {"wandb_api_key": "<redacted>", "steps": "1"}
    for name in ("hyperparameters.json", "trainingjobconfig.json"):
        copy = json.loads((world.run.config / name).read_text())
        assert copy.get("HyperParameters", copy) == {"wandb_api_key": "<redacted>", "steps": "1"}
    assert world.engine.specs[0].environment["HF_TOKEN"] == "hunter3"


def test_two_jobs_of_one_project_at_the_same_time(world: World) -> None:
    together = threading.Barrier(2, timeout=60)

    def meet(box: Box) -> Printed:
        together.wait()
        box.path("/opt/ml/model/name").write_text(box.environment["TRAINING_JOB_NAME"])
        yield "stdout", b"."
        return 0

    image = world.engine.add_image("my-model:latest", {"train": meet})
    jobs = {name: runs.create(world.project, name) for name in ("job-a", "job-b")}

    def one(name: str) -> None:
        job = TrainingJob(name=name, image=image, reference="my-model:latest")
        train(world.engine, world.project, job, jobs[name], Told())

    threads = [threading.Thread(target=one, args=(name,)) for name in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: (run.model / "name").read_text() for name, run in jobs.items()} == {
        "job-a": "job-a",
        "job-b": "job-b",
    }
    assert world.engine.empty


# -- a job that fails --------------------------------------------------------------------------------------------------


def test_t32_the_failure_file_is_the_reason_and_stands_last(world: World) -> None:
    error = world.fails(failing(3, failure="ValueError: no data\nmore"))
    assert error.message == (
        "the training job failed\nits last lines:\n  oops\n"
        "FailureReason: AlgorithmError: ValueError: no data\nmore, exit code: 3"
    )
    assert error.hint == f"the whole log: {world.run.log}"
    assert world.described["TrainingJobStatus"] == "Failed"
    assert world.described["FailureReason"] == "AlgorithmError: ValueError: no data\nmore, exit code: 3"
    assert world.described["ExitCode"] == 3


def test_without_a_failure_file_the_hint_says_where_to_write_one(world: World) -> None:
    error = world.fails(failing(1))
    assert error.message.endswith("FailureReason: AlgorithmError: , exit code: 1")
    assert "/opt/ml/output/failure" in error.hint
    assert str(world.run.log) in error.hint


def test_what_a_failed_job_left_is_collected_but_not_the_latest(world: World) -> None:
    world.train(good, name="job-0")
    world.fails(failing(1))
    assert (world.run.model / "partial").read_bytes() == b"p"
    latest = runs.latest(world.project)
    assert latest is not None
    assert latest.name == "job-0"
    assert world.engine.empty


def test_the_last_twenty_lines_are_shown(world: World) -> None:
    says = b"".join(b"line %d\r\n" % number for number in range(50)) + b"\xff end"
    error = world.fails(failing(1, says=says))
    lines = error.message.splitlines()
    assert lines[2] == "  line 31"
    assert lines[-2] == "  \ufffd end"


def test_t35_out_of_memory(world: World) -> None:
    error = world.fails(failing(137, out_of_memory=True))
    assert "the container ran out of memory" in error.message
    assert error.message.endswith("AlgorithmError: OutOfMemory: Process killed by SIGKILL (signal 9), exit code: 137")


def test_a_silent_failure(world: World) -> None:
    assert "it printed nothing" in world.fails(failing(1, says=b"")).message


@pytest.mark.parametrize(
    ("program", "hint"),
    [
        (failing(127), "127 means that a program was not found"),
        (failing(126), "126 means that a file is not executable"),
        (failing(1, says=b"exec /usr/bin/train: exec format error\n"), "give `train` a shebang"),
        (failing(1, says=b"exec /usr/bin/train: no such file or directory\n"), "CR LF"),
    ],
)
def test_exit_codes_and_last_words_that_tell_the_cause(world: World, program: Program, hint: str) -> None:
    assert hint in world.fails(program).hint


def test_a_failure_file_that_is_no_text(world: World) -> None:
    def program(box: Box) -> Printed:
        box.path("/opt/ml/output/failure").write_bytes(b"\xff bad")
        yield "stdout", b""
        return 1

    assert world.fails(program).message.endswith("AlgorithmError: \ufffd bad, exit code: 1")


@pytest.mark.parametrize(
    ("program", "code", "cause"), [(None, 127, "executable file not found"), (not_executable, 127, "not found")]
)
def test_t08_a_program_that_cannot_start(world: World, program: Program | None, code: int, cause: str) -> None:
    error = world.fails(program)
    assert cause in error.message
    assert error.message.endswith(f"FailureReason: AlgorithmError: , exit code: {code}")
    assert world.described["TrainingJobStatus"] == "Failed"
    assert world.described["ExitCode"] == code
    assert world.engine.empty


# -- a job that cannot be run here -------------------------------------------------------------------------------------


def test_no_gpu_leaves_nothing_behind(world: World) -> None:
    with pytest.raises(MachineError, match="no GPU"):
        world.train(good, resources=[Resources(gpus="all")])
    assert world.engine.empty
    assert world.described["TrainingJobStatus"] == "Failed"
    assert "no GPU" in world.described["FailureReason"]


def test_a_gpu_job_gets_what_it_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, gpus=2)
    world.train(good, resources=[Resources(gpus="2")])
    assert world.engine.specs[0].gpus == "2"
    assert "NVIDIA_VISIBLE_DEVICES" not in world.engine.specs[0].environment


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_engine_that_does_not_see_this_machine_s_files_is_refused(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path, sees_files=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("x")
    source = tmp_path / "data" if kind == "folder" else tmp_path / "data" / "x"
    with pytest.raises(MachineError, match="does not see this machine's files") as caught:
        world.train(good, channels=[Channel("training", source)])
    assert "channel 'training' would be empty" in caught.value.message
    assert world.engine.empty
    assert world.run.log.exists() is False, "it never started"


def test_an_empty_channel_proves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, sees_files=False)
    (tmp_path / "data").mkdir()
    assert world.train(good, channels=[Channel("training", tmp_path / "data")])["TrainingJobStatus"] == "Completed"


def test_an_image_that_is_gone_leaves_nothing_behind(world: World) -> None:
    image = Image("sha256:gone", [], [], 0.0, "amd64", "linux", 1, {})
    with pytest.raises(ByocError, match="there is no image"):
        world.train(good, image=image)
    assert world.engine.empty


def test_no_space_keeps_the_container_and_says_how_to_get_at_it(world: World) -> None:
    def at_once(box: Box) -> Printed:
        yield "stdout", b"."
        return 0

    # The header of a file that is larger than any disk, and nothing of it.
    huge_header = tarfile.TarInfo("model/huge")
    huge_header.size = 1 << 60
    folder = tarfile.TarInfo("model")
    folder.type = tarfile.DIRTYPE
    world.engine.archives["/opt/ml/model"] = folder.tobuf() + huge_header.tobuf()
    with pytest.raises(NoSpace) as caught:
        world.train(at_once)
    assert "docker cp byoc-job-1:/opt/ml/model ." in caught.value.hint
    assert [thing.name for thing in world.engine.things() if thing.type == "container"] == ["byoc-job-1"]
    assert world.described["TrainingJobStatus"] == "Failed"


# -- a job that is stopped ---------------------------------------------------------------------------------------------


def polite(code: int = 0) -> Program:
    def program(box: Box) -> Printed:
        yield "stdout", b"ready\n"
        box.wait_for_signal()
        box.path("/opt/ml/model/saved").write_bytes(b"s")
        yield "stdout", b"saved\n"
        return code

    return program


class Signals(Told):
    """Sends the next signal whenever the container prints, or byoc says something."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self.numbers = list(numbers)

    def output(self, data: bytes, prefix: str = "") -> None:
        super().output(data, prefix)
        if self.numbers:
            os.kill(os.getpid(), self.numbers.pop(0))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_t40_an_interrupt_stops_the_job_and_keeps_what_it_made(world: World, number: int, code: int) -> None:
    world.told = Signals(number)
    with pytest.raises(Interrupted) as caught:
        world.train(polite())
    assert caught.value.exit_code == code
    assert caught.value.result == world.described
    assert world.described["TrainingJobStatus"] == "Stopped"
    assert (world.run.model / "saved").read_bytes() == b"s"
    assert "stopping the job: SIGTERM, up to 120 s (press Ctrl-C again to kill it)" in world.told.logs
    assert world.engine.graces == [120]
    assert world.engine.empty
    assert runs.latest(world.project) is None


def test_a_second_interrupt_kills_it(world: World) -> None:
    def stubborn(box: Box) -> Printed:
        yield "stdout", b"ready\n"
        box.wait_for_signal()
        yield "stdout", b"I stay\n"
        box.wait_for_signal()
        return 0

    world.told = Signals(signal.SIGINT, signal.SIGINT)
    with pytest.raises(Interrupted):
        world.train(stubborn)
    assert "killing the job" in world.told.logs
    assert world.described["ExitCode"] == 137
    assert world.engine.empty


def test_a_job_that_somebody_stops_through_the_engine(world: World) -> None:
    class Stopper(Told):
        def output(self, data: bytes, prefix: str = "") -> None:
            super().output(data, prefix)
            threading.Thread(target=lambda: world.engine.container("byoc-job-1").stop(5)).start()

    world.told = Stopper()
    error = world.fails(polite(code=143))
    assert error.message == f"the training job was stopped\nwhat it left is in {world.run.folder}"
    assert world.described["TrainingJobStatus"] == "Stopped"
    assert "FailureReason" not in world.described
    assert (world.run.model / "saved").is_file()


# -- what would be refused ---------------------------------------------------------------------------------------------


def test_all_that_would_be_refused_is_said_at_once(tmp_path: Path) -> None:
    image = Image("sha256:1", [], [], 0.0, "amd64", "linux", 1, {})
    job = TrainingJob(
        name="not a name",
        image=image,
        reference="x",
        hyperparameters={"k": "v" * 2501},
        channels=[Channel("a/b", tmp_path)],
        environment={"A-B": ""},
    )
    assert [re.findall(r"\(T-\d+\)", problem) for problem in job.problems()] == [
        *[["(T-25)"], ["(T-13)"], ["(T-55)"], ["(T-26)"]]
    ]
