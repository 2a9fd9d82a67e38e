"""A training job on this machine: /opt/ml laid out and the container run as SageMaker does (T-01 to T-79)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from byoc_cli.contract import training
from byoc_cli.engine.types import CannotStart, Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.background import meanwhile
from byoc_cli.local.credentials import Access, credentials_access
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.progress import Heard, Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training import results
from byoc_cli.local.training.drivers import with_drivers
from byoc_cli.local.training.execution import Cause, Ending, Execution
from byoc_cli.local.training.failure_shell import Attach, failure_shell
from byoc_cli.local.training.hosts import Host, job_hosts, remove, warn_of_lost_network
from byoc_cli.local.training.inputs import HostInputs, dealt_inputs
from byoc_cli.local.training.job import TrainingJob
from byoc_cli.local.training.record import Record
from byoc_cli.local.training.verdict import JobFailed, cannot_start, judge
from byoc_cli.project import Project

__all__ = ["JobFailed", "TrainingJob", "train"]

_GRACE = f"SIGTERM, up to {training.STOP_GRACE_SECONDS} s"
_COLLECTING = "collecting the artifacts first; press Ctrl-C again to give them up"


def train(
    engine: Engine, project: Project, job: TrainingJob, run: Run, progress: Progress, attach: Attach | None = None
) -> dict[str, Any]:
    """Run a job and give its description, in DescribeTrainingJob's words.

    With `attach` the user looks around where it failed, before the containers are removed (not where it was stopped).

    Raises:
        JobFailed: the container failed (says FailureReason, the last lines and the log's path), or was stopped.
        CannotCollect: its results do not fit on the disk, or cannot be written; the container is kept.
        MachineError: no GPU, an engine that does not see this machine's files, or does not answer any more, or no place
            for a credentials endpoint.
        Interrupted: Ctrl-C, SIGTERM or nobody who reads, after the container was stopped and its results collected.

    """
    heard = Heard(progress)
    record = Record(with_drivers(job, run), run, project, heard)
    with Interrupts(heard.log) as interrupts:
        heard.on_gone = interrupts.reader_gone
        try:
            ending = _Training(engine, record, heard, interrupts, attach).to_its_end()
        except CannotStart as error:
            raise cannot_start(record, error) from error
        except BaseException as error:  # whatever it is: job.json says that the job is over
            record.end("Failed" if isinstance(error, Exception) else "Stopped", str(error))
            if isinstance(error, OSError):
                raise ByocError(f"the job broke off\n{error}") from error
            raise
        return judge(record, ending, heard, signal=interrupts.signal)


class _Training:
    """One job: one attempt, or two where it is interrupted as a spot instance would be (T-54)."""

    def __init__(
        self, engine: Engine, record: Record, progress: Progress, interrupts: Interrupts, attach: Attach | None
    ) -> None:
        self.engine = engine
        self.project, self.job, self.run = record.project, record.job, record.run
        self.progress = progress
        self.record = record
        self.interrupts = interrupts
        self.attach = attach

    def to_its_end(self) -> Ending:
        """Run it; what the job left is in the run's folder afterwards."""
        given = self.job.checkpoints
        before = results.contents(given) if given else frozenset()
        with (
            dealt_inputs(self.engine, self.job, self.run.staging, self.progress) as inputs,
            credentials_access(
                self.engine, self.project, self.job.name, self.job.aws_credentials, self.progress
            ) as access,
        ):
            ending = self._attempt(inputs, access, given, interrupt_after=self.job.interrupt_after)
            if ending.cause == "interrupted":
                before = self._hand_back(before, interrupted=True)
                self.record.enter("Restarting")
                self.progress.log("starting again, with the checkpoints")
                ending = self._attempt(inputs, access, self.run.checkpoints, interrupt_after=None)
        self._hand_back(before, interrupted=bool(ending.cause))
        return ending

    def _hand_back(self, before: frozenset[Path], *, interrupted: bool) -> frozenset[Path]:
        """Bring the user's checkpoints up to date; gives what of them is the job's. An end has its own error to say."""
        given = self.job.checkpoints
        if not given:
            return before
        try:
            results.bring_up_to_date(given, self.run.checkpoints, before)
        except ByocError as error:
            if not interrupted:
                raise
            self.progress.warn(error.message, error.hint)
            return before
        return results.contents(self.run.checkpoints)

    def _attempt(
        self,
        inputs: Mapping[str, HostInputs],
        access: Access | None,
        checkpoints: Path | None,
        *,
        interrupt_after: float | None,
    ) -> Ending:
        with job_hosts(
            self.engine, self.project, self.job, inputs, self.progress, checkpoints, access, self.interrupts.check
        ) as hosts:
            self.record.enter("Downloading")
            self.interrupts.check()
            self.record.enter("Training")
            try:
                ending = self._run(hosts, interrupt_after)
            except CannotStart:
                self._look_around(hosts[0])  # all have the same image
                raise
            if ending.cause == "interrupted":
                self.record.enter("Interrupted")
                results.gather_checkpoints(hosts, self.run, self.progress, checkpoints)
                return ending
            if ending.cause == "failed":
                warn_of_lost_network(hosts, self.job, self.progress)
            self.record.enter("Uploading")
            self.interrupts.on_signal(lambda: self.progress.log(_COLLECTING), then_raise=True)
            if ending.cause == "failed" and self.attach:
                self._gather(hosts, ending, checkpoints)
                self._look_around(next(host for host in hosts if host.name == ending.host))
            else:
                # An engine takes as long for a network's end as for a small model: side by side.
                with meanwhile(lambda: self.engine.remove_network(f"byoc-{self.job.name}")):
                    self._gather(hosts, ending, checkpoints)
                    with suppress(ByocError):  # it is tried again at the end of all
                        remove(self.engine, hosts)
            return ending

    def _gather(self, hosts: list[Host], ending: Ending, checkpoints: Path | None) -> None:
        results.gather(hosts, self.run, self.progress, decided_by=ending.host, restored=checkpoints)

    def _look_around(self, host: Host) -> None:
        if self.attach:
            failure_shell(self.engine, host, self.attach, self.interrupts, self.progress)

    def _run(self, hosts: list[Host], interrupt_after: float | None) -> Ending:
        """Run the hosts; the first signal stops them with SageMaker's grace, the second kills them (T-40)."""
        stopping = f"stopping the job: {_GRACE} (press Ctrl-C again to kill it)"
        longer = f"the job runs longer than {self.job.max_runtime or 0:,.10g} s: {_GRACE}"
        interrupted = f"interrupting the job as a spot instance would be: {_GRACE}"
        timers: list[tuple[float | None, Cause, str]] = [
            (self.job.max_runtime, "max-runtime", longer),
            (interrupt_after, "interrupted", interrupted),
        ]

        def kill() -> None:
            self.progress.log("killing the job")
            execution.kill()

        with self.run.log.open("a+b", buffering=0) as log:
            execution = Execution(hosts, log, self.record.metrics.feed, self.progress)
            self.interrupts.on_signal(lambda: execution.stop("stopped", stopping), kill)
            if self.interrupts.signal:  # it came between the last look and now
                execution.stop("stopped", "")
            ending = execution.run(timers)
            if not self.run.log.exists():
                self._make_again(log)
            return ending

    def _make_again(self, log: BinaryIO) -> None:
        """Make the run's folder again, which somebody removed; what is open is still there."""
        self.progress.warn(f"somebody removed {self.run.log} while the job ran: it is made again")
        with suppress(OSError):  # who collects into the folder says what is wrong with it
            self.record.write_config()
            log.seek(0)
            with self.run.log.open("wb") as again:
                shutil.copyfileobj(log, again)
