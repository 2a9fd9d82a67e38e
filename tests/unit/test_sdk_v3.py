"""byoc's own drivers of SDK v3 (T-09, T-29, T-30), run as they are, by this machine's bash, on a made tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.contract import sdk_v3
from byoc_cli.contract.training import ChannelConfig
from byoc_cli.engine.types import Image
from byoc_cli.local.channels import Channel
from byoc_cli.local.training import TrainingJob, drivers
from byoc_cli.local.training.drivers import entry_script, environment
from byoc_cli.local.training.layout import config_files

LOOK = """\
import json, os, sys
seen = {"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}
json.dump(seen, open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w"))
"""


class Tree:
    """An /opt/ml with drivers, laid out as the container of a job finds it."""

    def __init__(self, folder: Path, script: str = "train.py", text: str = LOOK, **job: Any) -> None:
        self.ml = folder / "opt/ml"
        for name in ("input/config", "input/data/code", "model", "output/data"):
            (self.ml / name).mkdir(parents=True)
        image = Image("", [], [], 0.0, "", "", 0, {})
        code = [Channel(name, folder) for name in ("code", *job.pop("channels", ()), "sm_drivers")]
        self.job = TrainingJob("job-1", image, "i", channels=code, **job)
        for name, content in config_files(self.job, self.job.hosts[-1]).items():
            (self.ml / "input/config" / name).write_text(content)
        drivers.write(self.ml / "input/data/sm_drivers", script)
        (self.ml / "input/data/code" / script).parent.mkdir(exist_ok=True)
        (self.ml / "input/data/code" / script).write_text(text)

    def run(self, **more: str) -> subprocess.CompletedProcess[str]:
        """As `/bin/bash -c "chmod +x … && …"` does it, with the platform's variables."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        (argument,) = (word.replace("/opt/ml", str(self.ml)) for word in sdk_v3.ARGUMENTS[1:])
        return subprocess.run(
            [*sdk_v3.ENTRYPOINT, "-c", argument],
            env={"PATH": path, "TRAINING_JOB_NAME": "job-1", **more},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def failure(self) -> str:
        return (self.ml / "output/failure").read_text()

    def seen(self, **more: str) -> dict[str, Any]:
        ran = self.run(**more)
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads((self.ml / "model/seen.json").read_text()))


def test_t09_how_model_trainer_has_an_image_started() -> None:
    assert list(sdk_v3.ENTRYPOINT) == ["/bin/bash"]
    assert list(sdk_v3.ARGUMENTS) == [
        "-c",
        "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && /opt/ml/input/data/sm_drivers/sm_train.sh",
    ]


@pytest.mark.parametrize(
    ("configs", "script", "said"),
    [
        ({}, "train.py", []),
        ({}, "", []),
        ({}, "sub/train.sh", []),
        ({}, "train.R", ["ModelTrainer takes .py and .sh only (T-09)"]),
        ({}, "/train.py", ["it has to be relative to the channel 'code' (T-09)"]),
        ({}, "../train.py", ["it has to be relative"]),
        ({"code": ChannelConfig("FastFile")}, "a.py", ["channel 'code' holds the script", "(T-10)"]),
        ({"sm_drivers": ChannelConfig(distribution="ShardedByS3Key")}, "", ["channel 'sm_drivers' holds the script"]),
    ],
)
def test_t09_what_would_fail_in_the_cloud(configs: Mapping[str, ChannelConfig], script: str, said: list[str]) -> None:
    problems = sdk_v3.problems(configs, script)
    assert len(problems) == bool(said)
    assert all(text in problems[0] for text in said)


def test_t29_t30_the_variables(tmp_path: Path) -> None:
    hyperparameters = {"batch-size": "32", "lr": "1e-3", "name": 'it\'s a "x" $HOME', "sizes": "[1, 2]", "deep": "true"}
    tree = Tree(tmp_path, hyperparameters=hyperparameters, channels=["training"], instance_count=2)
    seen = tree.seen(OWN="kept")
    found = {name: value for name, value in seen["environment"].items() if name.startswith("SM_")}
    ml, config = str(tree.ml), tree.ml / "input/config"
    values = {"batch-size": 32, "lr": 0.001, "name": 'it\'s a "x" $HOME', "sizes": [1, 2], "deep": True}
    texts = {
        "SM_MODEL_DIR": f"{ml}/model",
        "SM_INPUT_DIR": f"{ml}/input",
        "SM_INPUT_DATA_DIR": f"{ml}/input/data",
        "SM_INPUT_CONFIG_DIR": f"{ml}/input/config",
        "SM_OUTPUT_DIR": f"{ml}/output",
        "SM_OUTPUT_FAILURE": f"{ml}/output/failure",
        "SM_OUTPUT_DATA_DIR": f"{ml}/output/data",
        "SM_LOG_LEVEL": "20",
        "SM_MASTER_ADDR": "algo-1",
        "SM_MASTER_PORT": "7777",
        "SM_SOURCE_DIR": f"{ml}/input/data/code",
        "SM_ENTRY_SCRIPT": "train.py",
        "SM_CHANNEL_CODE": f"{ml}/input/data/code",
        "SM_CHANNEL_TRAINING": f"{ml}/input/data/training",
        "SM_CHANNEL_SM_DRIVERS": f"{ml}/input/data/sm_drivers",
        "SM_HP_BATCH_SIZE": "32",
        "SM_HP_LR": "0.001",
        "SM_HP_NAME": 'it\'s a "x" $HOME',
        "SM_HP_SIZES": "[1, 2]",
        "SM_HP_DEEP": "true",
        "SM_CURRENT_HOST": "algo-2",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_HOST_COUNT": "2",
        "SM_CURRENT_HOST_RANK": "1",
        "SM_NUM_CPUS": str(len(os.sched_getaffinity(0))),
        "SM_NUM_NEURONS": "0",
    }
    assert {name: found[name] for name in texts} == texts
    as_json = {
        "SM_CHANNELS": ["code", "training", "sm_drivers"],
        "SM_HOSTS": ["algo-1", "algo-2"],
        "SM_HPS": values,
        "SM_RESOURCE_CONFIG": json.loads((config / "resourceconfig.json").read_text()),
        "SM_INPUT_DATA_CONFIG": json.loads((config / "inputdataconfig.json").read_text()),
    }
    assert {name: json.loads(found[name]) for name in as_json} == as_json
    assert set(found) == {*texts, *as_json, "SM_NUM_GPUS", "SM_TRAINING_ENV"}
    everything = json.loads(found["SM_TRAINING_ENV"])
    assert (everything["job_name"], everything["hyperparameters"]) == ("job-1", values)
    assert everything["channel_input_dirs"]["training"] == f"{ml}/input/data/training"
    assert everything["resource_config"] == as_json["SM_RESOURCE_CONFIG"]
    assert len(everything) == 20
    assert seen["environment"]["OWN"] == "kept"
    assert seen["folder"] == f"{ml}/input/data/code"
    assert seen["words"] == [
        *("--batch-size", "32", "--lr", "0.001", "--name", 'it\'s a "x" $HOME', "--sizes", "[1, 2]", "--deep", "true"),
    ]


def test_the_log_level_is_the_job_s(tmp_path: Path) -> None:
    assert Tree(tmp_path).seen(SM_LOG_LEVEL="10")["environment"]["SM_LOG_LEVEL"] == "10"


@pytest.mark.parametrize(
    ("job", "name"),
    [({"channels": ["my-data"]}, "SM_CHANNEL_MY-DATA"), ({"hyperparameters": {"a.b": "1"}}, "SM_HP_A.B")],
)
def test_t30_a_name_that_no_shell_takes_fails_as_it_does_there(tmp_path: Path, job: dict[str, Any], name: str) -> None:
    tree = Tree(tmp_path, **job)
    ran = tree.run()
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{name} is no name for a variable")
    assert tree.failure == "sm_train.sh failed\n"


def test_a_shell_script_is_run_by_its_first_line_though_nobody_made_it_executable(tmp_path: Path) -> None:
    tree = Tree(
        tmp_path,
        "sub folder/my train.sh",
        '#!/bin/bash\n[[ a = a ]] && echo "$0" "$@" $SM_HP_A\n',
        hyperparameters={"a": "b c"},
    )
    ran = tree.run()
    assert (ran.returncode, ran.stdout) == (0, "./sub folder/my train.sh --a b c b c\n")


@pytest.mark.parametrize(
    ("script", "text", "code", "failure"),
    [
        ("train.py", "import sys; sys.exit(3)", 3, "train.py returned non-zero exit status 3.\n"),
        ("train.py", "import os; os.kill(os.getpid(), 9)", 247, "train.py returned non-zero exit status -9.\n"),
        ("train.sh", "exit 5", 5, "train.sh returned non-zero exit status 5.\n"),
        (
            "train.py",
            "import os; open(os.environ['SM_OUTPUT_FAILURE'], 'w').write('no data'); raise SystemExit(4)",
            4,
            "no data",
        ),
    ],
)
def test_the_script_s_end_is_the_job_s(tmp_path: Path, script: str, text: str, code: int, failure: str) -> None:
    tree = Tree(tmp_path, script, text, hyperparameters={"api_key": "SECRET-MARKER"})
    ran = tree.run()
    assert (ran.returncode, tree.failure) == (code, failure)
    assert "SECRET-MARKER" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(("there", "said"), [([], "there is no Python in"), (["python3"], "there is no pip in")])
def test_t09_an_image_without_what_the_drivers_need(tmp_path: Path, there: list[str], said: str) -> None:
    tree = Tree(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dirname", "chmod"):
        (programs / name).symlink_to(f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}")
    for name in there:
        (programs / name).symlink_to(sys.executable)
    ran = tree.run(PATH=str(programs))
    assert ran.returncode == 1
    assert tree.failure == f"{said} the image, which SDK v3 needs (T-09)\n"


def test_gpus_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: A (UUID: y)'\n")
    (programs / "nvidia-smi").chmod(0o755)
    assert (
        Tree(tmp_path / "one").seen(PATH=f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin")["environment"][
            "SM_NUM_GPUS"
        ]
        == "2"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.0", 1.0), ("abc", "abc"), ('"abc"', "abc"), ("", ""), ("null", None), ("01", "01")],
)
def test_t12_a_value_is_read_as_json_where_it_can_be(text: str, value: object) -> None:
    assert environment.value_of(text) == value


def test_words_of_a_process() -> None:
    values = {"a": "x y", "b-c": [1, "2"], "d": None, "e": True}
    words = ["--a", "x y", "--b-c", '[1, "2"]', "--d", "null", "--e", "true"]
    assert entry_script.arguments(values) == words
    assert entry_script.command("t.py", values, "python") == ["python", "t.py", *words]
    assert entry_script.command("t.sh", values, "python")[:2] == ["/bin/sh", "-c"]


def test_nothing_of_byoc_is_needed_by_what_runs_in_the_image() -> None:
    """The image's Python may be 3.7, and has no byoc."""
    import ast

    for name in ("environment.py", "entry_script.py"):
        text = Path(drivers.__file__).with_name(name).read_text()
        tree = ast.parse(text, feature_version=(3, 7))
        imported = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
        imported |= {alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names}
        assert imported <= {"__future__", "json", "os", "pathlib", "re", "shlex", "subprocess", "sys", "typing"}
