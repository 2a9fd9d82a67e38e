"""What is known of an image after it was let serve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from byoc_cli.check.hosting.asking import Answer, Request
from byoc_cli.check.hosting.starting import Start
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training.signals import Process
from byoc_cli.contract import paths
from byoc_cli.engine.types import Exit

_KILLED = 137
_READ_ONLY = re.compile(r"(?i)Read-only file ?system|EROFS|\[Errno 30\]|ReadOnlyFileSystem|readonly database")
_OTHER_READ_ONLY = re.compile(r"/(?:proc|sys)/")


@dataclass(frozen=True)
class Load:
    """Requests at once: their answers, the pings and the connections beside them."""

    answers: Sequence[Answer] = ()
    pings: Sequence[Answer] = ()
    connects: Sequence[float] = ()

    @property
    def late(self) -> list[Answer]:
        """Pings that were not answered with 200 in time; that a connection is not accepted is another matter (H-13)."""
        return [each for each in self.pings if each.status != 200 and each.connected]


@dataclass(frozen=True)
class Abuse:
    """A request that no client should send, and what it brought about; `after` is a ping, `exit` its end."""

    what: str
    answer: Answer
    after: Answer
    exit: Exit | None = None

    @property
    def survived(self) -> bool:
        """Whether it is as healthy as before."""
        return self.exit is None and self.after.status == 200


@dataclass(frozen=True)
class Stop:
    """How it ended: `process` is PID 1 as it was, `flight` the answer to a request that was on its way.

    `waited` is how long it was let be after SIGTERM, `seconds` how long it took.
    """

    process: Process | None = None
    flight: Answer | None = None
    real: bool = False
    exit: Exit = field(default_factory=lambda: Exit(0))
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether it had to be."""
        return self.exit.code == _KILLED

    @property
    def kept(self) -> bool:
        """Whether it takes SIGTERM, and a request whose last byte came after it may have kept it from its end."""
        takes = self.process is None or self.process.takes
        return self.killed and takes and self.flight is not None and not self.real


@dataclass(frozen=True)
class ServingFacts:
    """How `serve` does; `reason` is why it was not let serve.

    `has_model` says that it had a model, the training's or one that was `given`; else `without` says why its folder was
    empty. `start` is how it started, `isolated` the same without a network where that was tried first, None where it
    could not be. What follows is there only of one that became ready. `sample` is a request that it takes, None where
    none is known; `asked` says that it is the user's, `tries` what was sent to find one. `held` is a ping while a
    request was on its way; `large` is a body of 6 MB, and one of 4 MB where the first was too large. `stop` came with a
    request on its way; `stop_alone` came without, where a request whose last byte lacked kept the first from its end.
    """

    image: ImageFacts
    reason: str = ""
    has_model: bool = False
    given: bool = False
    without: str = ""
    start: Start = field(default_factory=Start)
    isolated: Start | None = None
    not_isolated: str = ""
    connects: Sequence[float] = ()
    posted_ping: Answer = field(default_factory=Answer)
    parameters: Answer = field(default_factory=Answer)
    sample: Request | None = None
    asked: bool = False
    tries: Sequence[tuple[Request, Answer]] = ()
    answer: Answer = field(default_factory=Answer)
    with_headers: Mapping[str, Answer] = field(default_factory=dict)
    unknown_type: Answer = field(default_factory=Answer)
    upgrade: Answer = field(default_factory=Answer)
    held: Answer | None = None
    busy: Load = field(default_factory=Load)
    loads: Sequence[Load] = ()
    large: Sequence[Abuse] = ()
    bad: Sequence[Abuse] = ()
    died: str = ""
    stop: Stop | None = None
    stop_alone: Stop | None = None
    log: str = ""

    @property
    def ready(self) -> bool:
        """Whether it came to be asked."""
        return self.start.ready is not None

    @property
    def unanswered(self) -> bool:
        """Whether no request at all was answered."""
        return bool(self.tries) and not any(answer.status for _, answer in self.tries)

    @property
    def refused(self) -> bool:
        """Whether the user's own request went wrong."""
        return self.asked and self.sample is None

    @property
    def refusals(self) -> list[str]:
        """Lines and answers that tell of a write to the model's folder, which is the one that is read-only (H-04)."""
        logs = "\n".join(dict.fromkeys(log for log in (self.isolated.log if self.isolated else "", self.log) if log))
        said = [*logs.splitlines(), *(each.text for _, each in self.tries), self.answer.text]
        found = [line.strip() for line in said if _READ_ONLY.search(line) and not _OTHER_READ_ONLY.search(line)]
        return sorted(dict.fromkeys(found), key=lambda line: paths.MODEL not in line)
