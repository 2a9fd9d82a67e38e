"""The good run: what `train` makes of data that it can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped
from byoc_cli.check.static import start_rules
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training.attempt import Wanted, attempt, job_of
from byoc_cli.check.training.facts import TrainingFacts


def train(bench: Bench, have: Mapping[str, Any]) -> TrainingFacts:
    """Let it train without a network, on data that it cannot write to; once more with both, if that fails."""
    image: ImageFacts = have["static"]
    if reason := _not_for_training(image):
        return TrainingFacts(image, reason)
    wanted = Wanted("good", bench.order.timeout, isolated=True, read_only=True)
    ran = strict = attempt(bench, wanted)[0]
    if strict.failed:
        wanted = Wanted("good-again", bench.order.timeout)
        ran = attempt(bench, wanted)[0]
    job = job_of(bench)
    return TrainingFacts(
        image,
        ran=ran,
        strict=strict,
        model=bench.folder / wanted.name / "model" if ran.code == 0 and ran.model else None,
        own_data=bool(bench.order.training and bench.order.training.channels),
        hyperparameters=job.hyperparameters,
        metrics=job.metrics,
    )


def _not_for_training(image: ImageFacts) -> str:
    """Why it cannot be let train, from its files."""
    there = start_rules.train_is_there(image)
    if there.result == "fail":
        return "`train` cannot be started (T-01)"
    if there.result == "skip" and image.train.speaks_of("serve"):
        return "the image does not train"
    return ""


TRAIN_GOOD: Step[TrainingFacts] = Step(
    "train-good", "train", "trains on good data, without a network", train, needs=("static",)
)


def good(
    id_: str, sentence: str, remedy: str, *, also: Sequence[str] = ()
) -> Callable[[Callable[[TrainingFacts], Verdict]], Callable[[TrainingFacts], Verdict]]:
    """Register a rule of the good run; an image that was not let train says why."""

    def register(judge: Callable[[TrainingFacts], Verdict]) -> Callable[[TrainingFacts], Verdict]:
        def guarded(facts: TrainingFacts) -> Verdict:
            return skipped(facts.reason) if facts.reason else judge(facts)

        TRAIN_GOOD.rule(id_, sentence, remedy, also=also)(guarded)
        return judge

    return register


@good("T-45", "it leaves a model in /opt/ml/model", "write the model to /opt/ml/model before `train` ends")
def model(facts: TrainingFacts) -> Verdict:
    """A job that completes without one is of no use."""
    ran = facts.ran
    if ran.model:
        return passed(f"{len(ran.model)} files: {', '.join(ran.model[:3])}")
    return failed("/opt/ml/model is empty") if ran.completed else skipped("it did not complete")
