"""The files of /opt/ml/input/config that no document names but real jobs have (T-21). Pure.

Their shapes are those of one real job of 2020; what was not set there (a metric, a channel in Pipe mode) is written by
analogy, with enumerations in upper case. Nothing should depend on them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.contract import paths
from byoc_cli.contract.channels import LOCAL_BUCKET, S3
from byoc_cli.contract.training import DEFAULT_MAX_RUNTIME_SECONDS, ChannelConfig, host_number

CHECKPOINTS_CHANNEL = "checkpoints"
_OUTPUT_URI = f"{S3}{LOCAL_BUCKET}/output"
_VOLUME_GB = 30


@dataclass(frozen=True)
class ChannelRequest:
    """A channel as CreateTrainingJob is told of it; `shuffle_seed` None for no ShuffleConfig."""

    uri: str
    config: ChannelConfig
    compression: str = "None"
    shuffle_seed: int | None = None
    manifest: bool = False


@dataclass(frozen=True)
class JobRequest:
    """A job as CreateTrainingJob is told of it; `max_runtime` is in seconds, None for the default (T-42)."""

    name: str
    arn: str
    account: str
    image: str
    instance_type: str
    instance_count: int = 1
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, ChannelRequest] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    network_isolation: bool = False
    spot: bool = False
    checkpoints: bool = False
    max_runtime: float | None = None

    @property
    def checkpoints_uri(self) -> str:
        """Where checkpoints would be in S3."""
        return f"{_OUTPUT_URI}/{self.name}/{CHECKPOINTS_CHANNEL}"


def files(job: JobRequest, host: str) -> dict[str, str]:
    """Make the files for one host: name to text."""
    metrics = [{"Name": name, "Regex": regex} for name, regex in job.metrics.items()]
    contents: dict[str, Any] = {
        paths.INIT_CONFIG_FILE: _init_config(job, host),
        paths.JOB_CONFIG_FILE: _job_config(job, metrics),
        paths.UPSTREAM_CONFIG_FILE: [],
        paths.METRICS_CONFIG_FILE: metrics,
    }
    if job.checkpoints:
        contents[paths.CHECKPOINT_CONFIG_FILE] = {"LocalPath": paths.CHECKPOINTS}
    return {name: json.dumps(content) for name, content in contents.items()}


def upper_snake(word: str) -> str:
    """Spell an enumeration's word as these files do: ShardedByS3Key is SHARDED_BY_S3_KEY."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).upper()


def _init_config(job: JobRequest, host: str) -> dict[str, Any]:
    return {
        "inputMode": "FILE",
        "channels": {name: _init_channel(channel) for name, channel in job.channels.items()},
        "checkpointChannel": _checkpoint_channel(job) if job.checkpoints else None,
        "hostConfig": {"clusterSize": job.instance_count, "hostNumber": host_number(host)},
        "enableAdditionalPlatformLoggingForCustomer": False,
        "jobRunInfo": {"jobRunNumber": 1},
    }


def _init_channel(channel: ChannelRequest) -> dict[str, Any]:
    seed = channel.shuffle_seed
    return {
        "s3DataSource": {
            "s3DataType": _data_type(channel),
            "s3Uri": channel.uri,
            "s3DataDistributionType": upper_snake(channel.config.distribution),
            "attributeNames": None,
        },
        "fileSystemDataSource": None,
        "compressionType": upper_snake(channel.compression),
        "recordWrapper": upper_snake(channel.config.record_wrapper),
        "shuffleConfig": None if seed is None else {"seed": seed},
        "inputMode": upper_snake(channel.config.input_mode),
        "sharded": channel.config.distribution == "ShardedByS3Key",
    }


def _checkpoint_channel(job: JobRequest) -> dict[str, Any]:
    source = {
        "s3DataType": "S3_PREFIX",
        "s3Uri": job.checkpoints_uri,
        "s3DataDistributionType": None,
        "attributeNames": None,
    }
    channel = {
        "s3DataSource": source,
        "fileSystemDataSource": None,
        "compressionType": None,
        "recordWrapper": None,
        "shuffleConfig": None,
        "inputMode": "FILE",
        "sharded": False,
    }
    return {"name": CHECKPOINTS_CHANNEL, "channel": channel, "outputPath": paths.CHECKPOINTS, "allowEmpty": True}


def _job_config(job: JobRequest, metrics: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    limit = DEFAULT_MAX_RUNTIME_SECONDS if job.max_runtime is None else round(job.max_runtime)
    config: dict[str, Any] = {
        "EnableInterContainerTrafficEncryption": False,
        "EnableNetworkIsolation": job.network_isolation,
        "EnableManagedSpotTraining": job.spot,
        "HyperParameters": dict(job.hyperparameters),
        "InputDataConfig": [_job_channel(name, channel) for name, channel in job.channels.items()],
        "OutputDataConfig": {"KmsKeyId": "", "S3OutputPath": _OUTPUT_URI},
        "ResourceConfig": {
            "InstanceCount": job.instance_count,
            "InstanceType": job.instance_type,
            "VolumeSizeInGB": _VOLUME_GB,
        },
        "RoleArn": f"arn:aws:iam::{job.account}:role/local",
        "Tags": [],
        "BaseTags": [],
        "TrainingJobName": job.name,
        "StoppingCondition": {"MaxRuntimeInSeconds": limit, "MaxWaitTimeInSeconds": limit if job.spot else None},
        "AlgorithmSpecification": {
            "MetricDefinitions": list(metrics),
            "TrainingImage": job.image,
            "TrainingInputMode": "File",
        },
        "TrainingJobArn": job.arn,
    }
    if job.checkpoints:
        config["CheckpointConfig"] = {"S3Uri": job.checkpoints_uri, "LocalPath": paths.CHECKPOINTS}
    return config


def _job_channel(name: str, channel: ChannelRequest) -> dict[str, Any]:
    config = channel.config
    source = {
        "S3DataType": _data_type(channel),
        "S3Uri": channel.uri,
        "S3DataDistributionType": upper_snake(config.distribution),
    }
    optional = {
        "ContentType": config.content_type,
        "InputMode": config.input_mode if config.input_mode != "File" else "",
        "ShuffleConfig": None if channel.shuffle_seed is None else {"Seed": channel.shuffle_seed},
    }
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        "CompressionType": upper_snake(channel.compression),
        "RecordWrapperType": upper_snake(config.record_wrapper),
    } | {key: value for key, value in optional.items() if value}


def _data_type(channel: ChannelRequest) -> str:
    return "MANIFEST_FILE" if channel.manifest else "S3_PREFIX"
