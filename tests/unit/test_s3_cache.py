"""What was downloaded: immutable trees of hard links, made by renames."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.cloud.s3_cache import Cache, RemoteObject, clash, home
from byoc_cli.errors import UsageError

ROOT = "s3://b/in/"
DAY = 86_400


def remote(name: str, size: int = 3, etag: str = "1") -> RemoteObject:
    return RemoteObject(f"in/{name}", size, etag, 1_700_000_000)


def put(cache: Cache, *objects: RemoteObject) -> None:
    """What a download does."""
    cache.make_room(objects)
    for one in objects:
        cache.path(one).write_text("x" * one.size)
        cache.finish(one)


def made(cache: Cache, files: Mapping[str, RemoteObject]) -> Path:
    put(cache, *files.values())
    return cache.make(ROOT, files)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "b")


FILES = {"a": remote("a"), "c/d": remote("c/d", 5), "empty": remote("empty", 0)}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home({}) == home({"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache/byoc/s3"
    assert home({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/byoc/s3")


def test_a_tree_is_found_again_without_copying(cache: Cache) -> None:
    assert cache.find(ROOT, FILES) is None
    assert cache.missing(FILES.values()) == list(FILES.values())
    folder = made(cache, FILES)
    assert names(folder) == ["a", "c/d", "empty"]
    assert (folder / "c/d").samefile(cache.path(FILES["c/d"]))
    assert folder.stat().st_mode & 0o777 == 0o755
    assert cache.find(ROOT, FILES) == folder
    assert cache.missing(FILES.values()) == []
    assert cache.make(ROOT, FILES) == folder


@pytest.mark.parametrize(
    "changed",
    [remote("a", etag="2"), remote("a", size=4), replace(remote("a"), modified=1_700_000_001)],
    ids=["etag", "size", "time"],
)
def test_a_changed_object_is_another_one_and_the_old_tree_stays(cache: Cache, changed: RemoteObject) -> None:
    before = made(cache, FILES)
    files = {**FILES, "a": changed}
    assert cache.missing(files.values()) == [changed]
    after = made(cache, files)
    assert after != before
    assert names(before) == names(after)
    assert not (before / "a").samefile(after / "a")
    assert (before / "c/d").samefile(after / "c/d")


def test_what_is_gone_in_s3_is_not_in_the_tree(cache: Cache) -> None:
    made(cache, FILES)
    assert names(made(cache, {"a": FILES["a"]})) == ["a"]


def test_a_name_is_part_of_what_a_tree_is(cache: Cache) -> None:
    assert made(cache, {"a": FILES["a"]}) != made(cache, {"x/a": FILES["a"]})


@pytest.mark.parametrize("harm", ["write", "truncate", "remove"])
def test_a_tree_that_somebody_wrote_into_is_made_again(cache: Cache, harm: str) -> None:
    folder = made(cache, FILES)
    if harm == "remove":
        (folder / "a").unlink()
    else:
        (folder / "a").write_text("yyy" if harm == "write" else "")
    assert cache.find(ROOT, FILES) is None
    missing = cache.missing(FILES.values())
    assert missing == ([] if harm == "remove" else [FILES["a"]])
    if missing:
        cache.path(FILES["a"]).unlink()  # a download replaces it by a rename
    put(cache, *missing)
    assert cache.make(ROOT, FILES) == folder
    assert (folder / "a").read_text() == "xxx"
    assert cache.find(ROOT, FILES) == folder


def test_a_broken_off_download_is_no_object(cache: Cache) -> None:
    cache.make_room(FILES.values())
    cache.path(FILES["a"]).with_suffix(".part").write_text("x")
    cache.path(FILES["c/d"]).write_text("xxxxx")  # whole, but never finished: its time is not S3's
    assert cache.missing(FILES.values()) == list(FILES.values())


def test_names_that_are_one_file_here(cache: Cache) -> None:
    with pytest.raises(UsageError, match="the objects of s3://b/in/ cannot be files of one folder here"):
        made(cache, {"a": remote("a"), "a/b": remote("a/b")})
    assert list((cache.folder / "channels").iterdir()) == []


@pytest.mark.parametrize(
    ("found", "both"),
    [
        (["a", "ab", "b/a"], None),
        (["a", "a/b"], ("a", "a/b")),
        (["x/y/z", "x"], ("x", "x/y/z")),
        (["x/y/z", "x/y"], ("x/y", "x/y/z")),
        ([], None),
    ],
)
def test_a_name_that_is_a_file_and_a_folder(found: list[str], both: tuple[str, str] | None) -> None:
    assert clash(found) == both


def aged(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def test_what_was_replaced_goes_a_week_after_its_last_use(cache: Cache) -> None:
    old, kept, current = (made(cache, {"a": remote("a", etag=etag)}) for etag in "123")
    other = cache.make("s3://b/other/", {"a": remote("a", etag="1")})
    for folder, days in ((old, 8), (kept, 6), (current, 100), (other, 100)):
        aged(folder, days)
    making = cache.folder / "channels" / "making-x"
    making.mkdir()
    cache.prune(ROOT, current, time.time())
    assert [folder.is_dir() for folder in (old, kept, current, other)] == [False, True, True, True]
    assert making.is_dir()  # another byoc makes it now
    aged(making, 2)
    cache.prune(ROOT, current, time.time())
    assert not making.exists()
    # What a tree has, or had a moment ago, stays.
    assert all(cache.path(remote("a", etag=etag)).is_file() for etag in "123")


def test_objects_that_no_tree_has_go_with_the_tree(cache: Cache) -> None:
    old = made(cache, {"a": remote("a"), "both": remote("both")})
    current = made(cache, {"a": remote("a", etag="2"), "both": remote("both")})
    waiting = remote("of a download that was broken off")
    put(cache, waiting)
    part = cache.path(waiting).with_suffix(".part")
    part.write_text("x")
    # Nothing is replaced for long enough: what is whole stays for the next try.
    aged(old, -6)
    cache.prune(ROOT, current, time.time() + 2 * DAY)
    assert (cache.path(waiting).is_file(), part.is_file()) == (True, False)
    aged(old, 0)
    cache.prune(ROOT, current, time.time() + 8 * DAY)
    there = [one for one in (remote("a"), waiting, remote("a", etag="2"), remote("both")) if cache.path(one).exists()]
    assert there == [remote("a", etag="2"), remote("both")]
    assert names(current) == ["a", "both"]


def test_a_use_counts(cache: Cache) -> None:
    files = {"a": remote("a")}
    folder = made(cache, files)
    current = made(cache, {"a": remote("a", etag="2")})
    aged(folder, 8)
    assert cache.find(ROOT, files) == folder
    cache.prune(ROOT, current, time.time())
    assert folder.is_dir()
