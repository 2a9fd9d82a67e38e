"""`byoc batch` through main(): files in, .out files out."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from byoc_cli.local.batch.outputs import held
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import Box, FakeEngine

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def image(engine: FakeEngine) -> FakeEngine:
    """The project's image."""
    engine.add_image("my-model:latest", {"serve": programs.transform})
    return engine


@pytest.fixture
def data(project: Path) -> Path:
    """A folder of two files."""
    (project / "in" / "deeper").mkdir(parents=True)
    (project / "in" / "a.csv").write_bytes(b"a\nb\n")
    (project / "in" / "deeper" / "b.csv").write_bytes(b"c\n")
    return project / "in"


def made(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_h58_a_folder_becomes_a_folder(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    ran = byoc("batch", "in", "--out", "out", "--split-type", "line")
    assert (ran.code, ran.stdout) == (0, "out\n"), ran.stderr
    assert made(project / "out") == {"a.csv.out": b"A\nB\n", "deeper/b.csv.out": b"C\n"}
    assert "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in ran.stderr
    assert "2 files, 3 records in " in ran.stderr
    assert "serving" not in ran.stderr, "what the container prints is not in the way"
    assert image.empty


def test_json_has_the_words_of_describe_transform_job(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    ran = byoc(
        "batch", "in/a.csv", "--out", "out", "--split-type", "Line", "--batch-strategy", "SingleRecord", "--json"
    )
    assert ran.code == 0, ran.stderr
    described = ran.data
    assert described["TransformJobName"].startswith("my-model-")
    assert described["TransformJobStatus"] == "Completed"
    assert "FailureReason" not in described
    assert described["BatchStrategy"] == "SingleRecord"
    assert described["ModelClientConfig"] == {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 3}
    assert described["TransformInput"] == {"ContentType": None, "SplitType": "Line"}
    assert described["TransformOutput"] == {"Accept": None, "AssembleWith": "None"}
    (file,) = described["files"]
    assert file == {
        "input": str(data / "a.csv"),
        "status": "Completed",
        "output": str(project / "out" / "a.csv.out"),
        "records": 2,
    }
    assert described["records"] == 2
    assert described["seconds"] > 0


def test_h55_what_the_container_is_told(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text(
        'image = "my-model"\n[serve]\nenvironment = { OF_MODEL = "1", BOTH = "model" }\n'
    )
    (project / "x").write_bytes(b"env")
    assert byoc("batch", "x", "--out", "out", "--env", "OF_JOB=2", "--env", "BOTH=job").code == 0
    seen = json.loads((project / "out" / "x.out").read_bytes())
    assert seen == {"OF_MODEL": "1", "BOTH": "job", "OF_JOB": "2", "SAGEMAKER_BATCH": "true"}
    words = ("--max-payload-mb", "2", "--max-concurrent", "3", "--batch-strategy", "multirecord")
    assert byoc("batch", "x", "--out", "out", *words).code == 0
    seen = json.loads((project / "out" / "x.out").read_bytes())
    assert {name: value for name, value in seen.items() if name.startswith("SAGEMAKER_")} == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
    }


def test_h56_the_request_wins_over_the_container(byoc: Byoc, image: FakeEngine, data: Path) -> None:
    parameters = '{"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 5}'
    words = ("batch", "in", "--out", "out", "--json", "--env", f"PARAMETERS={parameters}")
    keys = ("MaxConcurrentTransforms", "BatchStrategy", "MaxPayloadInMB")
    assert [byoc(*words).data[key] for key in keys] == [8, "SingleRecord", 5]
    assert [byoc(*words, "--max-concurrent", "2").data[key] for key in keys] == [2, "SingleRecord", 5]


def test_h56_an_answer_that_is_wrong_is_a_warning(byoc: Byoc, image: FakeEngine, data: Path) -> None:
    ran = byoc("batch", "in", "--out", "out", "--env", "PARAMETERS=<html>")
    assert ran.code == 0
    assert "warning: the container's answer to /execution-parameters is not used: it is not JSON (H-56)" in ran.stderr


def test_h57_request_and_container_together_ask_for_too_much(byoc: Byoc, image: FakeEngine, data: Path) -> None:
    words = ("--max-concurrent", "60", "--env", 'PARAMETERS={"MaxPayloadInMB": 2}')
    ran = byoc("batch", "in", "--out", "out", *words)
    assert ran.code == 1
    assert "MaxConcurrentTransforms times MaxPayloadInMB is 120; at most 100 is allowed (H-57)" in ran.stderr
    assert "hint: --max-concurrent and --max-payload-mb win over the container's" in ran.stderr
    assert image.empty


def test_h58_a_failed_file_fails_the_job_and_the_others_are_there(
    byoc: Byoc, image: FakeEngine, data: Path, project: Path
) -> None:
    (data / "c.csv").write_bytes(b"fine\nbad\n")
    words = ("batch", "in", "--out", "out", "--split-type", "Line", "--batch-strategy", "SingleRecord")
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.partition("error: ")[2] == (
        "the transform job failed: 1 of 3 files\n"
        "c.csv: record 2: ClientError: 400\nno number\n"
        "the container's last lines:\n  loading\n  serving\n"
        "FailureReason: ClientError: See job logs for more information\n"
    )
    assert made(project / "out") == {"a.csv.out": b"A\nB\n", "deeper/b.csv.out": b"C\n"}
    ran = byoc(*words, "--json")
    assert ran.code == 1
    assert (ran.data["TransformJobStatus"], ran.data["records"]) == ("Failed", 3)
    assert ran.data["FailureReason"] == "ClientError: See job logs for more information"
    assert [file["status"] for file in ran.data["files"]] == ["Completed", "Failed", "Completed"]
    assert ran.data["files"][1]["FailureReason"] == "record 2: ClientError: 400\nno number"
    assert "output" not in ran.data["files"][1]
    assert image.empty


CSV = ("--split-type", "Line", "--assemble-with", "Line", "--content-type", "text/csv")


def test_h60_filters_and_join(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "people.csv").write_bytes(b"1,ada,x\n2,bob,y\n")
    words = ("--input-filter", "$[1:]", "--join-source", "input", "--output-filter", "$[0,-1]", "--json")
    ran = byoc("batch", "people.csv", "--out", "out", *CSV, *words)
    assert ran.code == 0, ran.stderr
    assert made(project / "out") == {"people.csv.out": b"1,X\n2,Y\n"}
    assert ran.data["DataProcessing"] == {"InputFilter": "$[1:]", "OutputFilter": "$[0,-1]", "JoinSource": "Input"}


def test_h57_more_at_once_than_the_default_payload_allows(byoc: Byoc, image: FakeEngine, data: Path) -> None:
    ran = byoc("batch", "in", "--out", "out", "--max-concurrent", "20")
    assert ran.code == 1
    assert "is 120; at most 100 is allowed (H-57)\nMaxPayloadInMB is 6 where nothing says another\n" in ran.stderr
    assert "/execution-parameters" not in ran.stderr, "the container said nothing"
    assert "hint: --max-concurrent 16, or a smaller --max-payload-mb\n" in ran.stderr
    assert image.empty


def test_an_input_that_goes_before_its_turn_fails_alone(
    byoc: Byoc, engine: FakeEngine, data: Path, project: Path
) -> None:
    def serve(box: Box) -> programs.Printed:
        (data / "deeper" / "b.csv").unlink()
        return (yield from programs.transform(box))

    engine.add_image("my-model:latest", {"serve": serve})
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line")
    assert (ran.code, ran.stdout) == (1, "")
    assert f"deeper/b.csv: No such file or directory: {data / 'deeper' / 'b.csv'}\n" in ran.stderr
    assert made(project / "out") == {"a.csv.out": b"A\nB\n"}
    assert engine.empty


def test_h60_a_container_that_wants_files_streamed(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    words = ("--join-source", "Input", "--env", 'PARAMETERS={"MaxPayloadInMB": 0}')
    ran = byoc("batch", "in", "--out", "out", *CSV, *words)
    assert ran.code == 1
    assert "error: filters and join need whole records, and MaxPayloadInMB 0 streams the file (H-60)" in ran.stderr
    assert "hint: --max-payload-mb 6" in ran.stderr
    assert made(project / "out") == {}
    assert image.empty


def test_another_job_writes_to_the_same_folder(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    (project / "out").mkdir()
    with held(project / "out"):
        ran = byoc("batch", "in", "--out", "out")
    assert (ran.code, ran.stdout) == (3, "")
    assert f"error: another byoc batch writes to {project / 'out'}" in ran.stderr
    assert image.empty
    assert byoc("batch", "in", "--out", "out").code == 0


def test_a_container_that_dies_ends_the_job(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    (data / "b.csv").write_bytes(b"fine\n" * 10 + b"die\n" + b"fine\n" * 10)
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line", "--batch-strategy", "SingleRecord", "--json")
    assert ran.code == 1
    assert "the container ended in the middle of the job\nexit code 7\n2 of 3 files were not done\n" in ran.stderr
    assert "  Segmentation fault\nFailureReason: AlgorithmError: See job logs for more information\n" in ran.stderr
    assert made(project / "out") == {"a.csv.out": b"A\nB\n"}
    assert [file["status"] for file in ran.data["files"]] == ["Completed", "Stopped", "Stopped"]
    assert image.empty


def test_a_container_that_never_serves(byoc: Byoc, engine: FakeEngine, data: Path, project: Path) -> None:
    engine.add_image("my-model:latest", {"serve": programs.die})
    ran = byoc("batch", "in", "--out", "out")
    assert ran.code == 1
    assert "the container ended before it was ready\nits last lines:\n  no model\nexit code 5\n" in ran.stderr
    assert made(project / "out") == {}
    assert engine.empty


def after_the_first_file(project: Path, action: Callable[[], None]) -> threading.Thread:
    """Do something once a.csv is done, and the container has b.csv."""

    def soon() -> None:
        end = time.monotonic() + 60
        while not (project / "out" / "a.csv.out").exists() and time.monotonic() < end:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=soon)
    thread.start()
    return thread


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_neither_half_a_file_nor_a_container(
    byoc: Byoc, image: FakeEngine, data: Path, project: Path, number: int, code: int
) -> None:
    (data / "b.csv").write_bytes(b"one\nwait\n")
    thread = after_the_first_file(project, lambda: os.kill(os.getpid(), number))
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line", "--batch-strategy", "SingleRecord")
    thread.join()
    assert ran.code == code, ran.stderr
    assert made(project / "out") == {"a.csv.out": b"A\nB\n"}
    assert image.empty


def test_byoc_stop_ends_it_as_stopped(byoc: Byoc, image: FakeEngine, data: Path, project: Path) -> None:
    (data / "b.csv").write_bytes(b"one\nwait\n")
    kinds = []

    def stop() -> None:
        (thing,) = [thing for thing in image.things() if thing.type == "container"]
        kinds.append(thing.kind)
        image.container(thing.id).stop(30)

    thread = after_the_first_file(project, stop)
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line", "--batch-strategy", "SingleRecord", "--json")
    thread.join()
    assert (ran.code, kinds) == (1, ["transform"])
    assert ran.data["TransformJobStatus"] == "Stopped"
    assert "error: the transform job was stopped\n2 of 3 files were not done\n" in ran.stderr
    assert made(project / "out") == {"a.csv.out": b"A\nB\n"}
    assert image.empty


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in"], "nothing says where the .out files go"),
        (["nowhere", "--out", "out"], "INPUT: there is no such file or folder"),
        (["empty", "--out", "out"], "there is no file in empty"),
        (["in", "--out", "in/out"], "--out in/out is in the input's folder"),
        (["in", "--out", "byoc.toml"], "--out byoc.toml cannot be made"),
        (["in", "--out", "out", "--split-type", "Lines"], "--split-type Lines: there is no such word"),
        (["in", "--out", "out", "--batch-strategy", "All"], "--batch-strategy All: there is no such word"),
        (["in", "--out", "out", "--assemble-with", "Comma"], "--assemble-with Comma: there is no such word"),
        (["in", "--out", "out", "--max-payload-mb", "101"], "101 is not in the range 0<=x<=100"),
        (["in", "--out", "out", "--max-payload-mb", "11", "--max-concurrent", "10"], "is 110; at most 100 is allowed"),
        (["in", "--out", "out", "--timeout", "3601"], "3601 is not in the range 1<=x<=3600"),
        (["in", "--out", "out", "--retries", "4"], "4 is not in the range 0<=x<=3"),
        (["in", "--out", "out", "--accept", "a\nb"], "--accept: the value has a character that no header may have"),
        (["in", "--out", "out", *(f"--env=V{number}=1" for number in range(17))], "a transform job takes 16 (H-59)"),
        (["in", "--out", "s3://bucket/out"], "--out s3:/bucket/out: it is a folder of this machine"),
        (["in", "--out", "/proc"], "--out /proc cannot be written to"),
        (["in", "--out", "out", "--join-source", "Output"], "--join-source Output: there is no such word"),
        (["in", "--out", "out", "--input-filter", "$[1:]"], "filters and join need a ContentType of text/csv, app"),
        (
            ["in", "--out", "out", *CSV, "--join-source", "Input", "--max-payload-mb", "0"],
            "need whole records, and Max",
        ),
        (["in", "--out", "out", "--env-file", "nowhere"], "--env-file nowhere cannot be read"),
        (["in", "--out", "out", "--model", "nowhere"], "there is no model at 'nowhere'"),
    ],
)
def test_wrong_words_are_said_before_anything_is_made(
    byoc: Byoc, image: FakeEngine, data: Path, project: Path, words: list[str], said: str
) -> None:
    (project / "empty").mkdir()
    ran = byoc("batch", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "hint: " in ran.stderr or "SageMaker would refuse this" in ran.stderr
    assert image.empty
