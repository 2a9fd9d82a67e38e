"""A training job on this machine: /opt/ml laid out and the container run as SageMaker does (T-01 to T-51)."""

from __future__ import annotations

import re
from typing import Any

from byoc_cli.contract import paths, training
from byoc_cli.engine.types import CannotStart, Container, Engine, Exit
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local import runs
from byoc_cli.local.background import meanwhile
from byoc_cli.local.collect import collect, look
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.mounts import check_mount
from byoc_cli.local.output import LineMerger, indented
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training.container import job_container
from byoc_cli.local.training.job import ACCOUNT, HOST, TrainingJob
from byoc_cli.local.training.record import Record
from byoc_cli.project import Project

__all__ = ["ACCOUNT", "HOST", "JobFailed", "TrainingJob", "train"]

_EXIT_CODES = {
    126: "126 means that a file is not executable: `chmod +x` it in the Dockerfile",
    127: "127 means that a program was not found: look at the shebang of `train` and at PATH",
}
_COLLECTING = "collecting the artifacts first; press Ctrl-C again to give them up"


class JobFailed(ByocError):
    """The job ran and failed; `result` is its description."""


def train(engine: Engine, project: Project, job: TrainingJob, run: Run, progress: Progress) -> dict[str, Any]:
    """Run a job and give its description, in DescribeTrainingJob's words.

    Raises:
        JobFailed: the container failed; says FailureReason, the last lines and the log's path.
        NoSpace: its results do not fit on the disk; the container is kept.
        MachineError: no GPU, or an engine that does not see this machine's files.
        Interrupted: Ctrl-C or SIGTERM, after the container was stopped and its results collected.

    """
    record = Record(job, run, project)
    with Interrupts(progress.log) as interrupts:
        try:
            with job_container(engine, project, job) as container:
                record.enter("Downloading")
                for channel in job.channels:
                    check_mount(container, channel.mount, f"channel '{channel.name}'")
                empty = look(container)
                interrupts.check()
                record.enter("Training")
                exit_ = _run(container, run, record, interrupts, progress)
                record.enter("Uploading")
                interrupts.on_signal(lambda: progress.log(_COLLECTING), then_raise=True)
                # An engine takes as long for a network's end as for a small model: side by side.
                with meanwhile(lambda: engine.remove_network(container.name)):
                    collect(container, run, progress, empty)
                    # By our own signal, or by another's `byoc stop` or `docker stop`: the engine knows both.
                    record.stopped = container.was_signalled()
                    container.remove()
        except CannotStart as error:
            raise _cannot_start(record, error) from error
        except (ByocError, Interrupted) as error:
            record.end("Stopped" if isinstance(error, Interrupted) else "Failed", str(error))
            raise
        return _judge(record, exit_, interrupts, progress)


def _run(container: Container, run: Run, record: Record, interrupts: Interrupts, progress: Progress) -> Exit:
    """Start it and read it to its end; the first signal stops it with SageMaker's grace, the second kills it (T-40)."""
    grace = training.STOP_GRACE_SECONDS

    def stop() -> None:
        progress.log(f"stopping the job: SIGTERM, up to {grace} s (press Ctrl-C again to kill it)")
        container.stop(grace)

    def kill() -> None:
        progress.log("killing the job")
        container.kill()

    with run.log.open("wb") as log:

        def sink(data: bytes) -> None:
            log.write(data)
            log.flush()
            record.tail.feed(data)
            record.metrics.feed(data)
            progress.output(data)

        merger = LineMerger(sink)
        container.start()
        interrupts.on_signal(stop, kill)
        if interrupts.signal:  # it came between the last look and the start: there is nothing to save yet
            container.kill()
        for stream, chunk in container.output():
            merger.feed(stream, chunk)
        merger.close()
    return container.wait()


def _cannot_start(record: Record, error: CannotStart) -> JobFailed:
    """The container never ran: what the cloud would say, and why (T-08)."""
    reason = training.failure_reason("", error.exit_code_of_program, out_of_memory=False)
    description = record.end("Failed", reason, ExitCode=error.exit_code_of_program)
    return JobFailed(
        f"the training job failed\n{error.message}\nFailureReason: {reason}", hint=error.hint, result=description
    )


def _judge(record: Record, exit_: Exit, interrupts: Interrupts, progress: Progress) -> dict[str, Any]:
    """Say how the job ended, in the platform's words."""
    run = record.run
    record.metrics.write_table(run.metrics)
    reason = ""
    if record.stopped:
        status = "Stopped"
    elif exit_.code != 0:
        status = "Failed"
        reason = training.failure_reason(_failure_file(run), exit_.code, out_of_memory=exit_.out_of_memory)
    else:
        status = "Completed"
    description = record.end(status, reason, ExitCode=exit_.code)
    if record.metrics.draw(run.curves, record.job.name):
        progress.log(f"curves: {run.curves}")
    if status == "Failed":
        raise JobFailed(_failure_text(record, reason, exit_), hint=_failure_hint(record, exit_), result=description)
    if status == "Completed":
        runs.point_latest(record.project, run)
        _look_back(record, description, progress)
    else:
        progress.log(f"stopped; what it left is in {run.folder}")
    if interrupts.signal:
        raise Interrupted(interrupts.signal, result=description)
    if status == "Stopped":
        raise JobFailed(f"the training job was stopped\nwhat it left is in {run.folder}", result=description)
    return description


def _look_back(record: Record, description: dict[str, Any], progress: Progress) -> None:
    """Say what came of a completed job, and what its author may have missed."""
    for name in record.metrics.silent():
        progress.warn(f"metric '{name}' never matched the log", f"its regex is {record.job.metrics[name]!r} (T-70)")
    if not any(record.run.model.iterdir()):
        progress.warn(
            f"the job completed, but {paths.MODEL} is empty", "write the model there before `train` ends (T-45)"
        )
    final = " ".join(f"{metric['MetricName']}={metric['Value']:g}" for metric in description["FinalMetricDataList"])
    progress.log(f"completed after {description['TrainingTimeInSeconds']:.1f} s {final}".rstrip())


def _failure_file(run: Run) -> str:
    try:
        return (run.output / paths.FAILURE_FILE).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _failure_text(record: Record, reason: str, exit_: Exit) -> str:
    tail = indented(record.tail.text)
    last = f"its last lines:\n{tail}\n" if tail else "it printed nothing\n"
    memory = "the container ran out of memory (killed by the kernel)\n" if exit_.out_of_memory else ""
    return f"the training job failed\n{last}{memory}FailureReason: {reason}"


def _failure_hint(record: Record, exit_: Exit) -> str:
    return f"{_remedy(record, exit_)}; the whole log: {record.run.log}".removeprefix("; ")


def _remedy(record: Record, exit_: Exit) -> str:
    """What to do about it, as far as the end tells."""
    last = record.tail.text.rpartition("\n")[2]
    if re.fullmatch(r"exec /\S+: exec format error", last):  # the kernel's word, before `train` began
        return "give `train` a shebang as its first line, or build for the engine's platform (I-06)"
    if re.fullmatch(r"exec /\S+: no such file or directory", last):
        return "the interpreter in the first line of `train` is not in the image, or the line ends with CR LF (I-06)"
    if exit_.code in _EXIT_CODES:
        return _EXIT_CODES[exit_.code]
    if _failure_file(record.run):
        return ""
    if user := record.job.image.user:
        return f"the image's USER is {user}, and {paths.ROOT} is root's, as in the cloud: leave USER out (T-60)"
    return f"write the cause to {paths.OUTPUT}/{paths.FAILURE_FILE} to see it as FailureReason (T-32)"
