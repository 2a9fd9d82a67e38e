"""`byoc metrics`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byoc_cli.commands.options import Outcome, Session, job_names
from byoc_cli.errors import ByocError

if TYPE_CHECKING:
    from byoc_cli.console import Console
    from byoc_cli.local.metrics import Metrics
    from byoc_cli.local.runs import Run
    from byoc_cli.project import Project

EXAMPLES = """
  byoc metrics
  byoc metrics my-model-2026-11-23-10-00-00-000 --png curves.png
  byoc metrics --plot | less
"""


def metrics(
    session: Session,
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="A job, running or ended; the latest completed one without it.",
            autocompletion=job_names,
            show_default=False,
        ),
    ] = "",
    plot: Annotated[
        bool | None,
        typer.Option("--plot/--no-plot", help="Draw the curves, too; on a terminal they are.", show_default=False),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png", metavar="FILE", help="Write the curves there, too, not only to the run.", show_default=False
        ),
    ] = None,
) -> Outcome:
    """Print a job's metrics as a table, and draw their curves. AT is the number of the MIN and the MAX, from 1.

    Metrics are the first group of each regex in [train.metrics] of byoc.toml; one that never matched is named.

    With --json: the words of DescribeTrainingJob (TrainingJobName, TrainingJobStatus, FinalMetricDataList with
    MetricName, Value, Timestamp), MetricData (every value: MetricName, Step from 1, Value, Timestamp; null for nan and
    infinity, and for times while the job goes on), Unmatched (names whose regex never matched).
    """
    from byoc_cli.local import history

    project = session.project()
    run = _run(session.console, project, job)
    found = history.metrics_of(run)
    _advise(session.console, run, found)
    _draw(session.console, run, found, png)
    return Outcome(_data(run, found), lambda console: _show(console, found, plot=plot))


def _run(console: Console, project: Project, name: str) -> Run:
    """Return the run that is meant, and say which it is where it was not named."""
    from byoc_cli.local import runs

    if name:
        return runs.get(project, name)
    found = runs.all_runs(project)
    if not found:
        raise ByocError(f"nothing was trained yet in {project.root}", hint="byoc local-train")
    latest = runs.latest(project) or next((run for run in found if _status(run) == "Completed"), None)
    if latest is None:
        console.log(f"job {found[0].name}: the newest one, for none is completed")
        return found[0]
    console.log(f"job {latest.name}: the latest completed one")
    if found[0].name != latest.name:
        console.log(f"a newer one: byoc metrics {found[0].name}")
    return latest


def _status(run: Run) -> object:
    return run.describe().get("TrainingJobStatus")


def _advise(console: Console, run: Run, metrics: Metrics) -> None:
    ended = _status(run) != "InProgress"
    for text, hint in metrics.advice(ended=ended):
        console.warn(text, hint)
    if not ended and (silent := metrics.silent()):
        console.log("no value yet: " + ", ".join(silent))
    if not metrics.patterns and not metrics.points:
        console.warn(f"job {run.name} had no metrics", "put a regex for each below [train.metrics] in byoc.toml (T-70)")


def _draw(console: Console, run: Run, metrics: Metrics, png: Path | None) -> None:
    """Write the PNG that was asked for, and the run's own where it is not there or the job has gone on since."""
    if png and not metrics.draw(png, run.name):
        raise ByocError(f"{png} was not written\nno metric of {run.name} has two values yet")
    try:
        if _is_fresh(run) or metrics.draw(run.curves, run.name):
            console.log(f"curves: {run.curves}")
    except ByocError as error:
        console.warn(error.message)


def _is_fresh(run: Run) -> bool:
    try:
        return run.curves.stat().st_mtime >= run.log.stat().st_mtime
    except OSError:
        return False


def _show(console: Console, metrics: Metrics, *, plot: bool | None) -> None:
    table = [
        [
            *(one.name, str(one.count), _number(one.first), _number(one.last)),
            *(_number(one.low), str(one.low_at), _number(one.high), str(one.high_at)),
        ]
        for one in metrics.summaries()
    ]
    if table:
        console.rows(["METRIC", "COUNT", "FIRST", "LAST", "MIN", "AT", "MAX", "AT"], table)
    if console.terminal if plot is None else plot:
        from byoc_cli.console.curves import show_curves

        show_curves(console, {name: [value for _, value in points] for name, points in metrics.points.items()})


def _data(run: Run, metrics: Metrics) -> dict[str, Any]:
    from byoc_cli.local.history import stamp

    return {
        "TrainingJobName": run.name,
        "TrainingJobStatus": _status(run),
        "FinalMetricDataList": metrics.final(stamp),
        "MetricData": [
            {
                "MetricName": name,
                "Step": step,
                "Value": value if math.isfinite(value) else None,  # JSON has no NaN
                "Timestamp": stamp(when),
            }
            for name, points in metrics.points.items()
            for step, (when, value) in enumerate(points, 1)
        ],
        "Unmatched": metrics.silent(),
    }


def _number(value: float) -> str:
    return f"{value:.6g}"
