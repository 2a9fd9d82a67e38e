"""What SageMaker promises a training container, and what it expects back; rule ids are of docs/contract.md.

No TensorFlow here: a job that is set up wrongly is refused before the slow import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ML_ROOT = Path("/opt/ml")
CHANNEL = "training"
FAILURE_CHARACTERS = 1024  # SageMaker shows no more of the failure file than this (T-32)


class JobError(Exception):
    """The job cannot be done as asked. The message says what and why; it needs no traceback."""


def read_hyperparameters(root: Path = ML_ROOT) -> dict[str, str]:
    """Read hyperparameters.json: a flat object whose values are strings (T-12); none there means none given."""
    path = root / "input/config/hyperparameters.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise JobError(f"{path} must hold a JSON object, not {json.dumps(content)[:80]}")
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}


def find_tfrecords(folder: Path, split: str) -> list[Path]:
    """Return the TFRecord files of `split` in the channel's folder, or say what is wrong with the channel.

    A split is one file, `train.tfrecords`, or several to deal to hosts, `train-0.tfrecords` and so on (T-57).
    """
    make = "utils/generate_cifar10_tfrecords.py makes the files"
    if not folder.is_dir():
        if folder.with_name(f"{folder.name}_0").exists():  # T-61
            raise JobError(f"channel {folder.name} is in Pipe mode: this container reads files, use File or FastFile")
        raise JobError(f"channel {folder.name} is missing: there is no folder {folder} ({make})")
    paths = sorted(path for path in folder.glob(f"{split}*.tfrecords") if path.is_file())
    if not paths:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise JobError(f"channel {folder.name} has no {split}.tfrecords: it holds {found} ({make})")
    for path in paths:
        if path.stat().st_size == 0:
            raise JobError(f"channel {folder.name}: {path.name} is empty ({make})")
    return paths


def fail(error: BaseException, root: Path = ML_ROOT) -> int:
    """Report a failed job on stderr and in /opt/ml/output/failure; return the exit code (T-31, T-32)."""
    if isinstance(error, JobError):
        trace = ""
        cause = str(error)
    else:
        trace = "".join(traceback.format_exception(error))
        cause = f"{type(error).__name__}: {error}"
    print(f"{trace}error: {cause}", file=sys.stderr, flush=True)
    path = root / "output/failure"
    try:
        path.write_text(failure_text(cause, trace), encoding="utf-8")
    except OSError as unwritable:
        print(f"warning: {path} cannot be written ({unwritable})", file=sys.stderr, flush=True)
    return 1


def failure_text(cause: str, trace: str) -> str:
    """Put the cause first, then as much of the traceback's end as fits into what SageMaker shows."""
    cause = cause[:FAILURE_CHARACTERS]
    room = FAILURE_CHARACTERS - len(cause) - len("\n\n…")
    if not trace or room < 80:
        return cause
    return f"{cause}\n\n{trace}" if len(trace) <= room else f"{cause}\n\n…{trace[-room:]}"


class StopRequest:
    """Remembers that SIGTERM (StopTrainingJob, a time limit: T-40) or Ctrl-C came, for a loop to look at."""

    def __init__(self) -> None:
        self._came = False

    def listen(self) -> StopRequest:
        """Take over the signals. As PID 1 the default would be to ignore them (I-15)."""
        signal.signal(signal.SIGTERM, self._remember)
        signal.signal(signal.SIGINT, self._remember)
        return self

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if not self._came:
            print(f"{signal.Signals(number).name} received: saving, then stopping", flush=True)
        self._came = True

    def __bool__(self) -> bool:
        return self._came


@contextmanager
def left_within(seconds: float, stop: StopRequest, cause: str, root: Path = ML_ROOT) -> Iterator[None]:
    """End the process with a failure if it is still inside the block `seconds` after a stop request.

    While the main thread is inside TensorFlow, waiting for another host, Python runs no signal handler: `stop` stays
    false. But a signal's number is written to the wakeup file at once, and another thread reads it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    left = threading.Event()

    def watch() -> None:
        os.read(reader, 1)
        if not left.wait(seconds):
            os._exit(fail(JobError(cause), root))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if stop:
        os.write(writer, b"\0")
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        left.set()
        os.write(writer, b"\0")  # where no signal came, the thread still reads
        watcher.join()
        os.close(reader)
        os.close(writer)
