"""Runs the steps of the chosen rules, those that do not wait for each other side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from byoc_cli.check.bench import Benches
from byoc_cli.check.model import Finding, NotTried, Rule, Step, Verdict, skipped, weightiest
from byoc_cli.local.interrupts import Interrupts

_LOOK_SECONDS = 0.1


class Watcher(Protocol):
    """Is told how the check goes on, from one thread."""

    def log(self, text: str) -> None:
        """Something is worth a line."""

    def started(self, step: Step[Any]) -> None:
        """A step looks at the image now."""

    def ended(self, step: Step[Any], findings: Sequence[Finding], seconds: float) -> None:
        """A step is done, and these are its chosen rules' verdicts."""


@dataclass(frozen=True)
class _Done:
    """How a step ended: its facts, or why it has none."""

    step: Step[Any]
    facts: Any
    reason: str
    seconds: float


def check(steps: Sequence[Step[Any]], rules: Sequence[Rule[Any]], benches: Benches, watch: Watcher) -> list[Finding]:
    """Try the rules; gives a finding for each id, in the order of the contract.

    Raises:
        Interrupted: a signal came; what was made is removed all the same.
        ByocError: the engine does not answer.

    """
    needed = _with_needs(steps, {rule.step.name for rule in rules})
    with Interrupts(watch.log) as interrupts:
        interrupts.on_signal(benches.cancel, then_raise=True)
        try:
            return weightiest(_Course(needed, rules, benches, watch, interrupts).run())
        finally:
            benches.cancelled.set()
            benches.close()


def _with_needs(steps: Sequence[Step[Any]], names: set[str]) -> list[Step[Any]]:
    """The steps of these names and those whose facts they are given, in the table's order."""
    needed: set[str] = set()
    for step in reversed(steps):  # who is needed stands before
        if step.name in names | needed:
            needed |= {step.name, *step.needs}
    return [step for step in steps if step.name in needed]


class _Course:
    def __init__(
        self,
        steps: Sequence[Step[Any]],
        rules: Sequence[Rule[Any]],
        benches: Benches,
        watch: Watcher,
        interrupts: Interrupts,
    ) -> None:
        self._waiting = list(steps)
        self._rules = rules
        self._benches = benches
        self._watch = watch
        self._interrupts = interrupts
        self._done: dict[str, _Done] = {}
        self._running: list[Future[None]] = []
        self._news: SimpleQueue[_Done] = SimpleQueue()

    def run(self) -> list[Finding]:
        findings: list[Finding] = []
        with ThreadPoolExecutor(max(1, len(self._waiting))) as pool:
            try:
                self._start(pool)
                while len(self._done) < len(self._running):
                    done = self._next()
                    self._done[done.step.name] = done
                    of_step = [_judged(rule, done) for rule in self._rules if rule.step is done.step]
                    findings += of_step
                    self._watch.ended(done.step, of_step, done.seconds)
                    self._start(pool)
            except BaseException:
                self._benches.cancel()  # or the pool would wait for the others' ends
                raise
        return findings

    def _start(self, pool: ThreadPoolExecutor) -> None:
        """Start what has all that it needs."""
        for step in [step for step in self._waiting if set(step.needs) <= set(self._done)]:
            self._waiting.remove(step)
            self._watch.started(step)
            have = {name: self._done[name] for name in step.needs}
            self._running.append(pool.submit(self._gather, step, have))

    def _gather(self, step: Step[Any], have: Mapping[str, _Done]) -> None:
        start = time.monotonic()
        facts, reason = None, next((done.reason for done in have.values() if done.reason), "")
        if not reason:
            try:
                wanted = frozenset(rule.id for rule in self._rules if rule.step is step)
                bench = replace(self._benches.bench(), wanted=wanted)
                facts = step.gather(bench, {name: done.facts for name, done in have.items()})
            except NotTried as not_tried:
                reason = str(not_tried)
        self._news.put(_Done(step, facts, reason, time.monotonic() - start))

    def _next(self) -> _Done:
        """Wait for a step's end; what a thread raised is raised here, and a signal is, too."""
        while True:
            try:
                news = self._news.get(timeout=_LOOK_SECONDS)
            except Empty:
                news = None
            self._interrupts.check()  # first: a step whose container was removed by it knows nothing
            if news:
                return news
            for future in wait(self._running, 0).done:
                future.result()


def _judged(rule: Rule[Any], done: _Done) -> Finding:
    verdict = skipped(done.reason) if done.reason else rule.judge(done.facts)
    if verdict.result == "fail" and rule.level != "MUST":  # only a MUST can fail
        verdict = Verdict("warn", verdict.seen, verdict.cloud, verdict.fix)
    return Finding(rule, verdict, done.seconds)
