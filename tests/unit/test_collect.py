"""What a job left comes back whole, as the user's own, and never outside of its folder."""

from __future__ import annotations

import gzip
import io
import os
import resource
import subprocess
import tarfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.contract import paths
from byoc_cli.engine.types import ContainerGone, ContainerSpec, Mount
from byoc_cli.errors import ByocError
from byoc_cli.local.collect import CannotCollect, NoSpace, collect, look, pack
from byoc_cli.local.runs import Run
from tests.fakes import FakeContainer, FakeEngine, Told


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    return FakeEngine(tmp_path / "engine")


@pytest.fixture
def container(engine: FakeEngine) -> FakeContainer:
    engine.add_image("x:1")
    mounts = [Mount(path) for path in (paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS)]
    return engine.create(ContainerSpec("x:1", ["train"], "c", {}, mounts=mounts))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def entry(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.size, member.mtime = kind, link, mode, len(data), 1_000_000
    member.uid = member.gid = 1234
    member.pax_headers = {"x-data": data.decode("latin-1")}  # left out again by `archive`
    return member


def archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            data, member.pax_headers = member.pax_headers.get("x-data", "").encode("latin-1"), {}
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def folder(name: str) -> tarfile.TarInfo:
    return entry(name, kind=tarfile.DIRTYPE, mode=0o755)


def packed(file: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(file, "r:gz") as tar:
        return {member.name: member for member in tar}


def test_t45_the_model_comes_as_a_folder_and_as_an_archive_without_a_root(
    engine: FakeEngine, container: FakeContainer, run: Run
) -> None:
    engine.archives[paths.MODEL] = archive(
        folder("model"), folder("model/1"), entry("model/1/weights", b"abc"), entry("model/über alles", b"x")
    )
    collect(container, run, Told(), {})
    assert (run.model / "1" / "weights").read_bytes() == b"abc"
    assert set(packed(run.model_tar)) == {"1", "1/weights", "über alles"}
    listed = subprocess.run(["tar", "-tzf", run.model_tar], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines()[:2] == ["1/", "1/weights"]


def test_t46_the_output_archive_has_what_is_in_data(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    engine.archives[paths.OUTPUT] = archive(
        folder("output"), entry("output/failure", b"why"), folder("output/data"), entry("output/data/report", b"r")
    )
    collect(container, run, Told(), {})
    assert (run.output / "failure").read_bytes() == b"why"
    assert (run.output / "data" / "report").read_bytes() == b"r"
    assert set(packed(run.output_tar)) == {"report"}


def test_checkpoints_come_without_an_archive(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"))
    engine.archives[paths.OUTPUT] = archive(folder("output"))
    engine.archives[paths.CHECKPOINTS] = archive(folder("checkpoints"), entry("checkpoints/1", b"c"))
    collect(container, run, Told(), {})
    assert (run.checkpoints / "1").read_bytes() == b"c"
    assert sorted(path.name for path in run.folder.iterdir()) == [
        *["checkpoints", "model", "model.tar.gz", "output", "output.tar.gz"]
    ]


def test_an_empty_model_is_an_empty_archive(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"))
    collect(container, run, Told(), {})
    assert packed(run.model_tar) == {}
    assert list(run.model.iterdir()) == []


def test_nothing_at_all_leaves_empty_folders(container: FakeContainer, run: Run) -> None:
    collect(container, run, Told(), {})
    assert run.model.is_dir()
    assert run.output.is_dir()
    assert run.checkpoints.is_dir()
    assert not list(run.folder.glob(".*"))


def test_a_mount_that_the_engine_does_not_find_is_no_empty_folder(engine: FakeEngine, run: Run) -> None:
    engine.add_image("x:1")
    bare = engine.create(ContainerSpec("x:1", ["train"], "bare", {}))
    with pytest.raises(CannotCollect, match=r"the engine does not find /opt/ml/\w+ in the container bare"):
        collect(bare, run, Told(), {})


def test_neither_is_a_container_that_is_gone(container: FakeContainer, run: Run) -> None:
    container.remove()
    with pytest.raises(ContainerGone):
        collect(container, run, Told(), {})


@pytest.mark.parametrize("size", [1, 5 << 20])
def test_an_archive_that_has_no_room_is_said(engine: FakeEngine, container: FakeContainer, run: Run, size: int) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/a", os.urandom(size)))
    (run.folder / ".model.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(NoSpace):
        collect(container, run, Told(), {})
    assert not run.model_tar.exists()
    assert not list(run.folder.glob(".*"))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As a disk that becomes full does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("missing", [100_000, 1_200_000, 2_500_000, 6_000_000])
def test_an_archive_that_nearly_fits_ends_too(
    engine: FakeEngine, container: FakeContainer, run: Run, missing: int
) -> None:
    """Where only the last pieces fail, the error comes at several places at once."""
    content = [entry(f"model/{number}", os.urandom(4_000_000)) for number in range(4)]
    engine.archives[paths.MODEL] = archive(folder("model"), *content)
    with no_file_larger_than(16_000_000 - missing), pytest.raises(CannotCollect, match="File too large"):
        collect(container, run, Told(), {})
    # Of its own: how much of the model was unpacked before the archive broke off is not known.
    whole = run.folder / "whole"
    whole.mkdir()
    for number in range(4):
        (whole / str(number)).write_bytes(os.urandom(4_000_000))
    with no_file_larger_than(16_000_000 - missing), pytest.raises(OSError, match="File too large"):
        pack(whole, run.model_tar)
    assert not run.model_tar.exists()
    assert not list(run.folder.glob(".*"))


def test_files_belong_to_the_user_who_may_read_and_write_them(
    engine: FakeEngine, container: FakeContainer, run: Run
) -> None:
    engine.archives[paths.MODEL] = archive(
        folder("model"), entry("model/secret", b"x", mode=0), entry("model/tool", b"x", mode=0o4755)
    )
    collect(container, run, Told(), {})
    assert (run.model / "secret").stat().st_mode & 0o7777 == 0o600
    assert (run.model / "tool").stat().st_mode & 0o7777 == 0o755
    assert (run.model / "secret").stat().st_uid == os.getuid()
    assert (run.model / "secret").stat().st_mtime == 1_000_000


def test_hard_links_stay_links(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    engine.archives[paths.MODEL] = archive(
        folder("model"), entry("model/a", b"abc"), entry("model/b", kind=tarfile.LNKTYPE, link="model/a")
    )
    collect(container, run, Told(), {})
    assert (run.model / "b").samefile(run.model / "a")
    assert (packed(run.model_tar)["b"].islnk(), packed(run.model_tar)["b"].linkname) == (True, "a")


def test_a_hard_link_to_what_is_not_in_the_archive_is_packed_as_the_file(
    engine: FakeEngine, container: FakeContainer, run: Run
) -> None:
    engine.archives[paths.OUTPUT] = archive(
        folder("output"),
        entry("output/log", b"abc"),
        folder("output/data"),
        entry("output/data/log", kind=tarfile.LNKTYPE, link="output/log"),
    )
    collect(container, run, Told(), {})
    with tarfile.open(run.output_tar, "r:gz") as tar:
        extracted = tar.extractfile("log")
        assert extracted is not None
        assert extracted.read() == b"abc"


def test_t50_a_link_inside_is_kept_with_a_warning(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    engine.archives[paths.MODEL] = archive(
        folder("model"), entry("model/latest", kind=tarfile.SYMTYPE, link="1/weights"), entry("model/1/weights", b"abc")
    )
    told = Told()
    collect(container, run, told, {})
    assert (run.model / "latest").read_bytes() == b"abc"
    assert packed(run.model_tar)["latest"].linkname == "1/weights"
    assert [hint for text, hint in told.warnings if "model/latest is a symbolic link" in text] == [
        "write the file itself instead"
    ]


@pytest.mark.parametrize("link", ["/etc/passwd", "../../secret", "1/../../x", ".."])
def test_a_link_that_leads_out_is_not_made(engine: FakeEngine, container: FakeContainer, run: Run, link: str) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/out", kind=tarfile.SYMTYPE, link=link))
    told = Told()
    collect(container, run, told, {})
    assert not (run.model / "out").is_symlink()
    assert packed(run.model_tar)["out"].linkname == link
    assert "outside of its folder" in told.warnings[0][0]


def tree(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


@pytest.mark.parametrize(
    "evil",
    [
        [entry("model/../../evil", b"x")],
        [entry("../evil", b"x")],
        [entry("model/../model/../../evil", b"x")],
        [entry("/evil", b"x")],
        [entry("model/link", kind=tarfile.LNKTYPE, link="model/../../secret")],
        [entry("model/link", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        # A link that stays inside by its letters, and leads out through another one.
        [
            entry("model/d", kind=tarfile.SYMTYPE, link="."),
            entry("model/p", kind=tarfile.SYMTYPE, link="d/d/../.."),
            entry("model/p/evil", kind=tarfile.SYMTYPE, link="good"),
        ],
        [
            entry("model/d", kind=tarfile.SYMTYPE, link="."),
            entry("model/p", kind=tarfile.SYMTYPE, link="d/d/../.."),
            entry("model/p/evil", b"x"),
        ],
        [entry("model/f", kind=tarfile.SYMTYPE, link="g"), entry("model/f", b"x")],
    ],
)
def test_no_name_leads_out_of_the_folder(
    engine: FakeEngine, container: FakeContainer, run: Run, tmp_path: Path, evil: list[tarfile.TarInfo]
) -> None:
    (tmp_path / "secret").write_text("before")
    before = tree(tmp_path) - tree(run.folder)
    engine.archives[paths.MODEL] = archive(folder("model"), *evil, entry("model/good", b"good"))
    try:
        collect(container, run, Told(), {})
    except ByocError:
        pass  # refusing it all is as good as leaving one out
    else:
        assert (run.model / "good").read_bytes() == b"good"
    outside = {name for name in tree(tmp_path) - before if name != "run" and not name.startswith("run/")}
    assert outside == set()
    assert (tmp_path / "secret").read_text() == "before"
    allowed = {"model", "model/good", "model.tar.gz", "output", "output.tar.gz", "checkpoints"}
    assert not [name for name in tree(run.folder) - allowed if not name.startswith("model/")]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_file_is_left_out_with_a_warning(
    engine: FakeEngine, container: FakeContainer, run: Run, kind: bytes
) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/pipe", kind=kind), entry("model/a", b"x"))
    told = Told()
    collect(container, run, told, {})
    assert [path.name for path in run.model.iterdir()] == ["a"]
    assert set(packed(run.model_tar)) == {"a"}
    assert told.warnings == [("model/pipe is neither a file nor a folder nor a link: left out", "")]


@pytest.mark.parametrize(
    "name", ["with\nnewline", "x" * 200, "a/" * 60 + "deep", "-rf", " ", "q'\"\\", "..hidden", "日本"]
)
def test_odd_names_come_through(engine: FakeEngine, container: FakeContainer, run: Run, name: str) -> None:
    engine.archives[paths.MODEL] = archive(folder("model"), entry(f"model/{name}", b"x"))
    collect(container, run, Told(), {})
    assert (run.model / name).read_bytes() == b"x"
    assert name in packed(run.model_tar)


def test_a_large_file_is_packed_as_plain_gzip(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    data = os.urandom(1 << 20) + b"text " * 400_000
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/big", data))
    told = Told()
    collect(container, run, told, {})
    assert (run.model / "big").read_bytes() == data
    with gzip.open(run.model_tar) as unzipped:
        assert data in unzipped.read()
    assert told.done >= len(data)


def test_no_space_is_said_before_the_file_that_does_not_fit(
    engine: FakeEngine, container: FakeContainer, run: Run
) -> None:
    huge = tarfile.TarInfo("model/huge")
    huge.size = 1 << 60
    # After the entry before it comes the header alone: no byte of the file is ever read.
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/small", b"x"))[: 512 * 3] + huge.tobuf()
    with pytest.raises(NoSpace) as caught:
        collect(container, run, Told(), {})
    what, why = caught.value.message.split("\n")
    assert what == "the disk is too full to collect what the job left"
    assert why.endswith("the next file needs 1,152,921,504,607 MB")
    assert not run.model_tar.exists()
    assert not list(run.folder.glob(".*"))


def test_an_archive_that_breaks_off_is_an_error_and_nothing_half_stays(
    engine: FakeEngine, container: FakeContainer, run: Run
) -> None:
    whole = archive(folder("model"), entry("model/a", b"x" * 100_000))
    engine.archives[paths.MODEL] = whole[:50_000]
    with pytest.raises(ByocError, match="archive of /opt/ml/model broke off"):
        collect(container, run, Told(), {})
    assert not run.model_tar.exists()
    assert not list(run.folder.glob(".*"))


def test_an_engine_that_fails_in_the_middle_leaves_no_archive(container: FakeContainer, run: Run) -> None:
    def broken(path: str, whole: Callable[[str], Iterator[bytes]]) -> Generator[bytes, None, None]:
        if path != paths.MODEL:
            yield from whole(path)
        else:
            yield archive(folder("model"))[:512]
            raise ByocError("the Docker Engine does not answer any more")

    class Broken(FakeContainer):
        def get(self, path: str) -> Generator[bytes, None, None]:
            return broken(path, container.get)

    with pytest.raises(ByocError, match="does not answer"):
        collect(Broken(container._engine, container._life), run, Told(), {})
    assert not run.model_tar.exists()


def test_a_folder_that_cannot_be_written_is_said(engine: FakeEngine, container: FakeContainer, run: Run) -> None:
    run.model.mkdir()
    (run.model / "a").mkdir()
    engine.archives[paths.MODEL] = archive(folder("model"), entry("model/a", b"x"))
    with pytest.raises(ByocError, match="/opt/ml/model cannot be collected into"):
        collect(container, run, Told(), {})


@pytest.fixture
def laid_out(container: FakeContainer) -> FakeContainer:
    container.inside(paths.OUTPUT_DATA).mkdir()
    return container


def test_folders_that_stayed_empty_are_not_fetched(laid_out: FakeContainer, run: Run) -> None:
    empty = look(laid_out)
    collect(laid_out, run, Told(), empty)
    assert laid_out.fetched == [paths.MODEL]
    assert (run.output / "data").is_dir()
    assert run.checkpoints.is_dir()
    assert packed(run.output_tar) == {}


@pytest.mark.parametrize(
    ("place", "left"),
    [
        (paths.OUTPUT + "/failure", "output/failure"),
        (paths.OUTPUT_DATA + "/report", "output/data/report"),
        (paths.CHECKPOINTS + "/1", "checkpoints/1"),
    ],
)
def test_whatever_is_put_into_them_is(laid_out: FakeContainer, run: Run, place: str, left: str) -> None:
    empty = look(laid_out)
    laid_out.inside(place).write_text("x")
    collect(laid_out, run, Told(), empty)
    assert (run.folder / left).read_text() == "x"


def test_a_time_in_whole_seconds_is_not_believed(laid_out: FakeContainer, run: Run) -> None:
    empty = {path: replace(seen, modified="2026-11-23T19:13:23Z") for path, seen in look(laid_out).items() if seen}
    collect(laid_out, run, Told(), empty)
    assert set(laid_out.fetched) == {paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS}
