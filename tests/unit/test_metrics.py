"""Metrics: a log through the project's regexes (T-70)."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from byoc_cli.local.metrics import Metrics


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
    assert [(name, index, value) for name, index, _, value in rows[1:]] == [("a,b", "0", "1.0"), ("a,b", "1", "2.0")]


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
