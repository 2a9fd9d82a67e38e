"""Which models a container has loaded: loaded when they are first asked for, unloaded when it has no more room."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from byoc_cli.contract import hosting, multi_model
from byoc_cli.contract.invocation import ServiceError
from byoc_cli.local.gateway.models.api import Api
from byoc_cli.local.gateway.models.store import NoArchive, NoSuchModel, Store
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstream, why
from byoc_cli.local.progress import Progress

_LARGE = 1 << 20


class ModelFailed(Exception):
    """A model cannot be loaded, or not now."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(eq=False)
class _Model:
    """A model from its loading to its unloading; `uses` counts the calls that need it or wait for it."""

    target: str
    name: str
    uses: int = 0
    loading: asyncio.Task[None] | None = None
    posted: asyncio.Future[None] | None = None
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def loaded(self) -> bool:
        """Whether the container has it."""
        return self.loading is not None and self.loading.done()


class Models:
    """Invokes models of one container; for one event loop.

    A model that calls are at work with is never unloaded under them. Where all are in use, new calls to the one that
    goes wait until it has gone and can be loaded again: each gets its turn.
    """

    def __init__(self, settings: Settings, upstream: Upstream, progress: Progress) -> None:
        self._settings = settings
        self._account = settings.account
        self._upstream = upstream
        self._progress = progress
        self._api = Api(upstream)
        self._store = Store(Path(settings.models), Path(settings.unpacked))
        self._threads = ThreadPoolExecutor(thread_name_prefix="unpack")
        self._models: dict[str, _Model] = {}  # by name, the least recently used first
        self._turn = asyncio.Lock()  # of who makes room
        self._told_of_list = False

    @property
    def loaded(self) -> list[str]:
        """The targets of the models that are loaded, the least recently used first."""
        return [model.target for model in self._models.values() if model.loaded]

    def is_loading(self, target: str) -> bool:
        """Whether calls to a model wait for it to be loaded."""
        model = self._models.get(multi_model.name_of(target))
        return model is not None and not model.loaded

    async def close(self) -> None:
        """Load no more, and remove what was unpacked."""
        self._store.close()
        tasks = [model.loading for model in self._models.values() if model.loading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(cancel_futures=True)
        self._store.remove()

    @asynccontextmanager
    async def invoke(self, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post to a model (H-40), which is loaded before if it is not; the caller limits the time.

        Raises:
            ModelFailed: it cannot be loaded.
            aiohttp.ClientError: nothing is there, or it closed the connection.

        """
        target = headers[hosting.TARGET_MODEL_HEADER]
        forgotten = alone = False
        tried: set[str] = set()
        while True:
            async with (
                self._held(target) as model,
                self._upstream.invoke(
                    # The loop is not held by one large write.
                    io.BytesIO(body) if len(body) > _LARGE else body,
                    headers,
                    multi_model.invoke_path(model.name),
                ) as answer,
            ):
                forgot = answer.status == multi_model.NOT_LOADED and not forgotten and await self._forgot(model)
                if not forgot and (answer.status != multi_model.NO_MEMORY or alone):
                    yield answer
                    return
            if forgot:
                forgotten = True
            else:
                async with self._turn:
                    alone = not await self._make_room(model, tried)

    @asynccontextmanager
    async def _held(self, target: str) -> AsyncIterator[_Model]:
        """Give a model that is loaded, and stays so meanwhile."""
        name = multi_model.name_of(target)
        model = self._models.pop(name, None) or self._begin(target, name)
        self._models[name] = model  # the most recently used is the last
        assert model.loading
        model.uses += 1
        model.unused.clear()
        try:
            await asyncio.shield(model.loading)
            yield model
        finally:
            model.uses -= 1
            if not model.uses:
                model.unused.set()

    # -- loading ------------------------------------------------------------------------------------------------------

    def _begin(self, target: str, name: str) -> _Model:
        model = _Model(target, name)
        model.loading = asyncio.get_running_loop().create_task(self._load(model))
        # Those who waited may have gone; it is not the loop's to complain.
        model.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return model

    async def _load(self, model: _Model) -> None:
        """Unpack and load a model: for all calls that wait for it, and when none waits any more."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.load_timeout):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._store.prepare, model.target)
                unpacked = time.monotonic()
                await self._post_with_room(model)
        except BaseException as error:
            self._drop(model)
            failed = error if isinstance(error, ModelFailed) else self._failure(model, error)
            if failed is None:
                raise
            if not isinstance(error, NoSuchModel):
                self._progress.warn(f"model {model.target} was not loaded\n{failed.error.cause}")
            raise failed from error
        took = time.monotonic()
        self._progress.log(
            f"model {model.target} loaded in {took - start:.2f} s (unpacking {unpacked - start:.2f} s) as {model.name}"
        )

    def _failure(self, model: _Model, error: BaseException) -> ModelFailed | None:
        key = self._store.key(model.target)
        if isinstance(error, NoSuchModel):
            return ModelFailed(self._account.no_such_model(key, str(error)))
        if isinstance(error, NoArchive):
            return ModelFailed(self._account.no_archive(key, str(error)))
        if isinstance(error, TimeoutError):
            cause = f"model {model.target} was not loaded within {self._settings.load_timeout:g} s: given up"
            return ModelFailed(self._account.not_ready(cause))
        if isinstance(error, aiohttp.ClientError | OSError):
            return ModelFailed(self._account.no_answer(f"loading model {model.target}\n{why(error)}"))
        return None

    async def _post_with_room(self, model: _Model) -> None:
        """Load a model; where the container has no memory for it, unload others until it has (H-36)."""
        async with self._turn:
            pass  # what another one frees now is its own
        status, said = await self._post(model)
        if status == multi_model.NO_MEMORY:
            tried: set[str] = set()
            async with self._turn:
                while status == multi_model.NO_MEMORY and await self._make_room(model, tried):
                    status, said = await self._post(model)
        if not (200 <= status < 300 or status == multi_model.LOADED_ALREADY):
            alone = "\nno other model is loaded that could be unloaded" if status == multi_model.NO_MEMORY else ""
            cause = f"the container answered {status} to POST /models for {model.target}\n{said.strip() or '(nothing)'}"
            raise ModelFailed(self._account.model_error(status, said, cause=cause + alone))

    async def _post(self, model: _Model) -> tuple[int, str]:
        model.posted = asyncio.get_running_loop().create_future()
        try:
            return await self._api.load(model.name, {hosting.TARGET_MODEL_HEADER: model.target})
        except aiohttp.ServerDisconnectedError:
            if await self._api.has(model.name):  # H-38: loaded after all
                return 200, ""
            raise
        finally:
            model.posted.set_result(None)

    async def _forgot(self, model: _Model) -> bool:
        """Whether the container lost a model: 404 may be the model's own word as well (H-38)."""
        has = await self._api.has(model.name)
        if has and self._models.get(model.name) is model:  # else another call saw it first
            return False
        if self._drop(model):
            self._progress.log(f"the container has forgotten model {model.target}: it is loaded again")
        return True

    def _drop(self, model: _Model) -> bool:
        """Forget a model, unless another call did, and it is being loaded again."""
        if self._models.get(model.name) is not model:
            return False
        del self._models[model.name]
        return True

    # -- unloading ----------------------------------------------------------------------------------------------------

    async def _make_room(self, model: _Model, tried: set[str]) -> bool:
        """Unload what was used least recently, if possible one that is idle; False where there is none.

        `tried` are those that the container lists all the same.
        """
        strangers = [name for name in await self._compare() if name not in tried]
        if strangers:
            tried.add(strangers[0])
            await self._unload(strangers[0], f"{strangers[0]}, which the container loaded by itself,", model)
            return True
        others = [other for other in self._models.values() if other is not model]
        loaded = sorted((other for other in others if other.loaded), key=lambda other: other.uses > 0)
        if not loaded:
            posted = [other.posted for other in others if other.posted and not other.posted.done()]
            if posted:
                await asyncio.wait(posted, return_when=asyncio.FIRST_COMPLETED)
            return bool(posted)
        tried.add(loaded[0].name)
        self._drop(loaded[0])
        await loaded[0].unused.wait()
        await self._unload(loaded[0].name, loaded[0].target, model)
        return True

    async def _unload(self, name: str, shown: str, model: _Model) -> None:
        status, said = await self._api.unload(name)
        if 200 <= status < 300:
            self._progress.log(f"model {shown} unloaded: the container has no memory for {model.target} (507)")
        elif status != multi_model.NOT_LOADED:
            self._progress.warn(f"the container answered {status} to DELETE /models/{name}\n{said.strip()}")

    async def _compare(self) -> list[str]:
        """Ask the container what it has (H-37): forget what it has not, and name what is none of ours."""
        try:
            listed = await self._api.loaded()
        except ValueError as error:
            if not self._told_of_list:
                self._told_of_list = True
                self._progress.warn(
                    f"the container's list of models cannot be read\nGET /models: {error}",
                    'answer {"models": [{"modelName": "…", "modelUrl": "…"}]} (H-37)',
                )
            return []
        for model in list(self._models.values()):
            if model.loaded and not model.uses and model.name not in listed:
                self._drop(model)
        return [name for name in listed if name not in self._models]
