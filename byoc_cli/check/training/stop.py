"""The stop: SIGTERM in the middle of the training."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step, Verdict, passed, skipped, warned
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.programs import SHELLS
from byoc_cli.check.training import causes, sources
from byoc_cli.check.training.attempt import Listener, Watch, attempt
from byoc_cli.check.training.bad import why_not
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran
from byoc_cli.check.training.signals import NO_HANDLER, Process, first_process
from byoc_cli.contract import cloud_words, paths
from byoc_cli.engine.types import Container
from byoc_cli.local.runs import Run
from byoc_cli.local.training.execution import Execution

_LOOK_SECONDS = 0.02
_WORDLESS_SECONDS = 5.0  # it is running, though it says nothing
_SETTLE_SECONDS = 2.0
_HANDLER_SECONDS = 10.0  # of one whose source speaks of signals: a busy machine may be slow
_MIDDLE_SECONDS = 15.0  # at most so long for the middle of a training
_SHORT_SECONDS = 3.0
_SHORT_CPUS = 0.02
_ENOUGH_LOOKS = 5
_KILLED = 137
_BY_SIGNAL = {0, 130, 143}  # what programs end with at SIGTERM
_GRACE = 20.0
_IGNORED_GRACE = 3  # of one that does not take SIGTERM: /proc has told already
_SIGNALS = re.compile(r"SIGTERM|\bsignal\b|\btrap\b|\$SIG\b")
_COUNTER = re.compile(r"(?i)\b(epoch|step|iteration|iter|round)\b\W{0,3}(\d+)")
_GOES_ON = re.compile(r"(?i)resum|restor|checkpoint|continu|load|\bfrom\b|skip|already")
_RESUMED_SECONDS = 3.0  # after its first word it has read its checkpoints


@dataclass(frozen=True)
class StopFacts:
    """How `train` does when it is told to end; `reason` is why it was not tried.

    `process` is PID 1 as it was last seen, None where it is not to be seen, `looks` how often it was looked at since it
    said something. `asked` says that SIGTERM was sent while it ran, `seconds` how long it took it to end after that,
    `killed` that it had to be. `slowed` is set for a short training, which was given little CPU time. `resumed` is
    the next run, which began with the checkpoints that this one left.
    """

    good: TrainingFacts
    reason: str = ""
    ran: Ran = field(default_factory=Ran)
    process: Process | None = None
    looks: int = 0
    asked: bool = False
    seconds: float = 0.0
    killed: bool = False
    slowed: bool = False
    resumed: Ran | None = None


class Stopper:
    """Watches the first process, and sends SIGTERM in the middle of the training.

    One that `speaks` is waited for until it does: before, its interpreter is still starting, and has no handler.
    """

    def __init__(self, middle: float, grace: float, *, speaks: bool, slowed: bool, settle: float = 0.0) -> None:
        self.process: Process | None = None
        self.looks = 0
        self.asked_at = 0.0
        self._middle = middle
        self._settle = settle
        self._grace = grace
        self._speaks = speaks
        self._slowed = slowed

    def __call__(self, container: Container, execution: Execution, listener: Listener, over: threading.Event) -> None:
        while not over.wait(_LOOK_SECONDS):
            spoken = listener.first_word is not None
            if not spoken and (self._speaks or time.monotonic() - listener.started < _WORDLESS_SECONDS):
                continue  # until then it may be the engine's own process, or an interpreter that starts
            self._look(container)
            if self._is_middle(listener):
                self.asked_at = time.monotonic()
                takes = self.process is None or self.process.takes
                if self._slowed:  # what it has to do until it ends is not to be slow
                    container.free_cpus()
                execution.grace = self._grace if takes else _IGNORED_GRACE
                execution.stop("stopped", "")
                return

    def _look(self, container: Container) -> None:
        self._pid = getattr(self, "_pid", 0) or container.pid()
        seen = first_process(self._pid)
        # A program that ends takes its handlers down first: what was seen is so.
        self.looks += seen is not None
        if seen and not (self.process and self.process.takes and not seen.takes):
            self.process = seen

    def _is_middle(self, listener: Listener) -> bool:
        elapsed = time.monotonic() - listener.started
        takes = bool(self.process and self.process.takes)
        if self._slowed:  # it is over soon: until then a handler may come
            return takes
        return elapsed > self._middle and (
            takes or elapsed - (listener.first_word or 0) > max(self._settle, _SETTLE_SECONDS)
        )


def train(bench: Bench, have: Mapping[str, Any]) -> StopFacts:
    """Stop it, and let it go on from its checkpoints if it left some."""
    good: TrainingFacts = have["train-good"]
    if reason := why_not(good):
        return StopFacts(good, reason)
    short = good.ran.completed and good.ran.seconds < _SHORT_SECONDS
    settle = _HANDLER_SECONDS if _SIGNALS.search("\n".join(sources.own(good.image).values())) else 0.0
    # The good run may have had less of this machine than the one that is to be stopped: it is over too soon, then.
    for name, share in (("stop", 0.5), ("stop-sooner", 0.15), ("stop-longer", 0.15)):
        short = short or (name == "stop-longer" and good.ran.completed)
        longer = sources.longer(good.hyperparameters, good.named) if short else {}
        slowed = short and not longer
        given = longer or good.hyperparameters
        cpus = _SHORT_CPUS if slowed else 0
        wanted = good.again(name, bench.order.timeout, cpus=cpus, grace=_IGNORED_GRACE, hyperparameters=given)
        grace = min(_GRACE, bench.order.timeout / 2)
        middle = min(good.ran.seconds * share, _MIDDLE_SECONDS)
        first = good.ran.first_word
        speaks = first is not None and first < good.ran.seconds / 2  # not only at its end, out of a buffer
        stopper = Stopper(middle, grace, speaks=speaks, slowed=slowed, settle=settle)
        ran = attempt(bench, wanted, stopper)[0]
        if stopper.asked_at or slowed or ran.code:
            break
    ended = time.monotonic()
    resumed = None
    if ran.checkpoints and stopper.asked_at and ran.code in {*_BY_SIGNAL, _KILLED}:
        kept = Run(bench.folder / wanted.name).checkpoints
        again = good.again("resumed", bench.order.timeout, checkpoints=kept, grace=1, hyperparameters=given)
        resumed = attempt(bench, again, _ends_after(max(_RESUMED_SECONDS, good.ran.seconds / 2)))[0]
    return StopFacts(
        good,
        ran=ran,
        process=stopper.process,
        looks=stopper.looks,
        asked=bool(stopper.asked_at) and ran.stopped,
        seconds=ran.ended_at - stopper.asked_at if stopper.asked_at else ended,
        killed=ran.code == _KILLED,
        slowed=slowed,
        resumed=resumed,
    )


def _ends_after(seconds: float) -> Watch:
    """Let it run so long after its first word."""

    def watch(_: Container, execution: Execution, listener: Listener, over: threading.Event) -> None:
        while not over.wait(_LOOK_SECONDS):
            spoken = listener.first_word
            if spoken is not None and time.monotonic() - listener.started - spoken > seconds:
                execution.stop("stopped", "")
                return

    return watch


TRAIN_STOP: Step[StopFacts] = Step(
    "train-stop", "train", "sends SIGTERM in the middle of it", train, needs=("train-good",)
)
stop = rules_of(TRAIN_STOP)


@stop(
    "T-40",
    "it ends within 120 s of SIGTERM",
    "signal.signal(signal.SIGTERM, handler) early in `train`",
    also=("I-15",),
)
def ends(facts: StopFacts) -> Verdict:
    """A program that is killed after the 120 s is a warning, as many samples are so."""
    process, ran = facts.process, facts.ran
    if process and not process.takes:
        return _ignores(facts, process)
    if not facts.asked:
        if process and facts.looks:
            return passed(f"PID 1 ({process.command}) has a handler of SIGTERM; it ended before it was sent")
        return skipped(_ended_before(facts))
    if facts.killed:
        what = f"PID 1 ({process.command}) takes SIGTERM" if process else "it was sent SIGTERM"
        fix = "let the handler end the program; a shell script has to exec its program, or to `wait` for it"
        return warned(
            f"{what}, and had not ended {facts.seconds:.0f} s later", fix, cloud_words.killed_while_stopping()
        )
    return passed(f"it ended {facts.seconds:.1f} s after SIGTERM, exit code {ran.code}")


def _ended_before(facts: StopFacts) -> str:
    return f"it ended by itself after {facts.ran.seconds:.1f} s: --hyperparam, or --channel, for a longer run"


def _ignores(facts: StopFacts, process: Process) -> Verdict:
    if not facts.asked and (facts.looks < _ENOUGH_LOOKS or _may_handle(facts.good.image, process)):
        return skipped(_ended_before(facts))
    fix = f"signal.signal(signal.SIGTERM, handler) early in {process.script or '`train`'}"
    if process.name in SHELLS:
        fix = "start the program with exec, so that it is PID 1: exec python train.py; and let it handle SIGTERM"
    killed = f"\nit was still running {facts.seconds:.0f} s after SIGTERM" if facts.asked and facts.killed else ""
    why = "ignores SIGTERM" if process.ignores else f"has {NO_HANDLER}"
    return warned(
        f"PID 1 ({process.command}) {why}{killed}",
        fix,
        cloud_words.killed_while_stopping(),
    )


def _may_handle(image: ImageFacts, process: Process) -> bool:
    """Whether it may have had a handler for too short a time to be seen: its source speaks of it, or is not known."""
    text = next((text for path, text in sources.own(image).items() if path in process.command.split()), None)
    return text is None or bool(_SIGNALS.search(text))


@stop("T-41", "it saves its model when it is stopped", f"let the handler of SIGTERM save to {paths.MODEL}")
def saves(facts: StopFacts) -> Verdict:
    """What is there after a stop is uploaded."""
    if facts.asked and facts.ran.model:
        return passed(f"{paths.MODEL} has {', '.join(facts.ran.model[:3])}")
    if reason := _nothing_to_save(facts):
        return skipped(reason)
    return warned(
        f"{paths.MODEL} is empty after SIGTERM in the middle of the training",
        cloud="Stopped, with an empty model.tar.gz",
    )


def _nothing_to_save(facts: StopFacts) -> str:
    """Why an empty model after the stop says nothing; "" where it does."""
    if not facts.asked:
        return _ended_before(facts)
    if facts.killed or (facts.process and not facts.process.takes):
        return "it does not end at SIGTERM (T-40)"
    if facts.ran.code not in _BY_SIGNAL:
        return f"it failed by itself, exit code {facts.ran.code}"
    if facts.slowed:
        return "its training is too short to have something to save"
    return "it makes no model (T-45)" if facts.good.ran.completed and not facts.good.ran.model else ""


@stop("T-52", "it goes on from its checkpoints", f"load the latest file of {paths.CHECKPOINTS} at the start")
def resumes(facts: StopFacts) -> Verdict:
    """It starts again with what the stop left."""
    if facts.resumed is None:
        return skipped(f"it left nothing in {paths.CHECKPOINTS}" if facts.asked else _ended_before(facts))
    cause = causes.cause(facts.resumed, strings=True) if facts.resumed.failed else None
    if cause and cause.id == "T-12":
        return skipped("it takes no numbers as strings (T-12)")
    kept = ", ".join(facts.ran.checkpoints[:3])
    if facts.resumed.failed:
        return warned(f"with {kept} it fails\n{facts.resumed.end}", cloud=facts.resumed.cloud)
    if _begins_anew(facts.ran.log, facts.resumed.log):
        return warned(
            f"with {kept} it begins anew: {' '.join(_COUNTER.findall(facts.resumed.log)[0])} comes first again"
        )
    return passed(f"it starts with {kept}")


def _begins_anew(before: str, after: str) -> bool:
    """Whether the rounds that it counts begin as they did without checkpoints, and nothing tells that it goes on."""
    words = [word.lower() for word, _ in _COUNTER.findall(before)]
    if not words:
        return False
    rounds = max(words, key=words.count)  # "step 1 of 3: reading" counts something else
    first, again = (
        [int(number) for word, number in _COUNTER.findall(log) if word.lower() == rounds] for log in (before, after)
    )
    known = set(before.splitlines())
    goes_on = any(_GOES_ON.search(line) for line in after.splitlines() if line not in known)
    return bool(first and again) and again[0] == first[0] and max(first) > first[0] + 1 and not goes_on
