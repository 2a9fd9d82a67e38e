"""What a training job is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from byoc_cli.contract import training
from byoc_cli.engine.types import Image
from byoc_cli.local.channels import Channel

ACCOUNT = "000000000000"  # there is none: the ARN has the right shape and can be mistaken for no one's
HOST = "algo-1"  # T-17


@dataclass(frozen=True)
class TrainingJob:
    """What CreateTrainingJob would be told. Hyperparameters are strings (T-12); `region` only names things."""

    name: str
    image: Image
    reference: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[Channel] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = training.DEFAULT_INSTANCE_TYPE
    gpus: str = "none"
    region: str = "us-east-1"

    def problems(self) -> list[str]:
        """All that CreateTrainingJob would refuse."""
        wrong_name = training.job_name_problem(self.name)
        return [
            *([f"job name '{self.name}': {wrong_name} (T-25)"] if wrong_name else []),
            *training.hyperparameter_problems(self.hyperparameters),
            *training.channel_problems([channel.name for channel in self.channels]),
            *training.environment_problems(self.environment),
        ]
