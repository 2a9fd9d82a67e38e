"""job.json: a job in the words of DescribeTrainingJob, true at every moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from byoc_cli.contract import training
from byoc_cli.local import runs
from byoc_cli.local.metrics import Metrics
from byoc_cli.local.output import Tail
from byoc_cli.local.runs import Run
from byoc_cli.local.training.container import config_files
from byoc_cli.local.training.job import ACCOUNT, TrainingJob
from byoc_cli.project import Project


class Record:
    """Keeps job.json true while the job goes on."""

    def __init__(self, job: TrainingJob, run: Run, project: Project) -> None:
        self.job = job
        self.run = run
        self.project = project
        self.tail = Tail()
        self.metrics = Metrics(job.metrics)
        self.stopped = False
        self.transitions: list[dict[str, Any]] = []
        self.created = time.time()
        self.training: tuple[float, float] | None = None
        for name, text in config_files(job, redacted=True).items():
            (run.config / name).write_text(text + "\n", encoding="utf-8")
        self._fixed = self._request()
        self.enter("Starting")

    def enter(self, phase: str) -> None:
        """Go on to the next secondary status (T-43)."""
        now = time.time()
        self._close(now)
        self.transitions.append({"Status": phase, "StartTime": _stamp(now)})
        if phase == "Training":
            self.training = (now, now)
        elif phase == "Uploading" and self.training:
            self.training = (self.training[0], now)
        self.run.write_description(self._fixed | self._state("InProgress", phase))

    def end(self, status: str, reason: str = "", **more: Any) -> dict[str, Any]:
        """Write the last word."""
        now = time.time()
        self._close(now)
        self.transitions.append({"Status": status, "StartTime": _stamp(now), "EndTime": _stamp(now)})
        description = self._fixed | self._state(status, status)
        description |= {"FailureReason": reason} if reason and status == "Failed" else {}
        description |= {"FinalMetricDataList": self.metrics.final(_stamp)} | more
        if self.run.model_tar.is_file():
            description["ModelArtifacts"] = {"S3ModelArtifacts": self.run.model_tar.as_uri()}
        self.run.write_description(description)
        return description

    def _close(self, now: float) -> None:
        if self.transitions:
            self.transitions[-1]["EndTime"] = _stamp(now)

    def _state(self, status: str, secondary: str) -> dict[str, Any]:
        times = {"CreationTime": _stamp(self.created), "LastModifiedTime": _stamp(time.time())}
        if self.training:
            start, end = self.training
            times |= {"TrainingStartTime": _stamp(start), "TrainingEndTime": _stamp(end)}
            times |= {"TrainingTimeInSeconds": round(end - start, 3)}  # type: ignore[dict-item]
        return {
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "SecondaryStatusTransitions": self.transitions,
            **times,
        }

    def _request(self) -> dict[str, Any]:
        """What the job was asked to do; secrets redacted, for this is a file."""
        job = self.job
        return {
            "TrainingJobName": job.name,
            "TrainingJobArn": training.job_arn(job.name, job.region, ACCOUNT),
            "AlgorithmSpecification": {
                "TrainingImage": job.reference,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in job.metrics.items()],
            },
            "HyperParameters": runs.redact(job.hyperparameters),
            "InputDataConfig": [
                {"ChannelName": channel.name, "DataSource": {"FileDataSource": {"Path": str(channel.source)}}}
                | ({"ContentType": channel.config.content_type} if channel.config.content_type else {})
                for channel in job.channels
            ],
            "ResourceConfig": {"InstanceType": job.instance_type, "InstanceCount": 1},
            "Environment": runs.redact(job.environment),
            "ImageId": job.image.id,
            "ImageDigest": next((digest.partition("@")[2] for digest in job.image.digests), ""),
            "GitCommit": runs.git_commit(self.project.root),
            "Run": str(self.run.folder),
        }


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
