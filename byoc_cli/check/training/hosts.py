"""Two hosts (--two-hosts): they find each other, agree on who writes what, and share the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped, warned
from byoc_cli.check.training.attempt import attempt, job_of
from byoc_cli.check.training.bad import why_not
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths
from byoc_cli.local.channels.objects import objects
from byoc_cli.local.runs import Run
from byoc_cli.local.training.results import merge

_HOSTS = 2


@dataclass(frozen=True)
class HostsFacts:
    """How `train` does on two hosts; `reason` is why it was not tried.

    `ran` is the host that decided, `both` are all. `clashes` are files that are not the same on both, by the folder.
    `sharded` is the host that decided where the data was one object for two hosts, None where that was not tried.
    """

    good: TrainingFacts
    reason: str = ""
    both: Sequence[Ran] = ()
    clashes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sharded: Ran | None = None

    @property
    def ran(self) -> Ran:
        """The host that tells how the job ended."""
        return next((each for each in self.both if each.code), self.both[0])


def train(bench: Bench, have: Mapping[str, Any]) -> HostsFacts:
    """Run it on two hosts; once more with one object for both, where the channels are so small."""
    good: TrainingFacts = have["train-good"]
    if reason := why_not(good):
        return HostsFacts(good, reason)
    wanted = good.again("hosts", bench.order.timeout, hosts=_HOSTS, grace=1)
    both = attempt(bench, wanted)
    sharded = None
    channels = [channel for channel in job_of(bench).channels if channel.config.input_mode == "File"]
    if all(each.completed for each in both) and any(len(objects(channel)) < _HOSTS for channel in channels):
        again = good.again("sharded", bench.order.timeout, hosts=_HOSTS, grace=1, sharded=True)
        ends = attempt(bench, again)
        sharded = next((each for each in ends if each.code), ends[0])
    return HostsFacts(good, "", both, _clashes(Run(bench.folder / wanted.name)), sharded)


def _clashes(run: Run) -> dict[str, Sequence[str]]:
    of_hosts = {path.name: Run(path) for path in sorted((run.folder / "hosts").glob("*"))}
    found: dict[str, Sequence[str]] = {}
    for place, part in ((paths.MODEL, "model"), (paths.OUTPUT_DATA, "output/data"), (paths.CHECKPOINTS, "checkpoints")):
        folders: dict[str, Path] = {name: each.folder / part for name, each in of_hosts.items()}
        found[place] = [f"{place}/{relative}" for relative, _ in merge(folders, run.folder / "merged" / part)]
    return found


TRAIN_HOSTS: Step[HostsFacts] = Step(
    "train-hosts", "train", "lets two hosts train (--two-hosts)", train, needs=("train-good",), asked=True
)
hosts = rules_of(TRAIN_HOSTS)


@hosts(
    "T-71",
    "two hosts find each other and end well",
    "take names from resourceconfig.json, not from the machine's own; try again until a name is known",
    also=("T-17", "T-72"),
)
def together(facts: HostsFacts) -> Verdict:
    """They are algo-1 and algo-2; a host's own name is another."""
    ran = facts.ran
    if all(each.completed for each in facts.both):
        return passed("both ended with 0")
    if ran.stopped:
        return (
            warned(
                f"after {ran.seconds:.0f} s two hosts still trained, where one took {facts.good.ran.seconds:.0f} s\n"
                f"its last lines:\n{ran.last_lines}"
            )
            if facts.good.ran.completed
            else skipped("one host alone takes too long: --timeout")
        )
    own_name = re.search(r"ip-10-0-[\w.-]+", ran.log)
    told = f"\n{own_name[0]} is the machine's own name, which no host knows the other by" if own_name else ""
    return failed(f"{ran.host}: {ran.end}{told}", cloud=ran.cloud)


@hosts("T-47", "what two hosts leave can be merged", "write it on the first host only, or under the host's name")
def merged(facts: HostsFacts) -> Verdict:
    """All is one archive."""
    return _merged(facts, paths.MODEL, paths.OUTPUT_DATA)


@hosts("T-53", "checkpoints of two hosts can be told apart", "give checkpoints the host's name")
def checkpoints(facts: HostsFacts) -> Verdict:
    """They share one place."""
    return _merged(facts, paths.CHECKPOINTS)


def _merged(facts: HostsFacts, *places: str) -> Verdict:
    clashes = [path for place in places for path in facts.clashes[place]]
    if clashes:
        return warned("\n".join(f"{path} is not the same on both hosts: one of them is lost" for path in clashes[:5]))
    if not all(each.completed for each in facts.both):
        return skipped("they did not end well (T-71)")
    return passed("no file is on both with another content")


@hosts("T-57", "a host without data does no harm", "go on, or end with 0, where a channel's folder is empty")
def without_data(facts: HostsFacts) -> Verdict:
    """With ShardedByS3Key and fewer objects than hosts."""
    if facts.sharded is None:
        return skipped("tried only where a channel has one file, and two hosts end well")
    if facts.sharded.completed:
        return passed("one object for two hosts: both ended with 0")
    return warned(
        f"with ShardedByS3Key and one object, {facts.sharded.host}: {facts.sharded.end}", cloud=facts.sharded.cloud
    )
