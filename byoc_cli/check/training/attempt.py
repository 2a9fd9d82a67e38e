"""Lets the image under test train: the parts of `byoc local-train`, within a check's bounds."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from byoc_cli.check.bench import KIND, Bench
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths
from byoc_cli.engine.types import CannotStart, Container
from byoc_cli.local.background import beside
from byoc_cli.local.channels import Channel
from byoc_cli.local.channels.objects import objects
from byoc_cli.local.collect import collect
from byoc_cli.local.output import text_lines
from byoc_cli.local.progress import Advance
from byoc_cli.local.resources import Resources
from byoc_cli.local.runs import Run
from byoc_cli.local.training import TrainingJob
from byoc_cli.local.training.execution import Execution
from byoc_cli.local.training.hosts import Host, job_hosts
from byoc_cli.local.training.inputs import HostInputs, dealt_inputs
from byoc_cli.local.training.layout import put

CHANNEL = "training"
_ROWS = "".join(
    f"{label},{label + 0.1 * row:.1f},{3.5 - 0.1 * row:.1f},{1.4 * label + 0.1 * row:.1f},{0.2 + label:.1f}\n"
    for row in range(8)
    for label in range(3)
)
"""Numbers without a header, a label first: what most examples of such containers read."""

_GARBAGE = b"\xff\xfe\x00 this is no data \x80\x81\n" * 4
_GARBAGE_FILES = 100
_PIDS = 4096
_GRACE = 10.0  # of one that takes too long: it may save what it has
_LOG_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """How it is to be run.

    `files` are put in the place of what is in /opt/ml/input/config; `grace` is what it has after SIGTERM; `sharded`
    deals each channel's objects to the hosts, `garbage` replaces what is in them. Hyperparameters that are None are the
    job's.
    """

    name: str
    timeout: float
    hosts: int = 1
    isolated: bool = False
    read_only: bool = False
    grace: float = _GRACE
    cpus: float = 0
    hyperparameters: Mapping[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Path | None = None
    sharded: bool = False
    garbage: bool = False


class Listener:
    """A `Progress` that keeps what a container prints, and what a recipe warns of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.started = time.monotonic()
        self.first_word: float | None = None
        self.last_word = 0.0
        self._said: list[bytes] = []
        self._size = 0

    def log(self, text: str) -> None:
        pass

    def warn(self, text: str, hint: str = "") -> None:  # noqa: ARG002
        self.warnings.append(text)

    def output(self, data: bytes, prefix: str = "") -> None:  # noqa: ARG002
        self.last_word = time.monotonic() - self.started
        if self.first_word is None:
            self.first_word = self.last_word
        if self._size < _LOG_CHARACTERS:
            self._said.append(data)
            self._size += len(data)

    @contextmanager
    def bytes_done(self, label: str, total: int | None = None) -> Iterator[Advance]:  # noqa: ARG002
        yield lambda _: None

    @property
    def text(self) -> str:
        return "\n".join(text_lines(b"".join(self._said)))


Watch = Callable[[Container, Execution, Listener, threading.Event], object]
"""Is called in a thread of its own while the first host runs; the event says that it is over."""


def job_of(bench: Bench) -> TrainingJob:
    """Give the job that the user would start; without channels it gets a small one."""
    order = bench.order
    asked = order.training or TrainingJob(bench.job, order.image, order.reference)
    return replace(asked, image=order.image, channels=asked.channels or [_sample(bench.folder)])


def _sample(folder: Path) -> Channel:
    place = folder / "data" / CHANNEL
    place.mkdir(parents=True, exist_ok=True)
    file = place / "train.csv"
    if not file.exists():
        part = file.with_name(".part")
        part.write_text(_ROWS)
        part.replace(file)
    return Channel(CHANNEL, place)


def attempt(bench: Bench, wanted: Wanted, watch: Watch | None = None) -> list[Ran]:
    """Run it and bring back what each host left, into the check's folder; gives one `Ran` for each host."""
    job = _job(bench, wanted)
    run, listener = Run(bench.folder / wanted.name), Listener()
    with (
        dealt_inputs(bench.engine, job, run.staging, listener) as dealt,
        job_hosts(
            bench.engine,
            bench.order.project,
            job,
            _read_only(dealt) if wanted.read_only else dealt,
            listener,
            wanted.checkpoints,
            check=bench.check,
        ) as hosts,
    ):
        for host in hosts:
            put(host.container, {f"{paths.CONFIG}/{name}": text for name, text in wanted.files.items()})
        execution = Execution(hosts, io.BytesIO(), lambda _: None, listener, min(wanted.grace, wanted.timeout))
        try:
            stopped, seconds = _run(execution, hosts, listener, wanted, watch)
        except CannotStart as error:
            return [Ran(None, refused=error.message, host=host.name) for host in hosts]
        bench.check()
        return [_ran(host, run, listener, stopped=stopped, seconds=seconds, alone=len(hosts) == 1) for host in hosts]


def _job(bench: Bench, wanted: Wanted) -> TrainingJob:
    job = job_of(bench)
    given = job.hyperparameters if wanted.hyperparameters is None else wanted.hyperparameters
    memory = bench.engine.info().memory // 2
    channels = job.channels
    if wanted.sharded:
        channels = [replace(each, config=replace(each.config, distribution="ShardedByS3Key")) for each in channels]
    if wanted.garbage:
        channels = [_garbage(each, bench.folder / wanted.name / "data" / each.name) for each in channels]
    return replace(
        job,
        name=f"{bench.job}-{wanted.name}",
        hyperparameters=given,
        channels=channels,
        instance_count=wanted.hosts,
        environment={**job.environment, **wanted.environment},
        resources=[Resources(memory=memory, cpus=wanted.cpus, pids=_PIDS)],
        network_isolation=wanted.isolated,
        kind=KIND,
    )


def _garbage(channel: Channel, folder: Path) -> Channel:
    """Make a channel whose files have their names, but nothing in them that can be read."""
    for found in objects(channel)[:_GARBAGE_FILES]:
        file = folder / found.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_GARBAGE)
    return replace(channel, source=folder, manifest=None, uri="", root="")


def _read_only(dealt: Mapping[str, HostInputs]) -> dict[str, HostInputs]:
    """Let no channel be written to; else it is as in File mode, the manifests beside the channels, too."""
    return {
        host: replace(inputs, sources=[replace(source, writable=False) for source in inputs.sources])
        for host, inputs in dealt.items()
    }


def _run(
    execution: Execution, hosts: Sequence[Host], listener: Listener, wanted: Wanted, watch: Watch | None
) -> tuple[bool, float]:
    """(whether it had to be stopped, how long it ran)."""
    listener.started = time.monotonic()
    over = threading.Event()
    with beside(lambda: watch(hosts[0].container, execution, listener, over) if watch else None):
        try:
            ending = execution.run([(wanted.timeout, "max-runtime", "")])
        finally:
            over.set()
        seconds = time.monotonic() - listener.started
    if ending.cause == "max-runtime":  # the rest is the time that it took to end
        seconds = min(seconds, wanted.timeout)
    return ending.cause in {"max-runtime", "stopped"}, seconds


def _ran(host: Host, run: Run, listener: Listener, *, stopped: bool, seconds: float, alone: bool) -> Ran:
    """Bring back what a host left."""
    place = run if alone else run.of_host(host.name)
    collect(host.container, place, listener, host.empty, archives=False)
    ended = host.container.wait()
    failure = place.output / paths.FAILURE_FILE
    model = _below(place.model)
    return Ran(
        code=ended.code,
        seconds=seconds,
        log=listener.text,
        failure=failure.read_text("utf-8", errors="replace") if failure.is_file() else None,
        model=model,
        output=_below(place.output),
        checkpoints=_below(place.checkpoints),
        links=[text for text in listener.warnings if text.startswith("model/")],
        elsewhere=[] if model and listener.text else host.container.changes(),
        first_word=listener.first_word,
        last_word=listener.last_word,
        stopped=stopped,
        hollow=bool(model) and not any((place.model / name).lstat().st_size for name in model),
        ended_at=listener.started + seconds,
        out_of_memory=ended.out_of_memory,
        host=host.name,
    )


def _below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file())
