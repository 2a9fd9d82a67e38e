"""The training job that `byoc check` lets an image run: the project's, with --channel and --hyperparam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from byoc_cli.commands import train_options
from byoc_cli.commands.options import Session
from byoc_cli.errors import ByocError

if TYPE_CHECKING:
    from byoc_cli.local.training import TrainingJob
    from byoc_cli.project import Project


@dataclass(frozen=True)
class Asked:
    """The job, or the reason why there can be none: data of the project's that is not there."""

    job: TrainingJob | None = None
    reason: str = ""


def asked(
    session: Session, project: Project, reference: str, channel: Sequence[str], hyperparam: Sequence[str]
) -> Asked:
    """Read the words; a project whose data is not on this machine can be checked all the same, but for its training.

    Raises:
        UsageError: whatever is wrong with the words.

    """
    given = train_options.Given(channel=channel, hyperparam=hyperparam)
    if missing := _missing(project, channel):
        without = replace(project, train=replace(project.train, channels={}))
        train_options.requested(session, without, reference, given)
        return Asked(reason=f"the data of channel '{missing}' is not there: --channel {missing}=PATH")
    return Asked(train_options.requested(session, project, reference, given))


def with_data(session: Session, wanted: Asked, channel: Sequence[str]) -> Asked:
    """Download what is in S3; that of the project's may be out of reach, where --channel names something it may not."""
    if wanted.job is None:
        return wanted
    try:
        return Asked(replace(wanted.job, channels=train_options.fetched(session, wanted.job.channels)))
    except ByocError as error:
        if channel:
            raise
        return Asked(reason=f"its data is out of reach: {error.message.splitlines()[0]}")


def _missing(project: Project, channel: Sequence[str]) -> str:
    """Name a channel of the project's whose data is not there, "" for none."""
    from byoc_cli.contract.channels import S3
    from byoc_cli.project.home import expanded

    told = {text.partition("=")[0] for text in channel}
    for name, settings in project.train.channels.items():
        local = settings.source and not settings.source.startswith(S3)
        if local and name not in told and not (project.root / expanded(settings.source)).exists():
            return name
    return ""
