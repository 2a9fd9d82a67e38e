"""What a good run proves."""

from __future__ import annotations

import posixpath
import re

from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.training import causes
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.good import good
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import cloud_words, paths
from byoc_cli.errors import some

_OUTPUT = {"failure", "success", "data", "metrics", "profiler", "tensorboard", "tensors", "intermediate", "debug"}
_UNWATCHED = ("/tmp", "/var/tmp", "/root", "/run", "/proc", "/dev", "/etc", paths.ROOT)  # noqa: S108
_NOT_PERMITTED, _NOT_FOUND = 126, 127
_NO_TRAIN = re.compile(r"""(?:^|[\s:'"])train['"]?: (?:(?:command |executable file )?not found|No such file)""")
_COMPLAINS = re.compile(
    r"(?i)error|exce(?:pt|ed)|fail|fatal|can(?:no|')t|could not|usage|invalid|not found|no such|missing"
)
_NOT_ENDED = "it did not end in time (T-31)"


def _without_fault(facts: TrainingFacts, held: str) -> Verdict:
    """Pass where it ended well, skip where something else kept it from that."""
    if facts.ran.code == 0:
        return passed(held)
    return skipped(_NOT_ENDED if facts.ran.stopped else facts.failure)


def _too_long(facts: TrainingFacts) -> str:
    """Say that it was stopped, and how to have it end."""
    return f"it still trained after {facts.ran.seconds:.0f} s: give a longer --timeout, or --hyperparam for a short run"


@good("T-01", "`docker run IMAGE train` starts", "put an executable `train` into a folder of PATH")
def starts(facts: TrainingFacts) -> Verdict:
    """What runc says of it, or a shell that ENTRYPOINT starts."""
    if facts.ran.refused:
        return failed(facts.ran.refused, cloud=cloud_words.cannot_start(["train"], facts.ran.refused, 127))
    line = next((line.strip() for line in facts.ran.log.splitlines() if _NO_TRAIN.search(line)), "")
    if facts.ran.code == _NOT_FOUND and line:
        return failed(line, cloud=cloud_words.cannot_start(["train"], line, _NOT_FOUND))
    return passed("it was started")


@good(
    "T-11",
    "it finds its way in /opt/ml as SageMaker lays it out",
    "make the folder first: os.makedirs(path, exist_ok=True)",
    also=("T-15", "T-16", "T-18", "T-19", "T-20", "T-23", "T-24"),
)
def layout(facts: TrainingFacts) -> Verdict:
    """A folder that the platform does not make is not to be relied upon."""
    if cause := facts.cause("T-11"):
        if cause.name.startswith("/"):
            return failed(cause.line, f"os.makedirs({posixpath.dirname(cause.name)!r}, exist_ok=True)", facts.ran.cloud)
        if re.match(r"ip-|eth|no |interface", cause.name):
            fix = f"read current_host and network_interface_name of {paths.CONFIG}/{paths.RESOURCE_CONFIG_FILE}"
            return failed(
                f"{cause.line}\nneither a host's name nor an interface can be known beforehand", fix, facts.ran.cloud
            )
        fix = "read the keys that are needed, as they are spelled (current_host), and pass over the others"
        return failed(f"{cause.line}\nthe files in {paths.CONFIG} have other keys", fix, facts.ran.cloud)
    return _without_fault(facts, f"it ended well with {paths.ROOT} as in the cloud")


@good(
    "T-12",
    "it takes hyperparameters as strings",
    'convert each value where it is read: int(hyperparameters["epochs"])',
)
def strings(facts: TrainingFacts) -> Verdict:
    """Only hyperparameters tell: without any, see the run with those that its source names."""
    if cause := facts.cause("T-12"):
        return failed(f"{cause.line}\nevery value in {paths.HYPERPARAMETERS_FILE} is a string", cloud=facts.ran.cloud)
    if not facts.hyperparameters:
        return skipped("it was given no hyperparameters: --hyperparam K=V")
    return _without_fault(facts, ", ".join(f'"{name}"' for name in facts.hyperparameters) + " were strings")


@good(
    "T-14",
    "it reads resourceconfig.json, all in lower case",
    "open('/opt/ml/input/config/resourceconfig.json')",
)
def resource_config(facts: TrainingFacts) -> Verdict:
    """The log tells, or the source of `train` speaks of nothing else."""
    if cause := facts.cause("T-14"):
        return failed(f"{cause.line}\nthe file is resourceconfig.json", cloud=facts.ran.cloud)
    text = facts.image.train.on_path.text + facts.image.train.text + facts.source
    if "resourceConfig.json" in text and paths.RESOURCE_CONFIG_FILE not in text:
        return warned("the source of `train` speaks of resourceConfig.json only, which is never there")
    return _without_fault(facts, "it missed no resourceConfig.json")


@good("T-21", "it needs no file that no document names", "read what the guide names: hyperparameters.json, …")
def undocumented(facts: TrainingFacts) -> Verdict:
    """A file in /opt/ml/input/config that is not there without a setting."""
    if cause := facts.cause("T-21"):
        return warned(cause.line)
    return _without_fault(facts, "it looked for none in vain")


@good(
    "T-22",
    "a file beside the channels' folders does not disturb it",
    "take the channels from inputdataconfig.json, or pass over files: if os.path.isdir(…)",
)
def manifests(facts: TrainingFacts) -> Verdict:
    """NAME-manifest lies beside each channel."""
    if cause := facts.cause("T-22"):
        return warned(cause.line, cloud=facts.ran.cloud)
    return _without_fault(facts, "the manifests beside the channels did not disturb it")


@good(
    "T-29",
    "it does not need the toolkit's variables without the toolkit",
    f"read {paths.ROOT} directly, or RUN pip install sagemaker-training and let the toolkit start the script",
)
def toolkit_variables(facts: TrainingFacts) -> Verdict:
    """SM_… are made inside of the container."""
    if cause := facts.cause("T-29"):
        return failed(f"{cause.line}\n{cause.name} is not set by SageMaker", cloud=facts.ran.cloud)
    return _without_fault(facts, "it missed no SM_… variable")


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
    if ran.code in {_NOT_PERMITTED, _NOT_FOUND}:  # a shell's word for a program, whatever the data
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
        return skipped(_NOT_ENDED)
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
    return _without_fault(facts, "nothing lies beside it")


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
        return _NOT_ENDED
    return facts.failure or f"it did not end well ({next((each.id for each in facts.causes), 'T-31')})"


@good("T-60", "it can write where SageMaker lets root write", "remove USER, and do not drop root's rights in `train`")
def may_write(facts: TrainingFacts) -> Verdict:
    """As the run proves."""
    if cause := facts.cause("T-60"):
        return failed(cause.line, cloud=cloud_words.no_failure_reason(facts.ran.code or 1))
    return _without_fault(facts, "nothing was refused to it")


@good(
    "T-69", "it prints what it does, and when it does it", "print to stdout; ENV PYTHONUNBUFFERED=1 in the Dockerfile"
)
def prints(facts: TrainingFacts) -> Verdict:
    """Only what is printed gets to CloudWatch."""
    ran = facts.ran
    if not ran.log.strip():
        if not ran.completed:
            return _without_fault(facts, "")
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
        return _without_fault(facts, "")
    seen = []
    for name, text in facts.metrics.items():
        pattern = re.compile(text)
        if pattern.groups != 1:
            seen.append(f"{name}: {text} has {pattern.groups} groups; the first is the value")
        if not pattern.search(facts.ran.log):
            seen.append(f"{name}: {text} matches no line of the log")
    return warned("\n".join(seen)) if seen else passed(", ".join(facts.metrics))


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
        return skipped(_NOT_ENDED)
    if facts.ran.completed and not facts.cause("T-59"):
        return warned(f"without a network it failed, with one it did not\n{facts.strict.end}")
    return skipped(_not_strict(facts))


@good("T-76", "64 MiB of /dev/shm are enough for it", "num_workers=0, or file_system as torch's sharing strategy")
def shared_memory(facts: TrainingFacts) -> Verdict:
    """Nobody documents how much there is."""
    if cause := facts.cause("T-76"):
        return warned(cause.line, cloud=facts.ran.cloud)
    return _without_fault(facts, "it complained of nothing")
