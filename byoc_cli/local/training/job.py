"""What a training job is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.contract import channels, training
from byoc_cli.engine.types import Image
from byoc_cli.local.channels import Channel
from byoc_cli.local.resources import Resources


@dataclass(frozen=True)
class TrainingJob:
    """What CreateTrainingJob would be told. Hyperparameters are strings (T-12); `region` only names things.

    `entrypoint` and `arguments` are ContainerEntrypoint and ContainerArguments, () for none (T-02 to T-04);
    `max_runtime` and `interrupt_after` are seconds, None for never; `checkpoints` is a folder of this machine that is
    restored before the start and brought up to date afterwards (T-52). `resources` is what each host is given, the one
    of all where there is one.
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
    network_isolation: bool = False
    max_runtime: float | None = None
    interrupt_after: float | None = None
    checkpoints: Path | None = None

    @property
    def hosts(self) -> list[str]:
        """The hosts' names: algo-1, algo-2, … (T-17)."""
        return [training.host(number) for number in range(1, self.instance_count + 1)]

    def resources_of(self, host: str) -> Resources:
        """What of this machine a host is given."""
        return self.resources[self.hosts.index(host) % len(self.resources)]

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
        return [
            *([f"job name '{self.name}': {wrong_name} (T-25)"] if wrong_name else []),
            *training.hyperparameter_problems(self.hyperparameters),
            *training.channel_problems([channel.name for channel in self.channels]),
            *training.environment_problems(self.environment),
            *training.command_problems(self.entrypoint, self.arguments),
            *channels.script_problems(
                [*self.entrypoint, *self.arguments], {channel.name: channel.config for channel in self.channels}
            ),
            *training.runtime_problems(self.max_runtime),
        ]
