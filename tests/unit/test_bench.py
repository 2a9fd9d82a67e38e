"""The pure parts of the bench: medians, reaches, the table, the JSON; and that its data is what it says."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from bench import data, report
from bench.figures import Figure, Reach, number_text, table
from bench.rows import ROWS

HALF_MORE = Reach(0.5, "difference")


def figure(reach: Reach, ours: tuple[float, ...] = (3.0, 1.0, 2.0), against: tuple[float, ...] = (4.0,)) -> Figure:
    return Figure("name", "what it is", "s", reach, ours, against, "the other")


def test_a_figure_is_the_median_of_its_samples() -> None:
    made = figure(Reach(1.5), ours=(9.0, 1.0, 2.0, 8.0, 3.0), against=(4.0, 6.0))
    assert (made.our_median, made.against_median, made.ratio) == (3.0, 5.0, 0.6)


@pytest.mark.parametrize(
    ("reach", "ours", "against", "met"),
    [
        (Reach(1.5), 1.5, 1.0, True),
        (Reach(1.5), 1.6, 1.0, False),
        (Reach(2.5, least=True), 2.5, 1.0, True),
        (Reach(2.5, least=True), 2.4, 1.0, False),
        (HALF_MORE, 1.0, 0.5, True),
        (HALF_MORE, 1.1, 0.5, False),
        (Reach(60, "value"), 59.0, None, True),
        (Reach(0.5, "value", least=True), 0.49, None, False),
        (Reach(1.5), 1.0, None, False),
    ],
)
def test_a_reach_is_met_or_not(reach: Reach, ours: float, against: float | None, met: bool) -> None:
    assert reach.met(ours, against) is met


def test_a_reach_says_what_it_is() -> None:
    assert Reach(1.5).text("s") == "at most 1.5 x"
    assert HALF_MORE.text("s") == "at most 0.50 s more"
    assert Reach(0.5, "value", least=True).text("") == "at least 0.50"


@pytest.mark.parametrize(("number", "text"), [(0.123, "0.12 s"), (12.34, "12.3 s"), (1234.5, "1234 s")])
def test_numbers_have_the_digits_that_are_worth_reading(number: float, text: str) -> None:
    assert number_text(number, "s") == text


def test_json_has_the_keys_that_are_promised() -> None:
    made = figure(Reach(1.5)).as_json()
    expected = {
        "name": "name",
        "unit": "s",
        "ours": 2.0,
        "against": 4.0,
        "ratio": 0.5,
        "reach": "at most 1.5 x",
        "ok": True,
    }
    assert json.loads(json.dumps(made)) == expected


def test_json_of_a_figure_without_another_side() -> None:
    made = figure(Reach(1.0, "value"), against=()).as_json()
    assert (made["against"], made["ratio"], made["ok"]) == (None, None, False)


def test_the_table_is_markdown_with_aligned_columns() -> None:
    lines = table([figure(Reach(1.5)), figure(Reach(0.1), ours=(2.0,), against=())]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert all(line.count("|") == 8 for line in lines)
    assert "2.00 s (1.00-3.00)" in lines[2]
    assert lines[2].endswith("| yes     |")
    assert lines[3].endswith("| **no**  |")


def test_the_page_names_what_is_not_reached() -> None:
    page = report.render([figure(Reach(0.1))], {"CPU": "a cpu"}, {"byoc": "1"}, 5, date(2026, 1, 2))
    assert "2026-01-02. Not reached: name." in page
    assert "- CPU: a cpu\n" in page
    assert "{" not in page


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    report.write(tmp_path / "docs" / "page.md", "text")
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["page.md"]


def test_every_row_has_its_words() -> None:
    assert all(row.about for row in ROWS.values())
    assert [name for name, row in ROWS.items() if row.optional] == ["first-scikit-learn", "push", "sdk"]


def test_pictures_are_read_from_tfrecords_in_rows_of_pixels(tmp_path: Path) -> None:
    planes = bytes([1]) * 1024 + bytes([2]) * 1023 + bytes([9]) + bytes([3]) * 1024
    # features { feature { key: "image" value { bytes_list { value: … } } } }, with the lengths as varints
    payload = b"\x0a\x93\x18\x0a\x90\x18\x0a\x05image\x12\x86\x18\x0a\x83\x18\x0a\x80\x18" + planes
    (tmp_path / "eval").write_bytes((len(payload).to_bytes(8, "little") + b"crc4" + payload + b"crc4") * 2)
    first, _ = data.pictures(tmp_path / "eval", 2)
    assert (len(first), len(first[0]), first[0][0], first[31][31]) == (32, 32, [1.0, 2.0, 3.0], [1.0, 9.0, 3.0])
    bodies = data.write_bodies(tmp_path / "eval", tmp_path / "bodies", 2).read_text().splitlines()
    assert [json.loads(body) for body in bodies] == [{"instances": [first]}] * 2
