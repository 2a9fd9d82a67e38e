"""docs/performance.md: PURE but for the writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from bench.figures import Figure, table

_INTRODUCTION = """\
# Performance

Written by `python -m bench`, which measures both sides of each line in turns, in one run. A figure is the median of
{rounds} rounds after one that is not counted (min-max in brackets). `docker run` is that of the client which came with
the engine.
"""

_NOTES = """\
## How it is measured

- **help**, **local-train**, **channel**, **serve-detach**: the wall time of the whole process, from the start of the
  command to its end; the container (`bench/toy`) does nothing. byoc gives each job a network of its own and collects
  what the job left, `docker run` uses the default bridge and leaves it.
- **first-…**: the wall times of the four commands, in a new folder each time, without a build cache; the base image is
  there, and packages come from an index nearby. `predict` starts an endpoint, asks, and stops it.
- **dev-loop**: from writing the file to the first answer that only the new source gives, asked for every 10 ms; the
  other side builds what was saved, starts an endpoint of it and asks that.
- **pipe**: 1 GiB of files in the page cache, eight times over, from the reader's open to the end; both readers are
  Python with 1 MiB a system call. byoc splices the files into the FIFO, `cat` copies them.
- **batch-lines**, **batch-large**: one round, whole process; the container (`bench/echo`) answers with what it was
  sent, so that the `.out` file has to be the input, byte for byte: its digest is looked at, and the count of its
  records. **batch-memory**: the highest resident size of byoc's process with the 5 GB.
- **collect**: the job's secondary status `Uploading` in its `job.json`: the model is read from the engine, and written
  to `model/` and, compressed, to `model.tar.gz`. `tar` reads the same files, on the same disk.
- **push**: to a registry that is new each time, on this machine, so that it is the engine's compression and not a
  network that is measured; what byoc asks AWS is answered by moto. `docker push` is logged in beforehand.
  **push-again**: nothing has changed, whole process. **push-memory**: the highest resident size of byoc's process.
- **cifar10**: plain `docker run IMAGE train` with the real data, from the start to the end of the process.
- **image-size**: as `docker image inspect` says; against the same base image, nginx and requirements by plain `pip`.
- **serve-start**: from the engine's own record of the container's start to the first 200, asked for every 10 ms.
- **invocations**: test pictures of CIFAR-10 as JSON (TensorFlow Serving's row format), keep-alive, `wrk` in the
  server's network name space. The other side (`bench/classic`) is the stack of the classic samples: Flask, gunicorn
  with a sync worker a core, nginx, TensorFlow; in the same image with the same model. Its p99 is Python's garbage
  collector, which now and then walks all of TensorFlow's objects.
"""


def render(
    figures: Sequence[Figure], machine: Mapping[str, str], versions: Mapping[str, str], rounds: int, day: date
) -> str:
    """Make the whole page."""
    missed = [figure.name for figure in figures if not figure.ok]
    verdict = f"Not reached: {', '.join(missed)}." if missed else "All that was to be reached is reached."
    parts = [
        _INTRODUCTION.format(rounds=rounds),
        f"{day.isoformat()}. {verdict}\n",
        table(figures) + "\n",
        "## Where\n\n" + _items(machine),
        "## With\n\n" + _items(versions),
        _NOTES,
    ]
    return "\n".join(parts)


def write(path: Path, text: str) -> None:
    """Write it whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.parent.mkdir(exist_ok=True)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _items(pairs: Mapping[str, str]) -> str:
    return "".join(f"- {name}: {value}\n" for name, value in pairs.items())
