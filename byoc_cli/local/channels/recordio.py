"""RecordIO: each object of a Pipe channel in a frame of magic, length, payload, zeros to a multiple of 4 (T-65).

By hand: who has the format at all is mxnet, which is retired, and the SageMaker SDK, which holds a whole record in
memory; it is two numbers and some zeros.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from byoc_cli.errors import ByocError

MAGIC = 0xCED7230A
LONGEST_BYTES = (1 << 29) - 1
"""The upper 3 bits of the length are flags for all readers, and AWS's own for Pipe mode knows none of them."""

_HEADER = struct.Struct("<II")


def header(length: int) -> bytes:
    """Return what stands before a payload of `length` bytes.

    Raises:
        ByocError: no reader could tell how long it is.

    """
    if length > LONGEST_BYTES:
        raise ByocError(
            f"it is too long for a RecordIO record\nits length has 29 bits: at most {LONGEST_BYTES:,} bytes",
            hint="split the object, or leave record-wrapper away",
        )
    return _HEADER.pack(MAGIC, length)


def padding(length: int) -> bytes:
    """Return what stands after a payload of `length` bytes; it does not count as the record's."""
    return bytes(-length % 4)


def frame(length: int, payload: Iterable[bytes]) -> Iterator[bytes]:
    """Give one record in pieces, as they come.

    Raises:
        ByocError: it is too long, or the payload's length is another than was said.

    """
    yield header(length)
    left = length
    for piece in payload:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise changed(length)
    yield padding(length)


def changed(length: int) -> ByocError:
    """Return the error for a payload whose length is not what its header says."""
    return ByocError(f"it changed while it was read: it had {length:,} bytes")


def records(stream: BinaryIO) -> Iterator[bytes]:
    """Read record after record, each whole, from a stream that gives as many bytes as it is asked for.

    Raises:
        ByocError: these are no frames, or the last one is cut off.

    """
    while head := stream.read(_HEADER.size):
        magic, length = _HEADER.unpack(head) if len(head) == _HEADER.size else (MAGIC, 0)
        if magic != MAGIC or length > LONGEST_BYTES:
            raise ByocError(f"not a RecordIO frame: it starts with {head.hex(' ')} (T-65)")
        padded = length + len(padding(length))
        payload = stream.read(padded)
        if len(head) < _HEADER.size or len(payload) < padded:
            raise ByocError(f"a RecordIO frame is cut off after {len(head) + len(payload)} bytes (T-65)")
        yield payload[:length]
