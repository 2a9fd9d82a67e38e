"""Where a Dockerfile puts the files of its context: COPY and ADD read as BuildKit reads them.

Pure, but for the two questions that a `Context` and an `is_folder` answer.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from byoc_cli.engine.copy_words import Words, matches, matches_name, words_of
from byoc_cli.engine.dockerfile import Dockerfile, Instruction, expand, pairs, sources_of
from byoc_cli.engine.placement import Placed, Placement, Read, usual_folder
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

    def followed(self, path: str) -> str:
        """Follow the links on the way to a folder that COPY names; any other path stays as it is."""


@dataclass
class _State:
    """A stage as far as it was read."""

    folder: str
    environment: dict[str, str]
    base: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    files: dict[str, Placed] = field(default_factory=dict)
    remade: dict[str, Placed] = field(default_factory=dict)
    used: dict[str, Use] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    absent: list[tuple[str, int]] = field(default_factory=list)
    lines: list[Read] = field(default_factory=list)
    runs: int = 0
    owned: bool = False

    def begun(self) -> _State:
        """Return what a stage starts from that starts from this one; an ARG ends with its stage."""
        begun = _State(self.folder, dict(self.environment), self.base, runs=self.runs, owned=self.owned)
        begun.files, begun.remade, begun.used = dict(self.files), dict(self.remade), dict(self.used)
        begun.made, begun.absent, begun.lines = [*self.made], [*self.absent], [*self.lines]
        return begun

    @property
    def values(self) -> dict[str, str]:
        """All variables; ENV wins over ARG."""
        return {**self.arguments, **self.environment}

    def expand(self, text: str) -> str:
        """Replace variables."""
        return expand(text, self.values)

    def path(self, text: str) -> str:
        """Make a path absolute, by WORKDIR."""
        return _clean(posixpath.join(self.folder, text))

    @property
    def copied(self) -> dict[str, Placed]:
        """All files of the context."""
        return {**self.remade, **self.files}

    def put(self, place: str, placed: Placed | None, *, remade: bool = False) -> None:
        """Put a file there, over what was there; None for what only the build knows."""
        self.files.pop(place, None)
        self.remade.pop(place, None)
        if placed is None:
            self.made.append(place)
        else:
            (self.remade if remade else self.files)[place] = placed


def placement(
    file: Dockerfile,
    target: str,
    context: Context,
    *,
    args: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str = "/",
    is_folder: Callable[[str], bool] = usual_folder,
) -> Placement:
    """Read the stages that `target` is made of, from their first base on.

    `args` are build arguments, and those that the platform has (TARGETARCH, …); `environment` and `folder` are ENV and
    WORKDIR of the base image. `is_folder` looks into the image: `COPY train /usr/local/bin` is into a folder.
    """
    reader = _Reader(file, context, dict(args or {}), _State(folder or "/", dict(environment or {})), is_folder)
    state = reader.stage(file.target(target))
    return Placement(
        files=state.files,
        used={**reader.used, **state.used},
        owned=state.owned,
        remade=state.remade,
        made=state.made,
        absent=state.absent,
        lines=state.lines,
        base=state.base,
        folder=state.folder,
        environment=state.environment,
    )


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
        self._stages: dict[int, _State] = {}
        self.used: dict[str, Use] = {}  # by stages that something is copied from

    def stage(self, index: int) -> _State:
        """Read a stage, after the one that it starts from."""
        if index not in self._stages:
            stage = self._file.stages[index]
            before = self._file.stage(stage.base, index)
            state = replace(self._base, base=stage.base) if before is None else self.stage(before)
            state = state.begun()
            for line in stage.instructions[1:]:
                self._read(state, line, index)
                state.lines.append(Read(line, state.values))
            self._stages[index] = state
        return self._stages[index]

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
                    self.used |= {placed.source: Use(_step(line)) for placed in theirs.copied.values()} | theirs.used
            state.used |= uses(line, state.folder, {place: placed.source for place, placed in state.files.items()})
        elif line.word in {"COPY", "ADD"}:
            self._copy(state, line, index)

    def _copy(self, state: _State, line: Instruction, index: int) -> None:
        words = words_of(line.rest, state.expand)
        self._steps += 1
        state.owned |= "chown" in words.flags
        if "from" in words.flags:
            self._pass_on(state, words, line, index)
            return
        found = [path for source in words.sources for path in self._found(state, source, line)]
        into = state.path(words.destination)
        many = len(words.sources) > 1 or len(found) > 1
        folder = many or bool(re.search(r"(^|/)\.{0,2}$", words.destination)) or into == "/"
        for source in words.sources:
            if source.startswith("<<"):
                state.put(into, None)
            elif _REMOTE.match(source):
                state.put(_clean(f"{into}/{posixpath.basename(source)}") if folder else into, None)
        for path in found:
            if line.word == "ADD" and _ARCHIVE.search(path) and self._context.kind(path) == "file":
                state.used[path] = Use("ADD, which unpacks it", input_only=True)
                state.made.append(into)
                continue
            for relative, source in self._files(path):
                if words.excluded(source if "parents" in words.flags else relative or posixpath.basename(source)):
                    continue
                below = source if "parents" in words.flags else relative
                if not below and (folder or self._holds(state, into)):
                    below = posixpath.basename(source)
                placed = Placed(source, chmod=words.flags.get("chmod", ""), direct=not relative)
                self._put(state, line, into, below, placed)

    def _put(
        self, state: _State, line: Instruction, into: str, below: str, placed: Placed, *, remade: bool = False
    ) -> None:
        shared = _shared(placed.source, below or into)
        placed = replace(placed, line=line.line, step=self._steps, after=state.runs, shared=shared)
        state.put(_clean(f"{into}/{below}"), placed, remade=remade)

    def _holds(self, state: _State, into: str) -> bool:
        """Whether a destination without a slash is a folder all the same."""
        made = re.compile(rf"\bmkdir\b[^&;|\n]*\s{re.escape(into)}(?=[/\s]|$)")
        return (
            into == state.folder
            or any(each.startswith(f"{into}/") for each in state.copied)
            or any(line.word == "RUN" and made.search(line.text) for line, _ in state.lines)
            or self._is_folder(into)
        )

    def _files(self, path: str) -> Iterable[tuple[str, str]]:
        """Give what a source stands for: (path below it, "" for a file itself; path in the context)."""
        if self._context.kind(path) == "file":
            yield "", path
            return
        for each in self._context.below(path):
            yield each.removeprefix(f"{path}/" if path else ""), each

    def _found(self, state: _State, source: str, line: Instruction) -> list[str]:
        """Find what a source names: nothing where it is remote or written there, is not there, or is excluded."""
        if _REMOTE.match(source) or source.startswith("<<"):
            return []
        path = posixpath.normpath("/" + source.replace("/./", "/")).lstrip("/")
        if not _MAGIC.search(path):
            if self._context.kind(path):
                return [self._context.followed(path)]
            state.absent.append((source, line.line))
            return []
        found = [""]
        for part in path.split("/"):
            found = [
                posixpath.join(folder, name)
                for folder in found
                if self._context.kind(folder) == "folder"
                for name in sorted(self._context.entries(folder))
                if matches_name(name, part)
            ]
        return [self._context.followed(each) for each in found]

    def _pass_on(self, state: _State, words: Words, line: Instruction, index: int) -> None:
        """Take over what another stage has copied; where a RUN came after, it may have made something else of it."""
        other = self._file.stage(words.flags["from"], index)
        theirs = _State("/", {}) if other is None else self.stage(other)
        into = state.path(words.destination)
        folder = words.destination.endswith("/") or words.destination == "." or len(words.sources) > 1
        passed = set()
        for source in words.sources:
            path = posixpath.normpath(posixpath.join("/", source))
            if path not in theirs.copied:  # what else was made there is not known, nor whether it is a folder
                state.put(into, None)
                state.put(_clean(f"{into}/{posixpath.basename(path)}"), None)
            for place, placed in theirs.copied.items():
                inside = place.startswith(path.rstrip("/") + "/")
                if not (inside or matches(place, path)):
                    continue
                below = place.removeprefix(path.rstrip("/") + "/") if inside else ""
                if not below and (folder or _MAGIC.search(path) or self._holds(state, into)):
                    below = posixpath.basename(place)
                remade = place in theirs.remade or placed.after != theirs.runs
                if not remade:
                    passed.add(placed.source)
                passed_on = replace(placed, chmod=words.flags.get("chmod", "") or placed.chmod)
                self._put(state, line, into, below, passed_on, remade=remade)
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


def _step(line: Instruction) -> str:
    return shortened(f"{line.word} {line.rest}")
