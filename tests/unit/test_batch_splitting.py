"""Files into requests: whatever is in them, in bytes (H-58)."""

from __future__ import annotations

import io
import random
import struct
from typing import BinaryIO

import pytest

from byoc_cli.contract.batch import MEGABYTE, BatchStrategy, SplitType
from byoc_cli.errors import ByocError
from byoc_cli.local.batch.splitting import Batch, batches
from byoc_cli.local.channels import recordio
from tests.unit.batch_world import recordio_frame, recordio_parts, tfrecord

MAGIC = struct.pack("<I", recordio.MAGIC)


def split(
    data: bytes | BinaryIO, how: SplitType, strategy: BatchStrategy = "SingleRecord", limit: int = 1000
) -> list[Batch]:
    return list(batches(io.BytesIO(data) if isinstance(data, bytes) else data, how, strategy, limit))


def bodies(data: bytes, how: SplitType, strategy: BatchStrategy = "SingleRecord", limit: int = 1000) -> list[bytes]:
    return [batch.body for batch in split(data, how, strategy, limit)]


def some_records(chance: random.Random) -> list[bytes]:
    """Records of all lengths from none on, with any byte in them but a newline."""
    alphabet = bytes(byte for byte in range(256) if byte != ord("\n"))
    return [
        bytes(chance.choices(alphabet, k=chance.choice((0, 1, 3, 4, 5, 17, 40)))) for _ in range(chance.randrange(30))
    ]


FRAMES = {"Line": lambda record: record + b"\n", "TFRecord": tfrecord, "RecordIO": recordio_frame}


@pytest.mark.parametrize("how", ["Line", "TFRecord", "RecordIO"])
@pytest.mark.parametrize("seed", range(40))
def test_h58_any_records_come_one_by_one(how: SplitType, seed: int) -> None:
    records = some_records(random.Random(seed))
    frames = [FRAMES[how](record) for record in records]
    found = split(b"".join(frames), how)
    assert [batch.body for batch in found] == (frames if how == "Line" else records)
    assert [(batch.first, batch.records) for batch in found] == [(number + 1, 1) for number in range(len(records))]


@pytest.mark.parametrize("how", ["Line", "TFRecord", "RecordIO"])
@pytest.mark.parametrize("seed", range(40))
def test_h58_as_many_records_as_fit_and_none_torn(how: SplitType, seed: int) -> None:
    chance = random.Random(seed)
    frames = [FRAMES[how](record) for record in some_records(chance)]
    limit = chance.randrange(60, 200)
    found = split(b"".join(frames), how, "MultiRecord", limit)
    assert b"".join(batch.body for batch in found) == b"".join(frames)
    at = 0
    for batch in found:
        assert batch.first == at + 1
        assert batch.body == b"".join(frames[at : at + batch.records])
        at += batch.records
        assert len(batch.body) <= limit
        assert at == len(frames) or len(batch.body) + len(frames[at]) > limit, "one more would have fitted"
    assert at == len(frames)


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
def test_a_last_line_without_newline_is_a_record(strategy: BatchStrategy) -> None:
    assert b"|".join(bodies(b"a\nb", "Line", strategy, 2)) == b"a\n|b"
    assert sum(batch.records for batch in split(b"a\nb", "Line", strategy)) == 2
    assert bodies(b"abc", "Line", strategy, 3) == [b"abc"]


def test_bytes_are_not_touched() -> None:
    data = b"\xff\xfe\r\n\x00\x0b\x0c\x85\xe2\x80\xa8\n\n"
    assert bodies(data, "Line") == [b"\xff\xfe\r\n", b"\x00\x0b\x0c\x85\xe2\x80\xa8\n", b"\n"]


@pytest.mark.parametrize("how", ["Line", "TFRecord", "RecordIO"])
@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
def test_an_empty_file_has_no_records(how: SplitType, strategy: BatchStrategy) -> None:
    assert split(b"", how, strategy) == []


def test_unsplit_a_file_is_one_request() -> None:
    assert split(b"x" * 1000, "None", "MultiRecord") == [Batch(b"x" * 1000, 1, 1)]
    assert split(b"", "None") == [Batch(b"", 1, 1)]
    with pytest.raises(ByocError, match=r"it has 2,097,153 bytes, and is not split: MaxPayloadInMB is 2 \(H-57\)"):
        split(b"x" * (2 * MEGABYTE + 1), "None", limit=2 * MEGABYTE)


def test_a_payload_with_the_magic_in_it_comes_in_parts() -> None:
    whole = recordio_parts([b"abcd", b"", b"xy"]) + recordio_frame(b"z")
    assert bodies(whole, "RecordIO") == [b"abcd" + MAGIC + MAGIC + b"xy", b"z"]
    assert [(batch.body, batch.records) for batch in split(whole, "RecordIO", "MultiRecord")] == [(whole, 2)]


# -- too large -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nshort\n"])
def test_h57_a_line_that_is_too_long_is_named(strategy: BatchStrategy, end: bytes) -> None:
    long = b"x" * (3 * MEGABYTE)
    with pytest.raises(ByocError) as caught:
        split(b"a\nb\n" + long + end, "Line", strategy, MEGABYTE)
    size = len(long) + bool(end)
    assert caught.value.message == f"record 3 has {size:,} bytes, more than MaxPayloadInMB 1 allows (H-57)"
    assert caught.value.hint == f"--max-payload-mb {4 if end else 3}"


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
@pytest.mark.parametrize("how", ["TFRecord", "RecordIO"])
def test_h57_a_record_that_is_too_long_is_not_even_read(how: SplitType, strategy: BatchStrategy) -> None:
    long = FRAMES[how](b"x" * (MEGABYTE + 4))
    overhead = 0 if strategy == "SingleRecord" else 16 if how == "TFRecord" else 8
    stream = io.BytesIO(FRAMES[how](b"good") + long)
    with pytest.raises(ByocError, match=f"record 2 has {MEGABYTE + 4 + overhead:,} bytes"):
        split(stream, how, strategy, MEGABYTE)
    assert stream.tell() < 100


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
def test_h57_the_limit_itself_is_allowed(strategy: BatchStrategy, over: int) -> None:
    for how, overhead in (("Line", 1), ("TFRecord", 16), ("RecordIO", 8)):
        sent = 0 if strategy == "SingleRecord" and how != "Line" else overhead
        data = FRAMES[how](b"x" * (400 - sent + 4 * over))
        if over:
            with pytest.raises(ByocError, match="record 1 has 404 bytes"):
                split(data * 2, how, strategy, 400)  # type: ignore[arg-type]
        else:
            assert len(bodies(data * 2, how, strategy, 400)) == 2  # type: ignore[arg-type]


# -- what is no record -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
@pytest.mark.parametrize("how", ["TFRecord", "RecordIO"])
def test_a_file_of_another_format_is_known_by_its_first_record(how: SplitType, strategy: BatchStrategy) -> None:
    with pytest.raises(ByocError, match=r"record 1 is no .* it starts with 31 2c 32"):
        split(b"1,2,3,4,5,6,7\n" * 10, how, strategy)


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
@pytest.mark.parametrize("how", ["TFRecord", "RecordIO"])
def test_a_file_that_is_cut_off_anywhere_is_an_error(how: SplitType, strategy: BatchStrategy) -> None:
    first, second = FRAMES[how](b"first"), FRAMES[how](b"second")
    for cut in range(1, len(second)):
        with pytest.raises(ByocError, match=r"record 2 is (cut off|no RecordIO)"):
            split(first + second[:cut], how, strategy)


@pytest.mark.parametrize(
    "data",
    [
        recordio_parts([b"abcd", b"efgh"])[:12],  # no last part
        recordio_parts([b"abcd", b"efgh"])[12:],  # no first one
        recordio_parts([b"abcd", b"efgh"])[:12] + recordio_frame(b"x"),
        struct.pack("<II", recordio.MAGIC, 5 << 29),
    ],
)
def test_parts_that_do_not_make_a_record(data: bytes) -> None:
    with pytest.raises(ByocError, match=r"record 1 is (cut off|no RecordIO frame)"):
        split(data, "RecordIO")


# -- memory ----------------------------------------------------------------------------------------------------------


class Endless(io.RawIOBase):
    """Gives the same block again and again, and remembers the largest read."""

    def __init__(self, block: bytes, times: int) -> None:
        self._block = block
        self._left = times
        self.largest = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.largest = max(self.largest, len(buffer))
        if not self._left:
            return 0
        self._left -= 1
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        return count


def test_a_line_without_end_is_counted_and_not_held() -> None:
    for strategy in ("SingleRecord", "MultiRecord"):
        raw = Endless(b"x" * 8192, 200 * 128)
        with pytest.raises(ByocError, match=r"record 1 has 2\d\d,\d\d\d,\d\d\d bytes"):
            split(io.BufferedReader(raw), "Line", strategy, MEGABYTE)
        assert raw.largest <= 2 * MEGABYTE
