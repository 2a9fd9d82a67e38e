"""The folder of a check, `.byoc/checks/<name>`: made when it is first needed, gone with the check."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock

from byoc_cli.local import claims, runs
from byoc_cli.project import Project


class Place:
    """A check's folder. While the check lives it is claimed, so that `byoc clean` lets it be."""

    def __init__(self, project: Project, name: str) -> None:
        self._project = project
        self._folder = runs.checks(project) / name
        self._claim = ExitStack()
        self._lock = Lock()
        self._made_home = False

    def folder(self) -> Path:
        """Give the folder."""
        with self._lock:
            if not self._folder.exists():
                self._made_home = not self._project.home.exists()
                runs.prepare_home(self._project)
                self._claim.enter_context(claims.claim(self._folder))
        return self._folder

    def remove(self) -> None:
        """Remove it, and `.byoc` if there was none before."""
        self._claim.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # another check's is in it
            self._folder.parent.rmdir()
        home = self._project.home
        if self._made_home and {path.name for path in home.iterdir()} == {".gitignore"}:
            shutil.rmtree(home, ignore_errors=True)
