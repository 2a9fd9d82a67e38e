"""The JSONPath of a transform job's filters: as much of the language as SageMaker knows (H-60). Pure.

By hand, as no library fits: most of what one knows is refused by SageMaker, a slice has its end here, and what is
selected has to become one value again (several names of an object are an object), not a list of matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST = 63
OPERATORS = "$[]*.,:-'"

_STEP = re.compile(r"\.?\[(?P<inside>[^]]*)\]|\.(?P<name>\*|[^][$*. ,:']+)")
_NAMES = re.compile(r"'[^'.]+'( *, *'[^'.]+')*")
_RANGE = re.compile(r"(-?\d+)?:(-?\d+)?")
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Range:
    """Elements from one to another; the guide has the end belong to it: `$[1:4]` is the second to the fifth."""

    first: int | None
    last: int | None

    def of(self, values: list[Any]) -> list[Any]:
        """Cut it out; what lies beyond the ends is not missed."""
        end = None if self.last in {None, -1} else (self.last or 0) + 1
        return values[self.first : end]


@dataclass(frozen=True)
class Names:
    """One attribute of an object, or several of them."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Elements of an array."""

    places: tuple[int | Range, ...]

    @property
    def single(self) -> bool:
        """Whether it is one element, rather than an array of some."""
        return len(self.places) == 1 and isinstance(self.places[0], int)


@dataclass(frozen=True)
class Every:
    """All that an object or an array has."""


Step = Names | Places | Every


@dataclass(frozen=True)
class JsonPath:
    """A path as it was given, and its steps."""

    text: str
    steps: tuple[Step, ...]

    @property
    def whole(self) -> bool:
        """Whether it leaves all as it is."""
        return not self.steps

    @property
    def of_columns(self) -> bool:
        """Whether it can be asked of a row of CSV, which is an array of texts."""
        return not self.steps or (len(self.steps) == 1 and not isinstance(self.steps[0], Names))


def parse(text: str) -> JsonPath:
    """Read a path.

    Raises:
        ValueError: SageMaker would refuse it; says why, in its own words where they are known.

    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters; at most {LONGEST} are allowed")
    for character in text:
        # So an attribute whose name has "_" in it cannot be named at all.
        if not character.isalnum() and character not in f"{OPERATORS} ":
            raise ValueError(
                f'Unexpected "{character}" in JsonPath; letters, digits and {" ".join(OPERATORS)} are known'
            )
    if not text.startswith("$"):
        raise ValueError("it does not start with $")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if not match:
            raise ValueError(f"'{text[at:]}' is no step of a JSONPath")
        if steps and isinstance(steps[-1], Names) and len(steps[-1].names) > 1:
            raise ValueError("several names in brackets can only be the last step")
        inside = match["inside"]
        steps.append(_named(match["name"]) if inside is None else _bracketed(inside.strip()))
        at = match.end()
    return JsonPath(text, tuple(steps))


def _named(name: str) -> Step:
    return Every() if name == "*" else Names((name,))


def _bracketed(inside: str) -> Step:
    if inside == "*":
        return Every()
    if _NAMES.fullmatch(inside):
        return Names(tuple(re.findall("'([^']+)'", inside)))
    places = tuple(_place(part.strip()) for part in inside.split(","))
    if sum(isinstance(place, Range) for place in places) > 1:
        raise ValueError(
            f"only single range filters of format (eg: [1:5]) are supported. Format [{inside}] is not supported"
        )
    if None in places:
        raise ValueError(f"[{inside}] has neither 'names' nor numbers nor a range")
    return Places(tuple(place for place in places if place is not None))


def _place(part: str) -> int | Range | None:
    if _NUMBER.fullmatch(part):
        return int(part)
    if match := _RANGE.fullmatch(part):
        first, last = (None if number is None else int(number) for number in match.groups())
        return Range(first, last)
    return None


def select(path: JsonPath, value: Any) -> Any:
    """What a path means in a value: the one thing it names, or an array of those that it may name.

    Raises:
        ValueError: there is no such thing in it.

    """
    found, many = [value], False
    for step in path.steps:
        below = list(_below(step, found, many))
        many = many or isinstance(step, Every) or (isinstance(step, Places) and not step.single)
        found = below
    return found if many else found[0]


def _below(step: Step, values: list[Any], many: bool) -> Iterator[Any]:
    for value in values:
        try:
            yield from _chosen(step, value)
        except (LookupError, TypeError):
            if not many:  # of many those that have it are meant
                raise ValueError(f"there is no {_said(step)} in it") from None


def _chosen(step: Step, value: Any) -> list[Any]:
    if isinstance(step, Every):
        return list(value.values()) if isinstance(value, dict) else list(_array(value))
    if isinstance(step, Names):
        if not isinstance(value, dict):
            raise TypeError
        chosen = {name: value[name] for name in step.names}
        return [chosen] if len(step.names) > 1 else list(chosen.values())
    array = _array(value)
    parts = (place.of(array) if isinstance(place, Range) else [array[place]] for place in step.places)
    return [one for part in parts for one in part]


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _said(step: Step) -> str:
    if isinstance(step, Every):
        return "array or object"
    if isinstance(step, Names):
        return " or ".join(f"'{name}'" for name in step.names)
    return f"element {', '.join(str(place) for place in step.places if isinstance(place, int))}"
