"""`byoc local-train`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands.options import (
    EnvOption,
    GpusOption,
    ImageArgument,
    Outcome,
    Session,
    environment,
    gpus,
    pairs,
    path_of,
    refuse,
)
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.channels import Channel
    from byoc_cli.local.training import TrainingJob
    from byoc_cli.project import Project

EXAMPLES = """
  byoc local-train
  byoc local-train --hyperparam train-steps=100
  byoc local-train my-model:v2 --channel training=./data --env WANDB_API_KEY
  byoc local-train --channel training=s3://my-bucket/train/,content-type=text/csv
  byoc local-train --build --gpus all --name first-try
"""


def local_train(
    session: Session,
    image: ImageArgument = "",
    hyperparam: Annotated[
        list[str],
        typer.Option(
            "--hyperparam", "-p", metavar="K=V", help="Hyperparameter; its value is a string.", show_default=False
        ),
    ] = [],
    channel: Annotated[
        list[str],
        typer.Option(
            "--channel",
            "-c",
            metavar="NAME=PATH",
            help="Data: a folder, a file or s3://…, and options.",
            show_default=False,
        ),
    ] = [],
    env: EnvOption = [],
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with K=V lines.", show_default=False)
    ] = None,
    gpus_: GpusOption = "none",
    name: Annotated[str, typer.Option(metavar="JOB", help="The job's name; made of image and time without it.")] = "",
    build: Annotated[bool, typer.Option("--build", help="Build the project's image first.")] = False,
) -> Outcome:
    """Train as SageMaker does: /opt/ml laid out, `IMAGE train` run, model and output collected; print the run's folder.

    The container's output goes to stderr as it comes. Ctrl-C stops the job as SageMaker would (SIGTERM, 120 s) and
    keeps what it made; a second one kills it.

    A --channel takes options after its PATH, as NAME=PATH,mode=Pipe,content-type=text/csv: mode=File|FastFile|Pipe,
    content-type=TYPE, distribution=FullyReplicated|ShardedByS3Key, record-wrapper=None|RecordIO,
    compression=None|Gzip, shuffle-seed=N, manifest=FILE (a JSON list of the objects to take). Of a channel in byoc.toml
    it changes what it names, and nothing else; NAME=,mode=File keeps the PATH, too. What is in S3 is downloaded once.

    With --json: the words of DescribeTrainingJob (TrainingJobName, TrainingJobStatus, FailureReason,
    SecondaryStatusTransitions, FinalMetricDataList, ModelArtifacts, TrainingTimeInSeconds, …) and Run, ExitCode,
    ImageId, ImageDigest, GitCommit. They are printed for a job that failed, too.
    """
    from byoc_cli.local import runs
    from byoc_cli.local.training import train

    project = session.project()
    if build:
        _build(session, project, image)
    # All that can be wrong with the words is said before anything is looked up or made.
    request = _request(session, project, (hyperparam, channel, env, env_file, gpus_, name))
    reference, found = session.image(image, project)
    if not build and not image:
        _warn_if_stale(session, project, found)
    job = request(reference, found)
    refuse(job.problems())
    job = replace(job, channels=_fetched(session, job.channels))
    run = runs.create(project, job.name)
    session.console.log(f"job {job.name}: {reference} train")
    description = train(session.engine, project, job, run, session.console)
    return Outcome(description, lambda console: console.result(_shown(run.folder)))


def _request(session: Session, project: Project, given: tuple[list[str], list[str], list[str], Path | None, str, str]):  # type: ignore[no-untyped-def]
    from byoc_cli import image_ref
    from byoc_cli.local import runs
    from byoc_cli.local.training import TrainingJob

    hyperparam, channel, env, env_file, gpus_, name = given
    settings = project.train
    hyperparameters = {**settings.hyperparameters, **pairs(hyperparam, "--hyperparam")}
    channels = _channels(project, channel)
    variables = {**settings.environment, **environment(env, env_file, session.console.warn)}
    number = gpus(gpus_)

    def make(reference: str, image: Image) -> TrainingJob:
        short = "job" if reference.startswith("sha256:") else image_ref.parse(reference).short
        return TrainingJob(
            name=name or runs.new_job_name(short),
            image=image,
            reference=reference,
            hyperparameters=hyperparameters,
            channels=channels,
            environment=variables,
            metrics=settings.metrics,
            instance_type=settings.instance_type,
            gpus=number,
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        )

    return make


def _channels(project: Project, given: list[str]) -> list[Channel]:
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


def _fetched(session: Session, channels: Sequence[Channel]) -> list[Channel]:
    """Download what is in S3."""
    from byoc_cli.commands.s3_source import S3Source
    from byoc_cli.local.channels.sources import fetched

    fetch = S3Source(session.console)
    return [fetched(channel, fetch) for channel in channels]


def _build(session: Session, project: Project, image: str) -> None:
    from byoc_cli.commands.ecr_login import ecr_login
    from byoc_cli.console.build_view import BuildView
    from byoc_cli.local.building import BuildOptions, build_project

    if image:
        raise UsageError(f"--build builds the project's image, not '{image}'", hint="leave the image out, or --build")
    with BuildView(session.console) as view:
        build_project(session.engine, project, BuildOptions(), ecr_login, session.console, view)


def _warn_if_stale(session: Session, project: Project, image: Image) -> None:
    from byoc_cli.local.building import stale

    if stale(project, image):
        session.console.warn(f"the image is older than its source in {project.root}", "byoc build, or --build")


def _shown(folder: Path) -> str:
    """A path as short as it is useful: relative below the current folder."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
