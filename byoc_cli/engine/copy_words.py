"""The words of a COPY or an ADD. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Words:
    """A COPY's or ADD's flags, sources and destination."""

    flags: Mapping[str, str]
    sources: Sequence[str]
    destination: str

    def excluded(self, relative: str) -> bool:
        """Whether --exclude leaves a file out."""
        patterns = [pattern for pattern in self.flags.get("exclude", "").split("\n") if pattern]
        if not patterns:
            return False
        parts = relative.split("/")
        heads = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        return any(matches(head, pattern.removeprefix("**/")) for pattern in patterns for head in heads) or any(
            fnmatchcase(parts[-1], pattern[3:]) for pattern in patterns if pattern.startswith("**/")
        )


def words_of(rest: str, expand: Callable[[str], str]) -> Words:
    """Read flags, sources and destination, in the shell's form or as a JSON list."""
    flags: dict[str, str] = {}
    while found := re.match(r"--([a-z]+)(?:=(\S*))?\s+", rest):
        value = expand(found[2] or "")
        flags[found[1]] = f"{flags[found[1]]}\n{value}" if found[1] in flags else value
        rest = rest[found.end() :]
    words: list[str] = []
    if rest.startswith("["):
        try:
            words = [str(word) for word in json.loads(rest)]
        except ValueError:
            words = []
    words = words or [_unquoted(word) for word in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", rest)]
    *sources, destination = [expand(word) for word in words] or [""]
    if flags.get("parents") == "false":
        del flags["parents"]
    return Words(flags, sources, destination)


def _unquoted(word: str) -> str:
    return re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda found: found[1] or found[2] or "", word)


def matches(path: str, pattern: str) -> bool:
    """Match part by part: `*` stops at a slash."""
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(matches_name, parts, patterns))


def matches_name(name: str, pattern: str) -> bool:
    """Match one part; Go's `[^a]` is Python's `[!a]`."""
    return fnmatchcase(name, pattern.replace("[^", "[!"))
