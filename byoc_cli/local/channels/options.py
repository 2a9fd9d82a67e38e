"""`--channel NAME=PATH,key=value,…`, and what it changes of the project's channels."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from byoc_cli.contract import channels
from byoc_cli.errors import UsageError
from byoc_cli.project import ChannelSettings
from byoc_cli.project.home import expanded

_KEY = re.compile(r"[A-Za-z_-]+")
_SEED = re.compile(r"-?\d+")


@dataclass(frozen=True)
class ChannelOption:
    """One --channel: `path` is "" where the project's source stays; `given` are fields of ChannelSettings by name."""

    text: str
    name: str
    path: str
    given: Mapping[str, str | int]

    def over(self, settings: ChannelSettings | None) -> ChannelSettings:
        """Give the settings with what was given here in their place; the rest stays, another PATH or not.

        Raises:
            UsageError: there is neither a PATH nor such a channel in the project.

        """
        if not self.path and not (settings and settings.source):
            raise UsageError(
                f"--channel {self.text}: there is no PATH\nand the project file has no channel '{self.name}'",
                hint=f"--channel {self.name}=PATH",
            )
        base = settings or ChannelSettings("")
        return replace(base, source=self.path or base.source, **self.given)  # type: ignore[arg-type]


def exists(path: str) -> bool:
    """Whether a PATH is there, relative to the current folder."""
    return expanded(path).exists()


def parse(text: str, is_there: Callable[[str], bool] = exists) -> ChannelOption:
    """Read one --channel.

    Options are read from the right end while their keys are known: a PATH may hold commas and equals signs. What is
    left is the PATH, unless it is not there and ends in what looks like an option.

    Raises:
        UsageError: no name; an unknown key or a wrong word, with the nearest one; a key twice.

    """
    name, equals, rest = text.partition("=")
    if not equals or not name:
        why = "there is no name" if equals else "there is no '='"
        raise UsageError(f"--channel {text}: {why}", hint="--channel NAME=PATH")
    if "," in name:
        raise UsageError(
            f"--channel {text}: options come after NAME=PATH", hint=f"--channel {text.replace(',', '=,', 1)}"
        )
    first, *segments = rest.split(",")
    given: dict[str, str | int] = {}
    while segments and (key := segments[-1].partition("=")[0]) in channels.KEYS and "=" in segments[-1]:
        if _field(key) in given:
            raise UsageError(f"--channel {text}: {key} is given twice", hint=f"leave one {key}= out")
        given[_field(key)] = _value(text, key, segments.pop().partition("=")[2])
    path = ",".join([first, *segments])
    if segments and not is_there(path):
        _refuse_slip(text, segments[-1], base_is_there=is_there(path.removesuffix(f",{segments[-1]}")))
    return ChannelOption(text, name, path, given)


def merged(
    project: Mapping[str, ChannelSettings], options: Sequence[ChannelOption]
) -> list[tuple[str, ChannelSettings, ChannelOption | None]]:
    """Give all channels as (name, settings, the option that changed them): the project's in its order, then new ones.

    Of two options for one channel the later counts.
    """
    by_name = {option.name: option for option in options}
    names = [*project, *(name for name in by_name if name not in project)]
    found = []
    for name in names:
        option = by_name.get(name)
        found.append((name, option.over(project.get(name)) if option else project[name], option))
    return found


def _field(key: str) -> str:
    return key.replace("-", "_")


def _value(text: str, key: str, word: str) -> str | int:
    if key == "shuffle-seed":
        if not _SEED.fullmatch(word):
            raise UsageError(
                f"--channel {text}: shuffle-seed is wrong\n'{word}' is not a whole number", hint="shuffle-seed=1"
            )
        return int(word)
    if key in channels.WORDS:
        why, hint = channels.word_problem(key, word)
        if why:
            raise UsageError(f"--channel {text}: {key} is wrong\n{why}", hint=hint)
    elif key == "manifest" and not word:
        raise UsageError(f"--channel {text}: manifest is wrong\nit names no file", hint="manifest=FILE")
    return word


def _refuse_slip(text: str, segment: str, *, base_is_there: bool) -> None:
    """Refuse the end of a PATH that is not there, if it was meant as an option: `mod=Pipe`, `Pipe`, `format=csv`."""
    key, equals, value = segment.partition("=")
    why = f"--channel {text}: there is no option '{key}'"
    if equals and _KEY.fullmatch(key):
        near = difflib.get_close_matches(key.lower(), channels.KEYS, 1, 0.6)
        if near:
            raise UsageError(f"{why}\nand nothing that has it in its path", hint=f"did you mean {near[0]}={value}?")
        if base_is_there:
            raise UsageError(why, hint=f"options: {', '.join(channels.KEYS)}")
    for known, words in channels.WORDS.items():
        for word in words:
            if not equals and word.lower() == segment.lower() != "none":
                raise UsageError(f"{why}\nand nothing that has it in its path", hint=f"did you mean {known}={word}?")
