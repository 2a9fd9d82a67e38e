"""The step that lets an image serve, and what of it stands in the way of that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.hosting.course import Course, stop_alone
from byoc_cli.check.hosting.facts import ServingFacts
from byoc_cli.check.hosting.server import Refused, Wanted, served
from byoc_cli.check.hosting.starting import Start, wait_until_ready
from byoc_cli.check.model import NotTried, Step, Verdict, skipped
from byoc_cli.check.static import start_rules
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training import causes
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths

_NOT_EXECUTED = re.compile(r"^exec /\S+: (?:exec format error|no such file or directory)$", re.MULTILINE)
_NO_MATTER_OF_A_MODEL = {0, 126, 127}  # it went to the background; a shell found no program


def serve(bench: Bench, have: Mapping[str, Any]) -> ServingFacts:
    """Start it without a network, and with one where that fails; then put it through its course."""
    image: ImageFacts = have["static"]
    trained: TrainingFacts = have["train-good"]
    model, without = model_of(bench, trained)
    facts = ServingFacts(
        image,
        start_rules.no_use(image, image.serve),
        has_model=bool(model),
        given=bool(bench.order.model),
        without=without,
    )
    if facts.reason:
        return facts
    try:
        alone = _course(bench, facts, model, isolated=True)
    except NotTried as not_tried:
        return _course(bench, replace(facts, not_isolated=str(not_tried)), model, isolated=False)
    if alone.ready and alone.tries and not alone.sample and network_line(alone.log):  # its requests need one
        isolated = replace(alone.start, ready=None, log=alone.log)
        return replace(_course(bench, facts, model, isolated=False), isolated=isolated)
    if alone.ready or alone.start.refused or _is_no_matter_of_network(alone):
        return replace(alone, isolated=alone.start)
    if _NOT_EXECUTED.search(alone.log):
        return replace(facts, reason="`serve` cannot be executed (I-06)")
    return replace(_course(bench, facts, model, isolated=False), isolated=alone.start)


def model_of(bench: Bench, trained: TrainingFacts) -> tuple[Path | None, str]:
    """(the model that was given, else that of the training; or why there is none)."""
    if bench.order.model:
        return bench.order.model, ""
    if trained.model:
        return trained.model, ""
    if trained.reason:
        return None, trained.reason
    return None, trained.failure or "the training made no model"


def _course(bench: Bench, facts: ServingFacts, model: Path | None, *, isolated: bool) -> ServingFacts:
    name = "serve" if isolated else "serve-open"
    environment = bench.order.project.serve.environment
    wanted = Wanted(name, {paths.MODEL: model}, environment=environment, isolated=isolated)
    try:
        with served(bench, wanted) as server:
            start = wait_until_ready(server, bench.order.timeout)
            facts = replace(facts, start=start, log=start.log)
            facts = Course(server, facts, bench).run() if start.ready is not None else facts
        if facts.stop and facts.stop.kept:
            with served(bench, replace(wanted, name=f"{name}-stop")) as server:
                if wait_until_ready(server, bench.order.timeout).ready is not None:
                    facts = replace(facts, stop_alone=stop_alone(server))
    except Refused as refused:
        return replace(facts, start=Start(refused=str(refused)))
    return facts


def _is_no_matter_of_network(facts: ServingFacts) -> bool:
    start = facts.start
    waits = start.exit is None and not network_line(facts.log)
    return bool(start.wrong or start.late or facts.refusals or waits)


def not_ready(facts: ServingFacts) -> str:
    """Why there is no use in starting it another way, "" where it became ready."""
    return facts.reason or ("" if facts.ready else "as a plain endpoint it does not become ready either")


def cause(facts: ServingFacts) -> causes.Cause | None:
    """What the log puts an end before it was ready down to."""
    return causes.cause(Ran(code=1, log=facts.log))


def network_line(log: str) -> str:
    """The line of a log that misses a network, "" for none."""
    found = causes.cause(Ran(code=1, log=log))
    return found.line if found and found.id == "T-74" else ""


def missing_model(facts: ServingFacts) -> str:
    """The line of the log that looks for something in the model's folder in vain, "" for none."""
    # Its own code, and what goes with it, may be missing in a model.
    lines = [line for line in facts.log.splitlines() if f"{paths.MODEL}/code" not in line]
    missing = re.compile(rf"(?i)(?:no such file|not ?found|does ?n[o']t exist|ENOENT|missing|empty).*{paths.MODEL}")
    other = re.compile(rf"(?i){paths.MODEL}.*(?:no such file|not ?found|does ?n[o']t exist|ENOENT|missing|empty)")
    return next((line.strip() for line in lines if missing.search(line) or other.search(line)), "")


def needs_model(facts: ServingFacts) -> str:
    """Why it may not have become ready through no fault of its own, "" where that cannot be."""
    start, found = facts.start, cause(facts)
    if start.exit and found and found.id == causes.GPU:
        return f"it needs a GPU, which a check does not give: {found.line[:200]}"
    if facts.ready or facts.has_model or start.refused or start.wrong or start.late or facts.refusals:
        return ""
    if start.exit and start.exit.code in _NO_MATTER_OF_A_MODEL:
        return ""
    if found and found.id in {causes.ITSELF, "T-29"}:
        return ""
    how = f"it ended with exit code {start.exit.code}" if start.exit else "it did not become ready"
    return f"with an empty {paths.MODEL} {how}, and may need a model: --model PATH ({facts.without})"


SERVE: Step[ServingFacts] = Step(
    "serve", "serve", "starts it, asks it, stops it, without a network", serve, needs=("static", "train-good")
)
started = rules_of(SERVE)
Judge = Callable[[ServingFacts], Verdict]


def asked(id_: str, sentence: str, remedy: str, *, also: Sequence[str] = ()) -> Callable[[Judge], Judge]:
    """Register a rule of a server that became ready."""

    def register(judge: Judge) -> Judge:
        started(id_, sentence, remedy, also=also)(
            lambda facts: judge(facts) if facts.ready else skipped(needs_model(facts) or "it did not become ready")
        )
        return judge

    return register
