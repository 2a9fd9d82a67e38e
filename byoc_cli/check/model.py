"""What a check is made of: steps that gather facts, rules that judge them, verdicts.

A rule is one function beside its data:

    @STATIC.rule("T-60", "It runs as root", "remove USER from the Dockerfile")
    def runs_as_root(image: ImageFacts) -> Verdict:
        ...

Level and source come from `contract.rules`. A rule that could not be tried is skipped with its reason, never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from byoc_cli.contract.rules import RULES, Level

if TYPE_CHECKING:
    from byoc_cli.check.bench import Bench

Result = Literal["pass", "warn", "fail", "skip"]
Part = Literal["train", "serve"]
F = TypeVar("F")

RESULTS: Sequence[Result] = ("fail", "warn", "pass", "skip")
"""The weightiest first: what a rule that is judged in several steps is taken for."""


@dataclass(frozen=True)
class Verdict:
    """What a rule says of an image: `seen` is the evidence, `cloud` what the cloud would say, `fix` the line to add.

    Several lines are several findings.
    """

    result: Result
    seen: str
    cloud: str = ""
    fix: str = ""


def passed(seen: str) -> Verdict:
    """The rule holds, as `seen` shows."""
    return Verdict("pass", seen)


def skipped(reason: str) -> Verdict:
    """The rule could not be tried."""
    return Verdict("skip", reason)


def warned(seen: str, fix: str = "", cloud: str = "") -> Verdict:
    """It may go wrong; without a fix the rule's own remedy is shown."""
    return Verdict("warn", seen, cloud, fix)


def failed(seen: str, fix: str = "", cloud: str = "") -> Verdict:
    """It will go wrong; a MUST is broken."""
    return Verdict("fail", seen, cloud, fix)


class NotTried(Exception):
    """A step could not gather its facts, for a reason that is no fault of the image: its rules are skipped."""


@dataclass(frozen=True)
class Rule(Generic[F]):
    """A rule of the contract as it is judged in one step; `also` are ids that hold and break with it."""

    id: str
    sentence: str
    remedy: str
    step: Step[F]
    judge: Callable[[F], Verdict]
    also: Sequence[str] = ()

    @property
    def level(self) -> Level:
        """How much it weighs."""
        return RULES[self.id].level

    @property
    def source(self) -> str:
        """Where it stands written."""
        return RULES[self.id].source

    @property
    def parts(self) -> frozenset[Part]:
        """What it is about: training (T-…), hosting (H-…), or both (I-…, or an id of each)."""
        if self.id.startswith("I"):
            return frozenset({"train", "serve"})
        families: Mapping[str, Part] = {"T": "train", "H": "serve"}
        return frozenset(families[id_[0]] for id_ in (self.id, *self.also) if id_[0] in families)


Gather = Callable[["Bench", Mapping[str, Any]], F]
"""Makes a step's facts, in a thread of its own; it is given the facts of the steps that it needs, by name.

It raises NotTried where it cannot.
"""


@dataclass(frozen=True)
class Step(Generic[F]):
    """One way of looking at an image: to read it, to train with it, to serve with it.

    `name` and `group` are words of --only and --skip; `needs` are steps whose facts it is given; `asked` means that it
    is left out unless it is asked for. Steps that do not need each other go side by side, so facts are frozen.
    """

    name: str
    group: str
    about: str
    gather: Gather[F] = field(repr=False)
    needs: Sequence[str] = ()
    asked: bool = False
    rules: list[Rule[F]] = field(default_factory=list, repr=False, compare=False)

    def rule(
        self, id_: str, sentence: str, remedy: str, *, also: Sequence[str] = ()
    ) -> Callable[[Callable[[F], Verdict]], Callable[[F], Verdict]]:
        """Register a rule of this step."""
        for each in (id_, *also):
            if each not in RULES:
                raise KeyError(f"{each} is no rule of the contract")

        def register(judge: Callable[[F], Verdict]) -> Callable[[F], Verdict]:
            self.rules.append(Rule(id_, sentence, remedy, self, judge, tuple(also)))
            return judge

        return register


@dataclass(frozen=True)
class Finding:
    """A rule's verdict on an image, and how long the step took that shows it; of several steps the weightiest."""

    rule: Rule[Any]
    verdict: Verdict
    seconds: float

    @property
    def result(self) -> Result:
        """The verdict's."""
        return self.verdict.result

    @property
    def fix(self) -> str:
        """What to do: nothing where nothing is wrong, else the verdict's word, else the rule's."""
        return "" if self.result in {"pass", "skip"} else self.verdict.fix or self.rule.remedy


def weightiest(findings: Sequence[Finding]) -> list[Finding]:
    """Leave one finding for each rule id, in the order of the contract."""
    best: dict[str, Finding] = {}
    for finding in findings:
        before = best.get(finding.rule.id)
        if before is None or RESULTS.index(finding.result) < RESULTS.index(before.result):
            best[finding.rule.id] = finding
    order = list(RULES)
    return sorted(best.values(), key=lambda finding: order.index(finding.rule.id))
