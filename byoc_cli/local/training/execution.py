"""The hosts of a job from their start to their ends: one log, one cause, and nobody left running (T-40, T-69, T-72)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal

from byoc_cli.contract import training
from byoc_cli.engine.types import Container, ContainerGone, Exit
from byoc_cli.errors import ByocError
from byoc_cli.local.background import until_done
from byoc_cli.local.output import LineMerger, Tail, prefixed
from byoc_cli.local.progress import Progress
from byoc_cli.local.training.hosts import Host

Cause = Literal["", "failed", "stopped", "max-runtime", "interrupted"]
"""Why a job ended: by itself, because a host failed, or because it was told to."""

_START_DELAY_SECONDS = 0.5  # hosts of the cloud do not start at the same moment either (T-71)


@dataclass(frozen=True)
class Ending:
    """How a job's hosts ended; `host` is the one that decided, `exit` how it ended, `tail` its last lines."""

    cause: Cause
    host: str
    exit: Exit
    tail: str


class Execution:
    """Runs the hosts, each in a thread; whoever ends the job first says why."""

    def __init__(
        self,
        hosts: Sequence[Host],
        log: BinaryIO,
        feed: Callable[[bytes], None],
        progress: Progress,
        grace: float = training.STOP_GRACE_SECONDS,
    ) -> None:
        self._hosts = hosts
        self.grace = grace
        self._log = log
        self._feed = feed
        self._progress = progress
        self._cause: Cause = ""
        self._decided_by = hosts[0].name
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._tails = {host.name: Tail() for host in hosts}
        self._exits: dict[str, Exit] = {}
        self._stoppers: list[threading.Thread] = []
        self._log_is_whole = True

    def run(self, timers: Sequence[tuple[float | None, Cause, str]] = ()) -> Ending:
        """Start all and wait for all; `timers` are (seconds, cause, what to say) that end the job early.

        Raises:
            CannotStart: a host's program is not there or cannot be executed; the others are stopped.

        """
        with self._timers(timers), ThreadPoolExecutor(len(self._hosts)) as pool:
            futures = [pool.submit(self._host, host) for host in self._hosts]
            for future in futures:
                until_done([future])
        for stopper in self._stoppers:
            stopper.join()
        for future in futures:
            future.result()
        name = self._decided_by
        return Ending(self._cause, name, self._exits.get(name, Exit(0)), self._tails[name].text)

    def stop(self, cause: Cause, why: str) -> None:
        """SIGTERM to all, SIGKILL after the grace, SageMaker's as a rule (T-40); returns when they have ended.

        The first cause counts.
        """
        if self._decide(cause):
            self._stop_others(why)

    def kill(self) -> None:
        """SIGKILL to all."""
        self._ending.set()
        _at_once([host.container for host in self._hosts], lambda container: container.kill())

    def _decide(self, cause: Cause, host: str = "") -> bool:
        """Say why the job ends, if nobody has before; `host` is whom it is about."""
        with self._lock:
            if self._cause or (len(self._exits) == len(self._hosts) and not host):
                return False
            self._cause, self._decided_by = cause, host or self._decided_by
            self._ending.set()
            return True

    def _stop_others(self, why: str) -> None:
        others = [host.container for host in self._hosts if host.name not in self._exits]
        if others and why:
            self._progress.log(why)
        _at_once(others, lambda container: container.stop(self.grace))

    def _host(self, host: Host) -> None:
        container = host.container
        try:
            if len(self._hosts) > 1:
                self._ending.wait(random.uniform(0, _START_DELAY_SECONDS))  # noqa: S311
            if self._ending.is_set():
                return
            container.start()
            if self._ending.is_set():  # told to between the last look and the start: there is nothing to save yet
                container.kill()
            merger = LineMerger(lambda data: self._sink(host.name, data))
            for stream, chunk in container.output():
                merger.feed(stream, chunk)
            merger.close()
            exit_ = container.wait()
            self._exits[host.name] = exit_
            self._judge(host, exit_)
        except ContainerGone:  # who collects its results will say so
            self._exits[host.name] = Exit(137)
            self._end_job("failed", host, f"somebody removed the container of {host.name}")
        except BaseException:
            self._exits[host.name] = Exit(1)
            self._end_job("failed", host, f"{host.name} cannot be followed any more")
            raise

    def _judge(self, host: Host, exit_: Exit) -> None:
        """A host that failed, or that somebody stopped through the engine, ends the job; one that is done does not."""
        if self._cause:
            return
        if host.container.was_signalled():
            self._end_job("stopped", host, f"{host.name} was stopped")
        elif exit_.code != 0:
            self._end_job("failed", host, f"{host.name} failed (exit code {exit_.code})")

    def _end_job(self, cause: Cause, host: Host, why: str) -> None:
        """End the others (T-72), in a thread of its own: this one is done."""
        if self._decide(cause, host.name):
            words = f"{why}: stopping the others, up to {self.grace:g} s"
            thread = threading.Thread(target=self._stop_others, args=(words,), daemon=True)
            self._stoppers.append(thread)
            thread.start()

    def _sink(self, host: str, data: bytes) -> None:
        with self._lock:
            self._tails[host].feed(data)
            self._feed(data)
            prefix = f"{host} | " if len(self._hosts) > 1 else ""
            self._keep(prefixed(data, prefix))
            self._progress.output(data, prefix)

    def _keep(self, data: bytes) -> None:
        """Write to the log; a disk that is full ends no job."""
        try:
            self._log.write(data)
        except OSError as error:
            if self._log_is_whole:
                self._progress.warn(f"the log cannot be written, and has gaps from here on: {error.strerror}")
            self._log_is_whole = False

    @contextmanager
    def _timers(self, timers: Sequence[tuple[float | None, Cause, str]]) -> Iterator[None]:
        running = [
            threading.Timer(seconds, self.stop, [cause, why]) for seconds, cause, why in timers if seconds is not None
        ]
        for timer in running:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            for timer in running:
                timer.cancel()
            for timer in running:
                timer.join()


def _at_once(containers: Sequence[Container], call: Callable[[Container], None]) -> None:
    """Do it to all side by side; one that is gone, or an engine that is, does not keep it from the others."""

    def one(container: Container) -> None:
        with suppress(ByocError):
            call(container)

    with ThreadPoolExecutor(max(1, len(containers))) as pool:
        list(pool.map(one, containers))
