"""What `byoc serve`, `byoc batch` and `byoc predict` share: what the container that serves is given of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands.options import Session, gpus

if TYPE_CHECKING:
    from byoc_cli.contract.instance_types import InstanceType, Use
    from byoc_cli.local.resources import Resources
    from byoc_cli.project import Project

GpusOption = Annotated[
    str,
    typer.Option(
        "--gpus",
        metavar="none|all|N",
        help="GPUs for the container; without it what the --instance-type has, else none.",
        envvar="BYOC_GPUS",
        show_default=False,
    ),
]
InstanceTypeOption = Annotated[
    str,
    typer.Option(
        metavar="TYPE", help="Give the container the CPUs and the memory of a type: ml.m5.xlarge.", show_default=False
    ),
]
IsolationOption = Annotated[bool, typer.Option("--network-isolation", help="No network for the container.")]


def sizes(given: str, gpus_: str, use: Use, project: Project | None = None) -> tuple[InstanceType | None, str]:
    """Read --instance-type, which wins over the project's [serve] where there is one, and --gpus ("" for neither word).

    Raises:
        UsageError: there is no such type, or not for this use; --gpus is wrong.

    """
    from byoc_cli.local.resources import instance_type

    number = gpus(gpus_) if gpus_ else ""
    if given or project is None or not project.serve.instance_type:
        return instance_type(given, use) if given else None, number
    return instance_type(project.serve.instance_type, use, "[serve] instance-type"), number


def resources(session: Session, instance: InstanceType | None, number: str) -> Resources:
    """Say what the container is given of the machine that the engine runs on; what is less than asked for is said."""
    from byoc_cli.local.resources import Resources, fit, machine_of

    if instance is None:
        return Resources(gpus=number or "none")
    found = fit(instance, machine_of(session.engine.info()), gpus=number)
    if found.note:
        session.console.log(found.note)
    return found
