"""`--as`: whose way an image is started, the platform's own or that of SDK v3's ModelTrainer (T-09)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.commands.train_options import Given
    from byoc_cli.local.channels import Channel
    from byoc_cli.local.training import TrainingJob
    from byoc_cli.project.settings import TrainSettings

AsOption = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="image|sdk-v3",
        help="Start the image as the platform does, or as ModelTrainer of SDK v3 has it started: the channel `code`, "
        "and in it --entry-script.",
        show_default=False,
    ),
]
EntryScriptOption = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="With --as sdk-v3: the .py or .sh in the channel `code`; hyperparameters are passed as --NAME VALUE.",
        show_default=False,
    ),
]


def started_as(job: TrainingJob, given: Given, settings: TrainSettings) -> TrainingJob:
    """Give the job as it is with --as and --entry-script; where the command line says nothing, the project does.

    Raises:
        UsageError: there is no such profile, or something that it needs is not there.

    """
    from byoc_cli.contract import sdk_v3

    own = given.entrypoint or given.arguments
    profile = given.profile or ("image" if own else settings.profile)
    if profile not in sdk_v3.PROFILES:
        raise UsageError(f"--as {profile}: there is no such way", hint=f"--as {' or --as '.join(sdk_v3.PROFILES)}")
    if profile != sdk_v3.PROFILE:
        if given.entry_script:
            raise UsageError("--entry-script is for --as sdk-v3", hint="--as sdk-v3, or --entrypoint")
        return job
    if own:
        raise UsageError(
            "--as sdk-v3 with --entrypoint or --arguments: ModelTrainer sets both (T-09)",
            hint="leave them out; --entry-script says what is run",
        )
    channels = {channel.name: channel for channel in job.channels}
    if sdk_v3.DRIVERS in channels and given.entry_script:
        raise UsageError(
            f"--entry-script and a channel '{sdk_v3.DRIVERS}'\nthe drivers in a channel know their script",
            hint="leave one of the two out",
        )
    script = "" if sdk_v3.DRIVERS in channels else given.entry_script or settings.entry_script
    _check(channels.get(sdk_v3.CODE), channels.get(sdk_v3.DRIVERS), script)
    return replace(job, entrypoint=sdk_v3.ENTRYPOINT, arguments=sdk_v3.ARGUMENTS, entry_script=script)


def _check(code: Channel | None, drivers: Channel | None, script: str) -> None:
    """See that the channels have what is started; what is in S3 is not looked at."""
    from byoc_cli.contract import sdk_v3

    if code is None:
        raise UsageError(
            f"--as sdk-v3: there is no channel '{sdk_v3.CODE}'\nModelTrainer sends its source_dir in it (T-09)",
            hint="--channel code=./src",
        )
    if drivers is None and not script:
        raise UsageError(
            "--as sdk-v3: which script is to be run?", hint="--entry-script train.py, or --channel sm_drivers=FOLDER"
        )
    for channel, file in ((code, script), (drivers, sdk_v3.SCRIPT.rpartition("/")[2])):
        if channel is None or channel.uri:
            continue
        if not channel.source.is_dir():
            raise UsageError(f"channel '{channel.name}' is not a folder\nit is {channel.source}")
        if file and not (channel.source / file).is_file():
            raise UsageError(f"channel '{channel.name}': there is no file {file}\nlooked in {channel.source}")
