"""Files of other tools, read with the lines of what is in them; what cannot be read is told with its line."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byoc_cli.errors import ByocError

MOST_BYTES = 1 << 20
"""No file that is written by hand is larger; what is, is not read."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Folder:
    """The folder that was asked about: what is found in it is named relative to it."""

    path: Path

    def name(self, file: Path, line: int = 0) -> str:
        """`file:line`, for people and editors."""
        name = relative(file, self.path)
        return f"{name}:{line}" if line else name


@dataclass(frozen=True)
class Document:
    """A JSON or YAML object, and the lines that its keys stand on."""

    file: Path
    data: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def line(self, *keys: str) -> int:
        """Where a key stands; 0 where that is not known."""
        return self.lines.get(keys, 0)

    def table(self, *keys: str) -> dict[str, Any]:
        """Take a table out of it; {} where there is none.

        Raises:
            ByocError: something else is there.

        """
        found: Any = self.data
        for depth, key in enumerate(keys, 1):
            found = found.get(key)
            if found is None:
                return {}
            if not isinstance(found, dict):
                raise self.wrong(f"{'.'.join(keys[:depth])} is not a table", self.line(*keys[:depth]))
        return {str(key): value for key, value in found.items()}

    def text(self, key: str) -> str:
        """Take a text out of it; "" where there is none.

        Raises:
            ByocError: something else is there.

        """
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(f"{key} is not a text", self.line(key))
        return value

    def wrong(self, why: str, line: int = 0) -> ByocError:
        """Say that what is in it cannot be used."""
        return broken(self.file, why, line)


def relative(path: Path, folder: Path) -> str:
    """Name a path as seen from a folder, with `..` where it has to be."""
    return Path(os.path.relpath(path, folder)).as_posix()


def broken(file: Path, why: str, line: int = 0) -> ByocError:
    """Say that a file cannot be read."""
    where = f", line {line}" if line else ""
    return ByocError(f"{file} cannot be read{where}\n{why}", hint="correct the file, and adopt again")


def text(file: Path) -> str:
    """Read a text.

    Raises:
        ByocError: it is binary, UTF-16, too large, or not there for us.

    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise broken(file, error.strerror or str(error)) from error
    if len(data) > MOST_BYTES:
        raise broken(file, f"it has more than {MOST_BYTES >> 20} MB, which no file of its kind has")
    if data.startswith(_UTF16):
        raise ByocError(
            f"{file} is UTF-16\nDocker, Python and byoc read UTF-8",
            hint=f"iconv -f UTF-16 -t UTF-8 {file} > new && mv new {file}",
        )
    if b"\0" in data:
        raise broken(file, "it is binary")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(file, "it is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error


def text_or_none(file: Path) -> str | None:
    """Read a text that nothing depends on; None where it is none."""
    with suppress(ByocError):
        return text(file)
    return None


def lines(content: str) -> Iterator[tuple[int, str]]:
    """Give lines with their numbers."""
    return enumerate(content.splitlines(), 1)


def line_at(content: str, position: int) -> int:
    """Tell the line of a position."""
    return content.count("\n", 0, position) + 1


def first(pattern: re.Pattern[str], content: str) -> tuple[str, int] | None:
    """Find the first group that took part, and its line."""
    found = pattern.search(content)
    if not found:
        return None
    group = next((each for each in range(1, pattern.groups + 1) if found[each] is not None), 0)
    return found[group], line_at(content, found.start(group))


def json_object(file: Path) -> Document:
    """Read a JSON object.

    Raises:
        ByocError: it is none; names the line.

    """
    content = text(file)
    try:
        data = json.loads(content)
    except json.JSONDecodeError as error:
        raise broken(file, f"it is not JSON: {error.msg}", error.lineno) from error
    except RecursionError as error:
        raise broken(file, "it is nested too deeply") from error
    if not isinstance(data, dict):
        raise broken(file, "it is no JSON object", 1)
    found: dict[tuple[str, ...], int] = {}
    for key in data:
        place = re.search(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:", content)
        found[(key,)] = line_at(content, place.start()) if place else 0
    return Document(file, data, found)


def yaml_object(file: Path) -> Document:
    """Read a YAML mapping.

    Raises:
        ByocError: it is none; names the line.

    """
    import yaml  # late: few projects have any

    content = text(file)
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        data = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "something is wrong with it"
        raise broken(file, f"it is not YAML: {why}", mark.line + 1 if mark else 0) from error
    except RecursionError as error:
        raise broken(file, "it is nested too deeply") from error
    if not isinstance(data, dict):
        raise broken(file, "it is no YAML mapping", 1)
    found: dict[tuple[str, ...], int] = {}
    _lines_of(node, (), found)
    return Document(file, data, found)


def _lines_of(node: Any, keys: tuple[str, ...], found: dict[tuple[str, ...], int]) -> None:
    if len(keys) < 5 and isinstance(node.value, list) and node.id == "mapping":
        for key, value in node.value:
            place = (*keys, str(key.value))
            found[place] = key.start_mark.line + 1
            _lines_of(value, place, found)


def scalar(value: object) -> str | None:
    """Spell a scalar as a hyperparameter is spelled: a string as it is, all else as JSON; None for what is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None
