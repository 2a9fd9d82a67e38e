"""Whether this machine and an engine's networks reach each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.local import reach
from tests.fakes import FakeEngine


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"operating_system": "Debian GNU/Linux 12"}, ""),
        (
            {"address": "http+docker://ssh", "remote": True},
            "the engine is on another machine (http+docker://ssh)",
        ),
        ({"operating_system": "Docker Desktop"}, "Docker Desktop's containers run in a virtual machine"),
    ],
)
def test_what_an_engine_says_of_itself(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    info = replace(FakeEngine(tmp_path).info(), **changes)  # type: ignore[arg-type]
    assert reach.elsewhere(info) == why


def test_a_network_is_here_if_this_machine_is_on_it() -> None:
    assert reach.is_here("127.1.2.3/8")
    assert not reach.is_here("127.1.2.3/32"), "what is sent there comes from 127.0.0.1, which is not on it"
