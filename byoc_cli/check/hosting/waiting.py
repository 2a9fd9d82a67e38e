"""Who waits for a CPU, as Linux tells in /proc: on a busy machine what has little CPU time need not be idle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from byoc_cli.check.training.signals import first_process


def cpu_waits(pid: int, proc: Path = Path("/proc")) -> Mapping[int, float]:
    """Give the seconds that each thread of the container with that first process has waited so far.

    It is empty where that is not to be seen.
    """
    found: dict[int, float] = {}
    left = [pid] if first_process(pid, proc) else []  # else another machine's number
    while left:
        # Any of them may end meanwhile.
        with suppress(OSError):
            for thread in (proc / str(left.pop()) / "task").iterdir():
                with suppress(OSError, ValueError, IndexError):
                    found[int(thread.name)] = int((thread / "schedstat").read_text().split()[1]) / 1e9
                    left += map(int, (thread / "children").read_text().split())
    return found


def longest_wait(before: Mapping[int, float], now: Mapping[int, float]) -> float:
    """Give the seconds that one thread has waited between the two."""
    return max((seconds - before.get(thread, 0.0) for thread, seconds in now.items()), default=0.0)
