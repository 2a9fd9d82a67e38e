"""Where a Dockerfile puts the files of its context: COPY and ADD read as BuildKit reads them.

Pure, but for the two questions that a `Context` and an `is_folder` answer.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from byoc_cli.engine.copy_words import Words, matches, words_of
from byoc_cli.engine.dockerfile import Dockerfile, Instruction, expand, pairs, sources_of
from byoc_cli.engine.steps import Use, shortened, uses

_ARCHIVE = re.compile(r"\.(tar|tar\.gz|tgz|tar\.bz2|tbz2?|tar\.xz|txz|tar\.zst)$", re.IGNORECASE)
_REMOTE = re.compile(r"^(https?://|git@|git://|ssh://)")
_MAGIC = re.compile(r"[*?\[]")


class Context(Protocol):
    """The build context: paths relative to it, "" itself; what .dockerignore excludes is not there."""

    def kind(self, path: str) -> str:
        """Say what a path is: "file", "folder", or "" for nothing."""

    def below(self, folder: str) -> Iterable[str]:
        """Give all files below a folder."""

    def entries(self, folder: str) -> Iterable[str]:
        """Give the names of what lies in a folder itself."""


@dataclass(frozen=True)
class Placed:
    """A file of the context in the image.

    `mode` is what --chmod says, None for the file's own; `direct` says that COPY names it itself, so that a symbolic
    link is followed; `step` is the COPY's number among all of the file, `after` how many RUN stood before it. The last
    `shared` parts of both paths are the same because a folder is.
    """

    source: str
    mode: int | None = None
    direct: bool = False
    step: int = 0
    after: int = 0
    shared: int = 0

    def folders(self, place: str) -> tuple[str, str]:
        """Say which folder of the context is where; of a file that has another name there it is the file itself."""
        source = self.source.split("/")
        return "/".join(source[: len(source) - self.shared]), "/".join(place.split("/")[: -self.shared or None]) or "/"


@dataclass(frozen=True)
class Placement:
    """What of the context is where in the image: absolute path to file.

    `used` has the files that a step of the build has used, so that only a build makes all of a change to them;
    `owned` says that a step gives files another owner than root.
    """

    files: Mapping[str, Placed]
    used: Mapping[str, Use]
    owned: bool = False


@dataclass
class _State:
    """A stage as far as it was read."""

    folder: str
    environment: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    files: dict[str, Placed] = field(default_factory=dict)
    used: dict[str, Use] = field(default_factory=dict)
    runs: int = 0
    owned: bool = False

    def expand(self, text: str) -> str:
        """Replace variables; ENV wins over ARG."""
        return expand(text, {**self.arguments, **self.environment})

    def path(self, text: str) -> str:
        """Make a path absolute, by WORKDIR."""
        return _clean(posixpath.join(self.folder, text))


def placement(
    file: Dockerfile,
    target: str,
    context: Context,
    *,
    args: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str = "/",
    is_folder: Callable[[str], bool] = lambda _: False,
) -> Placement:
    """Read the stages that `target` is made of, from their first base on.

    `args` are build arguments, and those that the platform has (TARGETARCH, …); `environment` and `folder` are ENV and
    WORKDIR of the base image. `is_folder` looks into the image: `COPY train /usr/local/bin` is into a folder.
    """
    reader = _Reader(file, context, dict(args or {}), _State(folder or "/", dict(environment or {})), is_folder)
    state = reader.stage(file.target(target))
    used = {**reader.used, **state.used}
    return Placement(state.files, used, state.owned)


class _Reader:
    def __init__(
        self,
        file: Dockerfile,
        context: Context,
        args: Mapping[str, str],
        base: _State,
        is_folder: Callable[[str], bool],
    ) -> None:
        self._file = file
        self._context = context
        self._args = args
        self._base = base
        self._is_folder = is_folder
        self._steps = 0
        self.used: dict[str, Use] = {}  # by stages that something is copied from

    def stage(self, index: int) -> _State:
        """Read a stage, after the one that it starts from."""
        stage = self._file.stages[index]
        before = self._file.stage(stage.base, index)
        state = deepcopy(self._base) if before is None else self.stage(before)
        state.arguments = {}  # an ARG ends with its stage
        for line in stage.instructions:
            self._read(state, line, index)
        return state

    def _read(self, state: _State, line: Instruction, index: int) -> None:
        if line.word == "ARG":
            known = {**self._file.arguments, **self._args}
            for name, default in pairs(line.rest).items():
                value = self._args.get(name, default if default is not None else known.get(name))
                state.arguments[name] = state.expand(value or "")
        elif line.word == "ENV":
            state.environment |= _variables(state, line.rest)
        elif line.word == "WORKDIR":
            state.folder = state.path(state.expand(line.rest))
        elif line.word == "RUN":
            state.runs += 1
            state.owned |= "chown" in line.text
            for name in sources_of(line):
                if (other := self._file.stage(name, index)) is not None:
                    theirs = self.stage(other)
                    self.used |= {placed.source: Use(_step(line)) for placed in theirs.files.values()} | theirs.used
            state.used |= uses(line, state.folder, {place: placed.source for place, placed in state.files.items()})
        elif line.word in {"COPY", "ADD"} and not line.heredoc and "<<" not in line.rest:
            self._copy(state, line, index)

    def _copy(self, state: _State, line: Instruction, index: int) -> None:
        words = words_of(line.rest, state.expand)
        self._steps += 1
        state.owned |= "chown" in words.flags
        if "from" in words.flags:
            self._pass_on(state, words, line, index)
            return
        found = [(path, glob) for source in words.sources for path, glob in self._found(source)]
        into = state.path(words.destination)
        many = len(words.sources) > 1 or len(found) > 1
        folder = many or bool(re.search(r"(^|/)\.{0,2}$", words.destination)) or into == "/"
        for path, _ in found:
            if line.word == "ADD" and _ARCHIVE.search(path) and self._context.kind(path) == "file":
                state.used[path] = Use("ADD, which unpacks it", input_only=True)
                continue
            for relative, source in self._files(path):
                if words.excluded(source if "parents" in words.flags else relative or posixpath.basename(source)):
                    continue
                below = source if "parents" in words.flags else relative
                if not below and (folder or self._holds(state, into)):
                    below = posixpath.basename(source)
                state.files[_clean(f"{into}/{below}")] = Placed(
                    source,
                    _mode(words.flags.get("chmod", "")),
                    not relative,
                    self._steps,
                    state.runs,
                    _shared(source, below or into),
                )

    def _holds(self, state: _State, into: str) -> bool:
        """Whether a destination without a slash is a folder all the same."""
        return into == state.folder or any(each.startswith(f"{into}/") for each in state.files) or self._is_folder(into)

    def _files(self, path: str) -> Iterable[tuple[str, str]]:
        """Give what a source stands for: (path below it, "" for a file itself; path in the context)."""
        if self._context.kind(path) == "file":
            yield "", path
            return
        for each in self._context.below(path):
            yield posixpath.relpath(each, path or "."), each

    def _found(self, source: str) -> list[tuple[str, bool]]:
        """Find what a source names: nothing where it is remote, is not there, or is excluded."""
        if _REMOTE.match(source):
            return []
        path = posixpath.normpath("/" + source.replace("/./", "/")).lstrip("/")
        if not _MAGIC.search(path):
            return [(path, False)] if self._context.kind(path) else []
        found = [""]
        for part in path.split("/"):
            found = [
                posixpath.join(folder, name)
                for folder in found
                if self._context.kind(folder) == "folder"
                for name in sorted(self._context.entries(folder))
                if fnmatchcase(name, part)
            ]
        return [(each, True) for each in found]

    def _pass_on(self, state: _State, words: Words, line: Instruction, index: int) -> None:
        """Take over what another stage only passes on: what it has copied, and no RUN came after."""
        other = self._file.stage(words.flags["from"], index)
        if other is None:
            return
        theirs = self.stage(other)
        into = state.path(words.destination)
        folder = words.destination.endswith("/") or words.destination == "." or len(words.sources) > 1
        passed = set()
        for source in words.sources:
            path = posixpath.normpath(posixpath.join("/", source))
            for place, placed in theirs.files.items():
                inside = place.startswith(path.rstrip("/") + "/")
                if not (inside or matches(place, path)) or placed.after != theirs.runs:
                    continue
                below = posixpath.relpath(place, path) if inside else ""
                if not below and (folder or _MAGIC.search(path) or self._holds(state, into)):
                    below = posixpath.basename(place)
                passed.add(placed.source)
                state.files[_clean(f"{into}/{below}")] = Placed(
                    placed.source,
                    _mode(words.flags.get("chmod", "")) or placed.mode,
                    placed.direct,
                    self._steps,
                    state.runs,
                    _shared(placed.source, below or into),
                )
        made = {placed.source: Use(_step(line)) for placed in theirs.files.values() if placed.after != theirs.runs}
        self.used |= {source: use for source, use in {**made, **theirs.used}.items() if source not in passed}


def _variables(state: _State, rest: str) -> dict[str, str]:
    """Read an ENV: K=V …, or K and all that follows."""
    first = rest.split(maxsplit=1)
    if len(first) == 2 and "=" not in first[0]:
        return {first[0]: state.expand(first[1])}
    return {name: state.expand(value or "") for name, value in pairs(rest).items()}


def _clean(path: str) -> str:
    """Normalise an absolute path; two slashes at its beginning are one."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _shared(source: str, below: str) -> int:
    """Count the last parts that two paths share, of a whole path only its name."""
    ours, theirs = source.split("/"), below.split("/")
    most = 1 if below.startswith("/") else len(theirs)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(ours), reversed(theirs), strict=False))
    return min(most, sum(1 for _ in same))


def _mode(text: str) -> int | None:
    return int(text, 8) if re.fullmatch(r"[0-7]{3,4}", text) else None


def _step(line: Instruction) -> str:
    return shortened(f"{line.word} {line.rest}")
