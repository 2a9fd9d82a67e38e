"""The run with hyperparameters: those that the source of `train` names, where the user gave none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped
from byoc_cli.check.training import causes
from byoc_cli.check.training.attempt import attempt
from byoc_cli.check.training.bad import why_not
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran


@dataclass(frozen=True)
class StringsFacts:
    """How `train` does with `given`; `reason` is why it was not tried."""

    given: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    ran: Ran = field(default_factory=Ran)


def train(bench: Bench, have: Mapping[str, Any]) -> StringsFacts:
    """Give it the defaults that it has itself, as strings."""
    good: TrainingFacts = have["train-good"]
    if reason := why_not(good):
        return StringsFacts(reason=reason)
    if good.hyperparameters:
        return StringsFacts(reason="the good run had hyperparameters")
    if not good.named:
        return StringsFacts(reason="the source of `train` names no hyperparameter: --hyperparam K=V")
    wanted = good.again("strings", bench.order.timeout, grace=1, hyperparameters=good.named)
    return StringsFacts(good.named, "", attempt(bench, wanted)[0])


TRAIN_STRINGS: Step[StringsFacts] = Step(
    "train-strings", "train", "gives it the hyperparameters that its source names", train, needs=("train-good",)
)


@rules_of(TRAIN_STRINGS)(
    "T-12",
    "it takes hyperparameters as strings",
    'convert each value where it is read: int(hyperparameters["epochs"])',
)
def strings(facts: StringsFacts) -> Verdict:
    """A number is a string there."""
    given = ", ".join(f'"{name}": "{value}"' for name, value in facts.given.items())
    if facts.ran.stopped or facts.ran.code == 0:
        return passed(f"it took {given}")
    cause = causes.cause(facts.ran, strings=True)
    if cause and cause.id == "T-12":
        return failed(f"with {given}: {cause.line}", cloud=facts.ran.cloud)
    return skipped(f"with {given} it failed, for another reason: {facts.ran.end.splitlines()[-1].strip()}")
