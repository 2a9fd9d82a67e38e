"""How a job ended, in the platform's words (T-31 to T-36, T-43), and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from byoc_cli.contract import paths, training
from byoc_cli.engine.types import CannotStart
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local import runs
from byoc_cli.local.output import indented
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training.execution import Ending
from byoc_cli.local.training.record import Record

_Written = TypeVar("_Written")

_LAST_WORDS = {
    # The kernel's words, before `train` began.
    r"(^|\n)exec /\S+: exec format error$": (
        "give `train` a shebang as its first line, or build for the engine's platform (I-06)"
    ),
    r"(^|\n)exec /\S+: no such file or directory$": (
        "the interpreter in the first line of `train` is not in the image, or the line ends with CR LF (I-06)"
    ),
    r"(?i)bus error|(unable|failed|cannot|no space).*(/dev/shm|shared memory)|(/dev/shm|shared memory).*no space": (
        "workers share memory through /dev/shm, which has 64 MiB here: --shm-size 2g (T-76)"
    ),
}
_EXIT_CODES = {
    126: "126 means that a file is not executable: `chmod +x` it in the Dockerfile",
    127: "127 means that a program was not found: look at the shebang of `train` and at PATH",
    137: "137 means SIGKILL, and not by byoc: the machine ran out of memory, or somebody killed the container",
    139: "139 means a segmentation fault: mostly a library that was built for another machine or Python",
}


class JobFailed(ByocError):
    """The job ran and failed; `result` is its description."""


def cannot_start(record: Record, error: CannotStart) -> JobFailed:
    """The container never ran: what the cloud would say, and why (T-08)."""
    reason = training.failure_reason("", error.exit_code_of_program, out_of_memory=False)
    description = record.end("Failed", reason, ExitCode=error.exit_code_of_program)
    hint = (
        "ModelTrainer starts an image with /bin/bash: install bash in it (T-09)" if record.job.as_sdk_v3 else error.hint
    )
    return JobFailed(
        f"the training job failed\n{error.message}\nFailureReason: {reason}", hint=hint, result=description
    )


def judge(record: Record, ending: Ending, progress: Progress, *, signal: int = 0) -> dict[str, Any]:
    """Say how the job ended, and give its description; `signal` is what byoc itself was told to stop by.

    Raises:
        JobFailed: the container failed, or the job was stopped.
        Interrupted: byoc itself was told to stop.

    """
    run = record.run
    _try(lambda: record.metrics.write_table(run.metrics), "the table of metrics cannot be written", progress)
    description = _described(record, ending)
    if not ending.cause:
        _try(lambda: runs.point_latest(record.project, run), ".byoc/latest cannot be moved to this run", progress)
    if _try(lambda: record.metrics.draw(run.curves, record.job.name), "the curves cannot be written", progress):
        progress.log(f"curves: {run.curves}")
    if ending.cause == "failed":
        raise JobFailed(
            _failure_text(record, ending, description["FailureReason"]),
            hint=_failure_hint(record, ending),
            result=description,
        )
    if ending.cause:
        progress.log(f"stopped; what it left is in {run.folder}")
        if signal:
            raise Interrupted(signal, result=description)
        raise JobFailed(f"{_stopped(record, ending)}\nwhat it left is in {run.folder}", result=description)
    _look_back(record, description, progress)
    if signal:  # it came too late to stop anything
        raise Interrupted(signal, result=description)
    return description


def _try(write: Callable[[], _Written], otherwise: str, progress: Progress) -> _Written | None:
    """Write what can be made again; where it cannot be, the job has not failed."""
    try:
        return write()
    except OSError as error:
        progress.warn(f"{otherwise}: {error.strerror}")
        return None


def _described(record: Record, ending: Ending) -> dict[str, Any]:
    code = ending.exit.code
    if ending.cause == "failed":
        reason = training.failure_reason(_failure_file(record.run), code, out_of_memory=ending.exit.out_of_memory)
        return record.end("Failed", reason, ExitCode=code)
    if ending.cause == "max-runtime":
        return record.end("Stopped", secondary="MaxRuntimeExceeded", ExitCode=code)
    return record.end("Stopped" if ending.cause else "Completed", ExitCode=code)


def _stopped(record: Record, ending: Ending) -> str:
    if ending.cause == "max-runtime":
        return f"the training job ran longer than {record.job.max_runtime:,.10g} s: MaxRuntimeExceeded (T-42)"
    return "the training job was stopped"


def _look_back(record: Record, description: dict[str, Any], progress: Progress) -> None:
    """Say what came of a completed job, and what its author may have missed."""
    for text, hint in record.metrics.advice():
        progress.warn(text, hint)
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


def _failure_text(record: Record, ending: Ending, reason: str) -> str:
    tail = indented(ending.tail)
    who = "" if len(record.job.hosts) == 1 else f" on {ending.host}"
    last = f"its last lines:\n{tail}\n" if tail else "it printed nothing\n"
    memory = "the container ran out of memory (killed by the kernel)\n" if ending.exit.out_of_memory else ""
    return f"the training job failed{who}\n{last}{memory}FailureReason: {reason}"


def _failure_hint(record: Record, ending: Ending) -> str:
    return f"{_remedy(record, ending)}; the whole log: {record.run.log}".removeprefix("; ")


def _remedy(record: Record, ending: Ending) -> str:
    """What to do about it, as far as the end tells."""
    if words := _remedy_of(ending):
        return words
    if _failure_file(record.run):
        return ""
    if user := record.job.image.user:
        return f"the image's USER is {user}, and {paths.ROOT} is root's, as in the cloud: leave USER out (T-60)"
    return f"write the cause to {paths.OUTPUT}/{paths.FAILURE_FILE} to see it as FailureReason (T-32)"


def _remedy_of(ending: Ending) -> str:
    """What the last words and the exit code tell; "" where they tell nothing."""
    if ending.exit.out_of_memory:
        return "give it more memory (a larger --instance-type), or make batches smaller (T-35)"
    for pattern, remedy in _LAST_WORDS.items():
        if re.search(pattern, ending.tail):
            return remedy
    return _EXIT_CODES.get(ending.exit.code, "")
