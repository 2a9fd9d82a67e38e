"""Pipe mode, with real FIFOs and real readers: T-61 to T-67."""

from __future__ import annotations

import gzip
import os
import random
import re
import stat
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from byoc_cli.engine.types import EngineInfo
from byoc_cli.errors import MachineError
from byoc_cli.local.channels import fifo, recordio
from byoc_cli.local.channels.order import shuffled
from byoc_cli.local.channels.pipe import PipeFeeder

T = TypeVar("T")
MIB = 1 << 20
PROMPT_SECONDS = 0.9  # close gives up after a second


class Feed(Protocol):
    def __call__(
        self, *objects: Path, channel: str = "training", record_wrapper: str = "None", compression: str = "None"
    ) -> PipeFeeder: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def begin(data: Path) -> Iterator[Callable[[PipeFeeder], PipeFeeder]]:
    """Start feeders; in the end they are closed, and nothing of theirs is left."""
    begun: list[PipeFeeder] = []

    def start(feeder: PipeFeeder) -> PipeFeeder:
        feeder.start()
        begun.append(feeder)
        return feeder

    yield start
    for feeder in begun:
        feeder.close()
    assert list(data.iterdir()) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pipe ")]


@pytest.fixture
def feed(data: Path, begin: Callable[[PipeFeeder], PipeFeeder]) -> Feed:
    """Feed the same objects in every epoch."""

    def of(
        *objects: Path, channel: str = "training", record_wrapper: str = "None", compression: str = "None"
    ) -> PipeFeeder:
        return begin(
            PipeFeeder(data, channel, lambda _: objects, record_wrapper=record_wrapper, compression=compression)
        )

    return of


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write an object."""
    folder = tmp_path / "objects"
    folder.mkdir()
    return lambda content: _written(folder / f"{len(list(folder.iterdir()))}", content)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def beside(call: Callable[[], T]) -> Callable[[], T]:
    """Run `call` in a thread; the function that comes back waits for what it gives, but not forever."""
    given: list[T] = []
    thread = threading.Thread(target=lambda: given.append(call()), daemon=True)
    thread.start()

    def result() -> T:
        thread.join(60)
        assert not thread.is_alive(), "it hangs"
        return given[0]

    return result


def read(path: Path) -> bytes:
    """Read a FIFO to its end, and fail where that takes forever."""
    return beside(path.read_bytes)()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def close_seconds(feeder: PipeFeeder) -> float:
    start = time.perf_counter()
    feeder.close()
    return time.perf_counter() - start


def test_objects_come_one_after_the_other_and_exactly(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    contents = [noise(3 * MIB + 1), b"", b"\0", noise(70_000, seed=2)]
    feed(*map(made, contents))
    assert read(data / "training_0") == b"".join(contents)


def test_epochs_have_no_end_and_each_has_objects_of_its_own(
    data: Path, begin: Callable[[PipeFeeder], PipeFeeder], made: Callable[[bytes], Path]
) -> None:
    objects = [made(b"a"), made(b"b"), made(b"c")]
    feeder = begin(PipeFeeder(data, "x-y.z", lambda epoch: objects[epoch % 3 :]))
    assert [read(data / f"x-y.z_{epoch}") for epoch in range(30)] == [b"abc", b"bc", b"c"] * 10
    assert (feeder.epochs, feeder.error) == (30, "")


def test_nobody_reads_at_first(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    feeder = feed(made(b"late"))
    assert [path.name for path in data.iterdir()] == ["training_0"]
    time.sleep(0.1)
    assert feeder.epochs == 0
    assert read(data / "training_0") == b"late"


def test_the_next_is_there_before_the_former_goes(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    feed(made(noise(4 * MIB)))
    with (data / "training_0").open("rb", buffering=0) as stream:
        assert stream.read(1)
        assert sorted(path.name for path in data.iterdir()) == ["training_0", "training_1"]
        while stream.read(MIB):
            pass
        # Whoever opened the former again would wait forever.
        assert [path.name for path in data.iterdir()] == ["training_1"]


def test_a_reader_that_has_had_enough_goes_on_to_the_next(
    data: Path, feed: Feed, made: Callable[[bytes], Path]
) -> None:
    content = noise(5 * MIB)
    feeder = feed(made(content))
    for epoch in range(5):
        with (data / f"training_{epoch}").open("rb", buffering=0) as stream:
            assert stream.read(10) == content[:10]
    assert read(data / "training_5") == content
    assert (feeder.epochs, feeder.error) == (6, "")
    assert [path.name for path in data.iterdir()] == ["training_6"]


def test_channels_are_read_at_once(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    contents = {name: noise(8 * MIB, seed) for seed, name in enumerate(("train", "eval"))}
    for name, content in contents.items():
        feed(made(content), channel=name)
    pipes = {name: (data / f"{name}_0").open("rb", buffering=0) for name in contents}
    got = dict.fromkeys(contents, b"")
    # In turns: neither waits for the other.
    while any(pieces := {name: pipe.read(MIB) for name, pipe in pipes.items()}.values()):
        got = {name: got[name] + piece for name, piece in zip(pipes, pieces, strict=True)}
    for pipe in pipes.values():
        pipe.close()
    assert got == contents


def test_a_process_reads(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    content = noise(3 * MIB)
    feed(made(content))
    command = "cat training_0; head -c 5 training_1; cat training_2"
    printed = subprocess.run(["sh", "-c", command], cwd=data, stdout=subprocess.PIPE, timeout=60, check=True).stdout
    assert printed == content + content[:5] + content


def test_every_user_may_open_it_whatever_the_umask(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    before = os.umask(0o077)
    try:
        feed(made(b"x"))
        read(data / "training_0")
        mode = (data / "training_1").stat().st_mode
    finally:
        os.umask(before)
    assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o666)


def test_a_host_without_objects_gives_the_end_and_does_not_spin(data: Path, feed: Feed) -> None:
    feeder = feed()
    assert [read(data / f"training_{epoch}") for epoch in range(3)] == [b""] * 3
    cpu = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - cpu < 0.2
    assert (feeder.epochs, feeder.error) == (3, "")


def test_closing_while_nobody_reads(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    feeder = feed(made(b"x"))
    time.sleep(0.1)
    assert close_seconds(feeder) < PROMPT_SECONDS
    assert list(data.iterdir()) == []
    assert close_seconds(feeder) < PROMPT_SECONDS
    assert feeder.error == ""


def test_closing_while_the_reader_does_not_read(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    content = noise(5 * MIB)
    feeder = feed(made(content))
    with (data / "training_0").open("rb", buffering=0) as stream:
        assert stream.read(10) == content[:10]
        time.sleep(0.1)
        assert close_seconds(feeder) < PROMPT_SECONDS
        assert list(data.iterdir()) == []
        rest = beside(stream.readall)()
    assert content[10:].startswith(rest)
    assert len(rest) < len(content) - 10
    assert feeder.error == ""


def test_closing_lets_go_of_who_waits_in_open(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    feeder = feed(made(noise(5 * MIB)))
    with (data / "training_0").open("rb", buffering=0) as stream:
        assert stream.read(1)
        too_early = beside((data / "training_1").read_bytes)
        time.sleep(0.1)
        feeder.close()
    assert too_early() == b""


def test_closing_what_was_never_started(data: Path) -> None:
    feeder = PipeFeeder(data, "training", lambda _: [])
    feeder.close()
    assert list(data.iterdir()) == []


def test_what_has_the_name_already_is_not_touched(data: Path) -> None:
    (data / "training_0").write_text("mine")
    with pytest.raises(MachineError, match="training_0: File exists") as caught:
        PipeFeeder(data, "training", lambda _: []).start()
    assert "mode=File" in caught.value.hint
    assert (data / "training_0").read_text() == "mine"


def test_the_next_one_s_name_is_taken(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    mine = data / "training_1"
    mine.write_text("mine")
    feeder = feed(made(b"x"))
    assert read(data / "training_0") == b""
    wait_until(lambda: not (data / "training_0").exists())
    assert feeder.error == f"channel 'training' broke off\na FIFO cannot be made in {data}\ntraining_1: File exists"
    assert mine.read_text() == "mine"
    mine.unlink()


# What goes wrong: the reader is told the end, never waits forever, and `error` says what it was.


def test_a_file_that_vanished(data: Path, feed: Feed, made: Callable[[bytes], Path], tmp_path: Path) -> None:
    feeder = feed(made(b"first"), tmp_path / "gone", made(b"third"))
    assert read(data / "training_0") == b"first"
    assert feeder.error == (f"channel 'training' broke off\nepoch 0, {tmp_path / 'gone'}: No such file or directory")
    wait_until(lambda: list(data.iterdir()) == [])
    assert feeder.epochs == 1


def test_a_folder_in_place_of_a_file(data: Path, feed: Feed, tmp_path: Path) -> None:
    feeder = feed(tmp_path)
    assert read(data / "training_0") == b""
    assert "Is a directory" in feeder.error


def test_an_order_that_cannot_be_made(data: Path, begin: Callable[[PipeFeeder], PipeFeeder]) -> None:
    def objects(epoch: int) -> Sequence[Path]:
        raise ValueError(f"no order for {epoch}")

    feeder = begin(PipeFeeder(data, "training", objects))
    assert read(data / "training_0") == b""
    assert feeder.error == "channel 'training' broke off\nepoch 0: no order for 0"


def test_the_folder_is_removed_under_it(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    feeder = feed(made(b"x"))
    (data / "training_0").unlink()
    wait_until(lambda: feeder.error != "")
    assert feeder.error == f"channel 'training' broke off\n{data / 'training_0'}: No such file or directory"


@pytest.mark.parametrize("symlink", [True, False])
def test_a_container_cannot_have_other_files_written_to(
    data: Path, begin: Callable[[PipeFeeder], PipeFeeder], made: Callable[[bytes], Path], *, symlink: bool
) -> None:
    precious = made(b"precious")
    x = made(b"xxxxxxxxx")
    feeder = PipeFeeder(data, "training", lambda _: [x])
    swapped = data / "training_1"
    begin(feeder)
    with (data / "training_0").open("rb", buffering=0) as stream:
        assert stream.read(1)
        swapped.unlink()
        swapped.symlink_to(precious) if symlink else swapped.hardlink_to(precious)
        stream.read()
    wait_until(lambda: feeder.error != "")
    assert str(swapped) in feeder.error
    assert precious.read_bytes() == b"precious"
    feeder.close()
    swapped.unlink(missing_ok=True)


# gunzip (T-66)


def test_gzip_is_unzipped_member_by_member_and_concatenated(
    data: Path, feed: Feed, made: Callable[[bytes], Path]
) -> None:
    contents = [noise(3 * MIB), b"second member", b""]
    members = made(b"".join(map(gzip.compress, contents)))
    feed(members, made(gzip.compress(b"third")), compression="Gzip")
    assert read(data / "training_0") == b"".join(contents) + b"third"
    with (data / "training_1").open("rb", buffering=0) as stream:
        stream.read(1)
    assert read(data / "training_2") == b"".join(contents) + b"third"


ZIPPED = gzip.compress(noise(2 * MIB), 1)


@pytest.mark.parametrize("wrapper", ["None", "RecordIO"])
@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (ZIPPED[: len(ZIPPED) // 2], "ended before the end-of-stream marker"),
        (b"plain text", "Not a gzipped file"),
        (ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], "CRC check failed"),
        (ZIPPED + b"and this is no gzip", "Not a gzipped file"),
    ],
    ids=["cut", "plain", "checksum", "trailing"],
)
def test_a_corrupt_gzip(
    data: Path, feed: Feed, made: Callable[[bytes], Path], spoilt: bytes, why: str, wrapper: str
) -> None:
    path = made(spoilt)
    feeder = feed(path, compression="Gzip", record_wrapper=wrapper)
    got = read(data / "training_0")
    assert noise(2 * MIB).startswith(got[8 if wrapper == "RecordIO" else 0 :])
    assert feeder.error.startswith(f"channel 'training' broke off\nepoch 0, {path}: ")
    assert why in feeder.error


# RecordIO (T-65)


@pytest.mark.parametrize("compression", ["None", "Gzip"])
def test_every_object_is_a_record(data: Path, feed: Feed, made: Callable[[bytes], Path], compression: str) -> None:
    contents = [b"", b"1", b"12", b"123", b"1234", noise(MIB), noise(2 * MIB + 3)]
    packed = [gzip.compress(content, 1) for content in contents] if compression == "Gzip" else contents
    feeder = feed(*map(made, packed), record_wrapper="RecordIO", compression=compression)
    got = read(data / "training_0")
    assert got[:28].hex(" ", 4) == "0a23d7ce 00000000 0a23d7ce 01000000 31000000 0a23d7ce 02000000"
    assert len(got) == sum(8 + (len(content) + 3) // 4 * 4 for content in contents)
    _written(data / "copy", got)
    with (data / "copy").open("rb") as stream:
        assert list(recordio.records(stream)) == contents
    (data / "copy").unlink()
    assert feeder.error == ""


def test_a_record_never_differs_from_its_length(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    growing, shrinking = made(noise(4 * MIB)), made(noise(4 * MIB))
    feeder = feed(growing, shrinking, record_wrapper="RecordIO")
    with (data / "training_0").open("rb") as stream:
        first = stream.read(8)
        with growing.open("ab") as more:
            more.write(b"more")
        assert first + stream.read(4 * MIB) == recordio.header(4 * MIB) + noise(4 * MIB)
        assert stream.read(8) == recordio.header(4 * MIB)
        os.truncate(shrinking, 2 * MIB)
        assert len(stream.read()) < 4 * MIB
    assert feeder.error.endswith(f"{shrinking}: it changed while it was read: it had 4,194,304 bytes")


def test_an_object_too_long_for_a_record(data: Path, feed: Feed, made: Callable[[bytes], Path]) -> None:
    large = made(b"")
    os.truncate(large, recordio.LONGEST_BYTES + 1)
    feeder = feed(large, record_wrapper="RecordIO")
    assert read(data / "training_0") == b""
    assert f"{large}: it is too long for a RecordIO record\nits length has 29 bits" in feeder.error


# Without limits


class Counter:
    """Reads to the end and keeps nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer = bytearray(MIB)

    def __call__(self) -> int:
        count = 0
        with self._path.open("rb", buffering=0) as stream:
            while got := stream.readinto(self._buffer):
                count += got
        return count


@pytest.mark.parametrize("compression", ["None", "Gzip"])
@pytest.mark.parametrize("wrapper", ["None", "RecordIO"])
def test_memory_does_not_depend_on_an_object_s_size(
    data: Path, feed: Feed, made: Callable[[bytes], Path], wrapper: str, compression: str
) -> None:
    size = 256 * MIB
    large = made(gzip.compress(bytes(size), 1) if compression == "Gzip" else b"")
    if compression == "None":
        os.truncate(large, size)
    feed(large, record_wrapper=wrapper, compression=compression)
    count = Counter(data / "training_0")
    tracemalloc.start()
    try:
        assert beside(count)() == size + (8 if wrapper == "RecordIO" else 0)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_a_file_system_that_cannot_splice(data: Path, feed: Feed) -> None:
    # As some FUSE ones: the kernel has no splice for this file of procfs (before 5.10 it had).
    own = Path(f"/proc/{os.getpid()}/cmdline")
    feeder = feed(own, own)
    assert read(data / "training_0") == own.read_bytes() * 2
    assert feeder.error == ""


# The order (T-67)


def test_each_epoch_has_an_order_of_its_own_and_a_seed_always_the_same(
    data: Path, begin: Callable[[PipeFeeder], PipeFeeder], made: Callable[[bytes], Path]
) -> None:
    objects = [made(letter.encode()) for letter in "abcdefgh"]
    begin(PipeFeeder(data, "training", lambda epoch: shuffled(objects, 7, epoch)))
    assert [read(data / f"training_{epoch}") for epoch in range(3)] == [b"hdebgacf", b"bhegcdaf", b"fghbcead"]


def test_shuffling_changes_the_order_only() -> None:
    objects = list(range(1000))
    orders = [shuffled(objects, seed, epoch) for seed in (-1, 0, 2**63 - 1) for epoch in (0, 1)]
    assert all(sorted(order) == objects for order in orders)
    assert len({tuple(order) for order in [objects, *orders]}) == 7
    assert shuffled([], 1, 0) == []


# Where it is possible (T-64)

HERE = EngineInfo(
    name="host",
    version="29.0.0",
    operating_system="Debian GNU/Linux 12 (bookworm)",
    architecture="amd64",
    cpus=2,
    memory=1 << 30,
    address="unix:///var/run/docker.sock",
    remote=False,
    containerd_store=False,
    root="/var/lib/docker",
)


def test_linux_s_own_engine_carries_a_fifo() -> None:
    fifo.check_fifo_support(HERE, "linux")


@pytest.mark.parametrize(
    ("info", "platform", "why"),
    [
        (replace(HERE, operating_system="Docker Desktop"), "linux", "Docker Desktop's containers run in a virtual"),
        (replace(HERE, remote=True, address="ssh://elsewhere"), "linux", "another machine (ssh://elsewhere)"),
        (HERE, "darwin", "on macOS and Windows"),
        (HERE, "win32", "on macOS and Windows"),
    ],
)
def test_an_engine_that_cannot_carry_a_fifo(info: EngineInfo, platform: str, why: str) -> None:
    with pytest.raises(MachineError, match=re.escape(why)) as caught:
        fifo.check_fifo_support(info, platform)
    assert caught.value.message.startswith("Pipe mode is not possible with this engine\n")
    assert "mode=FastFile" in caught.value.hint


def test_a_folder_that_can_hold_a_fifo(data: Path) -> None:
    fifo.check_fifo_folder(data)
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("folder", ["/proc", "/nowhere"])
def test_a_file_system_without_fifos(folder: str) -> None:
    with pytest.raises(MachineError, match=f"a FIFO cannot be made in {folder}\n") as caught:
        fifo.check_fifo_folder(Path(folder))
    assert "local Linux file system" in caught.value.hint
