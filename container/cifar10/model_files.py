"""Finds the model to serve under /opt/ml/model, in the layouts that TensorFlow Serving images know (H-76)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODEL_ROOT = Path("/opt/ml/model")
DEFAULT_NAME = "cifar10"


class ModelMissingError(Exception):
    """There is nothing to serve."""


@dataclass(frozen=True)
class ServedModel:
    """A SavedModel: `base` holds version folders, named by numbers; the highest is served."""

    name: str
    base: Path
    version: int

    @property
    def folder(self) -> Path:
        """The folder with saved_model.pb."""
        return self.base / str(self.version)


def find_model(root: Path = MODEL_ROOT) -> ServedModel:
    """Find `<name>/<version>/saved_model.pb` or `<version>/saved_model.pb` under `root`."""
    if not root.is_dir() or not any(root.iterdir()):
        raise ModelMissingError(f"there is no model: {root} is empty (train first, then serve its model.tar.gz)")
    candidates = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    for base in candidates:
        versions = _versions(base)
        if versions:
            return ServedModel(DEFAULT_NAME if base == root else base.name, base, max(versions))
    found = ", ".join(sorted(path.name for path in root.iterdir())[:8])
    raise ModelMissingError(
        f"there is no SavedModel: expected {root}/{DEFAULT_NAME}/1/saved_model.pb, {root} holds {found}"
    )


def _versions(base: Path) -> list[int]:
    return [int(path.parent.name) for path in base.glob("*/saved_model.pb") if path.parent.name.isdecimal()]
