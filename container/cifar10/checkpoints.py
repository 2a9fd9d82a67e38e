"""Checkpoints: one file each, whole or not there, so that a copy taken at any moment can be trusted (T-52)."""

from __future__ import annotations

import contextlib
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sagemaker_job import JobError

_KEPT = 2
_NAME = re.compile(r"checkpoint-(\d+)\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """The training's state after `step` optimizer steps."""

    step: int
    arrays: list[np.ndarray]  # the model's and the optimizer's variables, in their order


class CheckpointFolder:
    """The checkpoints of one job. A folder that cannot be written turns saving off, with a warning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._usable = _make_writable(folder)

    def save(self, step: int, arrays: list[np.ndarray]) -> None:
        """Write a checkpoint under another name, rename it, and remove the oldest."""
        if not self._usable:
            return
        path = self._folder / f"checkpoint-{step:08d}.npz"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, *arrays)
        partial.replace(path)
        for old in self._newest_first()[_KEPT:]:
            old.unlink(missing_ok=True)

    def latest(self) -> Checkpoint | None:
        """Read the newest checkpoint that can be read; None if there is none."""
        for path in self._newest_first():
            try:
                with np.load(path, allow_pickle=False) as content:
                    arrays = [content[f"arr_{index}"] for index in range(len(content.files))]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                print(f"warning: {path} cannot be read ({error}): trying an older one", file=sys.stderr)
                continue
            return Checkpoint(_step_of(path), arrays)
        return None

    def _newest_first(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        paths = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(paths, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _make_writable(folder: Path) -> bool:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        print(f"warning: no checkpoints, {folder} cannot be written ({error.strerror})", file=sys.stderr)
        return False
    with contextlib.suppress(OSError):
        probe.unlink()
    return True


def check_shapes(checkpoint: Checkpoint, shapes: list[tuple[int, ...]]) -> None:
    """Refuse a checkpoint of another network."""
    if [array.shape for array in checkpoint.arrays] != shapes:
        raise JobError(
            f"the checkpoint of step {checkpoint.step} is of another network: give the same resnet-depth and"
            " resnet-width as before, or an empty checkpoint folder"
        )
