"""Who waits for a CPU, as Linux tells in /proc: on a busy machine what has little CPU time need not be idle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.check.training.signals import first_process

_IDLE_SHARE = 0.04  # our pings cost it something, too
_STARVED_SHARE = 0.5
_OWN_SHARE = 0.5


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


@dataclass(frozen=True)
class CpuUse:
    """What a container has had of the machine by a moment: CPU seconds `used`, and who `waited` for how long."""

    at: float
    used: float
    waited: Mapping[int, float]

    def is_idle(self, before: CpuUse) -> bool:
        """Whether it had next to nothing to do since then."""
        share = (self.used - before.used) / (self.at - before.at)
        return share < _IDLE_SHARE and not self.is_starved(before, 1)

    def is_starved(self, before: CpuUse, cpus: int) -> bool:
        """Whether others kept it from its work since then: a thread waited, and the machine was not its own."""
        seconds = self.at - before.at
        longest = max((waited - before.waited.get(thread, 0.0) for thread, waited in self.waited.items()), default=0.0)
        return longest > _STARVED_SHARE * seconds and self.used - before.used < _OWN_SHARE * cpus * seconds
