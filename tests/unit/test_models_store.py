"""The files of many models: what is unpacked, when again, and what is not let out."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from byoc_cli.contract.multi_model import name_of
from byoc_cli.local.gateway.models import Store
from byoc_cli.local.gateway.models.store import NoArchive, NoSuchModel
from tests.unit.many_world import archive

A = "a.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "unpacked" / "models").mkdir(parents=True)
    return Store(tmp_path / "prefix", tmp_path / "unpacked")


def model(tmp_path: Path, target: str = A) -> Path:
    return tmp_path / "unpacked" / "models" / name_of(target) / "model"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_archive_is_unpacked_once(store: Store, tmp_path: Path) -> None:
    archive(tmp_path / "prefix" / A, {"weights": b"1", "code/inference.py": b"2"})
    store.prepare(A)
    (model(tmp_path) / "mark").touch()
    store.prepare(A)
    assert names(model(tmp_path)) == ["code", "mark", "weights"]


def test_another_archive_of_that_name_is_unpacked_again(store: Store, tmp_path: Path) -> None:
    archive(tmp_path / "prefix" / A, {"old": b"1"})
    store.prepare(A)
    archive(tmp_path / "prefix" / A, {"new": b"123"})
    os.utime(tmp_path / "prefix" / A, (1, 1))
    store.prepare(A)
    assert names(model(tmp_path)) == ["new"]


def test_one_that_is_unpacked_outlives_its_archive(store: Store, tmp_path: Path) -> None:
    path = archive(tmp_path / "prefix" / A, {"weights": b"1"})
    store.prepare(A)
    path.unlink()
    store.prepare(A)
    with pytest.raises(NoSuchModel):
        store.prepare("b.tar.gz")


def test_files_are_the_user_s_whatever_the_archive_says(store: Store, tmp_path: Path) -> None:
    odd = tarfile.TarInfo("odd")
    odd.uid, odd.gid, odd.mode = 4242, 4242, 0o4000
    archive(tmp_path / "prefix" / A, {}, odd)
    store.prepare(A)
    found = (model(tmp_path) / "odd").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (os.geteuid(), os.getegid(), 0o600)


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


@pytest.mark.parametrize(
    "members",
    [
        [tarfile.TarInfo("../out")],
        [tarfile.TarInfo("/out")],
        [link("l", "../..")],
        [link("l", "/etc")],
        [link("l", "/etc/passwd", tarfile.LNKTYPE)],
        [link("l", "../../../../secret", tarfile.LNKTYPE)],
        [link("here", "."), link("here/up", "..")],
        [link("fifo", "", tarfile.FIFOTYPE)],
        [link("disk", "", tarfile.BLKTYPE)],
    ],
    ids=["up", "absolute", "link-up", "link-absolute", "hard-link", "hard-link-up", "two-links", "fifo", "device"],
)
def test_nothing_gets_out(store: Store, tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    archive(tmp_path / "prefix" / A, {"weights": b"1"}, *members)
    with pytest.raises(NoArchive, match=r"leads out of the archive|neither a file nor a folder"):
        store.prepare(A)
    assert not model(tmp_path).exists()
    assert names(tmp_path / "unpacked" / "unpacking") == []


def test_links_inside_are_links(store: Store, tmp_path: Path) -> None:
    archive(
        tmp_path / "prefix" / A, {"v1/weights": b"1"}, link("latest", "v1"), link("w", "v1/weights", tarfile.LNKTYPE)
    )
    store.prepare(A)
    assert (model(tmp_path) / "latest" / "weights").read_text() == "1"
    assert (model(tmp_path) / "w").read_text() == "1"


@pytest.mark.parametrize("cut", [10, 300])
def test_half_an_archive_is_none(store: Store, tmp_path: Path, cut: int) -> None:
    path = archive(tmp_path / "prefix" / A, {"weights": os.urandom(1000)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NoArchive, match="cannot be unpacked"):
        store.prepare(A)
    assert not model(tmp_path).exists()


def test_after_the_end_nothing_is_unpacked(store: Store, tmp_path: Path) -> None:
    archive(tmp_path / "prefix" / A, {"weights": b"1"})
    store.close()
    with pytest.raises(NoArchive):
        store.prepare(A)
    store.remove()
    assert not (tmp_path / "unpacked").exists()
