"""docs/contract.md: the contract's rules, and what byoc does about each (docs/fidelity.toml)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from byoc_cli.contract.rules import RULES, Rule

REPOSITORY = Path(__file__).parents[1]
STATUSES = ("emulated", "approximated", "not emulated")
_FAMILIES = {"T": "Training", "H": "Hosting", "I": "Image"}
_HEAD = """\
# The contract

What SageMaker promises a container and asks of it, and what byoc does about it on your machine: one row a rule. Made by
`python scripts/docs.py` from the rules in `byoc_cli/contract/rules` and the statuses in `docs/fidelity.toml`.

Where a MUST is broken, a job or an endpoint fails or loses data; a SHOULD is advice of the documents, or what breaks
common set-ups; a NICE is exactness. A rule is `emulated` where a container meets the same here as there, as the tests
named show; elsewhere it is `approximated` (the row says how) or `not emulated` (the row says why).
"""


@dataclass(frozen=True)
class Fidelity:
    """What byoc does about a rule: `how` may be empty if it is emulated, `tests` are pytest's ids."""

    status: str
    how: str = ""
    tests: tuple[str, ...] = ()


def read(file: Path = REPOSITORY / "docs" / "fidelity.toml") -> dict[str, Fidelity]:
    """Read the statuses, by rule id.

    Raises:
        TypeError: an entry has a key that there is not.

    """
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return {id_: Fidelity(**entry | {"tests": tuple(entry.get("tests", ()))}) for id_, entry in table.items()}


def problems(fidelity: Mapping[str, Fidelity], rules: Mapping[str, Rule] = RULES) -> Iterator[str]:
    """Say what is wrong with the statuses, a line each."""
    for id_ in rules:
        if id_ not in fidelity:
            yield f"{id_}: there is no status"
    for id_, seen in fidelity.items():
        if id_ not in rules:
            yield f"{id_}: there is no such rule"
        if seen.status not in STATUSES:
            yield f"{id_}: '{seen.status}' is none of {', '.join(STATUSES)}"
        if seen.status == "emulated" and not seen.tests:
            yield f"{id_}: emulated, but no test shows it"
        if seen.status != "emulated" and not seen.how:
            yield f"{id_}: {seen.status}, but it is not said how or why"
        yield from (f"{id_}: there is no test {test}" for test in seen.tests if not _exists(test))


def page(fidelity: Mapping[str, Fidelity] | None = None, rules: Mapping[str, Rule] = RULES) -> str:
    """Return the whole page, a table for each family of rules."""
    fidelity = read() if fidelity is None else fidelity
    parts = [_HEAD]
    for letter, title in _FAMILIES.items():
        family = [rule for id_, rule in rules.items() if id_.startswith(letter)]
        counts = Counter(fidelity[rule.id].status for rule in family)
        summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
        rows = "\n".join(_row(rule, fidelity[rule.id]) for rule in family)
        parts.append(
            f"## {title}\n\n{len(family)} rules: {summary}.\n\n"
            f"| id | level | rule | here | how, and which tests | source |\n|---|---|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def _row(rule: Rule, seen: Fidelity) -> str:
    how = "<br>".join([*([seen.how] if seen.how else []), *(f"`{test}`" for test in seen.tests)])
    # The guide's addresses are long, and their last part says what they are.
    source = re.sub(r"https://\S+/(\S+)\.html", r"[\1](\g<0>)", rule.source)
    cells = (rule.id, f"{rule.level} {rule.when}".rstrip(), rule.text, seen.status, how, source)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _exists(test: str) -> bool:
    """Whether `file::function` or `file::Class::method` is there; a class's own methods only."""
    file, _, name = test.partition("::")
    return (REPOSITORY / file).is_file() and name in _tests(REPOSITORY / file)


@cache
def _tests(file: Path) -> set[str]:
    """Return the functions of a file, those of classes as Class::method."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found
