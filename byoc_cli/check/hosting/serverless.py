"""A serverless endpoint (--serverless): any user, little memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.hosting.serve import model_of, not_ready
from byoc_cli.check.hosting.server import Refused, Wanted, served
from byoc_cli.check.hosting.starting import Start, wait_until_ready
from byoc_cli.check.model import Step, Verdict, passed, warned
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.contract import hosting, paths
from byoc_cli.local.hosting import serverless


@dataclass(frozen=True)
class ServerlessFacts:
    """How it starts as another user; `reason` is why that was not tried."""

    user: str = ""
    memory: int = 0
    reason: str = ""
    start: Start = field(default_factory=Start)


def serve(bench: Bench, have: Mapping[str, Any]) -> ServerlessFacts:
    """Start it as a user that nobody knows."""
    if reason := not_ready(have["serve"]):
        return ServerlessFacts(reason=reason)
    user, memory = serverless.user(), bench.order.serverless
    model, _ = model_of(bench, have["train-good"])
    environment = bench.order.project.serve.environment
    wanted = Wanted("serverless", {paths.MODEL: model}, environment=environment, user=user, memory=memory << 20)
    try:
        with served(bench, wanted) as server:
            return ServerlessFacts(user, memory, start=wait_until_ready(server, bench.order.timeout))
    except Refused as refused:
        return ServerlessFacts(user, memory, start=Start(refused=str(refused)))


SERVE_SERVERLESS: Step[ServerlessFacts] = Step(
    "serve-serverless",
    "serve",
    "starts it as any user, with little memory (--serverless)",
    serve,
    needs=("train-good", "serve"),
    asked=True,
)
rule = rules_of(SERVE_SERVERLESS)


@rule(
    "H-65",
    "it serves as any user, with little memory",
    "RUN chmod -R o+rwX PATH for the code and for what it writes; write to /tmp only; one worker",
)
def any_user(facts: ServerlessFacts) -> Verdict:
    """A serverless endpoint does not run it as root."""
    start, who = facts.start, f"as user {facts.user} with {facts.memory} MB"
    if start.ready is not None:
        return passed(f"{who}: ready after {start.ready:.1f} s")
    denied = re.findall(r"(?im)^.*(?:permission ?(?:denied|error)|EACCES).*$", start.log)
    if start.refused:
        how = start.refused
    elif denied:
        how = denied[-1].strip()
    elif start.exit:
        memory = " (out of memory)" if start.exit.out_of_memory else ""
        how = f"it ended with exit code {start.exit.code}{memory}\n{start.last_lines}"
    else:
        how = f"/ping: {start.last.told}\n{start.last_lines}"
    return warned(f"{who}: {how}", cloud=hosting.ping_failed())
