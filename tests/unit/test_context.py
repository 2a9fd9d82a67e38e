"""A build's context: what goes, how large it is, what cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from byoc_cli.engine.context import ignore_patterns, paths, scan


def _reads_everything() -> bool:
    """Whether this process is root with all its rights."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        return os.access(file.name, os.R_OK)


NOT_AS_ROOT = pytest.mark.skipif(_reads_everything(), reason="root may read everything")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a run and a virtual environment in it."""
    files = [
        "Dockerfile",
        "train",
        "src/a.py",
        "src/b.pyc",
        "data/big.bin",
        ".byoc/runs/job-1/log.txt",
        ".byoc/.gitignore",
    ]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def files(root: Path, dockerfile: str = "Dockerfile") -> set[str]:
    return {path for path in paths(root, root / dockerfile) if not (root / path).is_dir()}


ALL = {"Dockerfile", "train", "src/a.py", "src/b.pyc", "data/big.bin"}


def test_everything_goes_but_byoc_s_own_folder(root: Path) -> None:
    assert files(root) == ALL


@pytest.mark.parametrize(
    ("ignore", "gone"),
    [
        ("data\n", {"data/big.bin"}),
        ("data/\n", {"data/big.bin"}),
        ("/data\n", {"data/big.bin"}),
        ("**/*.pyc\n", {"src/b.pyc"}),
        ("*.pyc\n", set()),
        ("src\n!src/a.py\n", {"src/b.pyc"}),
        ("# data\n\n  \n", set()),
        ("data \r\nsrc\r\n", {"data/big.bin", "src/a.py", "src/b.pyc"}),
        ("\ufeffdata\n", {"data/big.bin"}),
        ("!.byoc\n", set()),
        ("!.byoc/**\n!**/log.txt\n", set()),
    ],
)
def test_what_the_ignore_file_says(root: Path, ignore: str, gone: set[str]) -> None:
    (root / ".dockerignore").write_text(ignore, encoding="utf-8", newline="")
    assert files(root) == ALL - gone | {".dockerignore"}


def test_the_dockerfile_s_own_ignore_file_wins(root: Path) -> None:
    (root / ".dockerignore").write_text("src\n")
    (root / "Dockerfile.dockerignore").write_text("data\n")
    assert "src/a.py" in files(root)
    assert "data/big.bin" not in files(root)
    (root / "docker").mkdir()
    assert "src/a.py" not in files(root, "docker/Dockerfile")


def test_an_ignore_file_that_is_no_utf8_is_read_all_the_same(root: Path) -> None:
    (root / ".dockerignore").write_bytes(b"caf\xe9\ndata\n")
    assert "data/big.bin" not in files(root)


def test_our_own_patterns_are_last(root: Path) -> None:
    (root / ".dockerignore").write_text("a\n")
    assert ignore_patterns(root, root / "Dockerfile") == ["a", ".byoc", ".byoc/**"]


def test_a_scan_says_how_much_and_where(root: Path) -> None:
    (root / "data" / "big.bin").write_bytes(b"x" * 5000)
    (root / "src" / "a.py").write_bytes(b"x" * 300)
    (root / "train").write_bytes(b"x" * 200)
    (root / ".byoc" / "huge").write_bytes(b"x" * 100_000)
    report = scan(root, root / "Dockerfile")
    assert report.files == 5
    assert [name for name, _ in report.biggest] == ["data", "src", "train"]
    assert report.biggest[0] == ("data", 5000)
    assert report.size == sum((root / name).stat().st_size for name in ALL)
    assert report.unreadable == ()


def _age(paths_: Iterable[Path], seconds: float) -> None:
    for path in paths_:
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def test_the_newest_is_a_file_of_the_context_never_a_folder(root: Path) -> None:
    _age(root.rglob("*"), 1000)
    _age([root / "src" / "a.py"], 2000)
    _age([root / ".byoc" / "runs" / "job-1" / "log.txt", root / "src", root], 3000)
    assert scan(root, root / "Dockerfile").newest == 2000


def test_a_broken_link_is_no_fault(root: Path) -> None:
    (root / "link").symlink_to("nowhere")
    assert scan(root, root / "Dockerfile").unreadable == ()


def test_a_link_is_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "big").write_bytes(b"x" * 10_000)
    (root / "link").symlink_to(outside)
    assert scan(root, root / "Dockerfile").size < 10_000


@NOT_AS_ROOT
def test_a_file_that_may_not_be_read_is_named(root: Path) -> None:
    (root / "train").chmod(0)
    assert scan(root, root / "Dockerfile").unreadable == ("train",)


@NOT_AS_ROOT
def test_a_folder_that_may_not_be_listed_is_named(root: Path) -> None:
    (root / "data").chmod(0)
    assert "data" in scan(root, root / "Dockerfile").unreadable
    (root / "data").chmod(0o755)


@NOT_AS_ROOT
def test_what_is_ignored_may_be_unreadable(root: Path) -> None:
    (root / ".dockerignore").write_text("data\n")
    (root / "data").chmod(0)
    assert scan(root, root / "Dockerfile").unreadable == ()
    (root / "data").chmod(0o755)
