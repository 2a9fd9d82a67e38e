"""Instance types of SageMaker: what each has and what it is for. From a dated table; pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from byoc_cli.contract import instance_types_data as data

Use = Literal["training", "hosting", "transform"]

DATE = data.DATE
"""When the table was made, as 2026-01-31."""


@dataclass(frozen=True)
class InstanceType:
    """One instance type.

    `cpus` are vCPUs, `memory` is in bytes, `gpus` are NVIDIA's and `gpu_name` theirs; `chips` says in words what else
    computes in it ("16 Trainium"); `architecture` is an image's word (I-04); `uses` is what the API takes it for.
    Without `figures` the API knows the name, the table nothing more.
    """

    name: str
    cpus: int
    memory: int
    gpus: int
    gpu_name: str
    architecture: str
    chips: str
    uses: frozenset[str]

    @property
    def figures(self) -> bool:
        """Whether the table has more than the name."""
        return self.cpus > 0


def find(name: str) -> InstanceType | None:
    """Look a type up by its name ("ml.m5.xlarge"); None where the API has no such name."""
    if name not in data.TABLE:
        return None
    cpus, mebibytes, gpus, gpu_name, architecture, chips, uses = data.TABLE[name]
    return InstanceType(name, cpus, mebibytes << 20, gpus, gpu_name, architecture, chips, frozenset(uses.split()))


def nearest(name: str) -> str:
    """Return the known name that was probably meant, or ""."""
    if f"ml.{name}" in data.TABLE:  # EC2's name
        return f"ml.{name}"
    return next(iter(difflib.get_close_matches(name.lower(), data.TABLE, 1)), "")
