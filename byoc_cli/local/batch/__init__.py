"""Batch transform on this machine: files in, `.out` files out (H-55 to H-60)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from byoc_cli.contract import batch
from byoc_cli.contract.batch import Asked, AssembleWith, Parameters, SplitType
from byoc_cli.contract.data_processing import DataProcessing, Processor, streaming_problem
from byoc_cli.engine.types import Container, Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.batch.outputs import Output, held, output_folder
from byoc_cli.local.batch.pipeline import Pipeline
from byoc_cli.local.batch.sending import Gone, Sender
from byoc_cli.local.channels.objects import Object
from byoc_cli.local.hosting import Endpoint, EndpointRequest, serving
from byoc_cli.local.output import indented
from byoc_cli.local.progress import Advance, Progress
from byoc_cli.project import Project

__all__ = ["TransformFailed", "TransformRequest", "output_folder", "transform"]

_NAMED = 10  # failed files that the error names
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


@dataclass(frozen=True)
class TransformRequest:
    """What CreateTransformJob would be told; `hosted` says how the container is started, `environment` included.

    `inputs` become `<key>.out` below `out`; "" for a content type leaves the header out.
    """

    hosted: EndpointRequest
    inputs: Sequence[Object]
    out: Path
    asked: Asked = field(default_factory=Asked)
    split: SplitType = "None"
    assemble: AssembleWith = "None"
    content_type: str = ""
    accept: str = ""
    timeout: int = batch.TIMEOUT_SECONDS
    retries: int = batch.RETRIES
    processing: DataProcessing = field(default_factory=DataProcessing)

    @property
    def headers(self) -> dict[str, str]:
        """What each request says of itself."""
        given = {"Content-Type": self.content_type, "Accept": self.accept}
        return {name: value for name, value in given.items() if value}


class TransformFailed(ByocError):
    """A file failed, or the container did; `result` has the words of DescribeTransformJob."""


def transform(engine: Engine, project: Project, request: TransformRequest, progress: Progress) -> dict[str, Any]:
    """Start the container, send it all files, stop it; gives the words of DescribeTransformJob.

    Raises:
        TransformFailed: a file failed (the others have their `.out` all the same), or the container did.
        EndpointFailed: the container never became ready.
        MachineError: another job writes to the same folder.

    """
    started, clock = datetime.now(UTC), time.monotonic()
    _give_back_large_blocks()
    outputs = [Output(source, request.out, request.assemble) for source in request.inputs]
    with (
        held(request.out),
        serving(engine, project, request.hosted, _WithoutOutput(progress)) as (ready, members),
    ):
        job = _Job(request, outputs, members[0].container, progress)
        parameters, end = job.run(ready)
        described = {
            "TransformJobName": request.hosted.name,
            **job.verdict(end),
            "BatchStrategy": parameters.strategy,
            "MaxConcurrentTransforms": parameters.max_concurrent,
            "MaxPayloadInMB": parameters.max_payload_mb,
            "ModelClientConfig": {
                "InvocationsTimeoutInSeconds": request.timeout,
                "InvocationsMaxRetries": request.retries,
            },
            "TransformInput": {"ContentType": request.content_type or None, "SplitType": request.split},
            "TransformOutput": {"Accept": request.accept or None, "AssembleWith": request.assemble},
            "DataProcessing": {
                "InputFilter": request.processing.input_filter,
                "OutputFilter": request.processing.output_filter,
                "JoinSource": request.processing.join_source,
            },
            "CreationTime": started.isoformat(),
            "TransformEndTime": datetime.now(UTC).isoformat(),
            "files": [_row(output) for output in outputs],
            "records": sum(output.records for output in outputs if output.done),
            "seconds": round(time.monotonic() - clock, 3),
        }
        if described["TransformJobStatus"] != "Completed":
            raise job.failure(described, end)
    return described


def _give_back_large_blocks() -> None:
    """Tell glibc to return them when they are freed: it keeps them, and those of ever other sizes pile up."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another C library, or none
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, batch.MEGABYTE)


def _refused(asked: Asked, container: Asked, parameters: Parameters, problems: Sequence[str]) -> TransformFailed:
    if asked.over(container).max_payload_mb is None:
        why = f"MaxPayloadInMB is {parameters.max_payload_mb} where nothing says another"
        hint = f"--max-concurrent {batch.MAX_PAYLOAD_MB // parameters.max_payload_mb}, or a smaller --max-payload-mb"
    else:
        why = "the container's /execution-parameters say so"
        hint = "--max-concurrent and --max-payload-mb win over the container's"
    return TransformFailed("\n".join(["SageMaker would refuse this", *problems, why]), hint=hint)


def _size(path: Path) -> int:
    """Give a file's size; of one that is gone it is said where its turn comes."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Job:
    """The files of a job, and the container that has to answer for them."""

    def __init__(
        self, request: TransformRequest, outputs: Sequence[Output], container: Container, progress: Progress
    ) -> None:
        self._request = request
        self._outputs = outputs
        self._container = container
        self._progress = progress

    def run(self, ready: Endpoint) -> tuple[Parameters, Gone | None]:
        """Send all; gives what the job went by, and why it ended early if it did."""
        request = self._request
        sender = Sender(
            ready.url,
            request.headers,
            alive=self._alive,
            timeout=request.timeout,
            retries=request.retries,
        )
        parameters = Parameters()
        with closing(sender):
            try:
                parameters = self._parameters(sender)
                total = sum(_size(output.source.path) for output in self._outputs)
                with self._progress.bytes_done("batch transform", total) as advance:
                    self._pipeline(sender, parameters, advance).run(self._outputs)
            except Gone as gone:
                return parameters, gone
        self._warn_of_empty_lines()
        return parameters, None

    def _pipeline(self, sender: Sender, parameters: Parameters, advance: Advance) -> Pipeline:
        def failed(output: Output) -> None:
            self._progress.log(f"{output.source.key}: {output.failure.partition(chr(10))[0]}")

        request = self._request
        wanted = request.processing.wanted
        processor = Processor(request.processing, request.content_type, request.accept) if wanted else None
        return Pipeline(sender, parameters, request.split, advance, failed, processor)

    def _parameters(self, sender: Sender) -> Parameters:
        """Ask the container, and say by what the job goes (H-56).

        Raises:
            TransformFailed: request and container together ask for too much (H-57), or for what cannot be done.

        """
        container = Asked()
        try:
            if (answer := sender.execution_parameters()) is not None:
                container = batch.execution_parameters(answer)
        except ValueError as error:
            self._progress.warn(
                f"the container's answer to /execution-parameters is not used: {error} (H-56)",
                '{"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}, or a 404',
            )
        parameters = batch.resolve(self._request.asked, container)
        if problems := batch.problems(parameters):
            raise _refused(self._request.asked, container, parameters, problems)
        if problem := streaming_problem(self._request.processing, parameters.max_payload_mb):
            raise TransformFailed(problem, hint="--max-payload-mb 6")
        self._progress.log(str(parameters))
        if not parameters.payload_bytes and self._request.split != "None":
            self._progress.warn(
                f"MaxPayloadInMB 0 streams each file whole: SplitType {self._request.split} splits none"
            )
        return parameters

    def _warn_of_empty_lines(self) -> None:
        if any(output.ended_in_newline for output in self._outputs):
            self._progress.warn(
                "the container's answers end with a newline, and AssembleWith Line adds another one: empty lines",
                "leave --assemble-with away, or let the container's answers end without a newline",
            )

    def _alive(self) -> None:
        exit_ = self._container.exited()
        if exit_ is not None:
            cause = "it ran out of memory" if exit_.out_of_memory else f"exit code {exit_.code}"
            raise Gone(f"the container ended in the middle of the job\n{cause}")

    def verdict(self, end: Gone | None) -> dict[str, str]:
        """Return status and reason, in AWS's words."""
        if end and self._container.was_signalled():
            return {"TransformJobStatus": "Stopped"}
        failed = [output for output in self._outputs if output.failure]
        if not failed and not end:
            return {"TransformJobStatus": "Completed"}
        algorithm = end or any(output.algorithm_failed for output in failed)
        return {
            "TransformJobStatus": "Failed",
            "FailureReason": batch.ALGORITHM_ERROR if algorithm else batch.CLIENT_ERROR,
        }

    def failure(self, described: Mapping[str, Any], end: Gone | None) -> TransformFailed:
        """Say which files failed and why, and what the container said last."""
        failed = [output for output in self._outputs if output.failure]
        if described["TransformJobStatus"] == "Stopped":
            return TransformFailed(f"the transform job was stopped\n{self._left()}", result=described)
        lines = [f"the transform job failed: {len(failed):,} of {len(self._outputs):,} files"]
        lines += [f"{output.source.key}: {output.failure}" for output in failed[:_NAMED]]
        lines += [f"and {len(failed) - _NAMED:,} more"] if failed[_NAMED:] else []
        lines += [end.message, self._left()] if end else []
        if last := b"".join(self._container.logs(tail=10)).decode(errors="replace").strip("\r\n"):
            lines += ["the container's last lines:", indented(last)]
        lines += [f"FailureReason: {described['FailureReason']}"]
        hint = next((output.hint for output in failed if output.hint), "")
        return TransformFailed("\n".join(lines), hint=hint, result=described)

    def _left(self) -> str:
        left = sum(not output.done and not output.failure for output in self._outputs)
        return f"{left:,} of {len(self._outputs):,} files were not done"


class _WithoutOutput:
    """A `Progress` without what the container prints, which a batch of requests would bury the rest under."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def log(self, text: str) -> None:
        self._progress.log(text)

    def warn(self, text: str, hint: str = "") -> None:
        self._progress.warn(text, hint)

    def output(self, data: bytes, prefix: str = "") -> None:
        """Say nothing: its last lines are in the error."""

    def bytes_done(self, label: str, total: int | None = None) -> AbstractContextManager[Advance]:
        return self._progress.bytes_done(label, total)


def _row(output: Output) -> dict[str, Any]:
    status = "Completed" if output.done else "Failed" if output.failure else "Stopped"
    made = {"output": str(output.path), "records": output.records} if output.done else {}
    why = {"FailureReason": output.failure} if output.failure else {}
    return {"input": str(output.source.path), "status": status, **made, **why}
