"""Files to measure with: a channel of many files, a model that is half noise and half text, CIFAR-10 as requests."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

CHANNEL_FILES = 20_000
CHANNEL_FILE_BYTES = 100_000
MODEL_BYTES = 1 << 30
_MODEL_FILES = 16
_SIDE, _COLORS = 32, 3


def write_channel(folder: Path) -> Path:
    """Write 2 GB in 20,000 files. Nobody reads them: what is measured is whether the tool touches each."""
    folder.mkdir()
    block = random.Random(1).randbytes(CHANNEL_FILE_BYTES)
    for number in range(CHANNEL_FILES):
        (folder / f"{number:05}.bin").write_bytes(block)
    return folder


def write_model(folder: Path) -> Path:
    """Write 1 GiB, half of it incompressible as weights are, half English text as vocabularies and logs are."""
    folder.mkdir()
    noise = random.Random(2)
    text = _english(random.Random(3))
    size = MODEL_BYTES // _MODEL_FILES
    for number in range(_MODEL_FILES // 2):
        with (folder / f"weights-{number}.bin").open("wb") as file:
            for _ in range(size >> 20):
                file.write(noise.randbytes(1 << 20))
        with (folder / f"text-{number}.txt").open("wb") as file:
            while file.tell() < size:
                file.write(next(text)[: size - file.tell()])
    return folder


def _english(order: random.Random) -> Iterator[bytes]:
    """Shuffled lines of Python's own manual: real words, and no repetition within gzip's window of 32 KB."""
    from pydoc_data.topics import topics

    lines = [line.encode() + b"\n" for text in topics.values() for line in text.splitlines() if line]
    while True:
        yield b"".join(order.choices(lines, k=20_000))


def pictures(eval_file: Path, count: int) -> list[list[list[list[float]]]]:
    """Read the first pictures of a TFRecord file: rows of pixels of red, green, blue, 0 to 255.

    Nothing of TensorFlow is needed: a frame is a length, its checksum, the payload and its checksum, and in the payload
    the picture is the only run of 3,072 bytes, after its own length as a protobuf varint.
    """
    plane = _SIDE * _SIDE
    marker = bytes([0x80 | (_COLORS * plane) & 0x7F, (_COLORS * plane) >> 7])
    found = []
    with eval_file.open("rb") as file:
        for _ in range(count):
            payload = file.read(int.from_bytes(file.read(12)[:8], "little") + 4)
            start = payload.index(marker, payload.index(b"image")) + len(marker)
            depth_major = payload[start : start + _COLORS * plane]
            found.append(
                [
                    [
                        [float(depth_major[color * plane + row * _SIDE + column]) for color in range(_COLORS)]
                        for column in range(_SIDE)
                    ]
                    for row in range(_SIDE)
                ]
            )
    return found


def write_bodies(eval_file: Path, target: Path, count: int = 100) -> Path:
    """Write requests in TensorFlow Serving's row format, one a line."""
    bodies = [json.dumps({"instances": [picture]}, separators=(",", ":")) for picture in pictures(eval_file, count)]
    target.write_text("\n".join(bodies) + "\n", encoding="ascii")
    return target
