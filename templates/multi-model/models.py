"""The models that are loaded, and the memory that they may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model import FILE, Model

PAGE = 100  # so many models are listed at once


class NotLoaded(Exception):
    """There is no such model (404)."""


class LoadedAlready(Exception):
    """It is there (409)."""


class NoMemory(Exception):
    """There is no room for it (507): SageMaker unloads others, and asks once more."""


@dataclass
class Loaded:
    """One model: where it came from, the bytes it takes, and how many invocations it is in; None while it loads."""

    url: str
    size: int
    model: Model | None = None
    users: int = 0


class Models:
    """Loads, lists, lends and unloads models, from any number of threads.

    The lock is held for moments only. Loading itself is done without it: other models answer meanwhile.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes
        self.used = 0
        self._loaded: dict[str, Loaded] = {}
        self._changed = threading.Condition()

    def load(self, name: str, url: str) -> None:
        """Load a model from the folder `url`, into which its archive was unpacked.

        Raises:
            LoadedAlready, NoMemory: see there.
            OSError, ValueError, KeyError, TypeError: it is no model of `train`.

        """
        path = Path(url) / FILE
        size = path.stat().st_size  # its numbers have the same size in memory
        with self._changed:
            # Whoever asks for what another thread is loading waits for that.
            self._changed.wait_for(lambda: name not in self._loaded or self._loaded[name].model)
            if name in self._loaded:
                raise LoadedAlready(f"model {name} is loaded already")
            if self.used + size > self.limit:
                raise NoMemory(f"model {name} takes {size} bytes: {self.used} of {self.limit} are taken")
            loading = self._loaded[name] = Loaded(url, size)
            self.used += size  # before it is there: two that load at once must not take the same room
        model = None
        try:
            model = Model.load(path)
        except MemoryError:
            raise NoMemory(f"model {name} takes {size} bytes, and this machine has not so many") from None
        finally:
            with self._changed:
                loading.model = model
                if model is None:
                    del self._loaded[name]
                    self.used -= size
                self._changed.notify_all()

    @contextmanager
    def lend(self, name: str) -> Iterator[Model]:
        """Give a model for an invocation, during which it is not unloaded.

        Raises:
            NotLoaded: see there.

        """
        with self._changed:
            entry, model = self._ready(name)
            entry.users += 1
        try:
            yield model
        finally:
            with self._changed:
                entry.users -= 1
                self._changed.notify_all()

    def unload(self, name: str) -> None:
        """Forget a model: from now on it is not lent. Returns when its last invocation is over and its memory free.

        Raises:
            NotLoaded: see there.

        """
        with self._changed:
            entry, _ = self._ready(name)
            del self._loaded[name]
            self._changed.wait_for(lambda: entry.users == 0)
            entry.model = None
            self.used -= entry.size
            self._changed.notify_all()

    def get(self, name: str) -> dict[str, str]:
        """Say where a model came from.

        Raises:
            NotLoaded: see there.

        """
        with self._changed:
            entry, _ = self._ready(name)
            return {"modelName": name, "modelUrl": entry.url}

    def _ready(self, name: str) -> tuple[Loaded, Model]:
        entry = self._loaded.get(name)
        if entry is None or entry.model is None:
            raise NotLoaded(f"model {name} is not loaded")
        return entry, entry.model

    def page(self, after: str) -> dict[str, object]:
        """List models whose names come after `after`: pages fit together, whatever comes and goes meanwhile."""
        with self._changed:
            names = sorted(name for name, entry in self._loaded.items() if entry.model and name > after)
            rows = [{"modelName": name, "modelUrl": self._loaded[name].url} for name in names[:PAGE]]
        return {"models": rows} | ({"nextPageToken": names[PAGE - 1]} if len(names) > PAGE else {})


def memory_limit() -> int:
    """Return how many bytes models may take: MODELS_MEMORY_MB, or half of what this container has."""
    if megabytes := os.environ.get("MODELS_MEMORY_MB"):
        return int(float(megabytes) * (1 << 20))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text(encoding="ascii").strip() if Path(path).is_file() else ""
        memory = min(memory, int(text)) if text.isdecimal() else memory
    return memory // 2
