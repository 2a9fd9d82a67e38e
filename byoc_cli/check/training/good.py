"""The good run: lets `train` work on data that it can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step
from byoc_cli.check.static import start_rules
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training import causes, sources
from byoc_cli.check.training.attempt import Wanted, attempt, job_of
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran

_RELAXED = {"T-59", "T-74", causes.CHANNEL}
"""What may be another way with a network and writable data."""
_NOT_EXECUTED = re.compile(r"^exec /\S+: (?:exec format error|no such file or directory)$", re.MULTILINE)


def train(bench: Bench, have: Mapping[str, Any]) -> TrainingFacts:
    """Let it train without a network, on data that it cannot write to; once more with both, if that fails."""
    image: ImageFacts = have["static"]
    if reason := not_for_training(image) or bench.order.no_training:
        return TrainingFacts(image, reason)
    job = job_of(bench)
    name, timeout = "good", bench.order.timeout
    ran = strict = attempt(bench, Wanted(name, timeout, isolated=True, read_only=True))[0]

    def cause(of: Ran) -> causes.Cause | None:
        names = [channel.name for channel in job.channels]
        return causes.cause(of, channels=names, strings=bool(job.hyperparameters)) if of.code else None

    found = [cause(strict)]
    if _NOT_EXECUTED.search(strict.log):
        return TrainingFacts(image, "`train` cannot be executed (I-06)")
    if _may_go_better(strict, found[0]):
        name = "good-again"
        ran = attempt(bench, Wanted(name, timeout))[0]
        found.append(cause(ran))
    return TrainingFacts(
        image,
        causes=[each for each in found if each],
        ran=ran,
        strict=strict,
        model=bench.folder / name / "model" if ran.code == 0 and ran.model else None,
        own_data=bool(bench.order.training and bench.order.training.channels),
        hyperparameters=job.hyperparameters,
        named=sources.hyperparameters(bench, image),
        metrics=job.metrics,
    )


def _may_go_better(strict: Ran, cause: causes.Cause | None) -> bool:
    """Whether a network and writable data may make a difference."""
    if strict.refused or strict.code == 0:
        return False
    waits = strict.stopped and cause is not None and cause.id == "T-74"
    return waits or (not strict.stopped and (cause is None or cause.id in _RELAXED))


def not_for_training(image: ImageFacts) -> str:
    """Why it cannot be let train, as its files tell; "" where it can."""
    there = start_rules.train_is_there(image)
    if there.result == "fail":
        return "`train` cannot be started (T-01)"
    if there.result == "skip" and image.train.speaks_of("serve"):
        return "the image does not train"
    return ""


TRAIN_GOOD: Step[TrainingFacts] = Step(
    "train-good", "train", "lets it train, without a network", train, needs=("static",)
)


good = rules_of(TRAIN_GOOD)
