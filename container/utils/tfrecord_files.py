"""CIFAR-10 as TFRecord files, written and read without TensorFlow.

A TFRecord file is a run of frames: an 8-byte little-endian length, its masked CRC-32C, the payload, the
payload's masked CRC-32C. The payload here is a `tf.train.Example` with the two features of the TensorFlow
tutorial: `image` (3,072 bytes, depth-major: 1,024 red, 1,024 green, 1,024 blue) and `label` (int64, 0 to 9).
All examples have the same size, so a batch of them is one byte matrix and only the checksums need a loop.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_BYTES = 3 * 32 * 32
CLASS_COUNT = 10

_CRC_MASK_DELTA = 0xA282EAD8
_LENGTH_DELIMITED = 2  # the protobuf wire type of strings, bytes and messages


def _field(number: int, content: bytes) -> bytes:
    """Encode one length-delimited protobuf field."""
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode a non-negative integer in protobuf's base-128 form."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _example(image: bytes, label: int) -> bytes:
    """Encode one `tf.train.Example`: features -> map entry -> feature -> bytes_list or int64_list."""
    image_feature = _field(1, _field(1, image))
    label_feature = _field(3, _field(1, _varint(label)))
    entries = [(b"image", image_feature), (b"label", label_feature)]
    return _field(1, b"".join(_field(1, _field(1, key) + _field(2, value)) for key, value in entries))


# Every example is this prefix, the image, this middle, one byte of label.
_TEMPLATE = _example(b"\xff" * IMAGE_BYTES, 0)
_IMAGE_START = _TEMPLATE.index(b"\xff" * IMAGE_BYTES)
_IMAGE_END = _IMAGE_START + IMAGE_BYTES
_PREFIX, _MIDDLE = _TEMPLATE[:_IMAGE_START], _TEMPLATE[_IMAGE_END:-1]

EXAMPLE_BYTES = len(_TEMPLATE)
RECORD_BYTES = 8 + 4 + EXAMPLE_BYTES + 4


class CorruptRecordError(Exception):
    """A TFRecord file does not hold what it should."""


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of `data`, rotated and shifted as the TFRecord format wants it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _CRC_MASK_DELTA) & 0xFFFFFFFF


def encode_records(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """Encode examples as TFRecord frames.

    `images` is [n, 3072] depth-major, `labels` is [n] with values 0 to 9.
    """
    length = struct.pack("<Q", EXAMPLE_BYTES)
    frames = np.empty((len(images), RECORD_BYTES), np.uint8)
    frames[:, :12] = np.frombuffer(length + struct.pack("<I", masked_crc(length)), np.uint8)
    examples = frames[:, 12:-4]
    examples[:] = np.frombuffer(_TEMPLATE, np.uint8)
    examples[:, _IMAGE_START:_IMAGE_END] = images
    examples[:, -1] = labels
    checksums = np.array([masked_crc(example.tobytes()) for example in examples], "<u4")
    frames[:, -4:] = checksums.view(np.uint8).reshape(-1, 4)
    return frames.tobytes()


def read_records(path: Path) -> Iterator[bytes]:
    """Yield each payload of a TFRecord file, every checksum checked."""
    with path.open("rb") as file:
        index = 0
        while header := file.read(12):
            payload = _read_payload(file.read, header)
            if payload is None:
                raise CorruptRecordError(f"{path}: record {index:,} is cut off or its checksum is wrong")
            yield payload
            index += 1


def _read_payload(read: Callable[[int], bytes], header: bytes) -> bytes | None:
    """Read the payload that `header` announces; None if anything about it is wrong."""
    if len(header) != 12:
        return None
    length, length_crc = struct.unpack("<QI", header)
    if length_crc != masked_crc(header[:8]):
        return None
    frame = read(length + 4)
    payload, crc = frame[:length], frame[length:]
    if len(crc) != 4 or struct.unpack("<I", crc)[0] != masked_crc(payload):
        return None
    return payload


def count_examples(path: Path) -> int:
    """Read a whole file back and count its CIFAR-10 examples; any that is not one is an error."""
    count = 0
    for payload in read_records(path):
        if not _is_example(payload):
            raise CorruptRecordError(f"{path}: record {count:,} is not a CIFAR-10 example")
        count += 1
    return count


def _is_example(payload: bytes) -> bool:
    return (
        len(payload) == EXAMPLE_BYTES
        and payload.startswith(_PREFIX)
        and payload[_IMAGE_END:-1] == _MIDDLE
        and payload[-1] < CLASS_COUNT
    )
