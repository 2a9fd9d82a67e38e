"""What a training job is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.contract import channels, sdk_v3, training
from byoc_cli.contract.platform_files import ChannelRequest, JobRequest
from byoc_cli.engine.types import Image
from byoc_cli.local.account import ACCOUNT
from byoc_cli.local.channels import Channel
from byoc_cli.local.credentials import Provider
from byoc_cli.local.resources import Resources

if TYPE_CHECKING:
    from byoc_cli.local.dev.source import Source  # late: only `byoc dev` has one


@dataclass(frozen=True)
class TrainingJob:
    """What CreateTrainingJob would be told. Hyperparameters are strings (T-12); `region` only names things.

    `entrypoint` and `arguments` are ContainerEntrypoint and ContainerArguments, () for none (T-02 to T-04);
    `max_runtime` and `interrupt_after` are seconds, None for never; `checkpoints` is a folder of this machine that is
    restored before the start and brought up to date afterwards (T-52). `resources` is what each host is given, the one
    of all where there is one. `aws_credentials` is asked whenever a container wants some; without it there are none.
    `entry_script` is a file of the channel `code` that byoc's own drivers of SDK v3 run, "" for none (T-09).
    Without `platform_files` a host finds no file that no document names (T-21, T-22). `kind` is what its labels say.
    `source` is put over the image's copy of it (`byoc dev train`).
    """

    name: str
    image: Image
    reference: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[Channel] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = training.DEFAULT_INSTANCE_TYPE
    instance_count: int = 1
    resources: Sequence[Resources] = (Resources(),)
    region: str = "us-east-1"
    entrypoint: Sequence[str] = ()
    arguments: Sequence[str] = ()
    entry_script: str = ""
    network_isolation: bool = False
    max_runtime: float | None = None
    interrupt_after: float | None = None
    checkpoints: Path | None = None
    platform_files: bool = True
    aws_credentials: Provider | None = None
    kind: str = "train"
    source: Source | None = None

    @property
    def hosts(self) -> list[str]:
        """The hosts' names: algo-1, algo-2, … (T-17)."""
        return [training.host(number) for number in range(1, self.instance_count + 1)]

    def resources_of(self, host: str) -> Resources:
        """What of this machine a host is given."""
        return self.resources[self.hosts.index(host) % len(self.resources)]

    @property
    def as_sdk_v3(self) -> bool:
        """Whether it is started as ModelTrainer has it started (T-09)."""
        return (*self.entrypoint, *self.arguments) == (*sdk_v3.ENTRYPOINT, *sdk_v3.ARGUMENTS)

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether CheckpointConfig would be set."""
        return self.checkpoints is not None or self.interrupt_after is not None

    def container_name(self, host: str) -> str:
        """The name of a host's container; the only host's is the network's, too."""
        return f"byoc-{self.name}" if self.instance_count == 1 else f"byoc-{self.name}-{host}"

    def problems(self) -> list[str]:
        """All that CreateTrainingJob would refuse."""
        wrong_name = training.job_name_problem(self.name)
        configs = {channel.name: channel.config for channel in self.channels}
        added = [sdk_v3.DRIVERS] if self.entry_script else []
        return [
            *([f"job name '{self.name}': {wrong_name} (T-25)"] if wrong_name else []),
            *training.hyperparameter_problems(self.hyperparameters),
            *training.channel_problems([*(channel.name for channel in self.channels), *added]),
            *training.environment_problems(self.environment),
            *training.command_problems(self.entrypoint, self.arguments),
            *channels.script_problems([*self.entrypoint, *self.arguments], configs),
            *(sdk_v3.problems(configs, self.entry_script) if self.as_sdk_v3 else ()),
            *training.metric_problems(self.metrics),
            *training.runtime_problems(self.max_runtime),
        ]


def request(job: TrainingJob) -> JobRequest:
    """Say a job in the words of the contract, its data as if it lay in S3; nothing is redacted."""
    return JobRequest(
        name=job.name,
        arn=training.job_arn(job.name, job.region, ACCOUNT),
        account=ACCOUNT,
        image=job.reference,
        instance_type=job.instance_type,
        instance_count=job.instance_count,
        hyperparameters=job.hyperparameters,
        channels={channel.name: _request_of(channel) for channel in job.channels},
        metrics=job.metrics,
        network_isolation=job.network_isolation,
        spot=job.interrupt_after is not None,
        checkpoints=job.keeps_checkpoints,
        max_runtime=job.max_runtime,
    )


def _request_of(channel: Channel) -> ChannelRequest:
    listed = channel.manifest
    return ChannelRequest(
        uri=channels.local_uri(listed.name) if listed else channel.uri or channels.local_uri(channel.name),
        config=channel.config,
        compression=channel.compression,
        shuffle_seed=channel.shuffle_seed,
        manifest=listed is not None,
    )
