"""One input file and its `.out`: written beside, and there only when all of it is (H-58)."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO

from byoc_cli.contract.batch import AssembleWith
from byoc_cli.local.channels.objects import Object

_IN_MEMORY = 1 << 20


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
        shutil.copyfileobj(answer, file, 1 << 20)
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
        """Remove what is half-written."""
        if self._file and not self.done:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if not self._file:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        return self._file
