"""What a good run proves of how it ends, and of what it leaves and prints."""

from __future__ import annotations

import re

from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.training import causes
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.good import NOT_ENDED, good, without_fault
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths
from byoc_cli.errors import some

_OUTPUT = {"failure", "success", "data", "metrics", "profiler", "tensorboard", "tensors", "intermediate", "debug"}
_UNWATCHED = ("/tmp", "/var/tmp", "/root", "/run", "/proc", "/dev", "/etc", paths.ROOT)  # noqa: S108
_OF_A_SHELL = {126, 127}  # it found no program, or none that can be executed
_COMPLAINS = re.compile(
    r"(?i)error|exce(?:pt|ed)|fail|fatal|can(?:no|')t|could not|usage|invalid|not found|no such|missing"
)


def _too_long(facts: TrainingFacts) -> str:
    """Say that it was stopped, and how to have it end."""
    return f"it still trained after {facts.ran.seconds:.0f} s: give a longer --timeout, or --hyperparam for a short run"


@good("T-31", "it ends with 0 when all went well", "end with exit code 0 when done, with another one when not")
def exit_code(facts: TrainingFacts) -> Verdict:
    """A failure is a finding with the user's data, or with a cause that no data mends."""
    ran = facts.ran
    if ran.stopped:
        return skipped(_too_long(facts))
    if ran.refused:
        return skipped("it was not started (T-01)")
    if ran.code == 0:
        return _ended_with_0(facts)
    of_a_rule = next((each for each in facts.causes if each.id.startswith("T-")), None)
    if of_a_rule:
        return skipped(f"it failed by another rule ({of_a_rule.id})")
    return _failed_by_itself(facts)


def _ended_with_0(facts: TrainingFacts) -> Verdict:
    ran = facts.ran
    if ran.failure and ran.failure.strip():
        return failed(f"exit code 0, and a failure file: {ran.failure.strip().splitlines()[0]}", cloud=_COMPLETED)
    complaint = "" if ran.model and not ran.hollow else causes.complaint(ran.log)
    if complaint:
        return failed(f"exit code 0 and no model, after: {complaint}", cloud=_COMPLETED)
    return passed(f"exit code 0 after {ran.seconds:.1f} s")


_COMPLETED = "TrainingJobStatus: Completed, with an empty model.tar.gz"


def _failed_by_itself(facts: TrainingFacts) -> Verdict:
    ran = facts.ran
    elsewhere = facts.cause(causes.ELSEWHERE)
    itself = facts.cause(causes.ITSELF) or (elsewhere if elsewhere and elsewhere.line in ran.log else None)
    if itself:
        return failed(f"{itself.line}\n{ran.end}", "install what is missing, or correct the source", ran.cloud)
    if ran.code in _OF_A_SHELL:  # a shell's word for a program, whatever the data
        return failed(ran.end, "install what is missing, or make it executable", ran.cloud)
    if gpu := facts.cause(causes.GPU):
        return skipped(f"{facts.failure}: {gpu.line[:200]}")
    if ran.model and not _COMPLAINS.search(f"{ran.log}\n{ran.failure or ''}"):
        return failed(f"it left a model, complained of nothing, and ended with exit code {ran.code}", cloud=ran.cloud)
    if not facts.own_data:
        return skipped(f"{facts.failure} (it said: {ran.last_line or 'nothing'})")
    return failed(ran.end, facts.wanted if facts.cause(causes.CHANNEL) else "see its last lines", ran.cloud)


@good("T-45", "it leaves a model in /opt/ml/model", f"write the model to {paths.MODEL} before `train` ends")
def model(facts: TrainingFacts) -> Verdict:
    """A job that completes without one is of no use."""
    ran = facts.ran
    if ran.model:
        return _of_model(ran)
    if ran.stopped:
        return skipped(NOT_ENDED)
    if ran.code:
        return skipped(facts.failure)
    if _ended_with_0(facts).result == "fail":
        return skipped("it hides a failure (T-31)")
    if not facts.own_data and (said := causes.nothing_to_do(ran)):
        return skipped(
            f"it made nothing of a small file of numbers, give it data: {facts.wanted} (it said: {said[:200]})"
        )
    elsewhere = [path for path in ran.elsewhere if not path.startswith(_UNWATCHED) and "__pycache__" not in path]
    where = f"; it made {', '.join(elsewhere[:3])}" if elsewhere else ""
    return failed(f"exit code 0, and {paths.MODEL} is empty{where}", cloud=_COMPLETED)


def _of_model(ran: Ran) -> Verdict:
    if ran.completed and ran.hollow:
        return failed(f"exit code 0, and in {paths.MODEL} {', '.join(ran.model[:3])}: 0 bytes", cloud=_COMPLETED)
    if "model.tar.gz" in ran.model:
        seen = f"{paths.MODEL}/model.tar.gz is packed once more: `serve` finds an archive, not the model"
        return warned(seen, f"write the model's files to {paths.MODEL}; SageMaker packs them")
    return passed(some(ran.model))


@good("T-46", "what it leaves in /opt/ml/output is in data", f"write to {paths.OUTPUT_DATA}")
def output(facts: TrainingFacts) -> Verdict:
    """What lies beside `data` is lost."""
    lost = [name for name in facts.ran.output if name.partition("/")[0] not in _OUTPUT]
    lost = [name for name in lost if not name.lower().startswith(("fail", "error"))]  # T-34 speaks of them
    if lost:
        return warned(f"{paths.OUTPUT}/{lost[0]} is not kept: only what is in {paths.OUTPUT_DATA} is")
    return without_fault(facts, "nothing lies beside it")


@good(
    "T-50",
    "its model has no symbolic links",
    "write the file itself in the place of the link: shutil.copy, not os.symlink",
)
def links(facts: TrainingFacts) -> Verdict:
    """A model cannot be created from such an archive."""
    if facts.ran.links:
        return failed(
            "\n".join(facts.ran.links), cloud="CreateModel or the endpoint fails: symbolic links in model.tar.gz"
        )
    return passed("no links") if facts.ran.model else skipped("it made no model")


@good(
    "T-69", "it prints what it does, and when it does it", "print to stdout; ENV PYTHONUNBUFFERED=1 in the Dockerfile"
)
def prints(facts: TrainingFacts) -> Verdict:
    """Only what is printed gets to CloudWatch."""
    ran = facts.ran
    if not ran.log.strip():
        if not ran.completed:
            return without_fault(facts, "")
        files = [path for path in ran.elsewhere if path.endswith(".log")]
        where = f"; {files[0]} is not collected" if files else ""
        return warned(
            f"it printed nothing{where}", "print to stdout or stderr", "an empty log in /aws/sagemaker/TrainingJobs"
        )
    lines = ran.log.splitlines()
    sooner = facts.unbuffered
    if sooner and sooner.first_word is not None and sooner.first_word < 0.5 * (ran.first_word or 0):
        return warned(
            f"its first of {len(lines)} lines came after {ran.first_word:.1f} of {ran.seconds:.1f} s: Python buffers; "
            f"with PYTHONUNBUFFERED=1 it comes after {sooner.first_word:.1f} s",
            "ENV PYTHONUNBUFFERED=1",
        )
    return passed(f"{len(lines)} lines, the first after {ran.first_word or 0:.1f} s")


@good("T-70", "each metric's regular expression finds something", "correct the regular expression in byoc.toml")
def metrics(facts: TrainingFacts) -> Verdict:
    """Of the project's [train.metrics]."""
    if not facts.metrics:
        return skipped("no metrics are defined ([train.metrics])")
    if not facts.ran.completed:
        return without_fault(facts, "")
    seen = []
    for name, text in facts.metrics.items():
        pattern = re.compile(text)
        if pattern.groups != 1:
            seen.append(f"{name}: {text} has {pattern.groups} groups; the first is the value")
        if not pattern.search(facts.ran.log):
            seen.append(f"{name}: {text} matches no line of the log")
    return warned("\n".join(seen)) if seen else passed(", ".join(facts.metrics))
