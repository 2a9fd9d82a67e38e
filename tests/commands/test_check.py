"""`byoc check` as a user types it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from byoc_cli.contract.rules import RULES
from byoc_cli.engine.types import ImageConfig
from tests.commands.conftest import Byoc
from tests.commands.programs import fail, train
from tests.fakes import FakeEngine

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)
SOUND = {"/usr/local/bin/train": ELF, "/usr/local/bin/serve": ELF}

TRAINING = ("--skip", "serve")  # no fake serves as a container does: that is for the real engine


@pytest.fixture(autouse=True)
def nothing_left(engine: FakeEngine) -> object:
    yield
    assert engine.empty


@pytest.mark.usefixtures("project")
def test_a_sound_image(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND)
    ran = byoc("check", *TRAINING)
    assert ran.code == 0, ran.stderr
    assert "pass T-01  MUST" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("my-model:latest: 0 fail, 0 warn, ")
    assert engine.specs[0].network == "none"
    assert not engine.lives


@pytest.mark.usefixtures("project")
def test_a_broken_image_ends_with_1_and_says_what_to_do(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND, config=ImageConfig(user="1000"))
    ran = byoc("check", *TRAINING)
    assert ran.code == 1
    assert "\nFAIL T-60 MUST: it runs as root\n      seen:   USER 1000 can write neither" in ran.stdout
    assert "      cloud:  AlgorithmError: , exit code: 1\n" in ran.stdout
    assert "      fix:    remove the USER line" in ran.stdout
    assert "      source: " in ran.stdout
    assert "error: my-model:latest does not keep SageMaker's contract\nT-60\n" in ran.stderr


@pytest.mark.usefixtures("project")
def test_json_goes_with_the_exit_code(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND, config=ImageConfig(user="1000"))
    ran = byoc("check", "--json", *TRAINING)
    assert ran.code == 1
    assert set(ran.data) == {"image", "rules", "summary"}
    assert ran.data["summary"]["fail"] == 1
    assert {rule["id"] for rule in ran.data["rules"]} <= set(RULES)
    assert "FAIL T-60" in ran.stderr, "who waits sees how it goes on"


@pytest.mark.usefixtures("project")
def test_warnings_alone_are_0_and_with_strict_1(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND, config=ImageConfig(stop_signal="SIGINT"))
    ran = byoc("check", *TRAINING)
    assert (ran.code, "WARN I-12" in ran.stdout) == (0, True)
    assert byoc("check", "--strict", *TRAINING).code == 1


@pytest.mark.usefixtures("project")
def test_quiet_prints_what_is_wrong_and_the_count(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND, config=ImageConfig(stop_signal="SIGINT"))
    ran = byoc("check", "-q", *TRAINING)
    assert ran.stderr == ""
    assert ran.stdout.startswith("\nWARN I-12")
    assert "pass T-01" not in ran.stdout


@pytest.mark.usefixtures("project")
def test_files_are_written_whatever_comes_out(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", contents={})
    ran = byoc("check", "--junit", "check.xml", "--html", "check.html")
    assert ran.code == 1
    assert ET.parse("check.xml").getroot().get("failures") == "2"
    assert "my-model:latest" in Path("check.html").read_text()


@pytest.mark.usefixtures("project")
def test_wrong_words_are_said_before_anything_is_made(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND)
    for words, said in (
        (
            ("--only", "trian"),
            "error: --only trian: there is no such step or rule that can be checked\n\nhint: did you mean train?",
        ),
        (("--html", "nowhere/a.html"), "error: --html nowhere/a.html cannot be written"),
        (("--junit", "."), "error: --junit . cannot be written"),
        (("--region", "us-west-2"), "error: --region goes with --registry"),
        (("--only", "T-01", "--skip", "T-01"), "error: no rule is left to try"),
    ):
        ran = byoc("check", *words)
        assert (ran.code, ran.stdout) == (2, "")
        assert ran.stderr.startswith(said)
    assert engine.specs == []


@pytest.mark.usefixtures("project")
def test_an_image_that_is_not_there(byoc: Byoc) -> None:
    ran = byoc("check", "nothing:1")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: there is no image 'nothing:1' here")


def test_list_needs_neither_an_engine_nor_a_project(byoc: Byoc) -> None:
    ran = byoc("check", "--list")
    assert ran.code == 0
    assert ran.stdout.splitlines()[0].split() == ["RULE", "LEVEL", "STEP", "WHAT", "IS", "CHECKED"]
    listed = byoc("check", "--list", "--only", "T-60", "--json").data
    assert {rule["id"] for rule in listed} == {"T-60"}
    assert set(listed[0]) == {"id", "level", "step", "sentence", "remedy", "source"}


@pytest.mark.usefixtures("project")
def test_what_fails_to_train_on_the_small_channel_is_asked_for_data(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": fail}, contents=SOUND)
    ran = byoc("check", "--only", "train-good")
    assert ran.code == 0, ran.stderr
    assert "skip T-31  MUST   it ends with 0 when all went well (it could not train on a small file" in ran.stdout


def test_what_fails_on_the_project_s_data_is_a_finding(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    engine.add_image("my-model:latest", {"train": fail}, contents=SOUND)
    (project / "data").mkdir()
    (project / "data" / "a.csv").write_text("1")
    ran = byoc("check", "--only", "train-good", "--channel", "training=data")
    assert ran.code == 1
    assert "FAIL T-31 MUST: it ends with 0 when all went well\n      seen:   exit code 3\n" in ran.stdout
    assert "its failure file: no data" in ran.stdout
    assert "      cloud:  AlgorithmError: no data, exit code: 3" in ran.stdout


def test_without_the_project_s_data_the_rest_is_checked(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND)
    with (project / "byoc.toml").open("a") as file:
        file.write('\n[train.channels]\nrows = "not/there"\n')
    ran = byoc("check", "--only", "train", "--json")
    assert ran.code == 0, ran.stderr
    seen = {rule["id"]: rule["seen"] for rule in ran.data["rules"]}
    assert seen["T-45"] == "the data of channel 'rows' is not there: --channel rows=PATH"


@pytest.mark.usefixtures("project")
def test_the_job_s_words_are_read_before_anything_is_made(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": train}, contents=SOUND)
    for words, said in (
        (("--timeout", "soon"), "error: --timeout soon: that is not a time"),
        (("--channel", "a=/not/there"), "error: --channel a=/not/there: there is no such file or folder"),
        (("--hyperparam", "epochs"), "error: "),
    ):
        ran = byoc("check", *words)
        assert (ran.code, ran.stdout) == (2, "")
        assert ran.stderr.startswith(said)
    assert engine.specs == []


@pytest.mark.usefixtures("project")
def test_wrong_words_about_serving_are_said_before_anything_is_made(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", contents=SOUND)
    for words, said in (
        (("--serverless", "1000"), "error: --serverless 1000: its memory is one of 1024, 2048"),
        (("--sample", "cat.png"), "error: there is no file 'cat.png'"),
    ):
        ran = byoc("check", *words)
        assert (ran.code, ran.stdout) == (2, "")
        assert ran.stderr.startswith(said)
    assert engine.specs == []
