"""Two things at once, where an engine's own latency would be waited for twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from byoc_cli.errors import ByocError


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
        for future in futures:
            future.result()
    except BaseException:
        abandon()
        raise
    finally:
        pool.shutdown()
