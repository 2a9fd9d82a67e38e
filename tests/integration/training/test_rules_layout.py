"""T-11 to T-23: what a container finds in /opt/ml. (T-21's files to the letter: tests/unit/test_platform_files.py.)"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.integration.training.conftest import FOLDER
from tests.integration.training.lab import Lab, Probed

pytestmark = pytest.mark.integration

FOLDER_OF_ROOT, FILE_OF_ROOT = "drwxr-xr-x 0:0", "-rw-r--r-- 0:0"
CONFIG = (
    *("hyperparameters.json", "init-config.json", "inputdataconfig.json", "metric-definition-regex.json"),
    *("resourceconfig.json", "trainingjobconfig.json", "upstreamoutputdataconfig.json"),
)
PLAIN = {
    **dict.fromkeys(
        (f"/opt/ml/{name}" for name in ("checkpoints", "input", "input/config", "input/data", "model")), FOLDER_OF_ROOT
    ),
    **dict.fromkeys(("/opt/ml/output", "/opt/ml/output/data"), FOLDER_OF_ROOT),
    **{f"/opt/ml/input/config/{name}": FILE_OF_ROOT for name in CONFIG},
}
HOMOGENEOUS = "homogeneousCluster"


def test_t11_t14_t23_the_tree_of_a_job_without_channels(plain: Probed) -> None:
    assert plain.report()["tree"] == PLAIN


def test_t11_t23_channels_and_what_lies_beside_them(full: Probed) -> None:
    owner = f"{os.getuid()}:{os.getgid()}"
    tree = full.report()["tree"]
    assert {path for path in tree if path not in PLAIN} == {
        "/opt/ml/input/config/checkpointconfig.json",
        *(f"/opt/ml/checkpoints/step-{number}" for number in (1, 2)),
        *(f"/opt/ml/input/data/{name}-manifest" for name in ("checkpoints", "listed", "single", "training")),
        *(f"/opt/ml/input/data/{name}" for name in ("fast", "listed", "single", "training")),
        *(f"/opt/ml/input/data/{name}/{file}" for name in ("fast", "training") for file in (*FOLDER, "below")),
        *(f"/opt/ml/input/data/listed/{file}" for file in ("a.csv", "below", "below/ü 1.txt")),
        "/opt/ml/input/data/single/one.csv",
    }
    # What is in a channel is not copied, and keeps its owner; all the rest is root's.
    data = {path: kind for path, kind in tree.items() if path.count("/") > 5 or path == "/opt/ml/input/data/fast"}
    assert {kind.split()[1] for kind in data.values()} == {owner}
    for path, kind in tree.items():
        if path not in data:
            assert kind == (FOLDER_OF_ROOT if kind.startswith("d") else FILE_OF_ROOT), path


def test_t12_hyperparameters_are_strings_and_an_empty_object_without_any(plain: Probed, full: Probed) -> None:
    assert plain.text("config/hyperparameters.json") == "{}"
    assert full.config("hyperparameters.json") == {
        "text": 'say "grüezi"',
        "rate": "0.1",
        "do": "report resume leave",
    }


def resource_config(host: str, hosts: list[str], kind: str) -> dict[str, Any]:
    return {
        "current_host": host,
        "current_instance_type": kind,
        "current_group_name": HOMOGENEOUS,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": HOMOGENEOUS, "instance_type": kind, "hosts": hosts}],
        "network_interface_name": "eth0",
        "topology": None,
    }


def test_t15_t16_resource_config_of_one_host(plain: Probed, full: Probed) -> None:
    assert plain.config("resourceconfig.json") == resource_config("algo-1", ["algo-1"], "ml.m5.xlarge")
    assert full.config("resourceconfig.json") == resource_config("algo-1", ["algo-1"], "ml.m5.large")


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_t17_every_host_is_told_who_it_is(two: Probed, host: str) -> None:
    wanted = resource_config(host, ["algo-1", "algo-2"], "ml.m5.xlarge")
    assert two.config("resourceconfig.json", host) == wanted


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_t18_the_interface_is_there(two: Probed, host: str) -> None:
    assert two.report(host)["interfaces"] == ["lo", two.config("resourceconfig.json", host)["network_interface_name"]]


def entry(**changes: str) -> dict[str, str]:
    return {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
        **changes,
    }


def test_t19_t20_input_data_config(plain: Probed, full: Probed, two: Probed, piped: Probed) -> None:
    assert plain.text("config/inputdataconfig.json") == "{}"
    assert full.config("inputdataconfig.json") == {
        "training": entry(ContentType="text/csv"),
        "single": entry(),
        "fast": entry(),  # FastFile is written as File
        "listed": entry(),
    }
    sharded = entry(S3DistributionType="ShardedByS3Key")
    for host in ("algo-1", "algo-2"):
        assert two.config("inputdataconfig.json", host) == {"whole": entry(), "shards": sharded, "few": sharded}
    assert piped.config("inputdataconfig.json") == {
        "shuffled": entry(TrainingInputMode="Pipe"),
        "big": entry(TrainingInputMode="Pipe"),
        "zipped": entry(TrainingInputMode="Pipe"),
        "records": entry(TrainingInputMode="Pipe", RecordWrapperType="RecordIO"),
        "beside": entry(),
        "fast": entry(),
    }


def test_t21_the_files_that_no_document_names(full: Probed, two: Probed) -> None:
    config = full.config("trainingjobconfig.json")
    assert config["HyperParameters"] == full.config("hyperparameters.json")
    assert [
        (each["ChannelName"], each["DataSource"]["S3DataSource"]["S3DataType"], each.get("InputMode"))
        for each in config["InputDataConfig"]
    ] == [
        *(("training", "S3_PREFIX", None), ("single", "S3_PREFIX", None)),
        *(("fast", "S3_PREFIX", "FastFile"), ("listed", "MANIFEST_FILE", None)),
    ]
    assert config["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": None}
    assert (
        config["AlgorithmSpecification"]["TrainingImage"] == full.description["AlgorithmSpecification"]["TrainingImage"]
    )
    assert config["TrainingJobArn"] == full.report()["environment"]["TRAINING_JOB_ARN"]
    assert full.config("checkpointconfig.json") == {"LocalPath": "/opt/ml/checkpoints"}
    assert full.config("upstreamoutputdataconfig.json") == full.config("metric-definition-regex.json") == []
    for number, host in enumerate(("algo-1", "algo-2"), 1):
        init = two.config("init-config.json", host)
        assert init["hostConfig"] == {"clusterSize": 2, "hostNumber": number}
        assert {name: channel["sharded"] for name, channel in init["channels"].items()} == {
            "whole": False,
            "shards": True,
            "few": True,
        }


def test_t21_t22_a_switch_leaves_them_out(lab: Lab) -> None:
    words = ("--no-platform-files", "--channel", f"training={lab.project / 'data' / 'tree'}")
    job = lab.run_one("Documented", *words, "--interrupt-after", "1h")
    assert set(job.report()["texts"]) == {
        *(f"config/{name}" for name in ("hyperparameters.json", "inputdataconfig.json", "resourceconfig.json")),
        *(f"data/training/{name}" for name in FOLDER),
    }


def manifest(name: str, *keys: str) -> str:
    return "".join(f"{line}\n" for line in (name, *(f"s3://amzn-s3-demo-local/{name}/{key}" for key in keys)))


def test_t22_manifests_lie_beside_file_channels(full: Probed, two: Probed) -> None:
    seen = full.report()["texts"]
    assert {name: text for name, text in seen.items() if name.endswith("-manifest")} == {
        "data/training-manifest": manifest("training", "a.csv", "b.csv", "below/ü 1.txt"),
        "data/single-manifest": manifest("single", "one.csv"),
        "data/listed-manifest": manifest("listed", "below/ü 1.txt", "a.csv"),
        "data/checkpoints-manifest": f"output/{full.name}/checkpoints\n",
    }
    for host in ("algo-1", "algo-2"):  # of all objects, whatever the host has of them
        assert two.text("data/shards-manifest", host) == manifest("shards", "a.csv", "b.csv", "below/ü 1.txt")
        assert two.text("data/few-manifest", host) == manifest("few", "one.csv")


def test_what_stays_of_the_configuration_has_no_secret(lab: Lab) -> None:
    job = lab.run_one("Secret", "--hyperparam", "api_key=SECRET-MARKER", "--hyperparam", "steps=1")
    assert job.config("trainingjobconfig.json")["HyperParameters"]["api_key"] == "SECRET-MARKER"
    kept = {path.name: path.read_text() for path in (job.folder / "input" / "config").iterdir()}
    assert set(kept) == set(CONFIG)
    assert not [name for name, text in kept.items() if "SECRET-MARKER" in text]
    redacted = {"api_key": "<redacted>", "steps": "1"}
    assert json.loads(kept["hyperparameters.json"]) == redacted
    assert json.loads(kept["trainingjobconfig.json"])["HyperParameters"] == redacted
