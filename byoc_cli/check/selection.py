"""Which rules are tried: --only and --skip, in words of parts (train, serve), steps and rule ids."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from byoc_cli.check.model import Rule, Step
from byoc_cli.contract.rules import RULES
from byoc_cli.errors import UsageError

PARTS = ("train", "serve")

Rules = list[Rule[Any]]


def chosen(steps: Sequence[Step[Any]], only: Sequence[str], skip: Sequence[str], *, asked: Sequence[str] = ()) -> Rules:
    """Choose rules, in the order of the contract.

    Those of a step that has to be asked for come with its name in `asked`, or when --only names it or them.

    Raises:
        UsageError: a word is none, or nothing is left.

    """
    order = list(RULES)
    rules = sorted((rule for step in steps for rule in step.rules), key=lambda rule: order.index(rule.id))
    only, skip = _words("--only", only, rules), _words("--skip", skip, rules)
    found = [
        rule
        for rule in rules
        if (not only or any(_is_wanted(rule, word) for word in only))
        and (not rule.step.asked or rule.step.name in {*asked, *only} or _named(rule, only))
        and not any(_is_skipped(rule, word) for word in skip)
    ]
    if not found:
        raise UsageError("no rule is left to try", hint="byoc check --list shows them")
    return found


def _named(rule: Rule[Any], words: Sequence[str]) -> bool:
    return any(word in {rule.id, *rule.also} for word in words)


def _is_wanted(rule: Rule[Any], word: str) -> bool:
    return _is(rule, word) or word in rule.parts


def _is_skipped(rule: Rule[Any], word: str) -> bool:
    # What is about both parts stays when one of them is skipped.
    return _is(rule, word) or rule.parts == {word}


def _is(rule: Rule[Any], word: str) -> bool:
    return word in {rule.id, *rule.also, rule.step.name, rule.step.group}


def _words(option: str, given: Sequence[str], rules: Rules) -> list[str]:
    """Split at commas; ids in any case.

    Raises:
        UsageError: one is no part, step or rule; says which is near.

    """
    known = [*PARTS, *dict.fromkeys(word for rule in rules for word in (rule.step.group, rule.step.name))]
    known += dict.fromkeys(id_ for rule in rules for id_ in (rule.id, *rule.also))
    same = {word.lower(): word for word in known}
    found = []
    for word in (part.strip() for value in given for part in value.split(",")):
        if not word:
            continue
        if word.lower() not in same:
            near = difflib.get_close_matches(word.lower(), same, 1, 0.6)
            raise UsageError(
                f"{option} {word}: there is no such step or rule that can be checked",
                hint=f"did you mean {same[near[0]]}?" if near else "byoc check --list shows them",
            )
        found.append(same[word.lower()])
    return found
