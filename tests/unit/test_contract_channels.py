"""What goes with what in a channel, and the text of NAME-manifest."""

from __future__ import annotations

import pytest

from byoc_cli.contract import channels
from byoc_cli.contract.training import ChannelConfig


def test_the_default_of_each_word_is_the_api_s() -> None:
    default = ChannelConfig()
    assert channels.WORDS["mode"][0] == default.input_mode
    assert channels.WORDS["distribution"][0] == default.distribution
    assert channels.WORDS["record-wrapper"][0] == default.record_wrapper


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_t65_t66_t67_are_of_pipe_mode_only(mode: str) -> None:
    assert channels.problems(
        "x", ChannelConfig(mode, record_wrapper="RecordIO"), compression="Gzip", shuffled=True
    ) == [
        f"channel 'x': record-wrapper=RecordIO is for mode=Pipe, not for mode={mode} (T-65)",
        f"channel 'x': compression=Gzip is for mode=Pipe, not for mode={mode} (T-66)",
        f"channel 'x': shuffle-seed is for mode=Pipe, not for mode={mode} (T-67)",
    ]


def test_pipe_mode_takes_all_of_them() -> None:
    config = ChannelConfig("Pipe", "ShardedByS3Key", "RecordIO")
    assert channels.problems("x", config, compression="Gzip", shuffled=True, manifest=True) == []


def test_t59_fast_file_takes_no_manifest() -> None:
    assert channels.problems("x", ChannelConfig("FastFile"), manifest=True) == [
        "channel 'x': mode=FastFile takes no manifest (T-59)"
    ]
    assert channels.problems("x", ChannelConfig("FastFile", "ShardedByS3Key")) == []
    assert channels.problems("x", ChannelConfig("File", "ShardedByS3Key"), manifest=True) == []


@pytest.mark.parametrize(
    ("config", "number"),
    [
        (ChannelConfig(), 0),
        (ChannelConfig("FastFile"), 1),
        (ChannelConfig("Pipe"), 1),
        (ChannelConfig("File", "ShardedByS3Key"), 1),
    ],
)
def test_t10_a_script_in_a_channel(config: ChannelConfig, number: int) -> None:
    command = ["/bin/sh", "/opt/ml/input/data/code/run.sh", "/opt/ml/input/data", "/opt/ml/input/data/other/x"]
    found = channels.script_problems(command, {"code": config})
    assert [problem.endswith("(T-10)") for problem in found] == [True] * number
    assert channels.script_problems(["/bin/sh"], {"code": config}) == []


def test_t22_the_manifest_of_data_in_s3_is_as_in_a_real_job() -> None:
    text = channels.manifest_lines(
        "data", "s3://bucket/tests/Task1/input", "s3://bucket/tests/Task1/input/", ["a", "b/c"]
    )
    assert text == ("tests/Task1/input\ns3://bucket/tests/Task1/input/a\ns3://bucket/tests/Task1/input/b/c\n")


def test_t22_the_manifest_of_local_data_names_nobody_s_bucket() -> None:
    assert channels.manifest_lines("data", "", "", ["a", "b/c"]) == (
        "data\ns3://amzn-s3-demo-local/data/a\ns3://amzn-s3-demo-local/data/b/c\n"
    )
    assert channels.manifest_lines("data", "", "", []) == "data\n"
