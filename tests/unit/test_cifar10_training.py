"""The bundled container's training, as far as it needs no TensorFlow: hyperparameters, failures, checkpoints."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import cifar10
import hyperparameters
import numpy as np
import pytest
from checkpoints import CheckpointFolder, check_shapes
from sagemaker_job import (
    FAILURE_CHARACTERS,
    JobError,
    StopRequest,
    fail,
    failure_text,
    find_tfrecords,
    read_hyperparameters,
)


def test_defaults_and_strings_become_numbers() -> None:
    settings = hyperparameters.parse({"train-steps": "250", "learning-rate": "1e-2"})

    assert (settings.train_steps, settings.learning_rate, settings.batch_size) == (250, 0.01, 128)


def test_the_sdks_quotes_and_its_own_names_are_understood() -> None:
    settings = hyperparameters.parse({"train-steps": '"7"', "sagemaker_region": '"eu-west-1"'})

    assert settings.train_steps == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train_steps": "1"}, "unknown hyperparameter train_steps: did you mean train-steps?"),
        ({"lr": "1"}, "unknown hyperparameter lr: "),
        ({"batch-size": "1.5"}, "hyperparameter batch-size is '1.5': it must be a whole number"),
        ({"learning-rate": "fast"}, "hyperparameter learning-rate is 'fast': it must be a number"),
        ({"learning-rate": "nan"}, "hyperparameter learning-rate is nan: it must be from"),
        ({"train-steps": "0"}, "hyperparameter train-steps is 0: it must be from 1 to 10,000,000"),
        ({"train-steps": ""}, "hyperparameter train-steps is '': it must be a whole number"),
        ({"resnet-depth": "18"}, "hyperparameter resnet-depth is 18: a CIFAR ResNet has 6n+2 layers"),
    ],
)
def test_a_bad_hyperparameter_is_named_with_its_value(given: dict[str, str], message: str) -> None:
    with pytest.raises(JobError) as raised:
        hyperparameters.parse(given)

    assert str(raised.value).startswith(message)


def test_hyperparameters_json_may_be_absent_but_not_broken(tmp_path: Path) -> None:
    assert read_hyperparameters(tmp_path) == {}
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    file = config / "hyperparameters.json"

    file.write_text('{"seed": "3", "train-steps": 5}')
    assert read_hyperparameters(tmp_path) == {"seed": "3", "train-steps": "5"}
    for broken in ("{", "[]"):
        file.write_text(broken)
        with pytest.raises(JobError, match=r"hyperparameters\.json"):
            read_hyperparameters(tmp_path)


def test_a_channel_says_what_it_lacks(tmp_path: Path) -> None:
    channel = tmp_path / "training"
    with pytest.raises(JobError, match="channel training is missing"):
        find_tfrecords(channel, "train")
    (tmp_path / "training_0").touch()
    with pytest.raises(JobError, match="Pipe mode"):
        find_tfrecords(channel, "train")
    channel.mkdir()
    (channel / "eval.tfrecords").write_bytes(b"x")
    with pytest.raises(JobError, match=r"has no train\.tfrecords: it holds eval\.tfrecords"):
        find_tfrecords(channel, "train")
    (channel / "train.tfrecords").touch()
    with pytest.raises(JobError, match=r"train\.tfrecords is empty"):
        find_tfrecords(channel, "train")
    assert find_tfrecords(channel, "eval") == [channel / "eval.tfrecords"]


def test_the_job_is_refused_before_tensorflow_is_imported(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="channel nowhere is missing"):
        cifar10.main([f"--data-dir={tmp_path / 'nowhere'}", f"--model-dir={tmp_path}"], StopRequest())

    assert "tensorflow" not in sys.modules


def test_the_failure_file_has_the_cause_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "output").mkdir()
    with pytest.raises(ValueError, match="the cause") as raised:
        int("the cause")

    assert fail(raised.value, tmp_path) == 1
    failure = (tmp_path / "output" / "failure").read_text()
    assert failure.startswith("ValueError: invalid literal for int() with base 10: 'the cause'\n\n")
    assert "Traceback" in failure
    assert "error: ValueError: invalid" in capsys.readouterr().err


def test_the_failure_file_fits_into_what_sagemaker_shows() -> None:
    text = failure_text("cause", "frame\n" * 1_000 + "last frame")

    assert len(text) <= FAILURE_CHARACTERS
    assert text.startswith("cause\n\n…")
    assert text.endswith("last frame")
    assert len(failure_text("long " * 1_000, "trace")) == FAILURE_CHARACTERS
    assert failure_text("cause", "") == "cause"


def test_an_unwritable_failure_file_is_only_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(JobError("no"), tmp_path) == 1

    assert "error: no\nwarning: " in capsys.readouterr().err


def test_a_stop_request_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        stop = StopRequest().listen()
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert "SIGTERM received: saving, then stopping" in capsys.readouterr().out


def test_checkpoints_keep_two_and_skip_broken_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.latest() is None
    for step in (5, 10, 15):
        folder.save(step, [np.full((2, 3), step, np.float32), np.array(step)])

    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "checkpoint-00000010.npz",
        "checkpoint-00000015.npz",
    ]
    (tmp_path / "checkpoints" / "checkpoint-00000015.npz").write_bytes(b"PK cut off")
    latest = folder.latest()
    assert latest is not None
    assert latest.step == 10
    assert latest.arrays[0].tolist() == [[10.0] * 3] * 2
    assert "checkpoint-00000015.npz cannot be read" in capsys.readouterr().err
    check_shapes(latest, [(2, 3), ()])
    with pytest.raises(JobError, match="of another network"):
        check_shapes(latest, [(2, 4), ()])


def test_checkpoints_that_cannot_be_written_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    folder = CheckpointFolder(tmp_path / "file" / "checkpoints")
    folder.save(1, [])

    assert folder.latest() is None
    assert "warning: no checkpoints" in capsys.readouterr().err
