"""The bad run: hyperparameters.json is no JSON, and `train` has to say so."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped, warned
from byoc_cli.check.training import causes
from byoc_cli.check.training.attempt import attempt
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths
from byoc_cli.contract.training import FAILURE_REASON_CHARACTERS

_INVALID = '{"epochs": "1", "learning-rate": '
_FAILURE = f"{paths.OUTPUT}/{paths.FAILURE_FILE}"
_NO_DATA = "data that is none"
_SLOWER = 2.0
_TRACEBACK = "Traceback (most recent call last)"
_GENERIC = re.compile(
    r"(?i)\W*(?:(?:the|an?|job|model|training|train|has|was|unknown|error|failure|failed|exception)\W*)+"
)
_COMPLAINS = re.compile(r"(?i)\b(?:error|exception|failed|failure|fatal|invalid|cannot|could not|unable)\b")


@dataclass(frozen=True)
class BadFacts:
    """How `train` does with `what` it cannot use; `reason` is why it was not tried."""

    good: TrainingFacts
    reason: str = ""
    what: str = "hyperparameters that are no JSON"
    ran: Ran = field(default_factory=Ran)


def train(bench: Bench, have: Mapping[str, Any]) -> BadFacts:
    """Run it as the good run was, but for that file; if that one failed for want of other data, it was bad enough."""
    good: TrainingFacts = have["train-good"]
    if (
        not good.reason
        and good.ran.failed
        and not good.ran.refused
        and all(each.id == causes.CHANNEL for each in good.causes)
    ):
        return BadFacts(good, what="data that it cannot use", ran=good.ran)
    if reason := why_not(good):
        return BadFacts(good, reason)
    timeout = min(bench.order.timeout, _SLOWER * good.ran.seconds + 10)
    invalid = {paths.HYPERPARAMETERS_FILE: _INVALID}
    facts = BadFacts(good, ran=attempt(bench, good.again("bad", timeout, grace=1, files=invalid))[0])
    if facts.ran.failed or _hides(facts):
        return facts
    ran = attempt(bench, good.again("bad-data", timeout, grace=1, garbage=True))[0]
    other = BadFacts(good, what=_NO_DATA, ran=ran)
    return other if ran.failed or _hides(other) else facts


def why_not(good: TrainingFacts) -> str:
    """Why nothing can be learnt of an image that the good run did not go well with."""
    if good.reason:
        return good.reason
    return good.failure


TRAIN_BAD: Step[BadFacts] = Step(
    "train-bad", "train", "gives it hyperparameters that are no JSON", train, needs=("train-good",)
)
bad = rules_of(TRAIN_BAD)


@bad(
    "T-31", "it does not end with 0 when it failed", "let the exception go, or sys.exit(1); `set -e` in a shell script"
)
def exit_code(facts: BadFacts) -> Verdict:
    """0 is a finding only with evidence: a sound container may have nothing to complain of."""
    ran = facts.ran
    if ran.stopped:
        return skipped(f"it went on training: it does not mind {facts.what}")
    if ran.code:
        return passed(f"exit code {ran.code}, with {facts.what}")
    if hidden := _hides(facts):
        seen, cloud = f"with {facts.what}: {hidden}\nand then exit code 0", "TrainingJobStatus: Completed"
        # With a model it may have gone on for good reason.
        return (
            warned(f"{seen}, with a model", cloud=cloud) if ran.model and not _told(ran) else failed(seen, cloud=cloud)
        )
    return skipped(f"it had nothing to say against {facts.what}")


def _hides(facts: BadFacts) -> str:
    """What it said of a failure before it ended with 0, "" for nothing."""
    ran = facts.ran
    if ran.code != 0:
        return ""
    if told := _told(ran):
        return f"a failure file: {told.splitlines()[0][:200]}"
    said = causes.complaint(ran.log, facts.good.ran.log)
    if ran.model and not ran.hollow:
        broke_off = _TRACEBACK in ran.log and _TRACEBACK not in facts.good.ran.log and not _went_on(facts)
        return said[:200] if broke_off else ""
    return said[:200] or _no_model(facts)


def _went_on(facts: BadFacts) -> bool:
    """Whether it said after its traceback what it says when all goes well, most of it: it trained with defaults."""
    after, well = (
        {re.sub(r"\d+", "0", line.strip()) for line in log.splitlines()}
        for log in (facts.ran.log.rpartition(_TRACEBACK)[2], facts.good.ran.log)
    )
    return 2 * len(well & after) >= len(well)


def _told(ran: Ran) -> str:
    return (ran.failure or "").strip()


def _no_model(facts: BadFacts) -> str:
    """That it left no model, where the good run did, is evidence, too; of data that is none only with a word of it."""
    ran, good = facts.ran, facts.good.ran
    known = set(good.log.splitlines())
    line = next((line.strip() for line in ran.log.splitlines() if line not in known and _COMPLAINS.search(line)), "")
    if not good.completed or not good.model or ran.stopped or (facts.what == _NO_DATA and not line):
        return ""
    return f"{line[:200]}\nno model" if line else f"no model in {paths.MODEL}, where the good run left one"


@bad(
    "T-32",
    f"when it fails it writes the cause to {_FAILURE}",
    f"except Exception as error: open('{_FAILURE}', 'w').write(str(error)); raise",
)
def failure_file(facts: BadFacts) -> Verdict:
    """Its first 1,024 characters are FailureReason."""
    ran = facts.ran
    if not ran.failed:
        return skipped("it did not fail")
    text = (ran.failure or "").strip()
    if not text:
        return _no_failure_file(facts)
    if facts.good.image.toolkit and text.startswith("Framework Error"):
        return passed("the toolkit wrote it")
    if _GENERIC.fullmatch(text):
        return warned(f"it says {text[:200]!r}, and not why", cloud=ran.cloud)
    if late := _cause_behind(text):
        return warned(
            f"it has {len(text):,} characters, and the cause comes after the first 1,024: {late[:200]}",
            "write the exception first, the traceback after it",
            ran.cloud[:300] + "…",
        )
    return passed(text.splitlines()[0][:200])


def _no_failure_file(facts: BadFacts) -> Verdict:
    ran = facts.ran
    if _astray(ran):
        return skipped("it wrote it elsewhere (T-34)")
    if facts.what == _NO_DATA:
        return skipped("it wrote none, but its data was none either")
    if ran is facts.good.ran and not facts.good.image.train.may_train:
        return skipped("whether the image trains at all is not known")
    what = "is not there" if ran.failure is None else "is empty"
    return warned(f"exit code {ran.code}, and {_FAILURE} {what}", cloud=ran.cloud)


def _cause_behind(text: str) -> str:
    """The last line, where a traceback or a log before it fills what is shown; "" where the cause is there."""
    shown = text[:FAILURE_REASON_CHARACTERS]
    if text == shown or not ("Traceback" in shown or not _COMPLAINS.search(_split(shown))):
        return ""
    cause = next(line for line in reversed(text.splitlines()) if line.strip())
    message = cause.partition(": ")[2] or cause
    return "" if message[:80] in shown else cause


def _split(text: str) -> str:
    """Let JSONDecodeError be seen as an error."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)


@bad("T-34", "the failure file is `failure`, right in /opt/ml/output", f"write to {_FAILURE}")
def failure_place(facts: BadFacts) -> Verdict:
    """Not failure.txt, and not in data."""
    ran = facts.ran
    if not ran.failed:
        return skipped("it did not fail")
    if ran.failure is not None:
        return passed(f"{_FAILURE} is there")
    if astray := _astray(ran):
        return warned(f"it wrote {astray}, which nobody reads", cloud=ran.cloud)
    return skipped("it wrote no such file (T-32)")


def _astray(ran: Ran) -> str:
    """Where it wrote a failure file that is none."""
    inside = [f"{paths.OUTPUT}/{name}" for name in ran.output] + [f"{paths.MODEL}/{name}" for name in ran.model]
    found = [path for path in inside if posixpath.basename(path).lower().startswith(("fail", "error"))]
    found += [path for path in ran.elsewhere if posixpath.basename(path).partition(".")[0].lower() == "failure"]
    return next((path for path in found if path != _FAILURE), "")
