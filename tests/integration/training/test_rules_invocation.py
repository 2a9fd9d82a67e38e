"""T-01 to T-10: how a container is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Build
from tests.integration.training.lab import Lab, Probed, do

pytestmark = pytest.mark.integration

TRAIN = ["python3", "/usr/local/bin/train"]
ENTRYPOINT = ["python3", "-u", "/usr/local/bin/train", "from", "the image"]


@pytest.fixture(scope="module")
def started(lab: Lab, build: Build) -> dict[str, Probed]:
    """An image with an ENTRYPOINT and a CMD, started in four ways."""
    own = ("--entrypoint", json.dumps(["python3", "-E", "/usr/local/bin/train"]))
    words = ("--arguments", json.dumps(["a", "b c", ""]))
    return lab.run(
        {"default": (), "entrypoint": own, "arguments": words, "both": (*own, *words)}, build("probe", "entrypoint")
    )


def test_t01_train_is_found_on_path_without_an_entrypoint(plain: Probed) -> None:
    seen = plain.report()
    assert (seen["command"], seen["pid"], seen["user"], seen["folder"]) == (TRAIN, 1, [0, 0, [0]], "/")


def test_t01_train_comes_after_the_image_s_entrypoint_and_in_place_of_its_cmd(started: dict[str, Probed]) -> None:
    seen = started["default"].report()
    assert (seen["command"], seen["pid"], seen["folder"]) == ([*ENTRYPOINT, "train"], 1, "/srv")


def test_t02_an_entrypoint_alone_is_not_told_train(started: dict[str, Probed]) -> None:
    assert started["entrypoint"].report()["command"] == ["python3", "-E", "/usr/local/bin/train"]


def test_t03_arguments_alone_are_in_the_place_of_train(started: dict[str, Probed]) -> None:
    assert started["arguments"].report()["command"] == [*ENTRYPOINT, "a", "b c", ""]


def test_t04_entrypoint_and_arguments(started: dict[str, Probed]) -> None:
    assert started["both"].report()["command"] == ["python3", "-E", "/usr/local/bin/train", "a", "b c", ""]
    request = started["both"].description["AlgorithmSpecification"]
    assert request["ContainerEntrypoint"] == ["python3", "-E", "/usr/local/bin/train"]
    assert request["ContainerArguments"] == ["a", "b c", ""]


def test_t05_too_many_words_and_too_long_ones_make_nothing(lab: Lab) -> None:
    words = ("--entrypoint", json.dumps(["w"] * 101), "--arguments", json.dumps(["a" * 257]))
    job = lab.run_one("Words", *words)
    assert (job.ran.code, job.ran.stdout) == (2, "")
    assert job.ran.error == (
        "error: SageMaker would refuse this\n"
        "entrypoint: 101 words; at most 100 are allowed (T-05)\n"
        f"arguments: '{'a' * 40}…' has 257 characters, at most 256 (T-05)\n"
    )
    assert not job.folder.exists()


def test_t06_in_shell_form_a_shell_is_pid_1_and_hears_no_sigterm(stopped: dict[str, Probed]) -> None:
    job = stopped["Shell"]
    assert job.report()["command"] == ["python3", "-u", "/usr/local/bin/train"]
    assert job.report()["pid"] != 1
    assert job.said("signals") == []
    assert job.description["ExitCode"] == 137


def test_t07_byoc_adds_no_init(plain: Probed) -> None:
    assert plain.report()["processes"] == [1]


@pytest.mark.parametrize("option", ["mode=FastFile", "mode=Pipe", "distribution=ShardedByS3Key"])
def test_t10_a_script_in_a_channel_needs_file_mode_and_no_shards(lab: Lab, option: str) -> None:
    script = "/opt/ml/input/data/code/train.sh"
    words = ("--channel", f"code={lab.project / 'data'},{option}", "--entrypoint", "sh", "--arguments", script)
    job = lab.run_one("Script", *words)
    assert job.ran.code == 2
    assert job.ran.error == (
        "error: SageMaker would refuse this\n"
        f"channel 'code' holds the script {script}: "
        "it needs mode=File and distribution=FullyReplicated (T-10)\n"
    )


def test_t10_a_script_in_a_channel_is_run(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("echo the script: $*\n")
    words = ("--entrypoint", "sh /opt/ml/input/data/code/train.sh", "--arguments", "a b")
    job = lab.run_one("Script", "--channel", f"code={tmp_path}", *words, *do())
    assert (job.ran.code, job.log) == (0, b"the script: a b\n")
