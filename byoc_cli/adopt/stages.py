"""What a Dockerfile's instructions come to, stage by stage: the configuration, and the files that COPY brings."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from byoc_cli.check.static.programs import DEFAULT_PATH
from byoc_cli.engine import context
from byoc_cli.engine.dockerfile import Dockerfile, Instruction, expand, pairs
from byoc_cli.engine.types import ImageConfig
from byoc_cli.errors import ByocError


@dataclass(frozen=True)
class Copied:
    """A file that a COPY line puts into the image; `source` is where it lies here, `line` the line's number."""

    source: Path
    line: int
    mode: int


@dataclass(frozen=True)
class Stage:
    """What a stage comes to. `built` are paths whose content a build makes; `runs` are its RUN lines."""

    base: str = ""
    config: ImageConfig = field(default_factory=ImageConfig)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Copied] = field(default_factory=dict)
    built: Sequence[str] = ()
    runs: Sequence[Instruction] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    absent: Sequence[tuple[str, int]] = ()
    whole_context: int = 0


def draw(file: Dockerfile, root: Path, dockerfile: Path, args: Mapping[str, str], target: str = "") -> Stage:
    """Go through the stages that `target` is made of.

    Raises:
        ByocError: the build context cannot be read.

    """
    try:
        sources = list(context.paths(root, dockerfile))
    except PermissionError as error:
        raise ByocError(
            f"the build context cannot be read\npermission denied: {error.filename}",
            hint="change its permissions, or list it in .dockerignore",
        ) from error
    stages: dict[int, Stage] = {}
    for index in file.needed(target):
        stages[index] = _Drawing(file, index, stages, root, sources, args).stage()
    return stages[file.target(target)]


class _Drawing:
    """One stage, instruction by instruction."""

    def __init__(
        self,
        file: Dockerfile,
        index: int,
        before: Mapping[int, Stage],
        root: Path,
        sources: Sequence[str],
        args: Mapping[str, str],
    ) -> None:
        self._file, self._index, self._before = file, index, before
        self._root, self._sources, self._args = root, sources, args
        base = file.stages[index].base
        self._stage = self._named(base) or Stage(base=base)
        self._stage = replace(self._stage, arguments={})

    def stage(self) -> Stage:
        for line in self._file.stages[self._index].instructions[1:]:
            handle = getattr(self, f"_{line.word.lower()}", None)
            if handle:
                handle(line)
        return self._stage

    def _named(self, name: str) -> Stage | None:
        for index in range(self._index - 1, -1, -1):
            if name and name.lower() in {self._file.stages[index].name.lower(), str(index)}:
                return self._before.get(index)
        return None

    def _change(self, line: Instruction, **changes: object) -> None:
        # The last one first: where nothing else tells, it is the place to add a line.
        lines = {line.word: line.line, **{word: at for word, at in self._stage.lines.items() if word != line.word}}
        self._stage = replace(self._stage, lines=lines, **changes)  # type: ignore[arg-type]

    def _configure(self, line: Instruction, **changes: object) -> None:
        self._change(line, config=replace(self._stage.config, **changes))  # type: ignore[arg-type]

    def _expanded(self, text: str) -> str:
        known = {"PATH": DEFAULT_PATH, **self._stage.arguments, **self._stage.config.environment}
        return expand(text, known)

    def _arg(self, line: Instruction) -> None:
        for name, default in pairs(line.rest).items():
            value = self._args.get(name, default if default is not None else self._file.arguments.get(name))
            self._stage = replace(self._stage, arguments={**self._stage.arguments, name: value})

    def _env(self, line: Instruction) -> None:
        first, _, rest = line.rest.partition(" ")
        given = pairs(line.rest) if "=" in first else {first: rest.strip()}
        values = {name: self._expanded(value or "") for name, value in given.items()}
        self._configure(line, environment={**self._stage.config.environment, **values})

    def _label(self, line: Instruction) -> None:
        given = {name.strip("\"'"): self._expanded(value or "") for name, value in pairs(line.rest).items()}
        self._change(line, labels={**self._stage.labels, **given})

    def _workdir(self, line: Instruction) -> None:
        self._configure(line, working_folder=self._absolute(self._expanded(line.rest)))

    def _user(self, line: Instruction) -> None:
        self._configure(line, user=self._expanded(line.rest))

    def _stopsignal(self, line: Instruction) -> None:
        self._configure(line, stop_signal=self._expanded(line.rest))

    def _volume(self, line: Instruction) -> None:
        volumes = listed(line.rest) or tuple(line.rest.split())
        self._configure(line, volumes=(*self._stage.config.volumes, *map(self._expanded, volumes)))

    def _entrypoint(self, line: Instruction) -> None:
        words = listed(line.rest)
        self._configure(line, entrypoint=words if words is not None else ("/bin/sh", "-c", line.rest), command=())

    def _cmd(self, line: Instruction) -> None:
        words = listed(line.rest)
        self._configure(line, command=words if words is not None else ("/bin/sh", "-c", line.rest))

    def _run(self, line: Instruction) -> None:
        self._stage = replace(self._stage, runs=(*self._stage.runs, line))

    def _add(self, line: Instruction) -> None:
        self._copy(line)
        if re.search(r"\.(?:tar|tgz|txz|tbz2?)\b", line.rest):  # it is unpacked there
            self._build(line, self._absolute(self._expanded(line.rest.split()[-1].strip("[]\"'"))))

    def _copy(self, line: Instruction) -> None:
        flags, rest = _flags(line.rest)
        words = listed(rest) or tuple(rest.split())
        *sources, destination = map(self._expanded, words) if words else ("",)
        into = self._absolute(destination)
        if line.heredoc or not sources:
            self._build(line, into)
            return
        is_folder = destination.endswith("/") or destination in {".", "./"} or len(sources) > 1
        for source in sources:
            if "from" in flags:
                self._copy_from(line, flags["from"], source, into, is_folder=is_folder)
            elif "://" in source or source.startswith("git@"):
                self._build(line, f"{into}/{posixpath.basename(source)}" if is_folder else into)
            else:
                self._copy_context(line, source, into, flags.get("chmod", ""), is_folder=is_folder)

    def _build(self, line: Instruction, path: str) -> None:
        self._change(line, built=(*self._stage.built, path))

    def _copy_from(self, line: Instruction, name: str, source: str, into: str, *, is_folder: bool) -> None:
        stage, source = self._named(name), posixpath.normpath(posixpath.join("/", source))
        found = {
            path: copied
            for path, copied in (stage.files if stage else {}).items()
            if path == source or path.startswith(f"{source.rstrip('/')}/")
        }
        moved = {
            (f"{into}/{posixpath.basename(source)}" if is_folder else into)
            if path == source
            else f"{into}/{posixpath.relpath(path, source)}": replace(copied, line=line.line)
            for path, copied in found.items()
        }
        # What else was made there is not known, nor whether it is a folder.
        built = () if source in found else (into, f"{into}/{posixpath.basename(source)}")
        self._change(line, files={**self._stage.files, **moved}, built=(*self._stage.built, *built))

    def _copy_context(self, line: Instruction, source: str, into: str, chmod: str, *, is_folder: bool) -> None:
        clean = posixpath.normpath(source.lstrip("/") or ".")
        moved: dict[str, Copied] = {}
        for name in self._sources:
            if (path := _place(name, clean, into, is_folder=is_folder)) is not None:
                file = self._root / name
                if file.is_file():
                    mode = int(chmod, 8) if re.fullmatch("[0-7]+", chmod) else 0o755 if "x" in chmod else 0
                    moved[path] = Copied(file, line.line, mode or file.stat().st_mode & 0o777)
        changes: dict[str, object] = {"files": {**self._stage.files, **moved}}
        if clean == ".":
            changes["whole_context"] = line.line
        elif not moved and "$" not in source and not (self._root / clean).is_dir():
            changes["absent"] = (*self._stage.absent, (source, line.line))
        self._change(line, **changes)

    def _absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._stage.config.working_folder or "/", path))


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags = {}
    while found := re.match(r"--([a-z]+)(?:=(\S+))?\s+", rest):
        flags[found[1]] = found[2] or ""
        rest = rest[found.end() :]
    return flags, rest


def _place(name: str, source: str, into: str, *, is_folder: bool) -> str | None:
    """Where a file of the context comes to lie; None where a COPY of `source` does not bring it."""
    if source == ".":
        return posixpath.join(into, name)
    if name == source:
        return posixpath.join(into, posixpath.basename(name)) if is_folder else into
    if name.startswith(f"{source}/"):
        return posixpath.join(into, posixpath.relpath(name, source))
    if any(each in source for each in "*?["):
        depth = source.count("/") + 1
        head = "/".join(name.split("/")[:depth])
        if fnmatch(head, source):
            rest = name.removeprefix(head).lstrip("/")
            return posixpath.join(into, rest or posixpath.basename(name))
    return None


def listed(rest: str) -> tuple[str, ...] | None:
    """Read the exec form, a JSON list; None for the shell form."""
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    return tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def words_of(command: Sequence[str]) -> list[str]:
    """Give the words of CMD or ENTRYPOINT, those of a shell's command among them."""
    if len(command) == 3 and posixpath.basename(command[0]) in {"sh", "bash"} and command[1].endswith("c"):
        try:
            return shlex.split(command[2])
        except ValueError:
            return command[2].split()
    return list(command)
