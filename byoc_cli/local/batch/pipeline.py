"""All requests of a job: several at once, over files' borders, their answers in the order of the input (H-57, H-58)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile

from byoc_cli.contract.batch import Parameters, SplitType
from byoc_cli.contract.data_processing import Processor
from byoc_cli.errors import ByocError
from byoc_cli.local.batch.outputs import Output, new_answer
from byoc_cli.local.batch.sending import Body, Gone, Refused, Sender
from byoc_cli.local.batch.splitting import Batch, batches
from byoc_cli.local.progress import Advance

_CHUNK = 1 << 20
_AHEAD = 2  # requests at work or waiting to be written, for each that may be at work


@dataclass(frozen=True)
class _Sent:
    """One request on its way; `what` names its records in an error, "" where they are the whole file."""

    output: Output
    future: Future[SpooledTemporaryFile[bytes]]
    what: str
    records: int
    last: bool
    size: int


class Pipeline:
    """Sends files, and writes what comes back; no more than a few payloads of them are in memory.

    `advance` is told the bytes of the input as they are done, by one thread at a time; `processor` has the filters and
    the join, if any are wanted.
    """

    def __init__(
        self,
        sender: Sender,
        parameters: Parameters,
        split: SplitType,
        advance: Advance,
        failed: Callable[[Output], None],
        processor: Processor | None = None,
    ) -> None:
        self._sender = sender
        self._parameters = parameters
        self._split = split
        self._advance = advance
        self._failed = failed
        self._processor = processor
        self._window: deque[_Sent] = deque()
        self._lock = threading.Lock()

    def run(self, outputs: Sequence[Output]) -> None:
        """Make each output, or say in it why not.

        Raises:
            Gone: the container ended; the outputs that are not done have not failed, either.

        """
        room = self._parameters.max_concurrent * _AHEAD
        with ThreadPoolExecutor(self._parameters.max_concurrent) as pool:
            try:
                for output in outputs:
                    for body, batch, last, size in self._requests(output):
                        while len(self._window) >= room:
                            self._settle()
                        if output.failure:
                            break
                        future = pool.submit(self._send, body, batch)
                        what = str(batch) if batch and self._split != "None" else ""
                        self._window.append(_Sent(output, future, what, batch.records if batch else 1, last, size))
                while self._window:
                    self._settle()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for output in outputs:
                    output.discard()

    def _send(self, body: Body, batch: Batch | None) -> SpooledTemporaryFile[bytes]:
        answer = new_answer()
        try:
            if self._processor and batch:
                self._process(self._processor, batch, answer)
            else:
                self._sender.send(body, answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _process(self, processor: Processor, batch: Batch, answer: SpooledTemporaryFile[bytes]) -> None:
        """Send what is wanted of a request, and keep what is wanted of the answer."""
        try:
            body = processor.request(batch.body, batch.records, batch.first)
            self._sender.send(lambda: body, answer)
            answer.seek(0)
            kept = processor.answer(batch.body, batch.records, answer.read(), batch.first)
        except ValueError as error:
            raise ByocError(str(error)) from error
        answer.seek(0)
        answer.truncate()
        answer.write(kept)

    def _requests(self, output: Output) -> Iterator[tuple[Body, Batch | None, bool, int]]:
        """Give a file's requests: (body, what it has, whether it is the last, its bytes); a bad file fails here."""
        limit = self._parameters.payload_bytes
        try:
            if not limit:
                yield self._streamed(output.source.path), None, True, 0
                return
            with output.source.path.open("rb") as stream:
                before: Batch | None = None
                for batch in batches(stream, self._split, self._parameters.strategy, limit):
                    if before:
                        yield _body(before), before, False, len(before.body)
                    before = batch
                if before:
                    yield _body(before), before, True, len(before.body)
        except (ByocError, OSError) as error:
            self._fail(output, error)
            return
        if not before:  # nothing in it: nothing is asked
            self._end(output)

    def _streamed(self, path: Path) -> Body:
        """Make the body of a file that is sent whole, in chunks; only what is read for the first time counts."""
        furthest = 0

        def read() -> Iterator[bytes]:
            nonlocal furthest
            at = 0
            with _readable(), path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
                    at += len(chunk)
                    if at > furthest:
                        self._count(at - furthest)
                        furthest = at

        return read

    def _settle(self) -> None:
        """Wait for the oldest request, and write its answer."""
        sent = self._window[0]
        try:
            answer = sent.future.result()
            with answer:
                if not sent.output.failure:
                    sent.output.add(answer, sent.records)
        except Gone:
            raise
        except (ByocError, OSError) as error:
            self._fail(sent.output, error, sent.what)
        self._window.popleft()
        self._count(sent.size)
        if sent.last and not sent.output.failure:
            self._end(sent.output)

    def _end(self, output: Output) -> None:
        try:
            output.finish()
        except OSError as error:
            self._fail(output, error)

    def _fail(self, output: Output, error: ByocError | OSError, what: str = "") -> None:
        if output.failure:
            return
        if isinstance(error, OSError):
            output.fail(_said(error))
        else:
            output.fail(f"{what}: {error.message}" if what else error.message, error.hint)
            output.algorithm_failed = isinstance(error, Refused) and not error.client
        self._failed(output)

    def _count(self, amount: int) -> None:
        with self._lock:
            self._advance(amount)


def _body(batch: Batch) -> Body:
    return lambda: batch.body


def _said(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


@contextmanager
def _readable() -> Iterator[None]:
    """Let nobody take it for a fault of the connection that a file cannot be read while it is sent."""
    try:
        yield
    except OSError as error:
        raise ByocError(_said(error)) from error
