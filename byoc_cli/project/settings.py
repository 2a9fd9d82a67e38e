"""What a project file says, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.contract import training

HOME_NAME = ".byoc"
DEFAULT_PLATFORM = "linux/amd64"  # what SageMaker runs, but for Graviton types (I-04)
PLATFORM = r"linux/[a-z0-9]+(/v\d+)?"


@dataclass(frozen=True)
class BuildSettings:
    """[build]: `args` are build arguments, `target` a stage."""

    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""


@dataclass(frozen=True)
class ChannelSettings:
    """One of [train.channels]: `source` is a folder or a file, relative to the project, or s3://….

    The words are the API's (contract.channels.WORDS); `manifest` is a file that lists the objects, "" for all (T-56).
    """

    source: str
    content_type: str = ""
    mode: str = "File"
    distribution: str = "FullyReplicated"
    record_wrapper: str = "None"
    compression: str = "None"
    shuffle_seed: int | None = None
    manifest: str = ""


@dataclass(frozen=True)
class TrainSettings:
    """[train]; the values of hyperparameters are strings, as SageMaker hands them over (T-12).

    `entrypoint` and `arguments` are ContainerEntrypoint and ContainerArguments (T-02 to T-04); `profile` is one of
    contract.sdk_v3.PROFILES, `entry_script` what that of SDK v3 runs (T-09).
    """

    instance_type: str = training.DEFAULT_INSTANCE_TYPE
    instance_count: int = 1
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    arguments: Sequence[str] = ()
    profile: str = "image"
    entry_script: str = ""


@dataclass(frozen=True)
class ServeSettings:
    """[serve]; without `instance_type` the container has all of the machine."""

    instance_type: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PictureSettings:
    """[predict] image: how a picture becomes `{"instances": [height x width x channels]}`; size is (width, height)."""

    size: tuple[int, int] | None = None
    color: str = "RGB"


@dataclass(frozen=True)
class PredictSettings:
    """[predict]; without `image` a picture is sent as it is. `sample` is a file of the project, a real request."""

    accept: str = ""
    content_type: str = ""
    sample: str = ""
    image: PictureSettings | None = None
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class DevSettings:
    """[dev]: `mounts` are folders or files, relative to the project, and where in the container they are mounted."""

    mounts: Mapping[str, str] = field(default_factory=dict)


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
    dev: DevSettings = DevSettings()

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
