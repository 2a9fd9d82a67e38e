"""Two things at once, where an engine's own latency would be waited for twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from byoc_cli.errors import ByocError

_SIGNAL_SECONDS = 0.1


@contextmanager
def meanwhile(call: Callable[[], object]) -> Iterator[None]:
    """Try `call` beside the block, and wait for both; who needs its outcome looks again."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        yield
    with suppress(ByocError):
        future.result()


@contextmanager
def beside(call: Callable[[], object]) -> Iterator[Callable[[], object]]:
    """Run `call` beside the block, which is given a function to wait for it; both have to succeed."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        yield future.result
        future.result()


def side_by_side(*calls: Callable[[], object], abandon: Callable[[], None]) -> None:
    """Run all at once. When one fails, or a signal comes, `abandon` tells the others to end, and that is raised."""
    pool = ThreadPoolExecutor(max(1, len(calls)))
    futures = [pool.submit(call) for call in calls]
    try:
        until_done(futures)
        for future in futures:
            if future.done():
                future.result()
    except BaseException:
        abandon()
        raise
    finally:
        pool.shutdown()


def until_done(futures: Sequence[Future[Any]]) -> None:
    """Wait until all are done, or one has failed.

    Not without end: a signal that comes just before this thread begins to wait would not wake it.
    """
    while True:
        done, left = wait(futures, _SIGNAL_SECONDS, FIRST_EXCEPTION)
        if not left or any(future.exception() for future in done):
            return
