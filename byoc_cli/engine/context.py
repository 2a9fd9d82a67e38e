"""A build's context: which files go, how large they are, how new the newest is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from docker.utils.build import PatternMatcher

from byoc_cli.errors import ByocError

ALWAYS_IGNORED = (".byoc", ".byoc/**")
"""Runs never enter a context: they would make each build larger than the last."""


@dataclass(frozen=True)
class ContextReport:
    """What a context holds, in bytes and seconds since the epoch; `unreadable` are paths relative to it."""

    size: int
    files: int
    newest: float
    biggest: tuple[tuple[str, int], ...]
    unreadable: tuple[str, ...]

    def refuse_unreadable(self, root: Path) -> None:
        """Raise where a build could not read the context, which is `root`.

        Raises:
            ByocError: what may not be read.

        """
        if self.unreadable:
            others = f" (and {len(self.unreadable) - 1} more)" if len(self.unreadable) > 1 else ""
            raise ByocError(
                f"the build context cannot be read\npermission denied: {root / self.unreadable[0]}{others}",
                hint="change its permissions, or list it in .dockerignore",
            )


def ignore_patterns(root: Path, dockerfile: Path) -> list[str]:
    """Return the patterns of <Dockerfile>.dockerignore, else .dockerignore, and ours."""
    return [*(_lines(ignore_file(root, dockerfile))), *ALWAYS_IGNORED]


def ignore_file(root: Path, dockerfile: Path) -> Path | None:
    """Return the ignore file that BuildKit would take."""
    for file in (dockerfile.with_name(dockerfile.name + ".dockerignore"), root / ".dockerignore"):
        if file.is_file():
            return file
    return None


def _lines(file: Path | None) -> list[str]:
    if file is None:
        return []
    # utf-8-sig: docker-py, unlike the CLI, would lose the first pattern behind a byte order mark.
    text = file.read_text("utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def scan(root: Path, dockerfile: Path) -> ContextReport:
    """Walk the context once, without reading a file."""
    sizes: Counter[str] = Counter()
    newest, files = 0.0, 0
    unreadable: list[str] = []
    try:
        for relative in paths(root, dockerfile):
            path = root / relative
            stat = path.lstat()
            if not path.is_symlink() and not os.access(path, os.R_OK):
                unreadable.append(relative)
            if S_ISDIR(stat.st_mode):
                continue  # a folder's own time moves when an ignored file in it is made: it tells nothing
            newest = max(newest, stat.st_mtime)
            files += 1
            sizes[relative.partition("/")[0]] += stat.st_size
    except PermissionError as error:  # a folder that may not be listed ends the walk, as it would end the build
        unreadable.append(os.path.relpath(str(error.filename), root))
    return ContextReport(sum(sizes.values()), files, newest, tuple(sizes.most_common(3)), tuple(unreadable))


def paths(root: Path, dockerfile: Path) -> Iterator[str]:
    """Give every path of the context, relative to it, ignored ones left out (and not walked into)."""
    # docker-py's matcher: the same as the engine's in all patterns of our comparison but `\\[`.
    matcher = PatternMatcher(ignore_patterns(root, dockerfile))
    yield from (str(path) for path in matcher.walk(str(root)))


class Tree:
    """The context as the COPY lines see it; only what they name is walked through.

    `skipped` names what is passed over wherever it lies, with all below it.
    """

    def __init__(self, root: Path, dockerfile: Path, skipped: Callable[[str], bool] = lambda _: False) -> None:
        self._root = root
        self._matcher = PatternMatcher(ignore_patterns(root, dockerfile))
        self._matcher.patterns.pop()  # docker-py's own, !.dockerignore
        self._exceptions = any(pattern.exclusion for pattern in self._matcher.patterns)
        self._skipped = skipped

    def kind(self, path: str) -> str:
        """Say what a path is: "file", "folder", or "" for nothing. A link to a folder is a file."""
        found = self._root / path
        if path and (self._skipped(found.name) or not os.path.lexists(found)):
            return ""
        if found.is_dir() and not (path and found.is_symlink()):
            return "folder"
        return "" if self._excluded(path) else "file"

    def below(self, folder: str) -> Iterator[str]:
        """Give all files below a folder, in the order of their names."""
        for name in self.entries(folder):
            path = f"{folder}/{name}" if folder else name
            found = self._root / path
            if found.is_dir() and not found.is_symlink():
                # Of a folder that is excluded something may be excepted (!data/sample.csv).
                if self._exceptions or not self._excluded(path):
                    yield from self.below(path)
            elif not self._excluded(path):
                yield path

    def followed(self, path: str) -> str:
        """Follow the links on the way to a folder, if it is in the context; any other path stays as it is."""
        found, root = self._root / path, self._root.resolve()
        if not found.is_dir() or not found.resolve().is_relative_to(root):
            return path
        return found.resolve().relative_to(root).as_posix().removeprefix(".")

    def _excluded(self, path: str) -> bool:
        return bool(self._matcher.matches(path))  # type: ignore[arg-type]  # its stubs want a Path, it a text

    def entries(self, folder: str) -> list[str]:
        """Give the names of what lies in a folder itself; none of one that may not be listed."""
        try:
            return sorted(name for name in os.listdir(self._root / folder) if not self._skipped(name))  # noqa: PTH208
        except OSError:
            return []
