"""Writes /opt/ml/input/sm_training.env: the SM_* variables that SDK v3 makes of /opt/ml/input/config (T-29, T-30).

Text stays as it is, all else is JSON. A hyperparameter's value is read as JSON where it can be: "1" is a number, and
"[1,2]" a list. In names only a hyperparameter's dashes become "_".
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - the image's Python may be an old one

ML = Path(__file__).absolute().parents[3]
MASTER = "algo-1"
MASTER_PORT = 7777


def variables(ml: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Make the variables of the files below `ml`, which is /opt/ml, and of what the platform has set."""
    config, data = ml / "input/config", ml / "input/data"
    resources = _read(config / "resourceconfig.json")
    channels = _read(config / "inputdataconfig.json")
    hyperparameters = {name: value_of(text) for name, text in _read(config / "hyperparameters.json").items()}
    hosts = sorted(resources["hosts"])
    folders = {name: str(data / name) for name in channels}
    found = {
        "SM_MODEL_DIR": str(ml / "model"),
        "SM_INPUT_DIR": str(ml / "input"),
        "SM_INPUT_DATA_DIR": str(data),
        "SM_INPUT_CONFIG_DIR": str(config),
        "SM_OUTPUT_DIR": str(ml / "output"),
        "SM_OUTPUT_FAILURE": str(ml / "output/failure"),
        "SM_OUTPUT_DATA_DIR": str(ml / "output/data"),
        "SM_LOG_LEVEL": environ.get("SM_LOG_LEVEL", 20),
        "SM_MASTER_ADDR": MASTER,
        "SM_MASTER_PORT": MASTER_PORT,
        "SM_SOURCE_DIR": str(data / "code"),
        "SM_ENTRY_SCRIPT": _read(data / "sm_drivers/sourcecode.json")["entry_script"],
        "SM_CHANNELS": list(channels),
        "SM_HPS": hyperparameters,
        "SM_CURRENT_HOST": resources["current_host"],
        "SM_CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "SM_HOSTS": hosts,
        "SM_NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "SM_HOST_COUNT": len(hosts),
        "SM_CURRENT_HOST_RANK": hosts.index(resources["current_host"]),
        "SM_NUM_CPUS": _cpus(),
        "SM_NUM_GPUS": _gpus(),
        "SM_NUM_NEURONS": 0,  # there are none on a machine that is not AWS's
        "SM_RESOURCE_CONFIG": resources,
        "SM_INPUT_DATA_CONFIG": channels,
    }
    found.update({f"SM_CHANNEL_{name.upper()}": folder for name, folder in folders.items()})
    found.update({f"SM_HP_{name.replace('-', '_').upper()}": value for name, value in hyperparameters.items()})
    found["SM_TRAINING_ENV"] = _training_env(found, folders, environ["TRAINING_JOB_NAME"])
    return found


def _training_env(found: Mapping[str, Any], folders: Mapping[str, str], job: str) -> dict[str, Any]:
    same = (
        *("current_host", "current_instance_type", "hosts", "master_addr", "master_port", "input_data_config"),
        *("input_config_dir", "input_data_dir", "input_dir", "log_level", "model_dir", "network_interface_name"),
        *("num_cpus", "num_gpus", "num_neurons", "output_data_dir", "resource_config"),
    )
    own = {name: found[f"SM_{name.upper()}"] for name in same}
    own.update(channel_input_dirs=dict(folders), hyperparameters=found["SM_HPS"], job_name=job)
    return own


def value_of(text: str) -> Any:
    """Read a hyperparameter."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def text_of(value: Any) -> str:
    """Write a variable."""
    return value if isinstance(value, str) else json.dumps(value)


def exports(values: Mapping[str, Any]) -> str:
    """Make what a shell reads.

    Raises:
        SystemExit: a name is none for a shell, at which the SDK's own drivers fail as well.

    """
    for name in values:
        if not re.match(r"[A-Za-z_][A-Za-z0-9_]*$", name):
            sys.exit(
                f"{name} is no name for a variable, and SDK v3 makes one: name it with letters, digits and _ (T-30)"
            )
    return "".join(f"export {name}={shlex.quote(text_of(value))}\n" for name, value in values.items())


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _cpus() -> int:
    """What an instance of this type would count: those that this container may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], stdout=subprocess.PIPE, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())


if __name__ == "__main__":
    (ML / "input/sm_training.env").write_text(exports(variables(ML, os.environ)), encoding="utf-8")
