"""A shell where a job failed: a new container of its image, with its /opt/ml as it was left (T-79)."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from byoc_cli.contract import paths
from byoc_cli.engine.types import Container, ContainerSpec, Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.progress import Progress
from byoc_cli.local.shells import shell_of
from byoc_cli.local.training.hosts import Host


class Attach(Protocol):
    """Makes a container's terminal the user's; what does so is of another layer."""

    def __call__(self, container: Container, /) -> object:
        """Start the container, and return when it has ended."""


def failure_shell(engine: Engine, host: Host, attach: Attach, interrupts: Interrupts, progress: Progress) -> None:
    """Let the user look around: in what the host is made of, but for the program; it is gone afterwards.

    It is on the job's network, under the host's name, and has the host's volumes; what is done there is not collected.
    A signal ends it. That it cannot be is no fault of the job's: it is said, and the job's own end goes on.
    """
    made: list[Container] = []

    def end() -> None:
        for container in made:
            container.remove()

    interrupts.on_signal(end)
    if interrupts.signal:  # told to end while the artifacts were collected
        return
    try:
        shell = shell_of(host.container)
        made.append(engine.create(_spec(host, shell)))
        if host.source:
            host.source.put(made[0])
        for network in host.networks:
            made[0].connect(network)
        progress.log(
            f"{host.name} failed: {shell} in a new container of its image, with its {paths.ROOT} (exit leaves it; what "
            "is changed there is not kept)"
        )
        attach(made[0])
    except ByocError as error:
        progress.warn(f"there is no shell to look around in\n{error.message}", error.hint)
    finally:
        end()


def _spec(host: Host, shell: str) -> ContainerSpec:
    assert host.spec  # of this job, not of one that is found again
    return replace(
        host.spec,
        name=f"{host.container.name}-shell",
        entrypoint=[shell],
        command=[],
        mounts=(),
        ports={},
        environment={**host.spec.environment, **(host.source.undisturbed if host.source else {})},
        volumes_from=host.container.id,
        terminal=True,
    )
