"""Training: the files and the environment that a job's container finds, and how its end is read. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COMMAND = "train"  # T-01
STOP_GRACE_SECONDS = 120  # T-40
FAILURE_REASON_CHARACTERS = 1024  # T-32
MAX_RUNTIME_SECONDS = 2_419_200  # 28 days (T-42)
DEFAULT_MAX_RUNTIME_SECONDS = 86_400  # where a request says nothing
DEFAULT_INSTANCE_TYPE = "ml.m5.xlarge"
NETWORK_INTERFACE = "eth0"  # what a bridge network gives, and what real jobs show (T-18)
INSTANCE_GROUP = "homogeneousCluster"  # T-16

_JOB_NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
_CHANNEL_NAME = re.compile(r"^[A-Za-z0-9.\-_]{1,64}$")
_VARIABLE = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")


@dataclass(frozen=True)
class ChannelConfig:
    """One entry of inputdataconfig.json (T-19)."""

    input_mode: str = "File"
    distribution: str = "FullyReplicated"
    record_wrapper: str = "None"
    content_type: str = ""


def host(number: int) -> str:
    """Name the `number`th host of a job, counted from 1 (T-17)."""
    return f"algo-{number}"


def host_number(name: str) -> int:
    """Tell the number in a host's name."""
    return int(name.removeprefix("algo-"))


def command(entrypoint: Sequence[str], arguments: Sequence[str]) -> tuple[Sequence[str] | None, Sequence[str]]:
    """What is run: (entrypoint, None for the image's own; command), for ContainerEntrypoint and ContainerArguments.

    Neither is `docker run IMAGE train`; an entrypoint alone is not given the word `train` (T-01 to T-04).
    """
    if entrypoint:
        return [entrypoint[0]], [*entrypoint[1:], *arguments]
    return None, arguments or [COMMAND]


def hyperparameters_json(hyperparameters: Mapping[str, str]) -> str:
    """hyperparameters.json: one flat object whose values are all strings (T-12)."""
    return json.dumps({name: str(value) for name, value in hyperparameters.items()})


def resource_config_json(hosts: Sequence[str], current: str, instance_type: str) -> str:
    """resourceconfig.json in the form of 2025 (T-15 to T-18); hosts sorted as strings (T-17)."""
    ordered = sorted(hosts)
    return json.dumps(
        {
            "current_host": current,
            "current_instance_type": instance_type,
            "current_group_name": INSTANCE_GROUP,
            "hosts": ordered,
            "instance_groups": [
                {"instance_group_name": INSTANCE_GROUP, "instance_type": instance_type, "hosts": ordered}
            ],
            "network_interface_name": NETWORK_INTERFACE,
            "topology": None,
        }
    )


def input_data_config_json(channels: Mapping[str, ChannelConfig]) -> str:
    """inputdataconfig.json: an object keyed by channel, `ContentType` only when given (T-19, T-20)."""

    def entry(channel: ChannelConfig) -> dict[str, str]:
        # FastFile is written as "File" (T-20).
        mode = "Pipe" if channel.input_mode == "Pipe" else "File"
        content_type = {"ContentType": channel.content_type} if channel.content_type else {}
        return content_type | {
            "TrainingInputMode": mode,
            "S3DistributionType": channel.distribution,
            "RecordWrapperType": channel.record_wrapper,
        }

    return json.dumps({name: entry(channel) for name, channel in channels.items()})


def job_arn(name: str, region: str, account: str) -> str:
    """The job's ARN, its name in lower case (T-24)."""
    return f"arn:aws:sagemaker:{region}:{account}:training-job/{name.lower()}"


def environment(name: str, region: str, account: str, *, gpu: bool) -> dict[str, str]:
    """What the platform sets for a training container (T-24, T-27); credentials are not among it (T-28)."""
    platform = {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": job_arn(name, region, account),
        "AWS_REGION": region,
        "DMLC_INTERFACE": NETWORK_INTERFACE,
    }
    return platform if gpu else platform | {"NVIDIA_VISIBLE_DEVICES": "void"}


def credentials_environment(uri: str, token: str) -> dict[str, str]:
    """What leads an AWS SDK to a credentials endpoint that wants `token` as its Authorization (T-28).

    The platform's own is AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, a path at port 80 of 169.254.170.2, which not
    everybody can listen on.
    """
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}


def failure_reason(failure_file: str, exit_code: int, *, out_of_memory: bool) -> str:
    """What DescribeTrainingJob would say of a container that failed (T-32, T-33, T-35).

    `failure_file` is the text of /opt/ml/output/failure, "" without one.
    """
    cause = failure_file.strip()[:FAILURE_REASON_CHARACTERS]
    if not cause and out_of_memory:
        cause = "OutOfMemory: Process killed by SIGKILL (signal 9)"
    return f"AlgorithmError: {cause}, exit code: {exit_code}"


def job_name_problem(name: str) -> str:
    """Why `name` is not a training job's name, or "" (T-25)."""
    if _JOB_NAME.fullmatch(name):
        return ""
    if len(name) > 63:
        return f"it has {len(name)} characters, at most 63 are allowed"
    return "a job name is letters, digits and '-', and starts and ends with a letter or digit"


def hyperparameter_problems(hyperparameters: Mapping[str, str]) -> list[str]:
    """What CreateTrainingJob would refuse (T-13)."""
    problems = []
    if len(hyperparameters) > 100:
        problems.append(f"{len(hyperparameters)} hyperparameters; at most 100 are allowed (T-13)")
    for name, value in hyperparameters.items():
        if len(name) > 256:
            problems.append(f"hyperparameter '{name[:40]}…': its name has {len(name)} characters, at most 256 (T-13)")
        if len(value) > 2500:
            problems.append(f"hyperparameter '{name}': its value has {len(value)} characters, at most 2,500 (T-13)")
    return problems


def channel_problems(names: Sequence[str]) -> list[str]:
    """What CreateTrainingJob would refuse (T-55)."""
    problems = [
        f"channel '{name}': a name is 1 to 64 letters, digits, '.', '-' and '_' (T-55)"
        for name in names
        if not _CHANNEL_NAME.fullmatch(name) or name in {".", ".."}
    ]
    if len(names) > 20:
        problems.append(f"{len(names)} channels; at most 20 are allowed (T-55)")
    return problems


def command_problems(entrypoint: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """What CreateTrainingJob would refuse of ContainerEntrypoint and ContainerArguments (T-05)."""
    problems = []
    for name, words in (("entrypoint", entrypoint), ("arguments", arguments)):
        if len(words) > 100:
            problems.append(f"{name}: {len(words)} words; at most 100 are allowed (T-05)")
        problems += [
            f"{name}: '{word[:40]}…' has {len(word)} characters, at most 256 (T-05)"
            for word in words
            if len(word) > 256
        ]
    return problems


def metric_problems(metrics: Mapping[str, str]) -> list[str]:
    """What CreateTrainingJob would refuse of MetricDefinitions (T-70)."""
    problems = []
    if len(metrics) > 40:
        problems.append(f"{len(metrics)} metrics; at most 40 are allowed (T-70)")
    for name, regex in metrics.items():
        if not 1 <= len(name) <= 255:
            problems.append(f"metric '{name[:40]}…': its name has {len(name)} characters, 1 to 255 are allowed (T-70)")
        if not 1 <= len(regex) <= 500:
            problems.append(f"metric '{name}': its regex has {len(regex)} characters, 1 to 500 are allowed (T-70)")
    return problems


def runtime_problems(seconds: float | None) -> list[str]:
    """What CreateTrainingJob would refuse of MaxRuntimeInSeconds (T-42)."""
    if seconds is None or 1 <= seconds <= MAX_RUNTIME_SECONDS:
        return []
    return [f"a maximal run time of {seconds:,.12g} s; 1 s to 28 days are allowed (T-42)"]


def environment_problems(variables: Mapping[str, str]) -> list[str]:
    """What CreateTrainingJob would refuse (T-26)."""
    problems = []
    if len(variables) > 100:
        problems.append(f"{len(variables)} environment variables; at most 100 are allowed (T-26)")
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or len(name) > 512:
            problems.append(f"environment variable '{name}': a name is letters, digits and '_' (T-26)")
        if len(value) > 512:
            problems.append(f"environment variable '{name}': its value has {len(value)} characters, at most 512 (T-26)")
    return problems
