"""How channels get into the hosts' containers, on the fake engine (T-22, T-57 to T-67)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.contract.training import ChannelConfig
from byoc_cli.errors import MachineError
from byoc_cli.local.channels import Channel
from tests.fakes import Box
from tests.unit.training_world import Printed, World, volume_of

DATA = "/opt/ml/input/data"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    for name in ("a", "b", "below/c"):
        (folder / name).write_text(f"{name}\n")
    return folder


def seen_by(world: World, *channels: Channel, hosts: int = 1) -> dict[str, dict[str, str]]:
    """What each host finds below /opt/ml/input/data: path to text."""
    seen: dict[str, dict[str, str]] = {}

    def look(box: Box) -> Printed:
        config = json.loads(box.path("/opt/ml/input/config/resourceconfig.json").read_text())
        found: dict[str, str] = {}
        for channel in channels:
            for name in (channel.name, f"{channel.name}-manifest"):
                place = box.path(f"{DATA}/{name}")
                below = [path for path in place.rglob("*") if path.is_file()]
                found |= {f"{name}/{path.relative_to(place)}": path.read_text() for path in below}
                if place.is_file():
                    found[name] = place.read_text()
        seen[config["current_host"]] = found
        yield "stdout", b"."
        return 0

    world.train(look, channels=list(channels), instance_count=hosts)
    return seen


def of_mode(name: str, source: Path, mode: str = "File", **more: Any) -> Channel:
    config = ChannelConfig(input_mode=mode, **{key: more.pop(key) for key in list(more) if key in _CONFIG})
    return Channel(name, source, config, **more)


_CONFIG = ("distribution", "record_wrapper", "content_type")


def test_t22_t58_a_folder_and_its_manifest(world: World, data: Path) -> None:
    assert seen_by(world, of_mode("training", data)) == {
        "algo-1": {
            "training/a": "a\n",
            "training/b": "b\n",
            "training/below/c": "below/c\n",
            "training-manifest": (
                "training\ns3://amzn-s3-demo-local/training/a\ns3://amzn-s3-demo-local/training/b\n"
                "s3://amzn-s3-demo-local/training/below/c\n"
            ),
        }
    }
    assert not world.run.staging.exists()


def test_t58_a_file_channel_can_be_written_to(world: World, data: Path) -> None:
    def write(box: Box) -> Printed:
        box.path(f"{DATA}/training/a").write_text("changed")
        box.path(f"{DATA}/training/new").write_text("new")
        yield "stdout", b"."
        return 0

    world.train(write, channels=[of_mode("training", data)])
    assert (data / "a").read_text() == "a\n"
    assert not (data / "new").exists()
    assert world.engine.empty


def test_one_file_is_shown_through_a_link_so_that_it_can_be_written_to(world: World, data: Path) -> None:
    def write(box: Box) -> Printed:
        assert box.path(f"{DATA}/one/a").read_text() == "a\n"
        yield "stdout", b"."
        return 0

    world.train(write, channels=[of_mode("one", data / "a")])
    assert world.engine.overlays == {volume_of(world, "one"): str(world.run.staging / "all" / "one")}


def test_an_engine_without_overlays_gives_read_only_channels(world: World, data: Path) -> None:
    world.engine.overlays_work = False
    seen = seen_by(world, of_mode("training", data), of_mode("one", data / "a"))
    assert seen["algo-1"]["training/a"] == "a\n"
    mounts = {mount.target: mount.read_only for mount in world.engine.specs[-1].mounts if mount.source}
    assert mounts == {f"{DATA}/training": True, f"{DATA}/one": True}
    assert world.told.logs.count("this engine has no overlay to give: the channels are read-only") == 1
    assert world.engine.empty


def test_without_overlays_the_second_host_is_not_tried_again(world: World, data: Path) -> None:
    world.engine.overlays_work = False
    seen_by(world, of_mode("training", data), hosts=2)
    assert [spec.name for spec in world.engine.specs] == ["byoc-job-1-algo-1", "byoc-job-1-algo-1", "byoc-job-1-algo-2"]
    assert len(world.told.logs) == len(set(world.told.logs))


def test_t59_fastfile_is_the_folder_itself_and_read_only(world: World, data: Path) -> None:
    seen = seen_by(world, of_mode("training", data, "FastFile"))
    assert set(seen["algo-1"]) == {"training/a", "training/b", "training/below/c"}, "no manifest beside it"
    (mount,) = [mount for mount in world.engine.specs[0].mounts if mount.source]
    assert (mount.target, mount.source, mount.read_only) == (f"{DATA}/training", str(data), True)
    assert world.described["InputDataConfig"][0]["InputMode"] == "FastFile"


def test_t57_shards_are_dealt_and_the_manifest_names_all(world: World, data: Path) -> None:
    channel = of_mode("training", data, distribution="ShardedByS3Key")
    seen = seen_by(world, channel, hosts=2)
    files = {host: {name for name in found if "/" in name} for host, found in seen.items()}
    assert files == {"algo-1": {"training/a", "training/below/c"}, "algo-2": {"training/b"}}
    assert seen["algo-1"]["training-manifest"] == seen["algo-2"]["training-manifest"]
    assert seen["algo-1"]["training-manifest"].count("s3://") == 3
    assert not world.run.staging.exists()


def test_t57_more_hosts_than_objects(world: World, data: Path) -> None:
    channel = of_mode("one", data / "a", distribution="ShardedByS3Key")
    seen = seen_by(world, channel, hosts=2)
    assert [sorted(found) for found in seen.values()].count(["one-manifest"]) == 1


def test_t56_a_manifest_leaves_what_it_lists(world: World, data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.json"
    manifest.write_text('["below/c", "a"]')
    seen = seen_by(world, replace(of_mode("training", data), manifest=manifest))
    assert {name for name in seen["algo-1"] if "/" in name} == {"training/below/c", "training/a"}


# -- Pipe --------------------------------------------------------------------------------------------------------------


def reading(name: str, epochs: int, into: list[list[bytes]]) -> Any:
    """Reads a Pipe channel to its end, epoch after epoch."""

    def program(box: Box) -> Printed:
        found = []
        for epoch in range(epochs):
            with box.path(f"{DATA}/{name}_{epoch}").open("rb") as pipe:
                found.append(pipe.read())
        into.append(found)
        yield "stdout", b"."
        return 0

    return program


def piped(world: World, channel: Channel, *, hosts: int = 1, epochs: int = 2) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    world.train(reading(channel.name, epochs, found), channels=[channel], instance_count=hosts)
    assert world.engine.empty
    assert not world.run.staging.exists()
    return found


def test_t61_a_pipe_is_read_epoch_after_epoch(world: World, data: Path) -> None:
    assert piped(world, of_mode("training", data, "Pipe")) == [[b"a\nb\nbelow/c\n"] * 2]
    assert (
        json.loads((world.run.config / "inputdataconfig.json").read_text())["training"]["TrainingInputMode"] == "Pipe"
    )


def test_t61_there_is_no_folder_of_a_pipe_and_files_lie_beside_it(world: World, data: Path) -> None:
    names: list[Sequence[str]] = []

    def look(box: Box) -> Printed:
        names.append(sorted(path.name for path in box.path(DATA).iterdir()))
        names.append(sorted(path.name for path in box.path(f"{DATA}/files").iterdir()))
        yield "stdout", b"."
        return 0

    world.train(look, channels=[of_mode("training", data, "Pipe"), of_mode("files", data), of_mode("one", data / "a")])
    assert names == [["files", "files-manifest", "one", "one-manifest", "training_0"], ["a", "b", "below"]]


def test_t65_t66_records_and_gzip(world: World, tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "1.gz").write_bytes(gzip.compress(b"12345"))
    channel = replace(of_mode("training", tmp_path / "z", "Pipe", record_wrapper="RecordIO"), compression="Gzip")
    ((found,),) = piped(world, channel, epochs=1)
    assert found == bytes.fromhex("0a23d7ce") + (5).to_bytes(4, "little") + b"12345" + bytes(3)


def test_t67_each_epoch_has_its_own_order(world: World, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(20):
        (tmp_path / "many" / f"{number:02}").write_text(f"{number:02}\n")
    channel = replace(of_mode("training", tmp_path / "many", "Pipe"), shuffle_seed=7)
    ((first, second),) = piped(world, channel)
    assert first != second
    assert sorted(first.split()) == sorted(second.split()) == [b"%02d" % number for number in range(20)]


def test_t67_shards_are_dealt_anew_each_epoch(world: World, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(20):
        (tmp_path / "many" / f"{number:02}").write_text(f"{number:02}\n")
    channel = of_mode("training", tmp_path / "many", "Pipe", distribution="ShardedByS3Key")
    found = piped(world, replace(channel, shuffle_seed=7), hosts=2)
    for epoch in range(2):
        shares = [set(host[epoch].split()) for host in found]
        assert [len(share) for share in shares] == [10, 10]
        assert len(shares[0] | shares[1]) == 20
    assert set(found[0][0].split()) != set(found[0][1].split())


def test_t64_an_engine_that_cannot_carry_a_fifo(tmp_path: Path, data: Path) -> None:
    (tmp_path / "other").mkdir()
    world = World(tmp_path / "other", sees_files=False)
    with pytest.raises(MachineError, match="Pipe mode is not possible with this engine"):
        seen_by(world, of_mode("training", data, "Pipe"))
    assert world.engine.empty
    assert world.described["TrainingJobStatus"] == "Failed"


def test_a_pipe_that_breaks_off_is_said(world: World, data: Path) -> None:
    def remove(box: Box) -> Printed:
        (data / "b").unlink()
        with box.path(f"{DATA}/training_0").open("rb") as pipe:
            assert pipe.read() == b"a\n"
        yield "stdout", b"."
        return 1

    world.fails(remove, channels=[of_mode("training", data, "Pipe")])
    assert any(text.startswith("channel 'training' broke off\n") for text, _ in world.told.warnings)
