"""The schema of a project file.

It is checked by hand: a validation library costs more start-up time than all of `byoc --help`, and its messages do
not name the nearest key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from byoc_cli import image_ref
from byoc_cli.contract import channels, paths, sdk_v3, training
from byoc_cli.errors import UsageError
from byoc_cli.project.settings import (
    DEFAULT_PLATFORM,
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

_TRAIN_KEYS = (
    *("instance-type", "instance-count", "hyperparameters", "channels", "metrics", "environment"),
    *("entrypoint", "arguments", "profile", "entry-script"),
)


class Reader:
    """Takes values out of tables, and says where and why one is wrong."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def project(self, root: Path, file: Path | None, table: Mapping[str, Any]) -> Project:
        self.known(table, "", ["image", "platform", "build", "train", "serve", "predict", "dev"])
        image = self.text(
            table, "", "image", image_ref.slug(root.name if root.name != "container" else root.parent.name)
        )
        try:
            image_ref.parse(image)
        except UsageError as error:
            raise self.wrong("image", str(error)) from error
        platform = self.text(table, "", "platform", DEFAULT_PLATFORM)
        if not re.fullmatch(PLATFORM, platform):
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
            dev=self.dev(self.section(table, "", "dev")),
        )

    def build(self, table: Mapping[str, Any]) -> BuildSettings:
        self.known(table, "build", ["dockerfile", "args", "target"])
        dockerfile = self.text(table, "build", "dockerfile", "Dockerfile")
        if not dockerfile.strip():
            raise self.wrong("build.dockerfile", "it is empty", 'for example: dockerfile = "Dockerfile"')
        return BuildSettings(
            dockerfile=dockerfile,
            args=self.strings(table, "build", "args"),
            target=self.text(table, "build", "target", ""),
        )

    def train(self, table: Mapping[str, Any]) -> TrainSettings:
        self.known(table, "train", _TRAIN_KEYS)
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
            entrypoint=self.words(table, "train", "entrypoint"),
            arguments=self.words(table, "train", "arguments"),
            profile=self.profile(table),
            entry_script=self.text(table, "train", "entry-script", ""),
        )

    def profile(self, table: Mapping[str, Any]) -> str:
        """How the image is started (T-09)."""
        profile = self.text(table, "train", "profile", sdk_v3.PROFILES[0])
        if profile not in sdk_v3.PROFILES:
            raise self.wrong("train.profile", f"'{profile}' is not known", '"image" or "sdk-v3"')
        if profile == sdk_v3.PROFILE and ("entrypoint" in table or "arguments" in table):
            raise self.wrong("train.profile", "ModelTrainer sets entrypoint and arguments itself", "leave them out")
        return profile

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
        return {name: self.channel(name, value) for name, value in table.items()}

    def channel(self, name: str, value: object) -> ChannelSettings:
        key = f"train.channels.{name}"
        if isinstance(value, str):
            return ChannelSettings(value)
        if not isinstance(value, dict) or "source" not in value:
            raise self.wrong(key, "it has no source", f'for example: {name} = "data/{name}"')
        self.known(value, key, ["source", *channels.KEYS])
        seed = value.get("shuffle-seed")
        if seed is not None and type(seed) is not int:
            raise self.wrong(f"{key}.shuffle-seed", f"{seed!r} is not a whole number", "for example: shuffle-seed = 1")
        return ChannelSettings(
            source=self.text(value, key, "source", ""),
            content_type=self.text(value, key, "content-type", ""),
            mode=self.word(value, key, "mode"),
            distribution=self.word(value, key, "distribution"),
            record_wrapper=self.word(value, key, "record-wrapper"),
            compression=self.word(value, key, "compression"),
            shuffle_seed=seed,
            manifest=self.text(value, key, "manifest", ""),
        )

    def serve(self, table: Mapping[str, Any]) -> ServeSettings:
        self.known(table, "serve", ["instance-type", "environment"])
        return ServeSettings(
            instance_type=self.text(table, "serve", "instance-type", ""),
            environment=self.strings(table, "serve", "environment"),
        )

    def predict(self, table: Mapping[str, Any]) -> PredictSettings:
        self.known(table, "predict", ["accept", "content-type", "sample", "image", "classes"])
        classes = table.get("classes", [])
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise self.wrong("predict.classes", "it is not a list of names", 'for example: classes = ["cat", "dog"]')
        return PredictSettings(
            accept=self.text(table, "predict", "accept", ""),
            content_type=self.text(table, "predict", "content-type", ""),
            sample=self.text(table, "predict", "sample", ""),
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

    def dev(self, table: Mapping[str, Any]) -> DevSettings:
        self.known(table, "dev", ["mounts"])
        mounts = self.strings(table, "dev", "mounts")
        for source, target in mounts.items():
            if problem := paths.mount_problem(target):
                raise self.wrong(f"dev.mounts.{source}", problem, 'for example: mounts = { "src" = "/opt/ml/code" }')
        return DevSettings(mounts)

    # -- the kinds of value ------------------------------------------------------------------------------------------

    def text(self, table: Mapping[str, Any], section: str, key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(
                _join(section, key), f"{value!r} is not a text", f'for example: {key} = "{default or "…"}"'
            )
        return value

    def word(self, table: Mapping[str, Any], section: str, key: str) -> str:
        """One of a channel's words, to the letter."""
        value = self.text(table, section, key, channels.WORDS[key][0])
        why, hint = channels.word_problem(key, value)
        if why:
            raise self.wrong(f"{section}.{key}", why, hint)
        return value

    def words(self, table: Mapping[str, Any], section: str, key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise self.wrong(
                _join(section, key), f"{value!r} is not a list of texts", f'for example: {key} = ["a", "b"]'
            )
        return tuple(value)

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
