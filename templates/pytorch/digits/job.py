"""What SageMaker gives a training container, and what it expects back; rules are those of byoc's docs/contract.md.

No torch here: a job that is set up wrongly is refused before its import, which takes seconds.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ML_ROOT = Path("/opt/ml")
CONFIG = ML_ROOT / "input/config"
CHECKPOINTS = ML_ROOT / "checkpoints"
MODEL = ML_ROOT / "model"
FAILURE = ML_ROOT / "output/failure"


class JobError(Exception):
    """The job cannot be done as asked. The message says what and why; it needs no traceback."""


@dataclass(frozen=True)
class Settings:
    """The hyperparameters and their defaults. `batch_size` is written `batch-size` in hyperparameters.json."""

    epochs: int = 15  # passes over the training pictures, counted over all resumed runs
    batch_size: int = 64  # pictures per step, of all hosts together
    learning_rate: float = 0.003  # at the first step; falls to 0 along a cosine
    seed: int = 1  # of the weights and of the order of the pictures


_LEAST = {"epochs": 1, "batch-size": 1, "learning-rate": 1e-9, "seed": 0}
_TOO_MUCH = 1e9


def read_settings() -> Settings:
    """Read the hyperparameters, whose values are always strings (T-12); the first bad one is a JobError."""
    defaults = {field.name.replace("_", "-"): field.default for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in _read_json("hyperparameters.json").items():
        if name.startswith("sagemaker_"):  # of SageMaker's SDK, for its own training toolkit
            continue
        if name not in defaults:
            raise JobError(f"there is no hyperparameter {name}: there are {', '.join(defaults)}")
        values[name.replace("-", "_")] = _number(name, text, type(defaults[name]))
    return Settings(**values)


def _number(name: str, text: object, kind: type) -> float:
    digits = str(text).strip('"')  # the SDK's framework estimators send "\"15\"" (T-12)
    try:
        value: float = kind(digits)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise JobError(f"hyperparameter {name} is {digits!r}: it must be {wanted}") from None
    if not _LEAST[name] <= value < _TOO_MUCH:  # which is not true of NaN either
        raise JobError(f"hyperparameter {name} is {digits}: it must be {_LEAST[name]:g} or more, and less than 1e9")
    return value


@dataclass(frozen=True)
class Hosts:
    """The hosts of the job, sorted as strings (T-17), so that all of them agree on who is the first."""

    names: tuple[str, ...] = ("localhost",)
    current: str = "localhost"
    interface: str = ""  # the network interface on which they reach each other (T-18)

    @property
    def index(self) -> int:
        """The number of this host, from 0."""
        return self.names.index(self.current)


def read_hosts() -> Hosts:
    """Read resourceconfig.json (T-15); a plain `docker run` has none and is a job of one host."""
    content = _read_json("resourceconfig.json")
    if not content:
        return Hosts()
    try:
        names, current = tuple(sorted(map(str, content["hosts"]))), str(content["current_host"])
    except (LookupError, TypeError):
        raise JobError(f"resourceconfig.json must name hosts and current_host: {json.dumps(content)[:200]}") from None
    if current not in names:
        raise JobError(f"resourceconfig.json: the current_host {current} is not among {', '.join(names)}")
    return Hosts(names, current, str(content.get("network_interface_name") or ""))


def is_sharded(channel: str) -> bool:
    """Whether the platform has dealt the channel's files to the hosts, so that each has others (T-57)."""
    setting = _read_json("inputdataconfig.json").get(channel)
    return isinstance(setting, dict) and setting.get("S3DistributionType") == "ShardedByS3Key"


def channel_files(channel: str) -> list[Path]:
    """Return the channel's CSV files, in the order of their names; none if the channel is not there.

    Raises:
        JobError: the channel is in Pipe mode.

    """
    folder = ML_ROOT / "input/data" / channel
    if folder.with_name(f"{channel}_0").exists():  # T-61
        raise JobError(f"channel {channel} is in Pipe mode: this container reads files, use File or FastFile")
    return sorted(path for path in folder.glob("**/*.csv*") if path.is_file())


def _read_json(name: str) -> dict[str, Any]:
    """Read a file of /opt/ml/input/config, which holds an object; one that is not there is an empty one."""
    path = CONFIG / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise JobError(f"{path} must hold a JSON object, not {json.dumps(content)[:80]}")
    return content


def fail(error: BaseException) -> int:
    """Tell why the job failed, on stderr and in /opt/ml/output/failure (T-32); return the exit code (T-31).

    The first 1,024 characters of that file become the job's FailureReason, so the cause stands first. What is in it
    already was written by a process that failed earlier, and is the cause of this failure, too.
    """
    cause, trace = str(error), ""
    if not isinstance(error, JobError):
        cause, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
    print(f"{trace}error: {cause}", file=sys.stderr, flush=True)
    try:
        with FAILURE.open("x", encoding="utf-8") as file:
            file.write(f"{cause}\n\n{trace}".rstrip())
    except FileExistsError:
        pass
    except OSError as unwritable:
        print(f"warning: {FAILURE} cannot be written: {unwritable}", file=sys.stderr, flush=True)
    return 1
