"""Micro-batching without a timer: what queued up while the model ran is its next batch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from predict_api import Predictions, concatenate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Predict = Callable[[NDArray[np.float32]], Predictions]
    Waiting = tuple[NDArray[np.float32], asyncio.Future[Predictions]]

MAX_BATCH = 32  # pictures; more gain nothing per picture and make the others wait


class Batcher:
    """Runs one model call at a time, in a thread, so that the event loop goes on reading requests meanwhile.

    A lone request is computed at once; under load the batches grow by themselves.
    """

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._waiting: list[Waiting] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._running: asyncio.Task[None] | None = None

    async def predict(self, images: NDArray[np.float32]) -> Predictions:
        """Classify [n, 32, 32, 3] together with whatever else is waiting."""
        future: asyncio.Future[Predictions] = asyncio.get_running_loop().create_future()
        self._waiting.append((images, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._take_batch()
                try:
                    results = await loop.run_in_executor(self._thread, self._compute, batch)
                except Exception as error:  # noqa: BLE001 - it belongs to the requests, which raise it
                    _fail_all(batch, error)
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():  # the client may have gone
                            future.set_result(result)
        finally:
            self._running = None

    def _take_batch(self) -> list[Waiting]:
        """Take requests from the front while they fit; a single bigger one goes alone."""
        size, count = 0, 0
        for images, _ in self._waiting:
            if count and size + len(images) > MAX_BATCH:
                break
            size += len(images)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _compute(self, batch: list[Waiting]) -> list[Predictions]:
        """Run the model on all pictures of a batch and deal the rows out again."""
        joined = self._predict(concatenate([images for images, _ in batch]))
        results, start = [], 0
        for images, _ in batch:
            rows = slice(start, start + len(images))
            results.append(Predictions(joined.probabilities[rows], joined.classes[rows]))
            start = rows.stop
        return results


def _fail_all(batch: list[Waiting], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
