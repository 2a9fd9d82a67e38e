"""A file into the bodies of requests, in bytes and with no more than a few payloads in memory (H-57, H-58).

With Line a record has its newline, as it stands in the file; a newline within a quoted CSV field ends the record all
the same, which SageMaker documents as not supported. Of TFRecord and RecordIO the API says that "padding" is removed
for SingleRecord and kept for MultiRecord: AWS's own containers parse the payload alone in the one case and whole
frames in the other, so it is the frame that is meant. Who has these formats holds whole files or records in memory,
or is TensorFlow: they are a few numbers before each payload, and are read here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from byoc_cli.contract.batch import MAX_PAYLOAD_MB, MEGABYTE, BatchStrategy, SplitType
from byoc_cli.errors import ByocError
from byoc_cli.local.channels import recordio

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: `records` of a file, of which the first has the number `first`, counted from 1."""

    body: bytes
    first: int
    records: int

    def __str__(self) -> str:
        """Which records these are."""
        last = self.first + self.records - 1
        return f"record {self.first:,}" if last == self.first else f"records {self.first:,} to {last:,}"


def batches(stream: BinaryIO, split: SplitType, strategy: BatchStrategy, limit: int) -> Iterator[Batch]:
    """Split a stream, which gives as many bytes as it is asked for, into requests of at most `limit` bytes (> 0).

    Raises:
        ByocError: a record (or, unsplit, the file) is larger than that, or no record of that format.

    """
    if split == "None":
        yield _whole(stream, limit)
    elif strategy == "SingleRecord":
        for number, record in enumerate(_READERS[split](stream, limit, False), 1):
            yield Batch(record, number, 1)
    elif split == "Line":
        yield from _runs_of_lines(stream, limit)
    else:
        yield from _packed(_READERS[split](stream, limit, True), limit)


def _whole(stream: BinaryIO, limit: int) -> Batch:
    body = stream.read(limit + 1)
    if len(body) > limit:
        size = stream.seek(0, io.SEEK_END)
        raise ByocError(
            f"it has {size:,} bytes, and is not split: MaxPayloadInMB is {limit // MEGABYTE} (H-57)",
            hint=f"--split-type Line, --max-payload-mb up to {MAX_PAYLOAD_MB}, or 0 to stream it",
        )
    return Batch(body, 1, 1)


def _packed(records: Iterator[bytes], limit: int) -> Iterator[Batch]:
    """As many records in a request as there is room for."""
    held: list[bytes] = []
    size, first = 0, 1
    for number, record in enumerate(records, 1):
        if held and size + len(record) > limit:
            yield Batch(b"".join(held), first, len(held))
            held, size, first = [], 0, number
        held.append(record)
        size += len(record)
    if held:
        yield Batch(b"".join(held), first, len(held))


def _runs_of_lines(stream: BinaryIO, limit: int) -> Iterator[Batch]:
    """The same for lines, cut out of large blocks: a hundred times as fast as line by line."""
    first, rest = 1, b""
    while size := len(rest) + len(block := stream.read(limit - len(rest))):
        # What is shorter than asked for is the file's end. In `rest` there is no newline.
        end = block.rfind(b"\n") + 1 if size == limit else len(block)
        if not end:
            if more := stream.read(1):
                raise _too_large(first, limit + len(more) + _to_newline(stream, more), limit)
            end = len(block)
        body, rest = b"".join((rest, memoryview(block)[:end])), block[end:]
        lines = body.count(b"\n") + (not body.endswith(b"\n"))
        yield Batch(body, first, lines)
        first += lines


def _lines(stream: BinaryIO, limit: int, _framed: bool) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise _too_large(number, len(line) + _to_newline(stream, line), limit)
        yield line


def _to_newline(stream: BinaryIO, seen: bytes) -> int:
    """Count what is left of a line, without holding it."""
    count = 0
    while not seen.endswith(b"\n") and (seen := stream.readline(_CHUNK)):
        count += len(seen)
    return count


def _tfrecords(stream: BinaryIO, limit: int, framed: bool) -> Iterator[bytes]:
    """Length (8 bytes), its CRC (4), payload, the payload's CRC (4); the latter is the container's to look at."""
    number = 0
    while head := stream.read(12):
        number += 1
        length, check = struct.unpack("<QI", head) if len(head) == 12 else (0, 0)
        if len(head) == 12 and check != _masked_crc32c(head[:8]):
            raise ByocError(f"record {number:,} is no TFRecord: it starts with {head.hex(' ')}")
        if length + framed * 16 > limit:
            raise _too_large(number, length + framed * 16, limit)
        rest = stream.read(length + 4)
        if len(rest) < length + 4:
            raise ByocError(f"record {number:,} is cut off: the file ends in the middle of it")
        yield head + rest if framed else rest[:-4]


def _recordio(stream: BinaryIO, limit: int, framed: bool) -> Iterator[bytes]:
    """Magic, length, payload, zeros to a multiple of 4; a payload with the magic in it comes in parts.

    The upper 3 bits of a length say which part: 0 all of it, 1 the first, 2 one between, 3 the last.
    """
    parts: list[bytes] = []
    number, size = 1, 0
    magic = recordio.MAGIC.to_bytes(4, "little")
    while head := stream.read(8):
        word = int.from_bytes(head[4:], "little")
        part, length = word >> 29, word & recordio.LONGEST_BYTES
        if head[:4] != magic[: len(head)] or part > 3 or (part in {0, 1}) != (not parts):
            raise ByocError(f"record {number:,} is no RecordIO frame: it starts with {head.hex(' ')}")
        padding = -length % 4
        size += 8 + length + padding if framed else length + 4 * bool(parts)
        if size > limit:
            raise _too_large(number, size, limit)
        rest = stream.read(length + padding)
        if len(head) < 8 or len(rest) < length + padding:
            raise ByocError(f"record {number:,} is cut off: the file ends in the middle of it")
        parts.append(head + rest if framed else rest[:length])
        if part in {0, 3}:
            yield (b"" if framed else magic).join(parts)
            number, parts, size = number + 1, [], 0
    if parts:
        raise ByocError(f"record {number:,} is cut off: the file ends in the middle of it")


_READERS: dict[SplitType, Callable[[BinaryIO, int, bool], Iterator[bytes]]] = {
    "Line": _lines,
    "TFRecord": _tfrecords,
    "RecordIO": _recordio,
}


def _too_large(number: int, size: int, limit: int) -> ByocError:
    more = f"--max-payload-mb {min(MAX_PAYLOAD_MB, -(-size // MEGABYTE))}"
    return ByocError(
        f"record {number:,} has {size:,} bytes, more than MaxPayloadInMB {limit // MEGABYTE} allows (H-57)",
        hint=more if size <= MAX_PAYLOAD_MB * MEGABYTE else "",
    )


def _crc32c_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - a shift register
        table.append(value)
    return table


_TABLE = _crc32c_table()


def _masked_crc32c(data: bytes) -> int:
    """TFRecord's CRC of a length. By hand, as it is of 8 bytes: what is no TFRecord is known by its first one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
