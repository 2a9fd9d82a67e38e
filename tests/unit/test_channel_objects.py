"""The objects of a channel, manifests, shards; and folders that hold only some of them, made of hard links."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.contract.training import ChannelConfig
from byoc_cli.errors import ByocError, UsageError
from byoc_cli.local.channels import Channel, manifest
from byoc_cli.local.channels.objects import Object, deal, manifest_text, objects
from byoc_cli.local.channels.sources import channel, fetched
from byoc_cli.local.channels.staging import Link, stage
from byoc_cli.project import ChannelSettings


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"<{name}>")
    return folder


def keys(found: list[Object]) -> list[str]:
    return [one.key for one in found]


def of(source: Path, content: Any = None) -> Channel:
    if content is None:
        return Channel("x", source)
    file = source.parent / "x.manifest"
    file.write_text(json.dumps(content))
    return Channel("x", source, manifest=file)


# -- objects ----------------------------------------------------------------------------------------------------------


def test_objects_are_files_in_the_order_of_s3(tmp_path: Path) -> None:
    # By bytes of UTF-8, of the whole key: "a-b" before "a/b" before "a0", "Z" before "a", and U+FFFD before U+1F600
    # (in UTF-16, as some sort, it is the other way round).
    names = ["Z", "a-b", "a/b", "a/c/d", "a0", "b/.hidden", "é", "\ufffd", "\U0001f600", ".x/y"]
    source = tree(tmp_path / "data", *names)
    (source / "empty").mkdir()
    found = objects(of(source))
    assert keys(found) == sorted(names, key=lambda name: name.encode())
    assert keys(found) == [".x/y", "Z", "a-b", "a/b", "a/c/d", "a0", "b/.hidden", "é", "\ufffd", "\U0001f600"]
    assert all(one.path == source / one.key for one in found)


def test_links_are_followed_and_what_is_no_file_is_no_object(tmp_path: Path) -> None:
    source = tree(tmp_path / "data", "a", "below/b")
    tree(tmp_path / "elsewhere", "c")
    (source / "file-link").symlink_to(tmp_path / "elsewhere" / "c")
    (source / "folder-link").symlink_to(tmp_path / "elsewhere")
    (source / "below" / "loop").symlink_to(source)
    (source / "broken").symlink_to("nowhere")
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s"))
        assert keys(objects(of(source))) == ["a", "below/b", "file-link", "folder-link/c"]


def test_a_single_file_is_one_object(tmp_path: Path) -> None:
    source = tree(tmp_path, "a.csv") / "a.csv"
    assert objects(of(source)) == [Object("a.csv", source)]


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert objects(of(tree(tmp_path))) == []


# -- manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head", [[], [{"prefix": "s3://my-bucket/data/"}], [{"prefix": "."}], [{}]], ids=["none", "s3", "local", "empty"]
)
def test_t56_a_manifest_lists_what_is_below_the_source(tmp_path: Path, head: list[Any]) -> None:
    source = tree(tmp_path / "data", "a", "b/c", "not-listed")
    assert objects(of(source, [*head, "b/c", "a", "a"])) == [Object("b/c", source / "b/c"), Object("a", source / "a")]


@pytest.mark.parametrize("absolute", [True, False])
def test_t56_a_prefix_may_be_another_folder(tmp_path: Path, absolute: bool) -> None:
    source = tree(tmp_path / "data", "a")
    other = tree(tmp_path / "other", "a")
    prefix = str(other) if absolute else "../other"
    [one] = objects(of(source, [{"prefix": prefix}, "a"]))
    assert one.key == "a"
    assert one.path.samefile(other / "a")


def test_an_object_that_is_not_there(tmp_path: Path) -> None:
    source = tree(tmp_path / "data", "a")
    with pytest.raises(UsageError) as caught:
        objects(of(source, ["a", "b", "c"]))
    assert caught.value.message == (
        f"channel 'x': 'b' is not there, and 1 more\n{tmp_path}/x.manifest lists it; looked for {source}/b"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("\xff", "it is not JSON"),
        ('{"prefix": "a"}', "it is not a list"),
        ('"a"', "it is not a list"),
        ("[]", "it lists nothing"),
        ('[{"prefix": "s3://b/p/"}]', "it lists nothing"),
        ('[{"prefix": "s3://b/p"}, "a"]', "SageMaker would look for s3://b/pNAME"),
        ('[{"Prefix": "s3://b/p/"}, "a"]', 'its first entry is {"Prefix": "s3://b/p/"}'),
        ('[{"prefix": 1}, "a"]', 'its first entry is {"prefix": 1}'),
        ('["a", {"prefix": "x"}]', "name 2 is {'prefix': 'x'}"),
        ("[1]", "name 1 is 1"),
        ('["/etc/passwd"]', "is not relative to the prefix"),
        ('["s3://b/a"]', "is not relative to the prefix"),
        ('["a/../../b"]', "leaves the prefix"),
        ('["a/"]', "is not the name of a file"),
        ('[""]', "is not the name of a file"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "m"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        manifest.read(file)
    assert caught.value.message.startswith(f"the manifest {file} is wrong\n")
    assert why in caught.value.message
    assert caught.value.hint


def test_t68_an_augmented_manifest_is_told(tmp_path: Path) -> None:
    file = tmp_path / "m"
    file.write_text('{"source-ref": "s3://b/a"}\n{"source-ref": "s3://b/b"}\n')
    with pytest.raises(UsageError) as caught:
        manifest.read(file)
    assert caught.value.hint.startswith("augmented manifests (a JSON object on each line) are not supported")


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read\nIs a directory"):
        manifest.read(tmp_path)


# -- shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("hosts", [1, 2, 3, 8])
def test_t57_every_object_goes_to_one_host_and_all_get_about_as_many(count: int, hosts: int) -> None:
    everything = [Object(f"{number:03}", Path("x")) for number in range(count)]
    shares = deal(everything, hosts)
    assert len(shares) == hosts
    assert sorted((one for share in shares for one in share), key=lambda one: one.key) == everything
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(keys(share) == sorted(keys(share)) for share in shares)
    assert shares == deal(everything, hosts)


def test_t22_the_manifest_names_all_objects(tmp_path: Path) -> None:
    local = of(tree(tmp_path / "data", "a", "b/c"))
    assert manifest_text(local, objects(local)) == "x\ns3://amzn-s3-demo-local/x/a\ns3://amzn-s3-demo-local/x/b/c\n"
    there = Channel("x", tmp_path / "data", uri="s3://bucket/in", root="s3://bucket/in/")
    assert manifest_text(there, objects(there)) == "in\ns3://bucket/in/a\ns3://bucket/in/b/c\n"


# -- staging ----------------------------------------------------------------------------------------------------------


class Warnings(list[str]):
    def __call__(self, text: str, hint: str) -> None:
        self.append(text)
        assert hint


def failing(number: int, names: tuple[str, ...]) -> Link:
    """A file system that refuses to link these (all without any)."""

    def link(source: str, target: Path) -> None:
        if not names or target.name in names:
            raise OSError(number, os.strerror(number), source, None, str(target))
        os.link(source, target)

    return link


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_stage_is_made_of_hard_links(tmp_path: Path) -> None:
    source = tree(tmp_path / "data", "a", "b/c", "b/d/e", "not-in-it")
    (source / "link").symlink_to("not-in-it")
    warnings = Warnings()
    chosen = [one for one in objects(of(source)) if one.key != "not-in-it"]
    folder = stage(chosen, tmp_path / "stages" / "x", warnings)
    assert content(folder) == {"a": "<a>", "b/c": "<b/c>", "b/d/e": "<b/d/e>", "link": "<not-in-it>"}
    assert all((folder / one.key).samefile(one.path) for one in chosen)
    assert not (folder / "link").is_symlink()
    assert warnings == []


def test_nothing_is_staged_as_an_empty_folder(tmp_path: Path) -> None:
    assert list(stage([], tmp_path / "x", Warnings()).iterdir()) == []


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
@pytest.mark.parametrize("names", [(), ("c",)])
def test_what_cannot_be_linked_is_copied_with_one_warning(tmp_path: Path, number: int, names: tuple[str, ...]) -> None:
    source = tree(tmp_path / "data", "a", "b/c")
    (source / "b/c").chmod(0o755)
    warnings = Warnings()
    folder = stage(objects(of(source)), tmp_path / "x", warnings, failing(number, names))
    assert content(folder) == {"a": "<a>", "b/c": "<b/c>"}
    assert not (folder / "b/c").samefile(source / "b/c")
    assert (folder / "a").samefile(source / "a") == bool(names)
    assert (folder / "b/c").stat().st_mode & 0o777 == 0o755
    files = "1 files" if names else "2 files"
    assert warnings == [f"{files} (0.0 MB) are copied to {folder}: they cannot be hard links there"]


def test_a_stage_on_another_file_system_is_copied(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = memory / f"byoc-test-{os.getpid()}"
    warnings = Warnings()
    try:
        stage(objects(of(tree(tmp_path / "data", "a", "b/c"))), folder, warnings)
        assert content(folder) == {"a": "<a>", "b/c": "<b/c>"}
        assert len(warnings) == 1
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        folder.rmdir()


def vanished(source: Path) -> None:
    (source / "b/c").unlink()


def both(source: Path) -> None:
    """Nothing is wrong with the source."""


@pytest.mark.parametrize(("change", "link"), [(vanished, os.link), (both, failing(errno.ENOSPC, ("c",)))])
def test_a_stage_that_fails_leaves_nothing(tmp_path: Path, change: Callable[[Path], None], link: Link) -> None:
    source = tree(tmp_path / "data", "a", "b/c")
    found = objects(of(source))
    change(source)
    with pytest.raises(ByocError, match=f"cannot be laid out in {tmp_path}/x\n"):
        stage(found, tmp_path / "x", Warnings(), link)
    assert not (tmp_path / "x").exists()
    assert (source / "a").read_text() == "<a>"


# -- from settings to a channel ---------------------------------------------------------------------------------------


class FakeFetch:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, tuple[str, ...] | None, bool]] = []

    def __call__(self, uri: str, names: tuple[str, ...] | None, *, whole_folder: bool) -> tuple[Path, str]:
        self.asked.append((uri, names, whole_folder))
        return self.folder, f"{uri.rstrip('/')}/"


def test_settings_become_a_channel(tmp_path: Path) -> None:
    settings = ChannelSettings("d", "text/csv", "Pipe", "ShardedByS3Key", "RecordIO", "Gzip", 0)
    made = channel("x", settings, tmp_path, None)
    assert made == Channel(
        "x", tmp_path, ChannelConfig("Pipe", "ShardedByS3Key", "RecordIO", "text/csv"), "Gzip", shuffle_seed=0
    )
    assert made.problems() == []
    fetch = FakeFetch(tmp_path)
    assert fetched(made, fetch) is made
    assert fetch.asked == []


def test_a_shuffle_seed_of_zero_is_one() -> None:
    assert Channel("x", Path(), shuffle_seed=0).problems() == [
        "channel 'x': shuffle-seed is for mode=Pipe, not for mode=File (T-67)"
    ]


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_data_in_s3_is_fetched(tmp_path: Path, mode: str) -> None:
    made = channel("x", ChannelSettings("s3://b/in", mode=mode), None, None)
    fetch = FakeFetch(tmp_path)
    done = fetched(made, fetch)
    assert (done.source, done.uri, done.root) == (tmp_path, "s3://b/in", "s3://b/in/")
    assert fetch.asked == [("s3://b/in", None, mode == "FastFile")]


@pytest.mark.parametrize(
    ("head", "folder"),
    [([], "s3://b/in/"), ([{"prefix": "s3://b/in/"}], "s3://b/in/"), ([{"prefix": "s3://b/in/c/"}], "s3://b/in/c/")],
)
def test_t56_of_a_manifest_only_what_it_lists_is_fetched(tmp_path: Path, head: list[Any], folder: str) -> None:
    file = tmp_path / "m"
    file.write_text(json.dumps([*head, "b", "a"]))
    fetch = FakeFetch(tree(tmp_path / "data", "a", "b", "c"))
    done = fetched(channel("x", ChannelSettings("s3://b/in"), None, file), fetch)
    assert fetch.asked == [(folder, ("b", "a"), False)]
    assert keys(objects(done)) == ["b", "a"]
    assert manifest_text(done, objects(done)) == f"in\n{folder}b\n{folder}a\n"


@pytest.mark.parametrize("prefix", ["s3://b/input/", "s3://other/in/", "folder"])
def test_a_manifest_of_other_data(tmp_path: Path, prefix: str) -> None:
    file = tmp_path / "m"
    file.write_text(json.dumps([{"prefix": prefix}, "a"]))
    with pytest.raises(UsageError, match="does not go with s3://b/in\n"):
        channel("x", ChannelSettings("s3://b/in"), None, file)
