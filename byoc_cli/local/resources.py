"""What of this machine a container is given, when it is to be as large as an instance type."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.contract import instance_types
from byoc_cli.contract.instance_types import InstanceType, Use
from byoc_cli.engine.types import EngineInfo
from byoc_cli.errors import UsageError

_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_UNITS = ("", "k", "m", "g", "t", "p")
_LARGEST = (1 << 63) - 1  # the engine's is a signed 64-bit number


@dataclass(frozen=True)
class Machine:
    """What the engine has to give: CPUs, memory in bytes, NVIDIA GPUs."""

    cpus: int
    memory: int
    gpus: int = 0


@dataclass(frozen=True)
class Resources:
    """What a container is given, in the words of a ContainerSpec; sizes in bytes, 0 and "" the engine's own.

    `note` is one line that says what the instance type has and this machine has not, "" where that is nothing.
    """

    cpuset: str = ""
    memory: int = 0
    shm_size: int = 0
    gpus: str = "none"
    cpus: float = 0
    pids: int = 0
    note: str = ""


def machine_of(info: EngineInfo) -> Machine:
    """Say what an engine has to give."""
    return Machine(info.cpus, info.memory, 0 if info.remote else gpus_here())


def instance_type(name: str, use: Use = "training", said: str = "--instance-type") -> InstanceType:
    """Find what --instance-type names, or whatever `said` is.

    Raises:
        UsageError: the API has no such name, or not for this use.

    """
    found = instance_types.find(name)
    if found is None:
        near = instance_types.nearest(name)
        raise UsageError(
            f"{said} {name}: there is no such instance type\nin SageMaker's API as of {instance_types.DATE}",
            hint=f"did you mean {near}?" if near else "for example: --instance-type ml.m5.xlarge",
        )
    if use not in found.uses:
        raise UsageError(
            f"{said} {name}: SageMaker has it for {' and '.join(sorted(found.uses))}, not for {use}",
            hint="for example: --instance-type ml.m5.xlarge",
        )
    return found


def fit(
    instance: InstanceType, machine: Machine, *, gpus: str = "", shm_size: int = 0, host_index: int = 0, hosts: int = 1
) -> Resources:
    """Cap an instance type to this machine, for host `host_index` (from 0) of `hosts`.

    Hosts have CPUs of their own where there are enough, else they share; so they do with GPUs and memory, whose limit
    is a bound and reserves nothing. `gpus` is what the user asked for and wins; with "" it is as many as the instance
    type and the machine have. The note is the same for every host.
    """
    if not instance.figures:
        note = f"how large {instance.name} is, is in no public table: it limits nothing"
        return Resources(shm_size=shm_size, gpus=gpus or "none", note=note)
    return Resources(
        cpuset=_cpuset(instance.cpus, machine.cpus, host_index),
        memory=instance.memory if instance.memory < machine.memory else 0,
        shm_size=shm_size,
        gpus=gpus or str(min(instance.gpus, machine.gpus) or "none"),
        note=_note(instance, machine, hosts, gpus_asked=bool(gpus)),
    )


def _cpuset(wanted: int, cpus: int, host_index: int) -> str:
    """Deal CPUs to a host, round and round: "0-3", "0,6-7"; "" is all of them.

    A quota would not do: only a set of CPUs changes what nproc says, from which programs take their number of workers.
    """
    if wanted >= cpus:
        return ""
    first = host_index * wanted
    return ",".join(_ranges(sorted((first + number) % cpus for number in range(wanted))))


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    for run in runs:
        yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"


def _note(instance: InstanceType, machine: Machine, hosts: int, *, gpus_asked: bool) -> str:
    """Say in one line what is less here than there; "" where nothing is."""
    wanted, given = [], []
    if instance.cpus * hosts > machine.cpus:
        wanted.append(_count(instance.cpus * hosts, "CPU"))
        given.append(_count(machine.cpus, "CPU"))
    if instance.memory * hosts > machine.memory:
        wanted.append(_gibibytes(instance.memory * hosts))
        given.append(_gibibytes(machine.memory))
    if instance.gpus * hosts > machine.gpus and not gpus_asked:
        wanted.append(_count(instance.gpus * hosts, "GPU"))
        given.append(_count(machine.gpus, "GPU"))
    if instance.chips:
        wanted.append(instance.chips if hosts == 1 else f"{instance.chips} each")
        given.append(f"no {instance.chips.partition(' ')[2]}")
    if not wanted:
        return ""
    subject = f"{instance.name} has" if hosts == 1 else f"{hosts} hosts of {instance.name} have"
    return f"{subject} {_listed(wanted)}; this machine gives {_listed(given)}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f}".removesuffix(".0") + " GiB"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def gpus_here(
    drivers: Path = Path("/proc/driver/nvidia/gpus"), which: Callable[[str], str | None] = shutil.which
) -> int:
    """Count the NVIDIA GPUs that an engine on this machine can give: 0 without a container toolkit.

    What another machine's engine has is not known here, nor what WSL has, whose driver lists none: --gpus says it.
    """
    if not (which("nvidia-container-runtime-hook") or which("nvidia-ctk")) or not drivers.is_dir():
        return 0
    return len(list(drivers.iterdir()))


def parse_size(text: str, option: str = "--shm-size") -> int:
    """Read a size as docker does: "2g", "512m", "64MiB", "1.5 GB", plain bytes; every unit is of 1024. In bytes.

    docker-py's reader, which only the engine may import, takes neither "MiB" nor "1.5 GB", and refuses in other words.

    Raises:
        UsageError: it is none, not more than 0, or more than an engine can count.

    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1024 ** _UNITS.index(match[2].lower())) if match else 0
    if not 0 < size <= _LARGEST:
        raise UsageError(f"{option} {text}: that is not a size", hint=f"for example: {option} 2g, or 512m")
    return size
