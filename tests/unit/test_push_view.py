"""A push on a terminal, off it, and in several regions at once."""

from __future__ import annotations

import io
import re
from contextlib import suppress

import pytest

from byoc_cli.console import Console
from byoc_cli.console.push_view import PushView
from byoc_cli.engine.push import LayerProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STEPS = [
    LayerProgress("aaa", "Preparing"),
    LayerProgress("bbb", "Layer already exists"),
    LayerProgress("ccc", "Mounted from other/x"),
    LayerProgress("aaa", "Pushing", 1_000_000, 4_000_000),
    LayerProgress("aaa", "Retrying in 5 seconds"),
    LayerProgress("aaa", "Retrying in 4 seconds"),
    LayerProgress("aaa", "Pushing", 3_000_000, 4_000_000),
    LayerProgress("aaa", "Pushed"),
]


def shown(stream: io.StringIO, steps: list[LayerProgress] = STEPS, name: str = "", *, quiet: bool = False) -> str:
    with PushView(Console(stderr=stream, quiet=quiet), name) as view:
        for step in steps:
            view(step)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["", "us-west-2"])
def test_off_a_terminal_a_line_for_each_end(name: str) -> None:
    before = f"{name}: " if name else ""
    *lines, total = shown(io.StringIO(), name=name).splitlines()
    assert lines == [
        f"{before}{line}"
        for line in (
            "bbb: layer already exists",
            "ccc: mounted from other/x",
            "aaa: retrying in 5 seconds",
            "aaa: pushed",
        )
    ]
    assert re.fullmatch(rf"{before}sent 4\.0 MB of layers in \d+\.\d s \([\d,.]+ MB/s\)", total)


def test_on_a_terminal_bars_and_a_total() -> None:
    text = shown(Terminal())
    assert "aaa push" in text
    assert "total" in text
    assert "bbb layer already exists" not in text.rpartition("total")[2]


def test_the_total_s_speed_stays_when_a_layer_turns_out_to_be_larger() -> None:
    drawn = shown(Terminal(), [*STEPS[:4], LayerProgress("aaa", "Pushing", 4_100_000, 4_100_000), STEPS[-1]])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert re.search(r"4\.1/4\.1 MB +[\d.,]+ MB/s$", text.rpartition("total")[2].splitlines()[0]), text


def test_nothing_where_nothing_was_sent_or_it_failed() -> None:
    assert shown(io.StringIO(), [LayerProgress("bbb", "Preparing")]) == ""
    stream = io.StringIO()
    with suppress(RuntimeError), PushView(Console(stderr=stream)) as view:
        view(LayerProgress("aaa", "Pushing", 1, 2))
        raise RuntimeError
    assert stream.getvalue() == ""


def test_quiet() -> None:
    assert shown(io.StringIO(), quiet=True) == ""
    assert shown(Terminal(), quiet=True) == ""


def test_a_check_ends_the_push() -> None:
    def stop() -> None:
        raise RuntimeError("stop")

    view = PushView(Console(stderr=io.StringIO()), check=stop)
    with pytest.raises(RuntimeError, match="stop"):
        view(STEPS[0])
