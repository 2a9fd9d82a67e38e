"""What an endpoint is asked for, and which model it serves."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.contract import capabilities, hosting, multi_model
from byoc_cli.contract.asynchronous import AsyncInferenceConfig
from byoc_cli.engine.types import Image
from byoc_cli.errors import ByocError, UsageError
from byoc_cli.local import runs
from byoc_cli.local.resources import Resources
from byoc_cli.project import Project
from byoc_cli.project.home import expanded

if TYPE_CHECKING:
    from byoc_cli.local.dev.source import Source  # late: only `byoc dev` has one

KIND = "endpoint"
TRANSFORM_KIND = "transform"  # of a batch job: nobody else is to ask it
MODEL_LABEL = "byoc.model"
MORE_MEMORY = "fewer workers (one is advised where it is serverless), or a larger --serverless or --instance-type"


@dataclass(frozen=True)
class Definition:
    """CreateModel's ContainerDefinition; `model` is a folder or a model.tar.gz, None for an empty /opt/ml/model.

    `hostname` is what one of several is called; `source` is put over the image's copy of it (`byoc dev serve`).
    """

    image: Image
    reference: str
    model: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    hostname: str = hosting.PRIMARY
    source: Source | None = None


@dataclass(frozen=True)
class EndpointRequest:
    """What CreateEndpoint would be told; a call goes through all `containers`, or, with `direct`, to the one it names.

    `models` is a folder of archives, for an endpoint of many models (H-35): the one container has no other model.
    `port` is 0 for a free one; `raw` puts no local endpoint before the container; `capture` is a file for H-70.
    `startup_timeout` is in seconds, None for the platform's own.
    `serverless` is its memory in MB, 0 for an endpoint that has an instance, whose size `resources` are.
    `asynchronous` makes it one that takes no other requests (H-50).
    `update` is 0, or counts the containers that take the place of the first one.
    """

    name: str
    containers: Sequence[Definition]
    direct: bool = False
    port: int = hosting.PORT
    resources: Resources = field(default_factory=Resources)
    serverless: int = 0
    network_isolation: bool = False
    startup_timeout: float | None = None
    detached: bool = False
    raw: bool = False
    capture: Path | None = None
    models: Path | None = None
    region: str = "us-east-1"
    kind: str = KIND
    asynchronous: AsyncInferenceConfig | None = None
    update: int = 0

    @property
    def network(self) -> str:
        """What the network of its containers is called; the names of all else begin with it."""
        return f"byoc-{self.name}" + (f"-update-{self.update}" if self.update else "")

    @property
    def seconds_to_start(self) -> float:
        """How long until /ping has to pass (H-11)."""
        own = hosting.SERVERLESS_STARTUP_TIMEOUT_SECONDS if self.serverless else hosting.STARTUP_TIMEOUT_SECONDS
        return self.startup_timeout or own

    @property
    def max_payload(self) -> int:
        """The size in bytes of a request, and of an answer (H-21)."""
        return hosting.SERVERLESS_MAX_PAYLOAD_BYTES if self.serverless else hosting.MAX_PAYLOAD_BYTES


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that answers; `url` is where its invocations go.

    `container` and `model` are those of the first of its `containers`.
    """

    name: str
    container: str
    url: str
    model: str
    ready_seconds: float
    containers: Sequence[Mapping[str, str]]


class EndpointFailed(ByocError):
    """A container died, or never answered /ping."""


def model_place(project: Project, given: str) -> Path | None:
    """Return where the model is, or would be; None without any."""
    if given:
        return expanded(given).resolve()
    run = runs.latest(project)
    return run.model.resolve() if run and run.model.is_dir() else None


def model_of(project: Project, given: str) -> Path | None:
    """Return the model to serve: the one given, else the last completed run's; None where there is none.

    Raises:
        UsageError: the one given is neither a folder nor a gzip-compressed tar (H-03).

    """
    path = model_place(project, given)
    if path is None or path.is_dir():
        return path
    if not path.is_file():
        raise UsageError(
            f"there is no model at '{given}'",
            hint="--model takes a folder, a model.tar.gz, or nothing (the last run's)",
        )
    try:
        with tarfile.open(path, "r:gz") as tar:
            tar.next()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(
            f"'{given}' is not a gzip-compressed tar\n{error}", hint="make it with: tar -czf model.tar.gz -C MODEL ."
        ) from error
    return path


def models_of(given: str) -> Path | None:
    """Return the folder of many models' archives, None where none is given.

    Raises:
        UsageError: it is no folder.

    """
    if not given:
        return None
    path = expanded(given).resolve()
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "is not there"
        raise UsageError(
            f"--models {given} {what}\nit stands for the prefix of ModelDataUrl, below which the models' archives are",
            hint="--models DIR, with the models in DIR/NAME.tar.gz; one model is --model PATH",
        )
    return path


def check_multi_model(image: Image, reference: str) -> None:
    """See that CreateModel would take an image for many models (H-35).

    Raises:
        ByocError: it has not the label.

    """
    if not multi_model.capable(image.labels):
        raise ByocError(
            f"{reference} does not say that it can serve many models\n"
            f"SageMaker would say: {multi_model.not_capable(reference)}",
            hint=f"LABEL {capabilities.MULTI_MODELS}=true in the Dockerfile, if its server has the API (H-36 to H-40)",
        )
