"""Another port: what a container in a pipeline is told with SAGEMAKER_BIND_TO_PORT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.hosting.serve import model_of, not_ready
from byoc_cli.check.hosting.server import Refused, Wanted, served
from byoc_cli.check.hosting.starting import Start, wait_until_ready
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped, warned
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.contract import capabilities, cloud_words, hosting, paths

_PORT = 8090
_ENVIRONMENT = {"SAGEMAKER_BIND_TO_PORT": str(_PORT), "SAGEMAKER_SAFE_PORT_RANGE": "8100-8199"}  # H-30


@dataclass(frozen=True)
class PortFacts:
    """How it starts with another port; `reason` is why that was not tried."""

    claimed: bool
    reason: str = ""
    start: Start = field(default_factory=Start)


def serve(bench: Bench, have: Mapping[str, Any]) -> PortFacts:
    """Start it for port 8090."""
    image: ImageFacts = have["static"]
    claimed = image.image.labels.get(capabilities.BIND_TO_PORT) == capabilities.CLAIMED
    if reason := not_ready(have["serve"]):
        return PortFacts(claimed, reason)
    environment = {**bench.order.project.serve.environment, **_ENVIRONMENT}
    model, _ = model_of(bench, have["train-good"])
    try:
        with served(bench, Wanted("port", {paths.MODEL: model}, _PORT, environment)) as server:
            return PortFacts(claimed, start=wait_until_ready(server, bench.order.timeout))
    except Refused:
        return PortFacts(claimed, "it cannot be started (H-01)")


SERVE_PORT: Step[PortFacts] = Step(
    "serve-port", "serve", "starts it on another port, as in a pipeline", serve, needs=("static", "train-good", "serve")
)
rule = rules_of(SERVE_PORT)


@rule(
    "H-31",
    "its label speaks true: it listens where SAGEMAKER_BIND_TO_PORT says",
    'listen on os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"), or remove the label',
    also=("H-30",),
)
def port(facts: PortFacts) -> Verdict:
    """A label without the behaviour fails in a pipeline, the behaviour without the label is refused there."""
    start, label = facts.start, f"{capabilities.BIND_TO_PORT}={capabilities.CLAIMED}"
    if start.ready is not None:
        if facts.claimed:
            return passed(f"labelled so, and on port {_PORT} /ping is 200")
        cloud = cloud_words.label_missing(capabilities.BIND_TO_PORT)
        return warned(f"on port {_PORT} /ping is 200, and there is no label", f"LABEL {label}", cloud)
    if not facts.claimed:
        return skipped("it does not claim to take another port, and does not")
    if not (start.wrong or start.exit or start.last.status):
        return skipped(f"labelled so, and it did not become ready on port {_PORT}")
    return failed(f"LABEL {label}, and told to take port {_PORT} {_how(start)}", cloud=hosting.ping_failed())


def _how(start: Start) -> str:
    if start.exit:
        return f"it ends with exit code {start.exit.code}\n{start.last_lines}"
    if start.wrong:
        return f"it listens on {', '.join(map(str, start.wrong))}"
    return f"it answers /ping with {start.last.told}"
