"""The options of `byoc local-train`, and the job that they ask for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands.options import Session, environment, gpus, pairs, path_of, refuse, region
from byoc_cli.commands.own_credentials import check_possible
from byoc_cli.commands.profiles import started_as
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.channels import Channel
    from byoc_cli.local.resources import Resources
    from byoc_cli.local.training import TrainingJob
    from byoc_cli.project import Project

_CHANNEL_HELP = (
    "Data: a folder, a file or s3://BUCKET/PREFIX. Options: mode=File|FastFile|Pipe, content-type=TYPE, "
    "distribution=FullyReplicated|ShardedByS3Key, record-wrapper=None|RecordIO, compression=None|Gzip, shuffle-seed=N, "
    "manifest=FILE. Of a channel in byoc.toml the rest stays; so does its PATH if none is given."
)

HyperparamOption = Annotated[
    list[str],
    typer.Option(
        "--hyperparam", "-p", metavar="K=V", help="Hyperparameter; its value is a string.", show_default=False
    ),
]
ChannelOption = Annotated[
    list[str],
    typer.Option("--channel", "-c", metavar="NAME=PATH[,K=V…]", help=_CHANNEL_HELP, show_default=False),
]
GpusOption = Annotated[
    str,
    typer.Option(
        "--gpus",
        metavar="none|all|N",
        help="GPUs for each host; without it what the --instance-type has, else none.",
        envvar="BYOC_GPUS",
        show_default=False,
    ),
]
NameOption = Annotated[str, typer.Option(metavar="JOB", help="The job's name; made of image and time without it.")]
InstanceTypeOption = Annotated[
    str,
    typer.Option(
        metavar="TYPE", help="Give each host the CPUs and the memory of a type: ml.m5.xlarge.", show_default=False
    ),
]
InstanceCountOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Hosts: algo-1, algo-2, … on a network of their own.", show_default=False),
]
ShmSizeOption = Annotated[
    str, typer.Option(metavar="SIZE", help="Size of /dev/shm: 2g; 64 MiB without it.", show_default=False)
]
MaxRuntimeOption = Annotated[
    str, typer.Option(metavar="TIME", help="Stop the job after 90s, 10m or 2h.", show_default=False)
]
InterruptAfterOption = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Interrupt the job once as a spot instance would be, and start it again.",
        show_default=False,
    ),
]
CheckpointsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Start with these checkpoints, and bring them up to date afterwards.", show_default=False
    ),
]
PlatformFilesOption = Annotated[
    bool,
    typer.Option(
        "--no-platform-files", help="Leave out the files that no document names: init-config.json, NAME-manifest, …"
    ),
]
AwsCredentialsOption = Annotated[
    bool,
    typer.Option(
        "--aws-credentials", help="Let the containers use your AWS credentials, which they get as in the cloud."
    ),
]
IsolationOption = Annotated[bool, typer.Option("--network-isolation", help="No network but to the other hosts.")]
EntrypointOption = Annotated[
    list[str],
    typer.Option(
        "--entrypoint",
        metavar="WORDS",
        help='In the place of the image\'s ENTRYPOINT and `train`: "python train.py", or a JSON list.',
        show_default=False,
    ),
]
ArgumentsOption = Annotated[
    list[str],
    typer.Option(
        "--arguments", metavar="WORDS", help="In the place of `train`: words, or a JSON list.", show_default=False
    ),
]

_MOST_HOSTS = 100
"""Each is a container with volumes of its own, on this machine: whoever asks for more has mistyped."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Given:
    """What the command line says, as it says it."""

    hyperparam: Sequence[str] = ()
    channel: Sequence[str] = ()
    env: Sequence[str] = ()
    env_file: Path | None = None
    gpus: str = ""
    name: str = ""
    instance_type: str = ""
    instance_count: int | None = None
    shm_size: str = ""
    max_runtime: str = ""
    interrupt_after: str = ""
    checkpoints: Path | None = None
    network_isolation: bool = False
    platform_files: bool = True
    aws_credentials: bool = False
    entrypoint: Sequence[str] = ()
    arguments: Sequence[str] = ()
    profile: str = ""
    entry_script: str = ""


def requested(session: Session, project: Project, reference: str, given: Given) -> TrainingJob:
    """Make the job; its image and the data in S3 are still to be looked for.

    Raises:
        UsageError: whatever is wrong with the words, before anything is looked up or made.

    """
    from byoc_cli.local import runs
    from byoc_cli.local.training import TrainingJob

    settings = project.train
    job = TrainingJob(
        name=given.name or runs.new_job_name(_short(reference)),
        image=_nothing(),
        reference=reference,
        hyperparameters={**settings.hyperparameters, **pairs(given.hyperparam, "--hyperparam")},
        channels=_channels(project, given.channel),
        environment={**settings.environment, **environment(given.env, given.env_file, session.console.warn)},
        metrics=settings.metrics,
        instance_type=given.instance_type or settings.instance_type,
        instance_count=given.instance_count or settings.instance_count,
        region=region(),
        entrypoint=words(given.entrypoint, "--entrypoint") or settings.entrypoint,
        arguments=words(given.arguments, "--arguments") or settings.arguments,
        network_isolation=given.network_isolation,
        platform_files=given.platform_files,
        max_runtime=seconds(given.max_runtime, "--max-runtime"),
        interrupt_after=seconds(given.interrupt_after, "--interrupt-after"),
        checkpoints=_checkpoints(given.checkpoints),
    )
    if job.instance_count > _MOST_HOSTS:
        raise UsageError(
            f"{job.instance_count:,} hosts\nat most {_MOST_HOSTS} containers are made on one machine",
            hint=f"--instance-count {_MOST_HOSTS}, or fewer",
        )
    job = started_as(job, given, settings)
    _sizes(given)
    refuse(job.problems())
    if given.aws_credentials:
        check_possible(job)
    return job


def resources(session: Session, job: TrainingJob, given: Given) -> list[Resources]:
    """Say what each host is given of the machine that the engine runs on; what is less than asked for is said."""
    from byoc_cli.local.resources import Resources, fit, machine_of

    instance, shm_size, number = _sizes(given)
    if instance is None:
        return [Resources(shm_size=shm_size, gpus=number or "none")]
    machine, hosts = machine_of(session.engine.info()), job.instance_count
    found = [fit(instance, machine, gpus=number, shm_size=shm_size, host_index=n, hosts=hosts) for n in range(hosts)]
    if found[0].note:
        session.console.log(found[0].note)
    return found


def make_checkpoints(folder: Path) -> None:
    """Make the folder of --checkpoints where it is not there: the first job of several starts without any."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--checkpoints {folder}: there can be no such folder\n{error.strerror}", hint="--checkpoints DIR"
        ) from error


def fetched(session: Session, channels: Sequence[Channel]) -> list[Channel]:
    """Download what is in S3."""
    from byoc_cli.commands.s3_source import S3Source
    from byoc_cli.local.channels.sources import fetched as with_data

    fetch = S3Source(session.console)
    return [with_data(channel, fetch) for channel in channels]


def seconds(text: str, option: str) -> float | None:
    """Read a time: 90, 90s, 10m, 2h, 1d; None for none.

    Raises:
        UsageError: it is no time, or none at all.

    """
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    value = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0
    if not value:
        raise UsageError(f"{option} {text}: that is not a time", hint=f"for example: {option} 90s, or 10m, or 2h")
    return value


def words(values: Sequence[str], option: str) -> list[str]:
    """Read words as a shell does, or a JSON list of them; several options are put together."""
    found: list[str] = []
    for value in values:
        try:
            read = json.loads(value) if value.lstrip().startswith("[") else shlex.split(value)
        except ValueError as error:
            raise UsageError(
                f"{option} {value}: these are no words\n{error}",
                hint=f"""{option} 'python train.py', or '["a", "b c"]'""",
            ) from error
        if not all(isinstance(word, str) for word in read):
            raise UsageError(f"{option} {value}: it is not a list of texts", hint=f"""{option} '["a", "b c"]'""")
        if not read:
            raise UsageError(f"{option} '{value}': there is no word in it (T-05)", hint=f"leave {option} out")
        found += read
    return found


def _short(reference: str) -> str:
    from byoc_cli import image_ref

    return "job" if reference.startswith("sha256:") else image_ref.parse(reference).short


def _nothing() -> Image:
    from byoc_cli.engine.types import Image

    return Image("", [], [], 0.0, "", "", 0, {})


def _sizes(given: Given):  # type: ignore[no-untyped-def]
    """(instance type or None, /dev/shm in bytes, GPUs or "")."""
    from byoc_cli.local.resources import instance_type, parse_size

    instance = instance_type(given.instance_type) if given.instance_type else None
    return instance, parse_size(given.shm_size) if given.shm_size else 0, gpus(given.gpus) if given.gpus else ""


def _checkpoints(folder: Path | None) -> Path | None:
    from byoc_cli.project.home import expanded

    path = expanded(folder).resolve() if folder else None
    if path and path.exists() and not path.is_dir():
        raise UsageError(f"--checkpoints {folder}: that is not a folder", hint="--checkpoints DIR")
    return path


def _channels(project: Project, given: Sequence[str]) -> list[Channel]:
    """The project's channels, relative to it, and what --channel says, relative to the current folder.

    Data in S3 is not there yet.
    """
    from byoc_cli.contract.channels import S3
    from byoc_cli.local.channels import options, sources

    def path(value: str, key: str, name: str, option: options.ChannelOption | None) -> Path | None:
        """A local file or folder of `value`, which the command line says if the option has that key."""
        if not value or value.startswith(S3):
            return None
        if option and (option.path if key == "source" else key in option.given):
            return path_of(value, Path.cwd(), f"--channel {option.text}")
        try:
            return path_of(value, project.root, f"channel '{name}'")
        except UsageError as error:
            other = f"{name}=PATH" if key == "source" else f"{name}=,{key}=FILE"
            error.hint = f"put the {'data' if key == 'source' else key} there, or: --channel {other}"
            raise

    channels = []
    for name, settings, option in options.merged(project.train.channels, [options.parse(text) for text in given]):
        if settings.manifest.startswith(S3):
            raise UsageError(
                f"channel '{name}': its manifest is in S3\na file of this machine is read",
                hint=f"aws s3 cp {settings.manifest} . and manifest={settings.manifest.rpartition('/')[2]}",
            )
        source = path(settings.source, "source", name, option)
        listed = path(settings.manifest, "manifest", name, option)
        channels.append(sources.channel(name, settings, source, listed))
    refuse([problem for channel in channels for problem in channel.problems()])
    return channels
