"""RecordIO frames (T-65)."""

from __future__ import annotations

import io
import random
import struct

import pytest

from byoc_cli.errors import ByocError
from byoc_cli.local.channels import recordio


@pytest.mark.parametrize("length", [*range(9), 4095, 70_000])
def test_a_frame_is_magic_length_payload_and_zeros(length: int) -> None:
    payload = random.Random(length).randbytes(length)
    framed = b"".join(recordio.frame(length, [payload[:3], payload[3:]]))
    assert framed[:8] == bytes.fromhex("0a23d7ce") + struct.pack("<I", length)
    assert framed[8 : 8 + length] == payload
    assert framed[8 + length :] == bytes((4 - length % 4) % 4)


def test_frames_are_read_as_they_were_written() -> None:
    payloads = [random.Random(length).randbytes(length) for length in range(50)]
    stream = io.BytesIO(b"".join(b"".join(recordio.frame(len(payload), [payload])) for payload in payloads))
    assert list(recordio.records(stream)) == payloads


@pytest.mark.parametrize("pieces", [[b"12"], [b"12", b"34", b"5"], []])
def test_a_payload_of_another_length_than_was_said(pieces: list[bytes]) -> None:
    with pytest.raises(ByocError, match="it changed while it was read: it had 4 bytes"):
        b"".join(recordio.frame(4, pieces))


def test_the_longest_record_is_what_aws_s_reader_can_tell() -> None:
    assert recordio.header((1 << 29) - 1) == bytes.fromhex("0a23d7ce ffffff1f")
    with pytest.raises(ByocError, match="29 bits: at most 536,870,911 bytes") as caught:
        recordio.header(1 << 29)
    assert "split the object" in caught.value.hint


FRAME = b"".join(recordio.frame(5, [b"12345"]))


@pytest.mark.parametrize("size", range(1, len(FRAME)))
def test_a_frame_that_is_cut_off(size: int) -> None:
    read = recordio.records(io.BytesIO(FRAME + FRAME[:size]))
    assert next(read) == b"12345"
    with pytest.raises(ByocError, match=f"cut off after {size} bytes"):
        next(read)


@pytest.mark.parametrize("data", [b"plain text", bytes.fromhex("0a23d7ce 00000020") + b"1234"])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ByocError, match=f"starts with {data[:8].hex(' ')}"):
        next(recordio.records(io.BytesIO(data)))
