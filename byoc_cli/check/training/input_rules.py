"""What a good run proves of how it finds its input: files, hyperparameters, variables, channels."""

from __future__ import annotations

import posixpath
import re

from byoc_cli.check.model import Verdict, failed, skipped, warned
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.good import good, without_fault
from byoc_cli.contract import paths


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
    return without_fault(facts, f"it ended well with {paths.ROOT} as in the cloud")


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
    return without_fault(facts, ", ".join(f'"{name}"' for name in facts.hyperparameters) + " were strings")


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
    return without_fault(facts, "it missed no resourceConfig.json")


@good("T-21", "it needs no file that no document names", "read what the guide names: hyperparameters.json, …")
def undocumented(facts: TrainingFacts) -> Verdict:
    """A file in /opt/ml/input/config that is not there without a setting."""
    if cause := facts.cause("T-21"):
        return warned(cause.line)
    return without_fault(facts, "it looked for none in vain")


@good(
    "T-22",
    "a file beside the channels' folders does not disturb it",
    "take the channels from inputdataconfig.json, or pass over files: if os.path.isdir(…)",
)
def manifests(facts: TrainingFacts) -> Verdict:
    """NAME-manifest lies beside each channel."""
    if cause := facts.cause("T-22"):
        return warned(cause.line, cloud=facts.ran.cloud)
    return without_fault(facts, "the manifests beside the channels did not disturb it")


@good(
    "T-29",
    "it does not need the toolkit's variables without the toolkit",
    f"read {paths.ROOT} directly, or RUN pip install sagemaker-training and let the toolkit start the script",
)
def toolkit_variables(facts: TrainingFacts) -> Verdict:
    """SM_… are made inside of the container."""
    if cause := facts.cause("T-29"):
        return failed(f"{cause.line}\n{cause.name} is not set by SageMaker", cloud=facts.ran.cloud)
    return without_fault(facts, "it missed no SM_… variable")
