"""The row about Pipe mode: how fast a channel comes into a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import data
from bench.figures import Figure, Reach
from bench.shell import BenchError, run, side_by_side
from bench.workshop import Workshop, require_space
from byoc_cli.local.channels.pipe import PipeFeeder

_INPUT = "/opt/ml/input/data"
_TIMES = 8
# What a fast training program does: a system call a MiB, into memory that it has already.
_READER = """
import json, sys, time
buffer, count = bytearray(1 << 20), 0
with open(sys.argv[1], "rb", buffering=0) as pipe:
    start = time.perf_counter()
    while got := pipe.readinto(buffer):
        count += got
    print(json.dumps([count, time.perf_counter() - start]))
"""


def pipe(shop: Workshop) -> list[Figure]:
    """A model's files, which are in memory, several times over: the pipe is measured, and no disk."""
    toy = shop.toy()
    require_space(shop.folder, 2 * data.MODEL_BYTES)
    model = shop.once("model of 1 GiB", lambda: data.write_model(shop.folder / "model"))
    objects = sorted(model.iterdir()) * _TIMES
    folder = shop.folder / "pipe"
    folder.mkdir(exist_ok=True)

    def ours() -> float:
        feeder = PipeFeeder(folder, "training", lambda _: objects)
        feeder.start()
        mount = ["--network", "none", "-v", f"{folder}:{_INPUT}:ro"]
        words = [shop.docker, "run", "--rm", "--name", shop.container_name(), *mount, toy]
        try:
            return _gigabytes_a_second(run([*words, "python3", "-c", _READER, f"{_INPUT}/training_0"]), objects)
        finally:
            feeder.close()

    samples = side_by_side(ours, lambda: _cat(folder / "cat", objects), shop.rounds)
    what = "a Pipe channel of 8 GiB, read by a container"
    return [Figure("pipe", what, "GB/s", Reach(2.0, "value", least=True), *samples, "`cat FILES > FIFO`, no container")]


def _cat(fifo: Path, objects: Sequence[Path]) -> float:
    os.mkfifo(fifo)
    # Both ends wait for the other; the shell opens the FIFO, and cat is what it becomes.
    writer = subprocess.Popen(["sh", "-c", 'exec cat "$@" > "$0"', fifo, *objects])
    try:
        return _gigabytes_a_second(run([sys.executable, "-c", _READER, fifo]), objects)
    finally:
        writer.kill()
        writer.wait()
        fifo.unlink()


def _gigabytes_a_second(printed: str, objects: Sequence[Path]) -> float:
    count, seconds = json.loads(printed)
    expected = sum(path.stat().st_size for path in objects)
    if count != expected:
        raise BenchError(f"{count} bytes came through the pipe, not {expected}")
    return float(count / seconds / 1e9)
