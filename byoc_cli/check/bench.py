"""What a step works with: the image under test, an engine, and containers that are gone when the check ends."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from byoc_cli.check.place import Place
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Container, ContainerSpec, Image
from byoc_cli.errors import ByocError
from byoc_cli.local import labels
from byoc_cli.local.training import TrainingJob
from byoc_cli.payload import Payload
from byoc_cli.project import Project

KIND = "check"


@dataclass(frozen=True)
class Registry:
    """Where the image is in ECR, as `byoc push` would name it."""

    region: str
    repository: str
    tag: str
    profile: str = ""


@dataclass(frozen=True)
class Order:
    """What is to be checked, and what the user said about it.

    `model` is what is served in the place of what the training makes: a folder or an archive, None without one.
    `training` is the job that the user would start, None for one without hyperparameters, on a small channel of ours;
    `no_training` is why that cannot be, "" where it can. `sample` is a request that /invocations takes; `serverless`
    is the memory in MB, and `timeout` how long a step waits for the image, in seconds.
    """

    project: Project
    reference: str
    image: Image
    registry: Registry | None = None
    training: TrainingJob | None = None
    no_training: str = ""
    model: Path | None = None
    sample: Payload | None = None
    serverless: int = 2048
    timeout: float = 60.0


class Cancelled(Exception):
    """The check is being broken off; nothing new is made."""


@dataclass(frozen=True)
class Bench:
    """A step's own place to work. All that is made here has the check's name in its labels, and goes by them.

    `wanted` are the rules of the step that are tried: what only others need can be left out.
    """

    order: Order
    engine: DockerEngine
    job: str
    place: Place
    cancelled: Event = field(default_factory=Event)
    wanted: frozenset[str] = frozenset()

    @property
    def folder(self) -> Path:
        """The check's own folder, gone with the check; the one of this machine's that a container may be shown."""
        return self.place.folder()

    def check(self) -> None:
        """Raise Cancelled when the check is being broken off: a step asks now and then."""
        if self.cancelled.is_set():
            raise Cancelled

    @contextmanager
    def container(self, step: str, **spec: object) -> Iterator[Container]:
        """Create a container of the image, not started; `spec` is more of its ContainerSpec."""
        self.check()
        marks = labels.for_job(self.order.project, KIND, self.job, image=self.order.reference)
        plain = ContainerSpec(self.order.image.id, ["train"], f"{self.job}-{step}", marks)
        made = self.engine.create(replace(plain, **spec))  # type: ignore[arg-type]
        try:
            yield made
        finally:
            made.remove()


@dataclass(frozen=True)
class Benches:
    """Gives each step a bench with an engine connection of its own, and clears all of them."""

    order: Order
    connect: Callable[[], DockerEngine]
    job: str = field(default_factory=lambda: f"byoc-check-{secrets.token_hex(4)}")
    cancelled: Event = field(default_factory=Event)
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        """Make the folder's place; the folder comes when a step asks for it."""
        object.__setattr__(self, "place", Place(self.order.project, self.job))

    def bench(self) -> Bench:
        """Make one: requests' sessions are not made for threads."""
        return Bench(self.order, self.connect(), self.job, self.place, self.cancelled)

    def clear(self) -> None:
        """Remove all that is there: also what was being made when a signal came, which ends the steps.

        A training job is called after the check: NAME-good, …
        """
        engine = self.connect()
        for thing in engine.things(project=self.order.project.id):  # containers first, then networks and volumes
            if thing.job == self.job or thing.job.startswith(f"{self.job}-"):
                engine.remove(thing)

    def close(self) -> None:
        """Remove what the check has in the engine and on the disk, when no step is at work any more."""
        try:
            self.clear()
        finally:
            self.place.remove()

    def cancel(self) -> None:
        """End what the steps are doing."""
        self.cancelled.set()
        with suppress(ByocError):  # once more at the end
            self.clear()
