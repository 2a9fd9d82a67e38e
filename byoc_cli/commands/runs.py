"""`byoc runs`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byoc_cli.commands.options import Outcome, Session
from byoc_cli.errors import MachineError

if TYPE_CHECKING:
    from byoc_cli.console import Console
    from byoc_cli.engine.types import Thing
    from byoc_cli.local.history import Past
    from byoc_cli.project import Project

EXAMPLES = """
  byoc runs
  byoc runs --limit 5 --json
"""


def runs(
    session: Session,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", metavar="N", min=1, help="Only the N newest.", show_default=False),
    ] = None,
) -> Outcome:
    """List the training jobs that were run here, the newest first, with their status and their last metrics.

    The latest completed one, which serve and predict use, is marked. Orphaned is one whose byoc was killed.

    With --json: a list of objects in the words of DescribeTrainingJob (TrainingJobName, TrainingJobStatus,
    SecondaryStatus, CreationTime, TrainingTimeInSeconds, FinalMetricDataList, FailureReason; null where job.json does
    not tell) and Run (the folder), Latest, Orphaned (null where the engine does not answer).
    """
    from byoc_cli.local import history

    project = session.project()
    found = history.past(project, None, limit)
    if any(each.going_on for each in found):  # then only is the engine needed
        things = _things(session, project)
        found = history.past(project, things, limit)
        _warn_of_orphans(session.console, found, things or [])
    if not found:
        session.console.log(f"nothing was trained yet in {project.root}")
    table = [_row(each) for each in found]
    header = ["NAME", "STATUS", "STARTED", "TIME", "METRICS"]
    return Outcome(
        [_data(each) for each in found], lambda console: console.rows(header, table, fold=True) if table else None
    )


def _things(session: Session, project: Project) -> list[Thing] | None:
    try:
        return session.engine.things(project=project.id)
    except MachineError as error:
        why = error.message.partition("\n")[0]
        session.console.warn(f"whether a job that is in progress still runs is not known: {why}", error.hint)
        return None


def _warn_of_orphans(console: Console, found: Sequence[Past], things: Sequence[Thing]) -> None:
    left = {thing.job for thing in things}
    for each in found:
        if each.orphaned and each.run.name in left:
            text = f"the byoc of {each.run.name} was killed, and the job's container or network is still there"
            console.warn(text, "byoc clean removes it")


def _row(past: Past) -> list[str]:
    metrics = " ".join(f"{each['MetricName']}={each['Value']:.5g}" for each in past.final_metrics())
    return [
        past.run.name,
        _status(past),
        started(past.created, time.time()) if past.created else "",
        "" if past.training_seconds is None else duration(past.training_seconds),
        metrics,
    ]


def _status(past: Past) -> str:
    if past.orphaned:
        return "Orphaned"
    if past.going_on:
        return past.phase or past.status
    return f"{past.status or 'unknown'}{' (latest)' if past.latest else ''}"


def _data(past: Past) -> dict[str, Any]:
    return {
        "TrainingJobName": past.run.name,
        "TrainingJobStatus": past.status or None,
        "SecondaryStatus": past.phase or None,
        "CreationTime": past.described.get("CreationTime"),
        "TrainingTimeInSeconds": past.training_seconds,
        "FinalMetricDataList": past.final_metrics(),
        "FailureReason": past.reason or None,
        "Run": str(past.run.folder),
        "Latest": past.latest,
        "Orphaned": past.orphaned,
    }


def started(when: float, now: float) -> str:
    """Say when, in local time, as short as it is clear."""
    then, today = time.localtime(when), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("today %H:%M", then)
    return time.strftime("%b %d %H:%M" if then.tm_year == today.tm_year else "%Y-%m-%d", then)


def duration(seconds: float) -> str:
    """Say how long, in the two largest units that matter."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
