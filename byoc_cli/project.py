"""The project file: byoc.toml, or [tool.byoc] in pyproject.toml, read into a frozen Project. Reading never writes.

The schema is checked by hand: a validation library costs more start-up time than all of `byoc --help`, and its
messages do not name the nearest key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byoc_cli import image_ref
from byoc_cli.contract import training
from byoc_cli.errors import UsageError

FILE_NAME = "byoc.toml"
HOME_NAME = ".byoc"
DEFAULT_PLATFORM = "linux/amd64"  # what SageMaker runs, but for Graviton types (I-04)
_PLATFORM = r"linux/[a-z0-9]+(/v\d+)?"


@dataclass(frozen=True)
class BuildSettings:
    """[build]: `args` are build arguments, `target` a stage."""

    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""


@dataclass(frozen=True)
class ChannelSettings:
    """One of [train.channels]: `source` is a folder or a file, relative to the project."""

    source: str
    content_type: str = ""


@dataclass(frozen=True)
class TrainSettings:
    """[train]; the values of hyperparameters are strings, as SageMaker hands them over (T-12)."""

    instance_type: str = training.DEFAULT_INSTANCE_TYPE
    instance_count: int = 1
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServeSettings:
    """[serve]."""

    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PictureSettings:
    """[predict] image: how a picture becomes `{"instances": [height x width x channels]}`; size is (width, height)."""

    size: tuple[int, int] | None = None
    color: str = "RGB"


@dataclass(frozen=True)
class PredictSettings:
    """[predict]; without `image` a picture is sent as it is."""

    accept: str = ""
    content_type: str = ""
    image: PictureSettings | None = None
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class Project:
    """A folder with a Dockerfile, and what its byoc.toml says of it."""

    root: Path
    image: str
    file: Path | None = None
    platform: str = DEFAULT_PLATFORM
    build: BuildSettings = BuildSettings()
    train: TrainSettings = TrainSettings()
    serve: ServeSettings = ServeSettings()
    predict: PredictSettings = PredictSettings()

    @property
    def home(self) -> Path:
        """Where runs and logs live."""
        return self.root / HOME_NAME

    @property
    def dockerfile(self) -> Path:
        """The Dockerfile's path."""
        return self.root / self.build.dockerfile

    @property
    def id(self) -> str:
        """What the label byoc.project says: two clones of one project are two projects."""
        return str(self.root)


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
    project = _Reader(file or root / FILE_NAME).project(root, file, table)
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
    if pyproject.is_file() and b"tool.byoc" in pyproject.read_bytes():
        return pyproject
    return None


def _table(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML\n{error}") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read\n{error.strerror}") from error
    if file.name == FILE_NAME:
        return content
    reader = _Reader(file)
    return reader.section(reader.section(content, "", "tool"), "tool", "byoc")


def _override(project: Project, environ: Mapping[str, str]) -> Project:
    """Let BYOC_IMAGE and BYOC_PLATFORM win over the file."""
    try:
        image_ref.parse(environ.get("BYOC_IMAGE") or project.image)
    except UsageError as error:
        raise UsageError(f"BYOC_IMAGE is wrong\n{error}", hint=error.hint) from error
    if not re.fullmatch(_PLATFORM, environ.get("BYOC_PLATFORM") or project.platform):
        raise UsageError(f"BYOC_PLATFORM is wrong\n'{environ['BYOC_PLATFORM']}' is no platform of SageMaker's")
    changes = {
        key: environ[name]
        for key, name in (("image", "BYOC_IMAGE"), ("platform", "BYOC_PLATFORM"))
        if environ.get(name)
    }
    return Project(**{**project.__dict__, **changes})


class _Reader:
    """Takes values out of tables, and says where and why one is wrong."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def project(self, root: Path, file: Path | None, table: Mapping[str, Any]) -> Project:
        self.known(table, "", ["image", "platform", "build", "train", "serve", "predict"])
        image = self.text(
            table, "", "image", image_ref.slug(root.name if root.name != "container" else root.parent.name)
        )
        try:
            image_ref.parse(image)
        except UsageError as error:
            raise self.wrong("image", str(error)) from error
        platform = self.text(table, "", "platform", DEFAULT_PLATFORM)
        if not re.fullmatch(_PLATFORM, platform):
            raise self.wrong(
                "platform", f"'{platform}' is no platform of SageMaker's", "linux/amd64, or linux/arm64 for Graviton"
            )
        return Project(
            root=root,
            file=file,
            image=image,
            platform=platform,
            build=self.build(self.section(table, "", "build")),
            train=self.train(self.section(table, "", "train")),
            serve=self.serve(self.section(table, "", "serve")),
            predict=self.predict(self.section(table, "", "predict")),
        )

    def build(self, table: Mapping[str, Any]) -> BuildSettings:
        self.known(table, "build", ["dockerfile", "args", "target"])
        return BuildSettings(
            dockerfile=self.text(table, "build", "dockerfile", "Dockerfile"),
            args=self.strings(table, "build", "args"),
            target=self.text(table, "build", "target", ""),
        )

    def train(self, table: Mapping[str, Any]) -> TrainSettings:
        self.known(
            table, "train", ["instance-type", "instance-count", "hyperparameters", "channels", "metrics", "environment"]
        )
        count = table.get("instance-count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise self.wrong(
                "train.instance-count", f"{count!r} is not a number of hosts", "for example: instance-count = 1"
            )
        metrics = self.strings(table, "train", "metrics")
        for name, pattern in metrics.items():
            self.metric(name, pattern)
        return TrainSettings(
            instance_type=self.text(table, "train", "instance-type", training.DEFAULT_INSTANCE_TYPE),
            instance_count=count,
            hyperparameters=self.strings(table, "train", "hyperparameters"),
            channels=self.channels(self.section(table, "train", "channels")),
            metrics=metrics,
            environment=self.strings(table, "train", "environment"),
        )

    def metric(self, name: str, pattern: str) -> None:
        """A metric's value is the first capture group of its regex (T-70)."""
        key = f"train.metrics.{name}"
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise self.wrong(key, f"'{pattern}' is not a regular expression: {error}") from error
        if groups < 1:
            raise self.wrong(
                key, f"'{pattern}' has no group for the value", f"for example: {name} = '{name}=([0-9.]+)'"
            )

    def channels(self, table: Mapping[str, Any]) -> dict[str, ChannelSettings]:
        channels = {}
        for name, value in table.items():
            key = f"train.channels.{name}"
            if isinstance(value, str):
                channels[name] = ChannelSettings(value)
                continue
            if not isinstance(value, dict) or "source" not in value:
                raise self.wrong(key, "it has no source", f'for example: {name} = "data/{name}"')
            self.known(value, key, ["source", "content-type"])
            channels[name] = ChannelSettings(
                self.text(value, key, "source", ""), self.text(value, key, "content-type", "")
            )
        return channels

    def serve(self, table: Mapping[str, Any]) -> ServeSettings:
        self.known(table, "serve", ["environment"])
        return ServeSettings(environment=self.strings(table, "serve", "environment"))

    def predict(self, table: Mapping[str, Any]) -> PredictSettings:
        self.known(table, "predict", ["accept", "content-type", "image", "classes"])
        classes = table.get("classes", [])
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise self.wrong("predict.classes", "it is not a list of names", 'for example: classes = ["cat", "dog"]')
        return PredictSettings(
            accept=self.text(table, "predict", "accept", ""),
            content_type=self.text(table, "predict", "content-type", ""),
            image=self.picture(table["image"]) if "image" in table else None,
            classes=tuple(classes),
        )

    def picture(self, table: object) -> PictureSettings:
        if not isinstance(table, dict):
            raise self.wrong(
                "predict.image", "it is not a table", 'for example: image = { size = [32, 32], color = "RGB" }'
            )
        self.known(table, "predict.image", ["size", "color"])
        size = table.get("size")
        if size is not None and not (
            isinstance(size, list) and len(size) == 2 and all(type(n) is int and 0 < n <= 65_535 for n in size)
        ):
            raise self.wrong("predict.image.size", f"{size!r} is not [width, height]", "for example: size = [32, 32]")
        color = self.text(table, "predict.image", "color", "RGB")
        if color not in {"RGB", "L"}:
            raise self.wrong("predict.image.color", f"'{color}' is not known", 'color = "RGB" or "L" (grey)')
        return PictureSettings(size=(size[0], size[1]) if size else None, color=color)

    # -- the kinds of value ------------------------------------------------------------------------------------------

    def text(self, table: Mapping[str, Any], section: str, key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(
                _join(section, key), f"{value!r} is not a text", f'for example: {key} = "{default or "…"}"'
            )
        return value

    def section(self, table: Mapping[str, Any], section: str, key: str) -> dict[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(_join(section, key), "it is not a table", f"for example: [{_join(section, key)}]")
        return value

    def strings(self, table: Mapping[str, Any], section: str, key: str) -> dict[str, str]:
        """A table of scalars; numbers and booleans become the strings that TOML spells them with."""
        values = {}
        for name, value in self.section(table, section, key).items():
            if isinstance(value, bool):
                values[name] = "true" if value else "false"
            elif isinstance(value, str | int | float):
                values[name] = str(value)
            else:
                raise self.wrong(f"{_join(section, key)}.{name}", f"{value!r} is not a text or a number")
        return values

    def known(self, table: Mapping[str, Any], section: str, keys: Sequence[str]) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1, 0.5)
                where = f"in [{section}]" if section else "at the top"
                raise UsageError(
                    f"{self.file}: there is no key '{key}' {where}",
                    hint=f"did you mean '{near[0]}'?" if near else "known keys: " + ", ".join(keys),
                )

    def wrong(self, key: str, why: str, hint: str = "") -> UsageError:
        return UsageError(f"{self.file}: {key} is wrong\n{why}", hint=hint)


def _join(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key
