"""The hyperparameters of a training job: names, defaults, limits, and how their strings are read."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sagemaker_job import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping


def _field(default: float, low: float, high: float, text: str) -> Any:
    """Declare a hyperparameter: its default (whose type is its type), its least and greatest value."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "help": text})


@dataclass(frozen=True)
class Hyperparameters:
    """The settings of one training run. `train_steps` is written `train-steps` in hyperparameters.json."""

    train_steps: int = _field(100, 1, 10_000_000, "optimizer steps, counted over all resumed runs")
    batch_size: int = _field(128, 2, 65_536, "pictures per step, of all hosts together")
    learning_rate: float = _field(0.24, 1e-9, 100.0, "of the kernels at the first step; falls to 0 linearly")
    momentum: float = _field(0.6, 0.0, 0.999, "of the kernels' updates")
    label_smoothing: float = _field(0.0, 0.0, 0.9, "probability spread over all classes")
    resnet_depth: int = _field(8, 8, 1_202, "layers: 8, 14, 20, 26, 32, ...")
    resnet_width: int = _field(32, 1, 1_024, "channels of the first stage")
    log_steps: int = _field(10, 1, 1_000_000, "steps between two lines of metrics")
    checkpoint_steps: int = _field(50, 1, 1_000_000, "steps between two checkpoints")
    seed: int = _field(1, 0, 2**31 - 1, "of the weights and of the order of the pictures")

    def __post_init__(self) -> None:
        if (self.resnet_depth - 2) % 6:
            raise JobError(
                f"hyperparameter resnet-depth is {self.resnet_depth}: a CIFAR ResNet has 6n+2 layers (8, 14, 20, ...)"
            )


def names() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields by the names that users write."""
    return {field.name.replace("_", "-"): field for field in dataclasses.fields(Hyperparameters)}


def parse(strings: Mapping[str, str]) -> Hyperparameters:
    """Read hyperparameters, whose values are always strings (T-12); the first bad one is a JobError."""
    fields = names()
    values: dict[str, float] = {}
    for name, text in strings.items():
        if name.startswith("sagemaker_"):  # the SageMaker SDK's own, for the training toolkit
            continue
        if name not in fields:
            raise JobError(_unknown(name, list(fields)))
        values[fields[name].name] = _number(name, _unquoted(text), fields[name])
    return Hyperparameters(**values)  # type: ignore[arg-type]  # _number gives each field its own type


def _unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.5)
    if nearest:
        return f"unknown hyperparameter {name}: did you mean {nearest[0]}?"
    return f"unknown hyperparameter {name}: there are {', '.join(known)}"


def _unquoted(text: str) -> str:
    """Undo the JSON encoding that the SDK's framework estimators add to strings (T-12)."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _number(name: str, text: str, field: dataclasses.Field[Any]) -> float:
    """Read one value, a whole number where the default is one, and hold it against its limits."""
    low, high = field.metadata["low"], field.metadata["high"]
    whole = isinstance(field.default, int)
    try:
        value: float = int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise JobError(f"hyperparameter {name} is {text!r}: it must be {kind}") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise JobError(f"hyperparameter {name} is {text}: it must be from {low:,} to {high:,}")
    return value
