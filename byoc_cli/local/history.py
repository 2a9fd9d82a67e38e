"""What run folders tell: each job's status, its times and its metrics, and whether its byoc was killed."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from byoc_cli.engine.types import Thing
from byoc_cli.local import running, runs
from byoc_cli.local.metrics import Metrics
from byoc_cli.local.runs import Run
from byoc_cli.project import Project

# Nothing of a job is in the engine for a moment before its network is made and after its container is removed.
_NOTHING_YET_SECONDS = 10.0
# What byoc writes before each line of a job with several hosts, a progress bar's included, is not the container's.
_HOST_PREFIX = re.compile(rb"(?:^|(?<=\r))algo-\d+ \| ", re.MULTILINE)


@dataclass(frozen=True)
class Past:
    """A run and what its job.json tells of it, whatever that file holds.

    `orphaned`: whether its byoc was killed, so that its status goes on to be InProgress; None where no engine tells.
    """

    run: Run
    described: Mapping[str, Any]
    latest: bool = False
    orphaned: bool | None = False

    @property
    def status(self) -> str:
        """TrainingJobStatus; "" where job.json does not tell."""
        return self._text("TrainingJobStatus")

    @property
    def phase(self) -> str:
        """SecondaryStatus; "" where job.json does not tell."""
        return self._text("SecondaryStatus")

    @property
    def reason(self) -> str:
        """FailureReason; "" without one."""
        return self._text("FailureReason")

    @property
    def going_on(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.status == "InProgress" and not self.orphaned

    @property
    def created(self) -> float | None:
        """When it was made, in seconds since the epoch."""
        return runs.seconds(self.described.get("CreationTime"))

    @property
    def training_seconds(self) -> float | None:
        """How long its container ran, or has been running; None where nobody knows."""
        if self.status == "InProgress":
            start = runs.seconds(self.described.get("TrainingStartTime"))
            return round(time.time() - start, 3) if start and self.orphaned is False else None
        took = self.described.get("TrainingTimeInSeconds")
        return float(took) if isinstance(took, int | float) else None

    def final_metrics(self) -> list[dict[str, Any]]:
        """FinalMetricDataList; of a job that has none yet the last values so far, whose Timestamp is None."""
        found = self.described.get("FinalMetricDataList")
        if found is None and self.status == "InProgress":
            return metrics_of(self.run).final(stamp)
        return [each for each in found if _is_metric(each)] if isinstance(found, list) else []

    def _text(self, key: str) -> str:
        value = self.described.get(key)
        return value if isinstance(value, str) else ""


def past(project: Project, things: Collection[Thing] | None, limit: int | None = None) -> list[Past]:
    """List the project's runs, the newest first. `things` is what the engine has of it; None where it does not say."""
    latest = runs.latest(project)
    found = []
    for run in runs.all_runs(project)[:limit]:
        described = run.describe()
        gone = is_orphaned(run, described, things)
        found.append(Past(run, described, latest is not None and run.name == latest.name, gone))
    return found


def is_orphaned(run: Run, described: Mapping[str, Any], things: Collection[Thing] | None) -> bool | None:
    """Whether a job's byoc was killed before its end; None where `things` does not say."""
    if described.get("TrainingJobStatus") != "InProgress":
        return False
    if things is None:
        return None
    own = [thing for thing in things if thing.job == run.name]
    return not any(map(running.alive, own)) if own else _age(run.description) > _NOTHING_YET_SECONDS


def metrics_of(run: Run) -> Metrics:
    """Read a run's metrics: its table where the job has ended, its log through the same regexes while it goes on."""
    described = run.describe()
    metrics = Metrics(_patterns(described))
    with suppress(OSError, ValueError, csv.Error):
        metrics.read_table(run.metrics)
        return metrics
    with suppress(OSError):
        metrics.read_log(run.log, without=_HOST_PREFIX if _has_several_hosts(described) else None)
    return metrics


def stamp(seconds: float) -> str | None:
    """Format a time as job.json has it; None for nan."""
    return None if math.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _patterns(described: Mapping[str, Any]) -> dict[str, str]:
    with suppress(TypeError, KeyError, re.error):  # not as byoc wrote it
        definitions = described["AlgorithmSpecification"]["MetricDefinitions"]
        return {each["Name"]: re.compile(each["Regex"]).pattern for each in definitions}
    return {}


def _has_several_hosts(described: Mapping[str, Any]) -> bool:
    config = described.get("ResourceConfig")
    return isinstance(config, dict) and config.get("InstanceCount", 1) != 1


def _is_metric(value: object) -> bool:
    return isinstance(value, dict) and "MetricName" in value and isinstance(value.get("Value"), int | float)


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return math.inf
