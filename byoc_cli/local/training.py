"""A training job on this machine: /opt/ml laid out and the container run as SageMaker does (T-01 to T-51)."""

from __future__ import annotations

import io
import random
import re
import stat
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from byoc_cli.contract import paths, training
from byoc_cli.engine.types import CannotStart, Container, ContainerSpec, Engine, Exit, Image, Mount
from byoc_cli.errors import ByocError, Interrupted, MachineError
from byoc_cli.local import labels, runs
from byoc_cli.local.background import meanwhile
from byoc_cli.local.collect import NoSpace, collect
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.metrics import Metrics
from byoc_cli.local.output import LineMerger, Tail, indented
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.project import Project

ACCOUNT = "000000000000"  # there is none: the ARN has the right shape and can be mistaken for no one's
HOST = "algo-1"  # T-17
_EXIT_CODES = {
    126: "126 means that a file is not executable: `chmod +x` it in the Dockerfile",
    127: "127 means that a program was not found: look at the shebang of `train` and at PATH",
}
_COLLECTING = "collecting the artifacts first; press Ctrl-C again to give them up"


@dataclass(frozen=True)
class Channel:
    """A File-mode channel: `source` is a folder or a file of this machine (T-58)."""

    name: str
    source: Path
    config: training.ChannelConfig = field(default_factory=training.ChannelConfig)

    @property
    def mount(self) -> Mount:
        """Where it is in the container; never copied."""
        target = paths.channel(self.name)
        return Mount(
            target if self.source.is_dir() else f"{target}/{self.source.name}", str(self.source), read_only=True
        )


@dataclass(frozen=True)
class TrainingJob:
    """What CreateTrainingJob would be told. Hyperparameters are strings (T-12); `region` only names things."""

    name: str
    image: Image
    reference: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[Channel] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = training.DEFAULT_INSTANCE_TYPE
    gpus: str = "none"
    region: str = "us-east-1"

    def problems(self) -> list[str]:
        """All that CreateTrainingJob would refuse."""
        wrong_name = training.job_name_problem(self.name)
        return [
            *([f"job name '{self.name}': {wrong_name} (T-25)"] if wrong_name else []),
            *training.hyperparameter_problems(self.hyperparameters),
            *training.channel_problems([channel.name for channel in self.channels]),
            *training.environment_problems(self.environment),
        ]


class JobFailed(ByocError):
    """The job ran and failed; `result` is its description."""


def train(engine: Engine, project: Project, job: TrainingJob, run: Run, progress: Progress) -> dict[str, Any]:
    """Run a job and give its description, in DescribeTrainingJob's words.

    Raises:
        JobFailed: the container failed; says FailureReason, the last lines and the log's path.
        NoSpace: its results do not fit on the disk; the container is kept.
        MachineError: no GPU, or an engine that does not see this machine's files.
        Interrupted: Ctrl-C or SIGTERM, after the container was stopped and its results collected.

    """
    record = _Record(job, run, project)
    with Interrupts() as interrupts:
        try:
            with _container(engine, project, job) as container:
                record.enter("Downloading")
                _lay_out(container, job)
                _check_mounts(container, job.channels)
                interrupts.check()
                record.enter("Training")
                exit_ = _run(container, run, record, interrupts, progress)
                record.enter("Uploading")
                interrupts.on_signal(lambda: progress.log(_COLLECTING), then_raise=True)
                # An engine takes as long for a network's end as for a small model: side by side.
                with meanwhile(lambda: engine.remove_network(container.name)):
                    collect(container, run, progress)
        except CannotStart as error:
            raise _cannot_start(record, error) from error
        except (ByocError, Interrupted) as error:
            record.end("Stopped" if isinstance(error, Interrupted) else "Failed", str(error))
            raise
    return _judge(record, exit_, interrupts, progress)


@contextmanager
def _container(engine: Engine, project: Project, job: TrainingJob) -> Iterator[Container]:
    """Give the job's container on the job's own network; both are gone afterwards, whatever happens."""
    name = f"byoc-{job.name}"
    marks = labels.for_job(project, "train", job.name)
    # Every folder but the channels is a fresh volume: root's as in the cloud, and what the image has there is hidden.
    volumes = [Mount(path) for path in (paths.INPUT, paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS)]
    spec = ContainerSpec(
        image=job.image.id,
        command=[training.COMMAND],
        name=name,
        labels=marks,
        environment=training.environment(job.name, job.region, ACCOUNT, gpu=job.gpus != "none") | dict(job.environment),
        mounts=[*volumes, *(channel.mount for channel in job.channels)],
        network=name,
        aliases=[HOST],
        # A host's own name is not algo-1 in the cloud (T-27, T-71).
        hostname=f"ip-10-0-{random.randint(0, 255)}-{random.randint(1, 254)}.ec2.internal",  # noqa: S311
        gpus=job.gpus,
    )
    try:
        engine.create_network(name, marks)
        container = engine.create(spec)
        try:
            yield container
        except NoSpace as error:
            error.hint = f"free some space, then: docker cp {name}:{paths.MODEL} . (and `byoc clean` when you have it)"
            raise
        except BaseException:
            container.remove()
            raise
        container.remove()
    finally:
        engine.remove_network(name)


def _lay_out(container: Container, job: TrainingJob) -> None:
    """Put the configuration where the platform puts it, all of it root's (T-11 to T-23)."""
    config, data, output = (
        path.removeprefix(f"{paths.ROOT}/") for path in (paths.CONFIG, paths.DATA, paths.OUTPUT_DATA)
    )
    files = {f"{config}/{name}": text for name, text in _config_files(job).items()}
    container.put(paths.ROOT, _tar([config, data, output], files))


def _config_files(job: TrainingJob, *, redacted: bool = False) -> dict[str, str]:
    hyperparameters = runs.redact(job.hyperparameters) if redacted else job.hyperparameters
    return {
        paths.HYPERPARAMETERS_FILE: training.hyperparameters_json(hyperparameters),
        paths.RESOURCE_CONFIG_FILE: training.resource_config_json([HOST], HOST, job.instance_type),
        paths.INPUT_DATA_CONFIG_FILE: training.input_data_config_json(
            {channel.name: channel.config for channel in job.channels}
        ),
    }


def _tar(folders: Sequence[str], files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            member = tarfile.TarInfo(folder)
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
            tar.addfile(member)
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, int(time.time())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _check_mounts(container: Container, channels: Sequence[Channel]) -> None:
    """See that the engine mounts this machine's files, not some other's of the same name.

    A remote engine, or one outside of the container that byoc runs in, would mount an empty folder without a word.
    """
    for channel in channels:
        probe = next(channel.source.iterdir(), None) if channel.source.is_dir() else channel.source
        if probe is None:
            continue
        seen = container.stat(f"{paths.channel(channel.name)}/{probe.name}")
        own = probe.lstat()
        if seen is None or (stat.S_ISREG(own.st_mode) and seen.size != own.st_size):
            raise MachineError(
                f"the engine does not see this machine's files\nchannel '{channel.name}' would be empty: "
                f"{probe} is not there for it",
                hint="run byoc on the machine that the engine runs on, not in a container or with a remote DOCKER_HOST",
            )


def _run(container: Container, run: Run, record: _Record, interrupts: Interrupts, progress: Progress) -> Exit:
    """Start it and read it to its end; the first signal stops it with SageMaker's grace, the second kills it (T-40)."""
    grace = training.STOP_GRACE_SECONDS

    def stop() -> None:
        progress.log(f"stopping the job: SIGTERM, up to {grace} s (press Ctrl-C again to kill it)")
        container.stop(grace)

    def kill() -> None:
        progress.log("killing the job")
        container.kill()

    with run.log.open("wb") as log:

        def sink(data: bytes) -> None:
            log.write(data)
            log.flush()
            record.tail.feed(data)
            record.metrics.feed(data)
            progress.output(data)

        merger = LineMerger(sink)
        container.start()
        interrupts.on_signal(stop, kill)
        if interrupts.signal:  # it came between the last look and the start
            stop()
        for stream, chunk in container.output():
            merger.feed(stream, chunk)
        merger.close()
    exit_ = container.wait()
    record.stopped_by_engine = container.was_signalled()
    return exit_


def _cannot_start(record: _Record, error: CannotStart) -> JobFailed:
    """The container never ran: what the cloud would say, and why (T-08)."""
    reason = training.failure_reason("", error.exit_code_of_program, out_of_memory=False)
    description = record.end("Failed", reason, ExitCode=error.exit_code_of_program)
    return JobFailed(
        f"the training job failed\n{error.message}\nFailureReason: {reason}", hint=error.hint, result=description
    )


def _judge(record: _Record, exit_: Exit, interrupts: Interrupts, progress: Progress) -> dict[str, Any]:
    """Say how the job ended, in the platform's words."""
    run = record.run
    record.metrics.write_table(run.metrics)
    drawn = record.metrics.draw(run.curves, record.job.name)
    if drawn:
        progress.log(f"curves: {run.curves}")
    if interrupts.signal:
        description = record.end("Stopped", ExitCode=exit_.code)
        progress.log(f"stopped; what it left is in {run.folder}")
        raise Interrupted(interrupts.signal, result=description)
    if record.stopped_by_engine:
        description = record.end("Stopped", ExitCode=exit_.code)
        raise JobFailed(f"the training job was stopped\nwhat it left is in {run.folder}", result=description)
    if exit_.code != 0:
        reason = training.failure_reason(_failure_file(run), exit_.code, out_of_memory=exit_.out_of_memory)
        description = record.end("Failed", reason, ExitCode=exit_.code)
        raise JobFailed(_failure_text(record, reason, exit_), hint=_failure_hint(record, exit_), result=description)
    for name in record.metrics.silent():
        progress.warn(f"metric '{name}' never matched the log", f"its regex is {record.job.metrics[name]!r} (T-70)")
    if not any(run.model.iterdir()):
        progress.warn(
            f"the job completed, but {paths.MODEL} is empty", "write the model there before `train` ends (T-45)"
        )
    description = record.end("Completed", ExitCode=0)
    runs.point_latest(record.project, run)
    return description


def _failure_file(run: Run) -> str:
    try:
        return (run.output / paths.FAILURE_FILE).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _failure_text(record: _Record, reason: str, exit_: Exit) -> str:
    tail = indented(record.tail.text)
    last = f"its last lines:\n{tail}\n" if tail else "it printed nothing\n"
    memory = "the container ran out of memory (killed by the kernel)\n" if exit_.out_of_memory else ""
    return f"the training job failed\n{last}{memory}FailureReason: {reason}"


def _failure_hint(record: _Record, exit_: Exit) -> str:
    return f"{_remedy(record, exit_)}; the whole log: {record.run.log}".removeprefix("; ")


def _remedy(record: _Record, exit_: Exit) -> str:
    """What to do about it, as far as the end tells."""
    last = record.tail.text.rpartition("\n")[2]
    if re.fullmatch(r"exec /\S+: exec format error", last):  # the kernel's word, before `train` began
        return "give `train` a shebang as its first line, or build for the engine's platform (I-06)"
    if re.fullmatch(r"exec /\S+: no such file or directory", last):
        return "the interpreter in the first line of `train` is not in the image, or the line ends with CR LF (I-06)"
    if exit_.code in _EXIT_CODES:
        return _EXIT_CODES[exit_.code]
    if _failure_file(record.run):
        return ""
    if user := record.job.image.user:
        return f"the image's USER is {user}, and {paths.ROOT} is root's, as in the cloud: leave USER out (T-60)"
    return f"write the cause to {paths.OUTPUT}/{paths.FAILURE_FILE} to see it as FailureReason (T-32)"


class _Record:
    """Keeps job.json true while the job goes on."""

    def __init__(self, job: TrainingJob, run: Run, project: Project) -> None:
        self.job = job
        self.run = run
        self.project = project
        self.tail = Tail()
        self.metrics = Metrics(job.metrics)
        self.stopped_by_engine = False
        self.transitions: list[dict[str, Any]] = []
        self.created = time.time()
        self.training: tuple[float, float] | None = None
        for name, text in _config_files(job, redacted=True).items():
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
