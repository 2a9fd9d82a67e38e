"""job.json: a job in the words of DescribeTrainingJob, true at every moment."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from byoc_cli.contract import paths, training
from byoc_cli.errors import ByocError
from byoc_cli.local import runs
from byoc_cli.local.account import ACCOUNT
from byoc_cli.local.channels import Channel
from byoc_cli.local.history import stamp
from byoc_cli.local.metrics import Metrics
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training.job import TrainingJob
from byoc_cli.local.training.layout import config_files
from byoc_cli.project import Project


class Record:
    """Keeps job.json true while the job goes on, as far as the disk lets it: that it cannot be written ends no job.

    Raises:
        ByocError: at first, when nothing is lost yet.

    """

    def __init__(self, job: TrainingJob, run: Run, project: Project, progress: Progress) -> None:
        self.job = job
        self.run = run
        self.project = project
        self.progress = progress
        self.metrics = Metrics(job.metrics)
        self.transitions: list[dict[str, Any]] = []
        self.created = time.time()
        self.training: tuple[float, float] | None = None
        self._fixed = self._request()
        try:
            self.write_config()
        except OSError as error:
            raise ByocError(f"the run's folder cannot be written\n{error}") from error
        self.enter("Starting")

    def write_config(self) -> None:
        """Write what the container finds in /opt/ml/input/config, secrets redacted."""
        self.run.config.mkdir(parents=True, exist_ok=True)
        for name, text in config_files(self.job, self.job.hosts[0], redacted=True).items():
            (self.run.config / name).write_text(text + "\n", encoding="utf-8")

    def enter(self, phase: str) -> None:
        """Go on to the next secondary status (T-43)."""
        now = time.time()
        self._close(now)
        self.transitions.append({"Status": phase, "StartTime": stamp(now)})
        if phase == "Training":
            self.training = (now, now)
        with suppress(OSError):
            self.run.write_description(self._fixed | self._state("InProgress", phase))

    def end(self, status: str, reason: str = "", *, secondary: str = "", **more: Any) -> dict[str, Any]:
        """Write the last word; the secondary status is the same where it is not given."""
        now = time.time()
        self._close(now)
        secondary = secondary or status
        self.transitions.append({"Status": secondary, "StartTime": stamp(now), "EndTime": stamp(now)})
        description = self._fixed | self._state(status, secondary)
        description |= {"FailureReason": reason} if reason and status == "Failed" else {}
        description |= {"FinalMetricDataList": self.metrics.final(stamp)} | more
        if self.run.model_tar.is_file():
            description["ModelArtifacts"] = {"S3ModelArtifacts": self.run.model_tar.as_uri()}
        try:
            self.run.write_description(description)
        except OSError as error:
            self.progress.warn(f"the job is {status}, but {self.run.description} cannot be written: {error.strerror}")
        return description

    def _close(self, now: float) -> None:
        if self.transitions:
            self.transitions[-1]["EndTime"] = stamp(now)
            if self.training and self.transitions[-1]["Status"] == "Training":
                self.training = (self.training[0], now)

    def _state(self, status: str, secondary: str) -> dict[str, Any]:
        times = {"CreationTime": stamp(self.created), "LastModifiedTime": stamp(time.time())}
        if self.training:
            start, end = self.training
            times |= {"TrainingStartTime": stamp(start), "TrainingEndTime": stamp(end)}
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
        commands = {"ContainerEntrypoint": job.entrypoint, "ContainerArguments": job.arguments}
        stop = {"MaxRuntimeInSeconds": job.max_runtime} if job.max_runtime is not None else {}
        optional = {
            "CheckpointConfig": {"S3Uri": job.checkpoints.as_uri(), "LocalPath": paths.CHECKPOINTS}
            if job.checkpoints
            else None,
            "StoppingCondition": stop,
        }
        return {
            "TrainingJobName": job.name,
            "TrainingJobArn": training.job_arn(job.name, job.region, ACCOUNT),
            "AlgorithmSpecification": {
                "TrainingImage": job.reference,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in job.metrics.items()],
            }
            | {name: list(words) for name, words in commands.items() if words},
            "HyperParameters": runs.redact(job.hyperparameters),
            "InputDataConfig": [_channel(channel) for channel in job.channels],
            "ResourceConfig": {"InstanceType": job.instance_type, "InstanceCount": job.instance_count},
            "Environment": runs.redact(job.environment),
            "EnableNetworkIsolation": job.network_isolation,
            "EnableManagedSpotTraining": job.interrupt_after is not None,
            **{name: value for name, value in optional.items() if value},
            "ImageId": job.image.id,
            "ImageDigest": next((digest.partition("@")[2] for digest in job.image.digests), ""),
            "GitCommit": runs.git_commit(self.project.root),
            "Run": str(self.run.folder),
            **({"Dev": {"Source": job.source.mappings()}} if job.source else {}),
        }


def _channel(channel: Channel) -> dict[str, Any]:
    """An entry of InputDataConfig, in CreateTrainingJob's words but for FileDataSource: a folder of this machine."""
    config = channel.config
    source: dict[str, Any] = {"FileDataSource": {"Path": str(channel.source)}}
    if channel.uri:
        source = {
            "S3DataSource": {"S3DataType": "ManifestFile" if channel.manifest else "S3Prefix", "S3Uri": channel.uri}
        }
    optional = {
        "ContentType": config.content_type,
        "InputMode": config.input_mode if config.input_mode != "File" else "",
        "RecordWrapperType": config.record_wrapper if config.record_wrapper != "None" else "",
        "CompressionType": channel.compression if channel.compression != "None" else "",
        "ShuffleConfig": {"Seed": channel.shuffle_seed} if channel.shuffle_seed is not None else None,
    }
    return {"ChannelName": channel.name, "DataSource": source} | {
        key: value for key, value in optional.items() if value
    }
