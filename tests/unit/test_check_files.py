"""How an image's files are read, and what its configuration says."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest

from byoc_cli.check.static.files import ImageFiles
from byoc_cli.check.static.programs import Programs
from byoc_cli.engine.docker_rows import image_of
from byoc_cli.engine.types import Container, ContainerSpec, FileStat, ImageConfig
from tests.fakes import FakeEngine


def never() -> None:
    """Nobody breaks off."""


class Endless:
    """A container with one folder, whose tar never ends; counts what was taken of it."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    def stat(self, path: str) -> FileStat:
        return FileStat(path, 0, 1 << 31)

    def get(self, path: str) -> Generator[bytes, None, None]:
        member = tarfile.TarInfo(f"{path.rpartition('/')[2]}/weights")
        member.size = 1 << 40
        try:
            yield member.tobuf()
            while True:
                self.given += 1 << 20
                yield bytes(1 << 20)
        finally:
            self.closed = True


def test_of_a_large_folder_only_the_beginning_is_read() -> None:
    container = Endless()
    assert ImageFiles(container, never).listing("/opt/ml/model") == ["weights"]  # type: ignore[arg-type]
    assert container.given <= 32 << 20
    assert container.closed


def container(tmp_path: Path, contents: dict[str, bytes]) -> Container:
    engine = FakeEngine(tmp_path)
    engine.add_image("image:1", contents=contents)
    return engine.create(ContainerSpec("image:1", ["train"], "name", {}))


def test_of_a_large_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    files = ImageFiles(container(tmp_path, {"/big": b"x" * 1_000_000}), never)
    assert files.head("/big") == b"x" * (64 << 10)
    assert files.head("/nothing") == b""
    assert files.listing("/nothing") == []


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    made = container(tmp_path, {"/usr/bin/a": b"#!/bin/sh\n"})
    inside = made.inside  # type: ignore[attr-defined]
    inside("/b").symlink_to("usr/bin/a")
    inside("/c").symlink_to("b")
    inside("/round").symlink_to("round")
    inside("/broken").symlink_to("nowhere")
    files = ImageFiles(made, never)
    found = files.real("/c")
    assert found is not None
    assert found[0] == "/usr/bin/a"
    assert files.real("/round") is None
    assert files.real("/broken") is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_elf_headers_of_all_kinds(tmp_path: Path, order: str, wide: bool) -> None:
    loader = b"/lib/ld.so\0"
    ident = b"\x7fELF" + (b"\x02" if wide else b"\x01") + (b"\x01" if order == "<" else b"\x02") + bytes(10)
    if wide:
        head = struct.pack(f"{order}HHIQQQIHHHHHH", 2, 0xB7, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIQQQQQQ", 3, 4, 120, 0, 0, len(loader), len(loader), 1)
    else:
        head = struct.pack(f"{order}HHIIIIIHHHHHH", 2, 0xB7, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIIIIIII", 3, 84, 0, 0, len(loader), len(loader), 4, 1)
    made = container(tmp_path, {"/usr/bin/train": ident + head + table + loader, "/usr/bin/cut": b"\x7fELF\x02"})
    programs = Programs(ImageFiles(made, never), {}, "", ())
    program = programs.find("train")
    assert (program.machine, program.loader, program.loader_is_there) == ("arm64", "/lib/ld.so", False)
    assert programs.find("cut").machine == "a broken ELF file"


def test_path_is_looked_through_as_runc_does(tmp_path: Path) -> None:
    made = container(tmp_path, {"/a/train": b"1", "/b/train": b"2", "/srv/c/train": b"3", "/d/train/x": b""})
    made.inside("/a/train").chmod(0o644)  # type: ignore[attr-defined]
    files = ImageFiles(made, never)

    def where(path: str) -> str:
        return Programs(files, {"PATH": path}, "/srv", ()).where("train")

    assert where("/a:/b") == "/b/train", "what cannot be executed is passed over"
    assert where("/d:/a") == "/a/train", "it is something to show; a folder is not"
    assert where("c") == "/srv/c/train", "relative to WORKDIR"
    assert where("/nothing") == ""


def test_an_image_s_configuration() -> None:
    config = {
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "Env": ["A=b=c", "EMPTY="],
        "WorkingDir": "/srv",
        "User": "1000:0",
        "Volumes": {"/opt/ml": {}},
        "StopSignal": "SIGQUIT",
    }
    image = image_of({"Id": "sha256:1", "Config": config})
    assert image.config == ImageConfig(
        ["/entry"], ["serve"], {"A": "b=c", "EMPTY": ""}, "/srv", "1000:0", ("/opt/ml",), "SIGQUIT"
    )
    assert image.user == "1000"
    assert image_of({"Id": "sha256:1", "Config": {"Entrypoint": None, "Env": None}}).config == ImageConfig()


def test_a_tar_that_is_broken_off_is_no_error() -> None:
    class Broken(Endless):
        def stat(self, path: str) -> FileStat:
            return FileStat(path, 5, 0o755)

        def get(self, path: str) -> Generator[bytes, None, None]:  # noqa: ARG002
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                member = tarfile.TarInfo("train")
                member.size = 5000
                tar.addfile(member, io.BytesIO(bytes(5000)))
            yield buffer.getvalue()[:1000]

    assert ImageFiles(Broken(), never).head("/train") in {b"", bytes(488)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shebang", "finds"),
    [
        ("/usr/bin/env python3", True),
        ("/usr/bin/env -S python3 -u", True),
        ("/usr/bin/env python3 -u", False),
        ("/usr/bin/env python2", False),
    ],
)
def test_env_is_handed_one_word(tmp_path: Path, shebang: str, finds: bool) -> None:
    contents = {f"/usr/bin/{name}": b"\x7fELF" for name in ("env", "python3")}
    made = container(tmp_path, {**contents, "/usr/bin/train": f"#!{shebang}\n".encode()})
    found = Programs(ImageFiles(made, never), {}, "", ()).find("train").interpreter
    assert found
    assert bool(found.path) == finds


def test_an_init_that_is_not_there(tmp_path: Path) -> None:
    made = container(tmp_path, {"/usr/bin/train": b"#!/bin/sh\n"})
    start = Programs(ImageFiles(made, never), {}, "", ["/tini", "--"]).start("train", [])
    assert (start.by_entrypoint, start.program.word, start.program.path) == (True, "/tini", "")
