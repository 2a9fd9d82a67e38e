"""T-55 to T-68: channels, and how their data gets there."""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import Any

import pytest

from tests.integration.conftest import Build
from tests.integration.training.conftest import BIG, FOLDER, ZIPPED
from tests.integration.training.lab import Lab, Probed

pytestmark = pytest.mark.integration

ALL_WRITES = ["ok"] * 4  # to make a file, to open one to write, to change it, to remove it


def data(job: Probed, channel: str, host: str = "") -> dict[str, str]:
    """Give the files of a channel, as the container saw them."""
    begin = f"data/{channel}/"
    texts = job.report(host)["texts"]
    return {name.removeprefix(begin): text for name, text in texts.items() if name.startswith(begin)}


def frame(payload: bytes) -> bytes:
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def read(content: bytes) -> list[Any]:
    """What the probe says of a pipe that it has read: bytes, SHA-256, how it begins."""
    return [len(content), hashlib.sha256(content).hexdigest(), content[:200].decode("latin-1")]


# -- File and FastFile -------------------------------------------------------------------------------------------------


def test_t56_of_a_manifest_s_channel_only_what_it_lists(full: Probed) -> None:
    assert data(full, "listed") == {"a.csv": "1,2\n", "below/ü 1.txt": "deep\n"}


@pytest.mark.parametrize(
    ("host", "shard", "few"),
    [
        ("algo-1", {"a.csv": "1,2\n", "below/ü 1.txt": "deep\n"}, {"one.csv": "one file\n"}),
        ("algo-2", {"b.csv": "3,4\n"}, {}),
    ],
)
def test_t57_each_host_has_its_share_and_may_have_none(
    two: Probed, host: str, shard: dict[str, str], few: dict[str, str]
) -> None:
    assert data(two, "whole", host) == FOLDER
    assert data(two, "shards", host) == shard
    assert data(two, "few", host) == few
    assert two.report(host)["tree"]["/opt/ml/input/data/few"] == "drwxr-xr-x 0:0"


def test_t58_a_file_channel_has_the_tree_and_can_be_written_to(full: Probed, piped: Probed) -> None:
    assert data(full, "training") == data(full, "fast") == FOLDER
    assert data(full, "single") == {"one.csv": "one file\n"}
    for channel in ("training", "listed", "single"):  # that the sources did not change is seen where the job is run
        assert full.report()["mounts"][f"/opt/ml/input/data/{channel}"] == ["overlay", "rw"]
        assert full.report()["writes"][f"input/data/{channel}"] == ALL_WRITES
    assert data(piped, "beside") == FOLDER
    assert piped.report()["writes"]["input/data/beside"] == ALL_WRITES


def test_t59_a_fast_file_channel_is_read_only(full: Probed, piped: Probed) -> None:
    for job in (full, piped):
        assert data(job, "fast") == FOLDER
        assert job.report()["mounts"]["/opt/ml/input/data/fast"][1] == "ro"
        assert job.report()["writes"]["input/data/fast"] == ["EROFS"] * 4


def test_t59_fast_file_takes_no_manifest(lab: Lab) -> None:
    tree = lab.project / "data" / "tree"
    job = lab.run_one("Fast", "--channel", f"x={tree},mode=FastFile,manifest={tree.parent / 'list.json'}")
    assert (job.ran.code, job.ran.error) == (
        2,
        "error: SageMaker would refuse this\nchannel 'x': mode=FastFile takes no manifest (T-59)\n",
    )


@pytest.mark.parametrize(
    ("option", "rule"), [("record-wrapper=RecordIO", "T-65"), ("compression=Gzip", "T-66"), ("shuffle-seed=1", "T-67")]
)
def test_t65_t66_t67_are_for_pipe_mode(lab: Lab, option: str, rule: str) -> None:
    job = lab.run_one("File", "--channel", f"x={lab.project / 'data'},{option}")
    shown = option.partition("=")[0] if rule == "T-67" else option
    assert (job.ran.code, job.ran.error) == (
        2,
        f"error: SageMaker would refuse this\nchannel 'x': {shown} is for mode=Pipe, not for mode=File ({rule})\n",
    )


# -- Pipe --------------------------------------------------------------------------------------------------------------


def test_t61_a_fifo_for_each_epoch_and_no_folder(piped: Probed) -> None:
    before, after = piped.said("data")
    files = ["beside", "beside-manifest"]
    assert before == [*files[:1], *files[1:], "big_0", "fast", "records_0", "shuffled_0", "zipped_0"]
    assert after == [*files, "big_3", "fast", "records_1", "shuffled_3", "zipped_1"]
    tree = piped.report()["tree"]
    for channel in ("shuffled", "big", "zipped", "records"):
        assert tree[f"/opt/ml/input/data/{channel}_0"].startswith("prw-rw-rw- ")


def test_t61_epoch_after_epoch_and_one_closed_early(piped: Probed) -> None:
    reads = {name: seen for step in piped.said("read") for name, seen in step.items()}
    assert reads["big_0"] == read(BIG)
    assert reads["big_1"] == read(BIG[:100])
    assert reads["big_2"] == read(BIG)


def test_t23_t61_a_pipe_is_open_to_every_user_whatever_the_umask(lab: Lab, build: Build) -> None:
    name = f"Umask-{secrets.token_hex(3)}"
    channels = (
        "--channel",
        f"x={lab.project / 'data/letters'},mode=Pipe",
        "--channel",
        f"y={lab.project / 'data/tree'}",
    )
    reads = ("--hyperparam", 'pipes=[[["x", 0, null]]]', "--hyperparam", "do=pipes")
    ran = lab.byoc(
        *("local-train", build("probe", "user"), "--name", name, *channels, *reads),
        cwd=lab.project,
        before=("sh", "-c", 'umask 077; exec "$@"', "sh"),
    )
    assert ran.code == 0, ran.stderr
    job = Probed(ran, lab.project / ".byoc" / "runs" / name)
    assert job.said("data") == [["x_0", "y", "y-manifest"], ["x_1", "y", "y-manifest"]]
    assert job.said("read") == [{"x_0": read(b"abcde")}]


def test_t62_two_channels_at_once(piped: Probed) -> None:
    steps = [list(step) for step in piped.said("read")]
    assert steps == [
        ["shuffled_0"],
        ["shuffled_1", "big_0"],
        ["big_1"],
        ["big_2"],
        ["shuffled_2"],
        ["records_0", "zipped_0"],
    ]


def test_t65_every_object_is_a_record(piped: Probed) -> None:
    reads = {name: seen for step in piped.said("read") for name, seen in step.items()}
    assert reads["records_0"] == read(b"".join(frame(ZIPPED[name]) for name in sorted(ZIPPED)))


def test_t66_the_platform_unzips(piped: Probed) -> None:
    reads = {name: seen for step in piped.said("read") for name, seen in step.items()}
    assert reads["zipped_0"] == read(b"".join(ZIPPED[name] for name in sorted(ZIPPED)))


def test_t67_each_epoch_has_its_order_and_a_seed_always_the_same(piped: Probed) -> None:
    reads = {name: seen[2] for step in piped.said("read") for name, seen in step.items()}
    assert [reads[f"shuffled_{epoch}"] for epoch in range(3)] == ["debac", "becda", "bcead"]


def test_t67_objects_of_shards_change_hosts_between_epochs(moved: Probed) -> None:
    dealt = [
        [reads[f"moving_{epoch}"][2] for epoch, reads in enumerate(moved.said("read", host))]
        for host in ("algo-1", "algo-2")
    ]
    assert dealt == [["dbc", "bca", "bed"], ["ea", "ed", "ca"]]
    assert all(sorted(one + other) == list("abcde") for one, other in zip(*dealt, strict=True))
