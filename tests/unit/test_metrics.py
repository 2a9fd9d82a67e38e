"""Metrics: a log through the project's regexes (T-70)."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from byoc_cli.errors import ByocError
from byoc_cli.local.metrics import Metrics, Summary


def values(metrics: Metrics) -> dict[str, list[float]]:
    return {name: [value for _, value in points] for name, points in metrics.points.items()}


@pytest.mark.parametrize(
    ("pattern", "log", "expected"),
    [
        (r"loss=([0-9.]+)", b"loss=1.5\nloss=0.5 acc=1\n", [1.5, 0.5]),
        (r"loss=([0-9.]+)", b"loss=1 loss=2\n", [1, 2]),
        (r"loss=(\S+)", b"loss=1e-3\nloss=-inf\nloss=oops\n", [0.001, -math.inf]),
        (r"loss=([0-9.]+)", b"loss=.\nloss=1.\n", [1]),
        (r"(?:loss=([0-9.]+)|x)", b"x\nloss=3\n", [3]),
        (r"step \d+: (\d+)", b"step 1: 10\rstep 2: 20\r\nstep 3: 30", [10, 20, 30]),
        (r"loss=([0-9.]+)", b"\xff loss=4\n", [4]),
        (r"^loss=([0-9.]+)$", b"loss=5\n xloss=6\n", [5]),
    ],
)
def test_the_value_is_the_first_group_where_it_is_a_number(pattern: str, log: bytes, expected: list[float]) -> None:
    metrics = Metrics({"m": pattern})
    metrics.feed(log)
    assert values(metrics) == {"m": expected}


def test_the_last_value_is_final_and_nan_is_left_out() -> None:
    metrics = Metrics({"loss": "loss=(\\S+)", "acc": "acc=(\\S+)", "never": "never=(\\S+)"})
    metrics.feed(b"loss=2 acc=nan\nloss=1\n")
    final = metrics.final(round)
    assert final == [{"MetricName": "loss", "Value": 1.0, "Timestamp": round(metrics.points["loss"][-1][0])}]
    assert metrics.silent() == ["never"]


def test_the_table_has_every_value(tmp_path: Path) -> None:
    metrics = Metrics({"a,b": r"x=(\d+)"})
    metrics.feed(b"x=1\nx=2\n")
    metrics.write_table(tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["metric", "index", "time", "value"]
    assert [(name, index, value) for name, index, _, value in rows[1:]] == [("a,b", "1", "1.0"), ("a,b", "2", "2.0")]


def test_a_table_is_read_again(tmp_path: Path) -> None:
    metrics = Metrics({"a,b": r"x=(\S+)", "c": r"y=(\S+)"})
    metrics.feed(b"x=1 y=-inf\nx=2\n")
    metrics.write_table(tmp_path / "metrics.csv")
    again = Metrics({})
    again.read_table(tmp_path / "metrics.csv")
    assert values(again) == {"a,b": [1, 2], "c": [-math.inf]}
    assert again.points["c"][0][0] == pytest.approx(metrics.points["c"][0][0], abs=0.001)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_log_is_read_without_its_prefixes_and_when_its_values_came_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"algo-1 | loss=1\nalgo-2 | loss=2\n" + b"x" * (3 << 20) + b"\nalgo-1 | loss=3")
    metrics = Metrics({"loss": r"^loss=(\S+)"})
    metrics.read_log(file)
    assert metrics.points == {}
    metrics.read_log(file, without=re.compile(rb"^algo-\d \| ", re.MULTILINE))
    assert values(metrics) == {"loss": [1, 2, 3]}
    assert all(math.isnan(when) for when, _ in metrics.points["loss"])


# -- in one row --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "row"),
    [
        ("3 1 2", Summary("m", 3, 3, 2, 1, 2, 3, 1)),
        ("1", Summary("m", 1, 1, 1, 1, 1, 1, 1)),
        ("2 2", Summary("m", 2, 2, 2, 2, 1, 2, 1)),
        ("1 inf -inf 2", Summary("m", 4, 1, 2, -math.inf, 3, math.inf, 2)),
    ],
)
def test_a_summary_tells_which_value_was_the_lowest_and_which_the_highest(log: str, row: Summary) -> None:
    metrics = Metrics({"m": r"(\S+)"})
    metrics.feed(log.encode())
    assert metrics.summaries() == [row]


def test_nan_is_neither_the_lowest_nor_the_highest() -> None:
    metrics = Metrics({"m": r"m=(\S+)", "n": r"n=(\S+)"})
    metrics.feed(b"m=nan m=2 m=1 m=nan n=nan")
    m, n = metrics.summaries()
    assert (m.low, m.low_at, m.high, m.high_at, m.count) == (1, 3, 2, 2, 4)
    assert (math.isnan(m.first), math.isnan(m.last), math.isnan(n.low), math.isnan(n.high)) == (True,) * 4


def test_what_the_author_of_the_regexes_may_have_missed() -> None:
    metrics = Metrics({"good": r"a=(\d)", "several": r"a=(\d)(\d)?", "never": r"b=(\d)", "word": r"(a)="})
    metrics.feed(b"a=1\n")
    assert metrics.advice() == [
        ("metric 'never' never matched the log", r"its regex is 'b=(\d)' (T-70)"),
        (
            "metric 'word' has no value: its first group matched 'a', which is no number",
            "its regex is '(a)=' (T-70)",
        ),
        (
            "metric 'several': its regex has 2 groups, and the first one is the value",
            r"write (?:…) for a group that is no value: 'a=(\d)(\d)?' (T-70)",
        ),
    ]
    assert [text for text, _ in metrics.advice(ended=False)] == [metrics.advice()[-1][0]]


# -- as curves ---------------------------------------------------------------------------------------------------------


def test_curves_that_cannot_be_written_say_why(tmp_path: Path) -> None:
    metrics = Metrics({"loss": r"loss=(\S+)"})
    metrics.feed(b"loss=1 loss=2")
    with pytest.raises(ByocError, match=r"nowhere/x.png cannot be written\nNo such file or directory"):
        metrics.draw(tmp_path / "nowhere" / "x.png", "job")


def test_curves_need_two_values(tmp_path: Path) -> None:
    metrics = Metrics({"loss": r"loss=(\S+)"})
    metrics.feed(b"loss=1\n")
    assert not metrics.draw(tmp_path / "curves.png", "job")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("log", [b"loss=1\nloss=0.5\n", b"loss=nan\nloss=inf\n"])
def test_curves_are_a_picture(tmp_path: Path, log: bytes) -> None:
    metrics = Metrics({"loss $x^": r"loss=(\S+)"})
    metrics.feed(log)
    assert metrics.draw(tmp_path / "curves.png", "job")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_metrics_nothing_is_kept() -> None:
    metrics = Metrics({})
    metrics.feed(b"loss=1\n")
    assert (metrics.points, metrics.silent(), metrics.final(str)) == ({}, [], [])
