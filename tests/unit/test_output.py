"""Two streams of pieces into whole lines: nothing lost, nothing torn, nothing changed."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from byoc_cli.local.output import LineMerger, Tail, indented, text_lines

Piece = tuple[str, bytes]


def merged(*pieces: Piece) -> list[bytes]:
    """What the sink is given."""
    sunk: list[bytes] = []
    merger = LineMerger(sunk.append)
    for stream, chunk in pieces:
        merger.feed(stream, chunk)
    merger.close()
    return sunk


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([("out", b"")], []),
        ([("out", b"a\nb\n")], [b"a\nb\n"]),
        ([("out", b"a"), ("out", b"b\nc"), ("out", b"\n")], [b"ab\n", b"c\n"]),
        ([("out", b"no newline")], [b"no newline"]),
        ([("out", b"a\nrest")], [b"a\n", b"rest"]),
        ([("out", b"10%\r20%\r")], [b"10%\r", b"20%\r"]),
        ([("out", b"10%\r"), ("out", b"20%\r"), ("out", b"\n")], [b"10%\r", b"20%\r\n"]),
        ([("out", b"a\r"), ("out", b"\nb")], [b"a\r\n", b"b"]),
        ([("out", b"a\r\nb\r\n")], [b"a\r\nb\r\n"]),
        ([("out", b"\xff\xfe\n\x00")], [b"\xff\xfe\n", b"\x00"]),
        ([("out", b"\n\n\n")], [b"\n\n\n"]),
    ],
)
def test_one_stream_comes_in_whole_lines(pieces: list[Piece], expected: list[bytes]) -> None:
    assert merged(*pieces) == expected


def test_a_line_of_one_stream_is_not_torn_by_the_other() -> None:
    assert merged(("out", b"hel"), ("err", b"warning\n"), ("out", b"lo\n")) == [b"warning\n", b"hello\n"]


def test_open_ends_of_both_streams_stand_on_lines_of_their_own() -> None:
    assert b"".join(merged(("out", b"one"), ("err", b"two"))) == b"one\ntwo"


def test_a_progress_bar_is_seen_while_it_moves() -> None:
    sunk: list[bytes] = []
    merger = LineMerger(sunk.append)
    merger.feed("out", b"10%\r20%")
    assert sunk == [b"10%\r"]


def test_any_cutting_gives_the_same_lines() -> None:
    text = b"one\r\ntwo\rthree\n\n\xffvier\r\n\r\rend"
    for seed in range(300):
        generator = random.Random(seed)
        cuts = sorted(generator.sample(range(len(text) + 1), 6))
        pieces = [("out", text[a:b]) for a, b in itertools.pairwise([0, *cuts, len(text)])]
        sunk = merged(*pieces)
        assert b"".join(sunk) == text
        # Each piece ends a line, and no CR LF is cut in two.
        assert all(piece.endswith((b"\r", b"\n")) for piece in sunk[:-1])
        assert not any(a.endswith(b"\r") and b.startswith(b"\n") for a, b in itertools.pairwise(sunk))


def test_a_hundred_thousand_lines_are_quick() -> None:
    data = b"".join(b"step %d loss=0.5\n" % number for number in range(100_000))
    start = time.process_time()
    assert b"".join(merged(*(("out", data[at : at + 4096]) for at in range(0, len(data), 4096)))) == data
    assert time.process_time() - start < 1


def test_one_line_of_megabytes_is_quick() -> None:
    start = time.process_time()
    assert merged(*itertools.repeat(("out", b"x" * 16_384), 640)) == [b"x" * 16_384 * 640]
    assert time.process_time() - start < 1


def test_the_tail_is_the_last_lines() -> None:
    tail = Tail(lines=3)
    for number in range(10):
        tail.feed(b"line %d  \n" % number)
    assert tail.text == "line 7\nline 8\nline 9"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"10%\r20%\r100%\n", ["10%", "20%", "100%"]),
        (b"a\r\n\r\nb", ["a", "b"]),
        (b"bad \xff byte\n", ["bad \ufffd byte"]),
        (b"", []),
    ],
)
def test_lines_as_text(data: bytes, lines: list[str]) -> None:
    assert text_lines(data) == lines


def test_a_container_s_words_are_set_in() -> None:
    assert indented("a\nb") == "  a\n  b"
    assert indented(["a", "b"]) == "  a\n  b"
    assert indented("") == ""
