"""The rows about `byoc batch`: much data through a container, and nothing of it lost, doubled or out of order."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Reach
from bench.shell import BenchError, Measured, byoc, measured
from bench.workshop import HERE, Workshop, require_space

_LINES = 1_000_000
_LARGE_BYTES = 5_000_000_000
_BLOCK_LINES = 10_000


@dataclass(frozen=True)
class _Input:
    """A file of numbered lines of any length, and what it has."""

    path: Path
    lines: int
    size: int
    digest: str


def lines(shop: Workshop) -> list[Figure]:
    """A million short lines by the defaults: as many of them in a request as fit into 6 MB."""
    made = shop.once("a file of 1,000,000 lines", lambda: _write(shop.folder / "lines.csv", _LINES, 1 << 62, 90))
    ran = _batch(shop, made)
    what = f"`byoc batch` of {_LINES:,} lines in {made.size / 1e6:.0f} MB, whole process"
    return [Figure("batch-lines", what, "s", Reach(10, "value"), [ran.seconds])]


def large(shop: Workshop) -> list[Figure]:
    """5 GB by the defaults, one request at a time: more of them at work make it no faster on two cores."""
    require_space(shop.folder, 3 * _LARGE_BYTES)
    made = shop.once("a file of 5 GB", lambda: _write(shop.folder / "large.csv", 1 << 62, _LARGE_BYTES, 900))
    try:
        ran = _batch(shop, made)
    finally:
        made.path.unlink(missing_ok=True)
    what = f"`byoc batch` of {made.size / 1e9:.1f} GB in {made.lines:,} lines"
    return [
        Figure(
            "batch-large",
            f"{what}, whole process",
            "MB/s",
            Reach(100, "value", least=True),
            [made.size / 1e6 / ran.seconds],
        ),
        Figure("batch-memory", f"{what}: peak resident memory", "MB", Reach(150, "value"), [ran.megabytes]),
    ]


def _batch(shop: Workshop, given: _Input) -> Measured:
    """Send a file through the container that answers with what it was sent, and look at all that comes back."""
    image = shop.image("echo", HERE / "echo")
    out = shop.folder / "out"
    ran = measured(
        [*byoc(), "batch", given.path, image, "--out", out, "--split-type", "Line", "--json", "--quiet"],
        cwd=shop.project,
    )
    made = out / f"{given.path.name}.out"
    try:
        _compare(given, made, json.loads(ran.out)["records"])
    finally:
        made.unlink(missing_ok=True)
    return ran


def _compare(given: _Input, made: Path, records: int) -> None:
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = made.stat().st_size
    if (size, digest) != (given.size, given.digest):
        raise BenchError(f"{made.name} has {size:,} bytes of {given.size:,}, or not those of the input in their order")
    if records != given.lines:
        raise BenchError(f"{records:,} records, and the input has {given.lines:,} lines")


def _write(path: Path, count: int, size: int, longest: int) -> _Input:
    """Write numbered lines until there are so many of them, or so many bytes."""
    digest, lines, written = hashlib.sha256(), 0, 0
    with path.open("wb") as file:
        for block in _blocks(longest):
            file.write(block)
            digest.update(block)
            lines, written = lines + _BLOCK_LINES, written + len(block)
            if lines >= count or written >= size:
                break
    return _Input(path, lines, written, digest.hexdigest())


def _blocks(longest: int) -> Iterator[bytes]:
    """Give lines with their number: one that is lost, doubled or elsewhere changes the digest."""
    chance = random.Random(5)
    text = chance.randbytes(longest).hex().encode()
    lengths = [chance.randrange(longest) for _ in range(_BLOCK_LINES)]
    first = 0
    while True:
        yield b"".join(b"%010d,%s\n" % (first + index, text[:length]) for index, length in enumerate(lengths))
        first += _BLOCK_LINES
