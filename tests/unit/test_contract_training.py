"""The contract of training, to the letter (rule ids in the names are docs/contract.md's)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from byoc_cli.contract import paths, training
from byoc_cli.contract.training import ChannelConfig


def test_t12_hyperparameters_are_one_flat_object_of_strings() -> None:
    text = training.hyperparameters_json({"train-steps": "100", "lr": "0.001", "name": 'say "hi"', "empty": ""})
    assert text == '{"train-steps": "100", "lr": "0.001", "name": "say \\"hi\\"", "empty": ""}'
    assert training.hyperparameters_json({}) == "{}"


def test_t14_the_file_s_name_is_all_lower_case() -> None:
    assert paths.RESOURCE_CONFIG_FILE == "resourceconfig.json"
    assert paths.INPUT_DATA_CONFIG_FILE == "inputdataconfig.json"
    assert paths.HYPERPARAMETERS_FILE == "hyperparameters.json"


def test_t15_to_t18_resource_config_in_its_full_form() -> None:
    assert json.loads(training.resource_config_json(["algo-1"], "algo-1", "ml.m5.xlarge")) == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": ["algo-1"]}
        ],
        "network_interface_name": "eth0",
        "topology": None,
    }


def test_t17_hosts_are_sorted_as_strings() -> None:
    hosts = [f"algo-{number}" for number in range(1, 12)]
    config = json.loads(training.resource_config_json(hosts, "algo-2", "ml.m5.xlarge"))
    assert config["hosts"][:4] == ["algo-1", "algo-10", "algo-11", "algo-2"]
    assert config["instance_groups"][0]["hosts"] == config["hosts"]


def test_t19_input_data_config_is_keyed_by_channel() -> None:
    config = training.input_data_config_json({"train": ChannelConfig(), "eval": ChannelConfig(content_type="text/csv")})
    plain = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert json.loads(config) == {"train": plain, "eval": {"ContentType": "text/csv", **plain}}
    assert training.input_data_config_json({}) == "{}"


@pytest.mark.parametrize(("mode", "written"), [("File", "File"), ("FastFile", "File"), ("Pipe", "Pipe")])
def test_t20_fast_file_is_written_as_file(mode: str, written: str) -> None:
    config = json.loads(training.input_data_config_json({"c": ChannelConfig(input_mode=mode)}))
    assert config["c"]["TrainingInputMode"] == written


def test_t24_t27_what_the_platform_sets() -> None:
    assert training.environment("My-Job", "eu-west-1", "123456789012", gpu=False) == {
        "TRAINING_JOB_NAME": "My-Job",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/my-job",
        "AWS_REGION": "eu-west-1",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }


def test_t27_a_gpu_job_s_devices_are_the_runtime_s_business() -> None:
    assert "NVIDIA_VISIBLE_DEVICES" not in training.environment("j", "eu-west-1", "1", gpu=True)


def test_t28_t29_neither_credentials_nor_toolkit_variables_are_the_platform_s() -> None:
    names = training.environment("j", "eu-west-1", "1", gpu=False)
    assert not [name for name in names if name.startswith("SM_") or "KEY" in name or "TOKEN" in name]


@pytest.mark.parametrize(
    ("file", "code", "out_of_memory", "reason"),
    [
        ("ValueError: no data", 1, False, "AlgorithmError: ValueError: no data, exit code: 1"),
        ("", 1, False, "AlgorithmError: , exit code: 1"),
        ("  \n", 2, False, "AlgorithmError: , exit code: 2"),
        ("cause\n", 1, False, "AlgorithmError: cause, exit code: 1"),
        ("", 137, True, "AlgorithmError: OutOfMemory: Process killed by SIGKILL (signal 9), exit code: 137"),
        ("", 137, False, "AlgorithmError: , exit code: 137"),
        ("my own words", 137, True, "AlgorithmError: my own words, exit code: 137"),
    ],
)
def test_t32_t33_t35_failure_reason(file: str, code: int, out_of_memory: bool, reason: str) -> None:
    assert training.failure_reason(file, code, out_of_memory=out_of_memory) == reason


def test_t32_the_first_1024_characters_count() -> None:
    reason = training.failure_reason("é" * 1024 + "LOST", 1, out_of_memory=False)
    assert reason == f"AlgorithmError: {'é' * 1024}, exit code: 1"


@pytest.mark.parametrize("name", ["a", "A-1", "a--b", "x" * 63, "0-0"])
def test_t25_good_job_names(name: str) -> None:
    assert training.job_name_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "letters, digits"),
        ("-a", "letters, digits"),
        ("a-", "letters, digits"),
        ("a_b", "letters, digits"),
        ("a.b", "letters, digits"),
        ("a b", "letters, digits"),
        ("a\n", "letters, digits"),
        ("é", "letters, digits"),
        ("x" * 64, "it has 64 characters, at most 63"),
    ],
)
def test_t25_bad_job_names(name: str, problem: str) -> None:
    assert problem in training.job_name_problem(name)


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({f"k{n}": "v" for n in range(100)}, []),
        ({f"k{n}": "v" for n in range(101)}, ["101 hyperparameters; at most 100 are allowed (T-13)"]),
        ({"k" * 256: "v" * 2500}, []),
        ({"k" * 257: ""}, [f"hyperparameter '{'k' * 40}…': its name has 257 characters, at most 256 (T-13)"]),
        ({"k": "v" * 2501}, ["hyperparameter 'k': its value has 2501 characters, at most 2,500 (T-13)"]),
    ],
)
def test_t13_limits_of_hyperparameters(values: dict[str, str], problems: list[str]) -> None:
    assert training.hyperparameter_problems(values) == problems


def _names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (["training", "a.b-c_D", "x" * 64], 0),
        (_names(20), 0),
        (_names(21), 1),
        (["x" * 65], 1),
        ([""], 1),
        (["a b", "a/b", "..", "."], 4),
        (["a\n"], 1),
    ],
)
def test_t55_limits_of_channels(names: Sequence[str], number: int) -> None:
    problems = training.channel_problems(names)
    assert len(problems) == number
    assert all("(T-55)" in problem for problem in problems)


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        ({"A_1": "x" * 512, "_b": ""}, 0),
        ({f"V{n}": "" for n in range(100)}, 0),
        ({f"V{n}": "" for n in range(101)}, 1),
        ({"1A": ""}, 1),
        ({"A-B": ""}, 1),
        ({"A\n": ""}, 1),
        ({"A" * 513: ""}, 1),
        ({"A": "x" * 513}, 1),
    ],
)
def test_t26_limits_of_the_environment(variables: dict[str, str], number: int) -> None:
    problems = training.environment_problems(variables)
    assert len(problems) == number
    assert all("(T-26)" in problem for problem in problems)


@pytest.mark.parametrize(
    ("make", "secret"),
    [(training.hyperparameter_problems, "s3cr3t" * 500), (training.environment_problems, "s3cr3t" * 100)],
)
def test_a_problem_never_shows_the_value(make: Callable[[dict[str, str]], list[str]], secret: str) -> None:
    assert "s3cr3t" not in " ".join(make({"password": secret}))


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "problems"),
    [
        ([], [], []),
        (["w" * 256] * 100, ["w" * 256] * 100, []),
        (["w"] * 101, [], ["entrypoint: 101 words; at most 100 are allowed (T-05)"]),
        ([], ["w"] * 101, ["arguments: 101 words; at most 100 are allowed (T-05)"]),
        ([], ["a" * 257], [f"arguments: '{'a' * 40}…' has 257 characters, at most 256 (T-05)"]),
    ],
)
def test_t05_limits_of_words(entrypoint: list[str], arguments: list[str], problems: list[str]) -> None:
    assert training.command_problems(entrypoint, arguments) == problems


@pytest.mark.parametrize(
    ("seconds", "problems"),
    [
        (None, []),
        (1, []),
        (2_419_200, []),
        (0.5, ["a maximal run time of 0.5 s; 1 s to 28 days are allowed (T-42)"]),
        (2_419_201, ["a maximal run time of 2,419,201 s; 1 s to 28 days are allowed (T-42)"]),
    ],
)
def test_t42_limits_of_the_run_time(seconds: float | None, problems: list[str]) -> None:
    assert training.runtime_problems(seconds) == problems


@pytest.mark.parametrize(
    ("metrics", "problems"),
    [
        ({"n" * 255: "r" * 500}, []),
        ({f"m{number}": "x" for number in range(40)}, []),
        ({f"m{number}": "x" for number in range(41)}, ["41 metrics; at most 40 are allowed (T-70)"]),
        (
            {"n" * 256: "x"},
            [f"metric '{'n' * 40}…': its name has 256 characters, 1 to 255 are allowed (T-70)"],
        ),
        ({"m": "r" * 501}, ["metric 'm': its regex has 501 characters, 1 to 500 are allowed (T-70)"]),
        ({"m": ""}, ["metric 'm': its regex has 0 characters, 1 to 500 are allowed (T-70)"]),
    ],
)
def test_t70_limits_of_metrics(metrics: dict[str, str], problems: list[str]) -> None:
    assert training.metric_problems(metrics) == problems


def test_t11_t34_paths() -> None:
    assert paths.CONFIG == "/opt/ml/input/config"
    assert paths.channel("training") == "/opt/ml/input/data/training"
    assert (paths.OUTPUT, paths.FAILURE_FILE) == ("/opt/ml/output", "failure")
    assert paths.OUTPUT_DATA == "/opt/ml/output/data"
    assert (paths.MODEL, paths.CHECKPOINTS) == ("/opt/ml/model", "/opt/ml/checkpoints")
