"""`byoc local-train`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import train_options as options
from byoc_cli.commands.options import EnvFileOption, EnvOption, ImageArgument, Outcome, Session
from byoc_cli.commands.own_credentials import own_credentials
from byoc_cli.commands.profiles import AsOption, EntryScriptOption
from byoc_cli.commands.shell import OnFailureOption, attach_to_failed
from byoc_cli.contract import sdk_v3, training
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.dev.source import Source
    from byoc_cli.local.training import TrainingJob
    from byoc_cli.local.training.failure_shell import Attach
    from byoc_cli.project import Project

EXAMPLES = """
  byoc local-train
  byoc local-train --hyperparam train-steps=100
  byoc local-train my-model:v2 --channel training=./data --env WANDB_API_KEY
  byoc local-train --channel training=s3://bucket/data,mode=Pipe --instance-count 2
  byoc local-train --as sdk-v3 --channel code=./src --entry-script train.py
  byoc local-train --build --instance-type ml.m5.xlarge --max-runtime 10m --name first-try
"""


def local_train(
    session: Session,
    image: ImageArgument = "",
    hyperparam: options.HyperparamOption = [],
    channel: options.ChannelOption = [],
    env: EnvOption = [],
    env_file: EnvFileOption = None,
    gpus: options.GpusOption = "",
    instance_type: options.InstanceTypeOption = "",
    instance_count: options.InstanceCountOption = None,
    shm_size: options.ShmSizeOption = "",
    max_runtime: options.MaxRuntimeOption = "",
    checkpoints: options.CheckpointsOption = None,
    interrupt_after: options.InterruptAfterOption = "",
    network_isolation: options.IsolationOption = False,
    aws_credentials: options.AwsCredentialsOption = False,
    entrypoint: options.EntrypointOption = [],
    arguments: options.ArgumentsOption = [],
    as_: AsOption = "",
    entry_script: EntryScriptOption = "",
    no_platform_files: options.PlatformFilesOption = False,
    name: options.NameOption = "",
    shell_on_failure: OnFailureOption = False,
    build: Annotated[bool, typer.Option("--build", help="Build the project's image first.")] = False,
) -> Outcome:
    """Train as SageMaker does: /opt/ml laid out, `IMAGE train` run, model and output collected; print the run's folder.

    The container's output goes to stderr as it comes. Ctrl-C stops the job as SageMaker would (SIGTERM, 120 s) and
    keeps what it made; a second one kills it.

    With --json: the words of DescribeTrainingJob (TrainingJobName, TrainingJobStatus, FailureReason,
    SecondaryStatusTransitions, FinalMetricDataList, ModelArtifacts, TrainingTimeInSeconds, …) and Run, ExitCode,
    ImageId, ImageDigest, GitCommit. They are printed for a job that failed, too.
    """
    given = options.Given(
        hyperparam=hyperparam,
        channel=channel,
        env=env,
        env_file=env_file,
        gpus=gpus,
        name=name,
        instance_type=instance_type,
        instance_count=instance_count,
        shm_size=shm_size,
        max_runtime=max_runtime,
        interrupt_after=interrupt_after,
        checkpoints=checkpoints,
        network_isolation=network_isolation,
        platform_files=not no_platform_files,
        aws_credentials=aws_credentials,
        entrypoint=entrypoint,
        arguments=arguments,
        profile=as_,
        entry_script=entry_script,
    )
    attach = attach_to_failed(session) if shell_on_failure else None
    if build and image:
        raise UsageError(f"--build builds the project's image, not '{image}'", hint="leave the image out, or --build")

    def found(project: Project) -> tuple[str, Image, None]:
        if build:
            build_image(session, project)
        reference, found = session.image(image, project)
        if not build and not image:
            _warn_if_stale(session, project, found)
        return reference, found, None

    return run(session, given, image, found, attach)


def run(
    session: Session,
    given: options.Given,
    image: str,
    find: Callable[[Project], tuple[str, Image, Source | None]],
    attach: Attach | None,
) -> Outcome:
    """Run the job that was asked for; `find` gives the image's reference, the image, and what is put over it."""
    from byoc_cli.local import runs
    from byoc_cli.local.training import train

    project = session.project()
    # All that can be wrong with the words is said before anything is looked up or made.
    asked = options.requested(session, project, session.reference(image, project), given)
    if given.name:
        runs.check_new(project, given.name)
    credentials = own_credentials(session.console) if given.aws_credentials else None
    reference, found, source = find(project)
    job = replace(
        asked,
        image=found,
        reference=reference,
        channels=options.fetched(session, asked.channels),
        resources=options.resources(session, asked, given),
        aws_credentials=credentials,
        source=source,
    )
    if job.checkpoints:
        options.make_checkpoints(job.checkpoints)
    made = runs.create(project, job.name, or_like=not given.name)
    job = replace(job, name=made.name)
    session.console.log(f"job {job.name}: {reference} {_words(job)}")
    description = train(session.engine, project, job, made, session.console, attach)
    return Outcome(description, lambda console: console.result(_shown(made.folder)))


def build_image(session: Session, project: Project) -> None:
    """Build the project's image, as `byoc build` does."""
    from byoc_cli.commands.ecr_login import ecr_login
    from byoc_cli.console.build_view import BuildView
    from byoc_cli.local.building import BuildOptions, build_project

    with BuildView(session.console) as view:
        build_project(session.engine, project, BuildOptions(), ecr_login, session.console, view)


def _warn_if_stale(session: Session, project: Project, image: Image) -> None:
    from byoc_cli.local.building import stale

    if stale(project, image):
        session.console.warn(f"the image is older than its source in {project.root}", "byoc build, or --build")


def _words(job: TrainingJob) -> str:
    """What is started, in short."""
    if job.as_sdk_v3:
        return f"as {sdk_v3.PROFILE}{job.entry_script and ': '}{job.entry_script}"
    return shlex.join([*job.entrypoint, *job.arguments] or [training.COMMAND])


def _shown(folder: Path) -> str:
    """A path as short as it is useful: relative below the current folder."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
