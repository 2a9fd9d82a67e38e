"""Which running container a shell is for, and which shell its image has (T-79)."""

from __future__ import annotations

from byoc_cli.engine.types import Container, Engine, Thing
from byoc_cli.errors import ByocError, UsageError
from byoc_cli.local.labels import HOST_LABEL
from byoc_cli.local.running import containers
from byoc_cli.project import Project

_SHELLS = ("bash", "sh")
_FOLDERS = ("/bin", "/usr/bin", "/usr/local/bin", "/busybox")  # the last is that of distroless images


def target(engine: Engine, project: Project, name: str, host: str) -> Thing:
    """Find the running container of a job or an endpoint; of several hosts the one named, else the first that runs.

    Without a name it is the only one of the project.

    Raises:
        ByocError: nothing runs, or nothing of that name.
        UsageError: several run and none was named; there is no such host.

    """
    running = [thing for thing in containers(engine, project) if thing.running]
    jobs = list(dict.fromkeys(thing.job for thing in running))
    if not jobs:
        raise ByocError("nothing of this project is running", hint="byoc ps --all")
    if not name and len(jobs) > 1:
        raise UsageError(
            f"{len(jobs)} of this project are running: which one?\n{', '.join(jobs)}", hint="byoc shell NAME"
        )
    chosen = [thing for thing in running if not name or name in {thing.job, thing.name}]
    if not chosen:
        raise ByocError(
            f"nothing of the name '{name}' is running\nrunning: {', '.join(jobs)}", hint=f"byoc shell {jobs[0]}"
        )
    hosts = {thing.labels.get(HOST_LABEL, ""): thing for thing in reversed(chosen)}
    if host and host not in hosts:
        known = ", ".join(sorted(hosts)) or "an endpoint has no hosts"
        raise UsageError(f"--host {host}: no such host of {chosen[0].job} is running\nrunning: {known}")
    return hosts[host or min(hosts, key=_number)]


def shell_of(container: Container) -> str:
    """Return the path of the best shell that a container has, started or not.

    Raises:
        ByocError: it has none.

    """
    for shell in _SHELLS:
        for folder in _FOLDERS:
            if container.stat(f"{folder}/{shell}"):
                return f"{folder}/{shell}"
    raise ByocError(
        f"the image of {container.name} has no shell\nneither bash nor sh is in {', '.join(_FOLDERS)}",
        hint="byoc shell NAME -- PROGRAM runs what is there; docker cp copies files",
    )


def _number(host: str) -> int:
    """algo-10 comes after algo-2; a container of an endpoint may have any name."""
    number = host.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
