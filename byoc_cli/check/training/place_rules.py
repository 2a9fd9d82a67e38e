"""What a good run proves of how it does where SageMaker lets it run: who it is, network, data and memory."""

from __future__ import annotations

import re

from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.good import NOT_ENDED, good, without_fault
from byoc_cli.contract import cloud_words

_NOT_FOUND = 127
_NO_TRAIN = re.compile(r"""(?:^|[\s:'"])train['"]?: (?:(?:command |executable file )?not found|No such file)""")


@good("T-01", "`docker run IMAGE train` starts", "put an executable `train` into a folder of PATH")
def starts(facts: TrainingFacts) -> Verdict:
    """What runc says of it, or a shell that ENTRYPOINT starts."""
    if facts.ran.refused:
        return failed(facts.ran.refused, cloud=cloud_words.cannot_start(["train"], facts.ran.refused, 127))
    line = next((line.strip() for line in facts.ran.log.splitlines() if _NO_TRAIN.search(line)), "")
    if facts.ran.code == _NOT_FOUND and line:
        return failed(line, cloud=cloud_words.cannot_start(["train"], line, _NOT_FOUND))
    return passed("it was started")


@good("T-59", "it does not write to its data", "write to /tmp, or copy the data there first", also=("T-58",))
def data(facts: TrainingFacts) -> Verdict:
    """FastFile channels are read-only."""
    if cause := facts.cause("T-59"):
        return warned(
            f"with data that it cannot write to: {cause.line}", cloud="OSError: [Errno 30] with FastFile mode"
        )
    if facts.strict.code == 0:
        return passed("it trained on data that it could not write to")
    return skipped(_not_strict(facts))


def _not_strict(facts: TrainingFacts) -> str:
    if facts.strict.stopped:
        return NOT_ENDED
    return facts.failure or f"it did not end well ({next((each.id for each in facts.causes), 'T-31')})"


@good("T-60", "it can write where SageMaker lets root write", "remove USER, and do not drop root's rights in `train`")
def may_write(facts: TrainingFacts) -> Verdict:
    """As the run proves."""
    if cause := facts.cause("T-60"):
        return failed(cause.line, cloud=cloud_words.no_failure_reason(facts.ran.code or 1))
    return without_fault(facts, "nothing was refused to it")


@good(
    "T-74",
    "it trains without a network",
    "install at build time what it downloads, and give data and models as channels",
)
def isolated(facts: TrainingFacts) -> Verdict:
    """With network isolation it calls nobody outside."""
    if cause := facts.cause("T-74"):
        return warned(f"without a network: {cause.line}")
    if facts.strict.code == 0:
        return passed("it had no network")
    if facts.strict.stopped:
        return skipped(NOT_ENDED)
    if facts.ran.completed and not facts.cause("T-59"):
        return warned(f"without a network it failed, with one it did not\n{facts.strict.end}")
    return skipped(_not_strict(facts))


@good("T-76", "64 MiB of /dev/shm are enough for it", "num_workers=0, or file_system as torch's sharing strategy")
def shared_memory(facts: TrainingFacts) -> Verdict:
    """Nobody documents how much there is."""
    if cause := facts.cause("T-76"):
        return warned(cause.line, cloud=facts.ran.cloud)
    return without_fault(facts, "it complained of nothing")
