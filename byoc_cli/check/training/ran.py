"""One run of `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from byoc_cli.contract import training

_SHOWN_LINES = 5
_BUFFERED_SECONDS = 3.0


@dataclass(frozen=True)
class Ran:
    """One container that was started with `train`, from its start to its end.

    `code` is None where the engine could not start it, and `refused` says why. `stopped` tells that it was told to end,
    or killed, because it took too long. `failure` is what it wrote to /opt/ml/output/failure, None for no such file;
    `model`, `output`, `checkpoints` are the names below these folders, `links` the lines about symbolic links in the
    model, which is `hollow` if all its files are empty. `first_word` and `last_word` are when it printed, in seconds
    after the start, `ended_at` when it ended, on the monotonic clock. `elsewhere` are files that it made outside of
    /opt/ml, which no job keeps.
    """

    code: int | None = 0
    seconds: float = 0.0
    log: str = ""
    failure: str | None = None
    model: Sequence[str] = ()
    output: Sequence[str] = ()
    checkpoints: Sequence[str] = ()
    links: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    first_word: float | None = None
    last_word: float = 0.0
    stopped: bool = False
    hollow: bool = False
    ended_at: float = 0.0
    out_of_memory: bool = False
    refused: str = ""
    host: str = "algo-1"

    @property
    def completed(self) -> bool:
        """Whether the cloud would call the job Completed."""
        return self.code == 0 and not self.stopped

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, and the cloud would call the job Failed."""
        return self.code != 0 and not self.stopped

    @property
    def last_line(self) -> str:
        """Its last word, "" where it said nothing."""
        return next((line.strip()[:200] for line in reversed(self.log.splitlines()) if line.strip()), "")

    @property
    def said_late(self) -> bool:
        """Whether all that it said came at once, and it ended not much later: it may have been buffered."""
        first = self.first_word or 0.0
        at_once = self.last_word - first < 0.1 * first and self.seconds < 2 * first
        return first > _BUFFERED_SECONDS and at_once and len(self.log.splitlines()) > 2

    @property
    def last_lines(self) -> str:
        """What it said last, for a finding."""
        return "\n".join(f"  {line[:200]}" for line in self.log.splitlines()[-_SHOWN_LINES:])

    @property
    def end(self) -> str:
        """How it ended, with its last words."""
        said = [f"exit code {self.code}" + (" (out of memory)" if self.out_of_memory else "")]
        if self.log:
            said += ["its last lines:", self.last_lines]
        else:
            said.append("it printed nothing")
        if self.failure:
            said.append(f"its failure file: {self.failure.strip().splitlines()[0][:200]}")
        return "\n".join(said)

    @property
    def cloud(self) -> str:
        """What DescribeTrainingJob would say of its failure."""
        return training.failure_reason(self.failure or "", self.code or 0, out_of_memory=self.out_of_memory)
