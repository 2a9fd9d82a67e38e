"""The contract's rules as data, and that nothing but who needs them loads them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest

from byoc_cli.contract.rules import RULES, Level, Rule

EVERY_RULE = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def place(id_: str) -> tuple[int, int, str]:
    """Where a rule belongs: training, hosting, image; by number; T-30b after T-30."""
    found = re.fullmatch(r"([THI])-(\d\d)(b?)", id_)
    assert found, f"{id_} is no rule's id"
    return "THI".index(found[1]), int(found[2]), found[3]


def test_ids_are_well_formed_and_in_order() -> None:
    assert all(id_ == rule.id for id_, rule in RULES.items())
    places = [place(id_) for id_ in RULES]
    assert places == sorted(set(places))


def test_no_rule_of_a_family_was_lost_or_named_twice() -> None:
    """Ids are for ever: a rule that comes makes this number larger, none makes it smaller."""
    from byoc_cli.contract.rules import hosting, image, training

    assert [len(family) for family in (training.RULES, hosting.RULES, image.RULES)] == [77, 52, 17]
    assert len(RULES) == 77 + 52 + 17, "an id stands twice"


@EVERY_RULE
def test_level_and_source(rule: Rule) -> None:
    assert rule.level in get_args(Level)
    assert rule.when == rule.when.strip()
    assert rule.source
    assert all(rule.source.split("; ")), "an empty source"


@EVERY_RULE
def test_the_text_is_one_paragraph_that_ends_and_can_stand_in_a_table(rule: Rule) -> None:
    assert re.match(r"[A-Z`0-9/]|stdout", rule.text)
    assert rule.text.endswith((".", ".`"))
    assert len(rule.text) < 600
    assert not re.search(r"[|\n]|  ", rule.text)
    assert rule.text.count("`") % 2 == 0
    outside_of_code = re.sub(r"`[^`]*`", "", rule.text)
    assert not re.search(r"[<*]", outside_of_code), "Markdown would take it for a tag or for emphasis"


def test_a_rule_that_another_one_names_is_there() -> None:
    for rule in RULES.values():
        for named in re.findall(r"\b[THI]-\d\db?\b", rule.text):
            assert named in RULES, f"{rule.id} names {named}"


def test_rules_are_loaded_by_none_who_does_not_need_them() -> None:
    """Neither the rest of the contract nor --help of any command."""
    code = (
        "import sys\nfrom byoc_cli.app import COMMANDS, main\n"
        "from byoc_cli.contract import hosting, image, paths, training\n"
        "for name, *_ in COMMANDS: main([*name.split(), '--help'])\n"
        "print([name for name in sys.modules if name.startswith('byoc_cli.contract.rules')], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
