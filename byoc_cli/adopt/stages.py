"""What a Dockerfile's instructions come to: the configuration, and the files that COPY brings."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from byoc_cli.engine import context, copies
from byoc_cli.engine.copy_words import words_of as copied_words
from byoc_cli.engine.dockerfile import Dockerfile, Instruction, expand, pairs, platform_arguments
from byoc_cli.engine.placement import Placed, Placement, Read
from byoc_cli.engine.types import DEFAULT_PATH, ImageConfig


@dataclass(frozen=True)
class Copied:
    """A file that a COPY line puts into the image; `source` is where it lies here, `line` the line's number."""

    source: Path
    line: int
    mode: int


@dataclass(frozen=True)
class Stage:
    """What the stage that is built comes to.

    `built` are paths whose content a build makes, `runs` its RUN lines; `lines` says where an instruction stands for
    the last time, the last one first: where nothing else tells, it is the place to add a line. `absent` are sources of
    COPY that are not there; `whole_context` is the line that copies all.
    """

    base: str = ""
    config: ImageConfig = field(default_factory=ImageConfig)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Copied] = field(default_factory=dict)
    built: Sequence[str] = ()
    runs: Sequence[Instruction] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    absent: Sequence[tuple[str, int]] = ()
    whole_context: int = 0


def draw(file: Dockerfile, root: Path, dockerfile: Path, platform: str, args: Mapping[str, str]) -> Stage:
    """Go through the stages that the last one is made of.

    Raises:
        ByocError: the build context cannot be read.

    """
    context.scan(root, dockerfile).refuse_unreadable(root)
    found = copies.placement(
        file,
        "",
        context.Tree(root, dockerfile),
        args={**platform_arguments(platform), **args},
        environment={"PATH": DEFAULT_PATH},
    )
    config, labels = _configuration(found)
    placed = {place: _copied(root, each) for place, each in found.copied.items()}
    lines: dict[str, int] = {}
    for line, _ in reversed(found.lines):
        if line.word not in {"ARG", "RUN"}:
            lines.setdefault(line.word, line.line)
    return Stage(
        base=found.base,
        config=config,
        labels=labels,
        files={place: each for place, each in placed.items() if each.source.is_file()},
        built=found.made,
        runs=[line for line, _ in found.lines if line.word == "RUN"],
        lines=lines,
        absent=found.absent,
        whole_context=max((read.line.line for read in found.lines if _copies_all(read)), default=0),
    )


def _copied(root: Path, placed: Placed) -> Copied:
    source = root / placed.source
    mode = placed.mode or (0o755 if "x" in placed.chmod else 0)  # of u+x it is what matters
    return Copied(source, placed.line, mode or (source.stat().st_mode & 0o777 if source.is_file() else 0))


def _copies_all(read: Read) -> bool:
    if read.line.word not in {"COPY", "ADD"}:
        return False
    words = copied_words(read.line.rest, lambda text: expand(text, read.values))
    return "from" not in words.flags and any(posixpath.normpath(f"/{each}") in {"/", "//"} for each in words.sources)


def _configuration(found: Placement) -> tuple[ImageConfig, dict[str, str]]:
    """Read what the image is told of how it is started, and its labels."""
    config, labels = ImageConfig(environment=found.environment, working_folder=found.folder), dict[str, str]()
    for line, values in found.lines:
        word, rest = line.word, line.rest
        if word == "LABEL":
            labels |= {name.strip("\"'"): expand(value or "", values) for name, value in pairs(rest).items()}
        elif word == "USER":
            config = replace(config, user=expand(rest, values))
        elif word == "STOPSIGNAL":
            config = replace(config, stop_signal=expand(rest, values))
        elif word == "VOLUME":
            volumes = [expand(each, values) for each in listed(rest) or rest.split()]
            config = replace(config, volumes=(*config.volumes, *volumes))
        elif word == "ENTRYPOINT":
            config = replace(config, entrypoint=_command(rest), command=())
        elif word == "CMD":
            config = replace(config, command=_command(rest))
    return config, labels


def _command(rest: str) -> tuple[str, ...]:
    return words if (words := listed(rest)) is not None else ("/bin/sh", "-c", rest)


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
