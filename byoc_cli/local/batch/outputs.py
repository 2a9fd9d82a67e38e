"""One input file and its `.out`: written beside, and there only when all of it is (H-58)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import IO, BinaryIO

from byoc_cli.contract.batch import AssembleWith
from byoc_cli.errors import MachineError, UsageError
from byoc_cli.local.channels.objects import Object
from byoc_cli.project.home import expanded

_IN_MEMORY = 1 << 20


def output_folder(given: Path, source: Path | None) -> Path:
    """Make the folder of the outputs before anything takes its time; `source` is the input's, None for one in S3.

    Raises:
        UsageError: it cannot be made or written to, or its files would be the next job's input.

    """
    if given.parts[:1] == ("s3:",):
        raise UsageError(f"--out {given}: it is a folder of this machine", hint="--out FOLDER, then aws s3 sync")
    folder = expanded(given).resolve()
    if source and source.is_dir() and folder.is_relative_to(source.resolve()):
        raise UsageError(
            f"--out {given} is in the input's folder\nthe next job would take its .out files for input",
            hint=f"--out {source.resolve().parent / 'out'}",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {given} cannot be made\n{error.strerror}", hint="--out FOLDER") from error
    try:
        TemporaryFile(dir=folder).close()  # permissions alone do not tell
    except OSError as error:
        raise UsageError(f"--out {given} cannot be written to\n{error.strerror}", hint="--out FOLDER") from error
    return folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of the outputs for one job: two would write into each other's halves.

    Raises:
        MachineError: another one holds it.

    """
    import fcntl  # late: Windows has none, and can do all but run containers

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                f"another byoc batch writes to {folder}", hint="another --out, or wait for it (byoc ps shows it)"
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def new_answer() -> SpooledTemporaryFile[bytes]:
    """Make room for a response."""
    return SpooledTemporaryFile(_IN_MEMORY)


class Output:
    """What becomes of one input; `failure` and `hint` say why nothing, "" while all is well."""

    def __init__(self, source: Object, folder: Path, assemble: AssembleWith) -> None:
        self.source = source
        self.path = folder / f"{source.key}.out"
        self.records = 0
        self.failure = ""
        self.hint = ""
        self.algorithm_failed = False  # rather than what it was asked
        self.ended_in_newline = False
        self.done = False
        self._assemble = assemble
        self._part = self.path.with_name(f"{self.path.name}.part")
        self._file: BinaryIO | None = None

    def add(self, answer: IO[bytes], records: int) -> None:
        """Put the next answer behind the others; with Line, a newline behind it."""
        file = self._open()
        answer.seek(0)
        shutil.copyfileobj(answer, file, 1 << 18)
        if self._assemble == "Line":
            if answer.tell():
                answer.seek(-1, 2)
                self.ended_in_newline |= answer.read(1) == b"\n"
            file.write(b"\n")
        self.records += records

    def finish(self) -> None:
        """Give the file its name."""
        self._open().close()
        self._part.replace(self.path)
        self.done = True

    def fail(self, why: str, hint: str = "") -> None:
        """Leave nothing; the first cause counts."""
        if not self.failure:
            self.failure, self.hint = why, hint
        self.discard()

    def discard(self) -> None:
        """Remove what is half-written, also by a byoc that was killed."""
        if self._file and not self.done:
            with suppress(OSError):  # on a full disk closing fails as writing did
                self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if not self._file:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        return self._file
