"""T-21: the files that no document names, in the shapes of a real job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from byoc_cli.contract.platform_files import ChannelRequest, JobRequest, files, upper_snake
from byoc_cli.contract.training import ChannelConfig

# As a real job had it: two hosts, spot, checkpoints, one sharded channel.
REAL = JobRequest(
    name="Task1",
    arn="arn:aws:sagemaker:us-east-1:000000000000:training-job/task1",
    account="000000000000",
    image="an/image:1",
    instance_type="ml.m5.large",
    instance_count=2,
    hyperparameters={"steps": "7"},
    channels={"data": ChannelRequest("s3://bucket/input", ChannelConfig(distribution="ShardedByS3Key"))},
    spot=True,
    checkpoints=True,
    max_runtime=3600.0,
)


def read(job: JobRequest, host: str = "algo-1") -> dict[str, Any]:
    return {name: json.loads(text) for name, text in files(job, host).items()}


def test_t21_init_config_of_a_real_job() -> None:
    source = {
        "s3DataType": "S3_PREFIX",
        "s3Uri": "s3://bucket/input",
        "s3DataDistributionType": "SHARDED_BY_S3_KEY",
        "attributeNames": None,
    }
    checkpoints = {
        "s3DataType": "S3_PREFIX",
        "s3Uri": "s3://amzn-s3-demo-local/output/Task1/checkpoints",
        "s3DataDistributionType": None,
        "attributeNames": None,
    }
    wanted = {
        "inputMode": "FILE",
        "channels": {
            "data": {
                "s3DataSource": source,
                "fileSystemDataSource": None,
                "compressionType": "NONE",
                "recordWrapper": "NONE",
                "shuffleConfig": None,
                "inputMode": "FILE",
                "sharded": True,
            }
        },
        "checkpointChannel": {
            "name": "checkpoints",
            "channel": {
                "s3DataSource": checkpoints,
                "fileSystemDataSource": None,
                "compressionType": None,
                "recordWrapper": None,
                "shuffleConfig": None,
                "inputMode": "FILE",
                "sharded": False,
            },
            "outputPath": "/opt/ml/checkpoints",
            "allowEmpty": True,
        },
        "hostConfig": {"clusterSize": 2, "hostNumber": 1},
        "enableAdditionalPlatformLoggingForCustomer": False,
        "jobRunInfo": {"jobRunNumber": 1},
    }
    # As text: the order of keys is the real job's, too.
    assert files(REAL, "algo-1")["init-config.json"] == json.dumps(wanted)
    assert read(REAL, "algo-2")["init-config.json"] == wanted | {"hostConfig": {"clusterSize": 2, "hostNumber": 2}}


def test_t21_the_job_s_request_of_a_real_job() -> None:
    uri = "s3://amzn-s3-demo-local/output"
    wanted = {
        "EnableInterContainerTrafficEncryption": False,
        "EnableNetworkIsolation": False,
        "EnableManagedSpotTraining": True,
        "HyperParameters": {"steps": "7"},
        "InputDataConfig": [
            {
                "ChannelName": "data",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3_PREFIX",
                        "S3Uri": "s3://bucket/input",
                        "S3DataDistributionType": "SHARDED_BY_S3_KEY",
                    }
                },
                "CompressionType": "NONE",
                "RecordWrapperType": "NONE",
            }
        ],
        "OutputDataConfig": {"KmsKeyId": "", "S3OutputPath": uri},
        "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
        "RoleArn": "arn:aws:iam::000000000000:role/local",
        "Tags": [],
        "BaseTags": [],
        "TrainingJobName": "Task1",
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 3600},
        "AlgorithmSpecification": {
            "MetricDefinitions": [],
            "TrainingImage": "an/image:1",
            "TrainingInputMode": "File",
        },
        "TrainingJobArn": REAL.arn,
        "CheckpointConfig": {"S3Uri": f"{uri}/Task1/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
    }
    assert files(REAL, "algo-1")["trainingjobconfig.json"] == json.dumps(wanted)


def test_t21_what_is_there_only_where_it_is_configured() -> None:
    assert read(REAL)["checkpointconfig.json"] == {"LocalPath": "/opt/ml/checkpoints"}
    plain = read(JobRequest("a", "arn", "0", "image", "ml.m5.large"))
    assert list(plain) == [
        *("init-config.json", "trainingjobconfig.json", "upstreamoutputdataconfig.json"),
        "metric-definition-regex.json",
    ]
    assert plain["upstreamoutputdataconfig.json"] == plain["metric-definition-regex.json"] == []
    assert plain["init-config.json"]["checkpointChannel"] is None
    assert "CheckpointConfig" not in plain["trainingjobconfig.json"]
    # A day, where the request says nothing (T-42).
    assert plain["trainingjobconfig.json"]["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 86_400,
        "MaxWaitTimeInSeconds": None,
    }


def test_t21_a_channel_with_everything() -> None:
    config = ChannelConfig("Pipe", "FullyReplicated", "RecordIO", "text/csv")
    channel = ChannelRequest("s3://bucket/list", config, "Gzip", 0, manifest=True)
    seen = read(JobRequest("a", "arn", "0", "image", "ml.m5.large", channels={"x": channel}, metrics={"m": "m=(.*)"}))
    assert seen["init-config.json"]["channels"]["x"] == {
        "s3DataSource": {
            "s3DataType": "MANIFEST_FILE",
            "s3Uri": "s3://bucket/list",
            "s3DataDistributionType": "FULLY_REPLICATED",
            "attributeNames": None,
        },
        "fileSystemDataSource": None,
        "compressionType": "GZIP",
        "recordWrapper": "RECORD_IO",
        "shuffleConfig": {"seed": 0},
        "inputMode": "PIPE",
        "sharded": False,
    }
    assert seen["trainingjobconfig.json"]["InputDataConfig"] == [
        {
            "ChannelName": "x",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "MANIFEST_FILE",
                    "S3Uri": "s3://bucket/list",
                    "S3DataDistributionType": "FULLY_REPLICATED",
                }
            },
            "CompressionType": "GZIP",
            "RecordWrapperType": "RECORD_IO",
            "ContentType": "text/csv",
            "InputMode": "Pipe",
            "ShuffleConfig": {"Seed": 0},
        }
    ]
    assert seen["metric-definition-regex.json"] == [{"Name": "m", "Regex": "m=(.*)"}]


@pytest.mark.parametrize(
    ("word", "spelled"),
    [
        ("S3Prefix", "S3_PREFIX"),
        ("ShardedByS3Key", "SHARDED_BY_S3_KEY"),
        ("FullyReplicated", "FULLY_REPLICATED"),
        ("RecordIO", "RECORD_IO"),
        ("FastFile", "FAST_FILE"),
        ("None", "NONE"),
    ],
)
def test_t21_enumerations(word: str, spelled: str) -> None:
    assert upper_snake(word) == spelled
