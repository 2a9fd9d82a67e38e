"""The project file: byoc.toml, or [tool.byoc] in pyproject.toml, read into a frozen Project. Reading never writes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byoc_cli import image_ref
from byoc_cli.errors import UsageError
from byoc_cli.project.reader import Reader
from byoc_cli.project.settings import (
    DEFAULT_PLATFORM,
    HOME_NAME,
    PLATFORM,
    BuildSettings,
    ChannelSettings,
    DevSettings,
    PictureSettings,
    PredictSettings,
    Project,
    ServeSettings,
    TrainSettings,
)

__all__ = [
    "DEFAULT_PLATFORM",
    "FILE_NAME",
    "HOME_NAME",
    "BuildSettings",
    "ChannelSettings",
    "DevSettings",
    "PictureSettings",
    "PredictSettings",
    "Project",
    "ServeSettings",
    "TrainSettings",
    "find",
    "load",
]

FILE_NAME = "byoc.toml"


def load(start: Path, environ: Mapping[str, str] | None = None) -> Project:
    """Find and read the project that `start` lies in.

    Raises:
        UsageError: `start` is no folder, or the project file is wrong; names file, key and the nearest valid key.

    """
    if not start.is_dir():
        what = f"'{start}' is not a folder" if start.exists() else f"there is no folder '{start}'"
        raise UsageError(f"{what}\na project is the folder of a Dockerfile", hint="byoc build DIR")
    root, file = find(start.resolve())
    table = _table(file) if file else {}
    project = Reader(file or root / FILE_NAME).project(root, file, table)
    return _override(project, os.environ if environ is None else environ)


def find(start: Path) -> tuple[Path, Path | None]:
    """Return (root, project file): from `start` upward, then in `start`/container, else the folder itself.

    A Dockerfile in `start` itself makes it a project, even below one that has a byoc.toml.
    """
    for folder in [start, *start.parents]:
        if file := _file_in(folder):
            return folder, file
        if folder == start and (start / "Dockerfile").is_file():
            return start, None
    if file := _file_in(start / "container"):
        return start / "container", file
    if (start / "container" / "Dockerfile").is_file():
        return start / "container", None
    return start, None


def _file_in(folder: Path) -> Path | None:
    if (folder / FILE_NAME).is_file():
        return folder / FILE_NAME
    pyproject = folder / "pyproject.toml"
    return pyproject if pyproject.is_file() and _has_byoc(pyproject.read_bytes()) else None


def _has_byoc(pyproject: bytes) -> bool:
    """Whether there is a [tool.byoc], however it is spelled."""
    if b"byoc" not in pyproject:
        return False
    try:
        tool = tomllib.loads(pyproject.decode("utf-8-sig")).get("tool")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return b"tool.byoc" in pyproject  # what is wrong with the file is said when it is read
    return isinstance(tool, dict) and "byoc" in tool


def _table(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML\n{error}") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read\n{error.strerror}") from error
    if file.name == FILE_NAME:
        return content
    reader = Reader(file)
    return reader.section(reader.section(content, "", "tool"), "tool", "byoc")


def _override(project: Project, environ: Mapping[str, str]) -> Project:
    """Let BYOC_IMAGE and BYOC_PLATFORM win over the file."""
    try:
        image_ref.parse(environ.get("BYOC_IMAGE") or project.image)
    except UsageError as error:
        raise UsageError(f"BYOC_IMAGE is wrong\n{error}", hint=error.hint) from error
    if not re.fullmatch(PLATFORM, environ.get("BYOC_PLATFORM") or project.platform):
        raise UsageError(f"BYOC_PLATFORM is wrong\n'{environ['BYOC_PLATFORM']}' is no platform of SageMaker's")
    changes = {
        key: environ[name]
        for key, name in (("image", "BYOC_IMAGE"), ("platform", "BYOC_PLATFORM"))
        if environ.get(name)
    }
    return Project(**{**project.__dict__, **changes})
