"""What an image holds, asked of a container that is never started."""

from __future__ import annotations

import io
import secrets
import tarfile
from contextlib import closing, suppress
from typing import Self

from byoc_cli.engine.types import Container, ContainerSpec, Engine, FileStat, Image
from byoc_cli.local import labels
from byoc_cli.project import Project

KIND = "dev"
_MOST_LINKS = 10


class Inside:
    """Asks each question once; the container is made by the first one, and gone when the block ends."""

    def __init__(self, engine: Engine, project: Project, image: Image) -> None:
        self._engine = engine
        self._project = project
        self._image = image
        self._container: Container | None = None
        self._seen: dict[str, FileStat | None] = {}
        self._owners: dict[str, tuple[int, int] | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._container:
            self._container.remove()
            self._container = None

    def stat(self, path: str) -> FileStat | None:
        """Look at a path, symbolic links followed; None where nothing is."""
        if path not in self._seen:
            found = self._asked().stat(path)
            for _ in range(_MOST_LINKS):
                if found is None or not found.link:
                    break
                found = self._asked().stat(found.link)
            self._seen[path] = found
        return self._seen[path]

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        found = self.stat(path)
        return bool(found and found.is_folder)

    def owner(self, path: str) -> tuple[int, int] | None:
        """Return a file's uid and gid; None where it is not there."""
        if path not in self._owners:
            self._owners[path] = self._first(path)
        return self._owners[path]

    def _first(self, path: str) -> tuple[int, int] | None:
        with closing(self._asked().get(path)) as chunks, suppress(tarfile.TarError, EOFError):
            with tarfile.open(fileobj=io.BytesIO(next(chunks, b"")), mode="r|") as tar:
                member = tar.next()
            return (member.uid, member.gid) if member else None
        return None

    def _asked(self) -> Container:
        if self._container is None:
            name = f"byoc-dev-{secrets.token_hex(4)}"
            marks = labels.for_job(self._project, KIND, name)
            self._container = self._engine.create(ContainerSpec(self._image.id, ["-"], name, marks, entrypoint=["-"]))
        return self._container
