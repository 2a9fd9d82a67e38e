"""Reading a Dockerfile as far as byoc must, and rewriting it for the classic builder."""

from __future__ import annotations

import pytest

from byoc_cli.engine.dockerfile import classic, parse
from byoc_cli.errors import ByocError, UsageError


def lines(text: str) -> list[tuple[str, str]]:
    """(word, rest) of everything after the first FROM."""
    return [(line.word, line.rest) for line in parse("FROM scratch\n" + text).stages[0].instructions[1:]]


# -- FROM and ARG ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args", "base"),
    [
        ("FROM python:3.11", {}, "python:3.11"),
        ("from python:3.11", {}, "python:3.11"),
        ("FROM --platform=linux/amd64 python:3.11 AS x", {}, "python:3.11"),
        ("ARG B=python:3.11\nFROM $B", {}, "python:3.11"),
        ("ARG B=python:3.11\nFROM ${B}", {"B": "debian"}, "debian"),
        ("ARG B=python:3.11\nFROM ${B}", {"OTHER": "debian"}, "python:3.11"),
        ('ARG B="python:3.11"\nFROM $B', {}, "python:3.11"),
        ("ARG B\nFROM ${B:-python:3.11}", {}, "python:3.11"),
        ("ARG B\nFROM ${B:-python:3.11}", {"B": "debian"}, "debian"),
        ("ARG V=3.11\nFROM python:${V}-slim", {}, "python:3.11-slim"),
        ("ARG V=3.11\nFROM python${V:+:}${V:+3.12}", {}, "python:3.12"),
        ("ARG A=x B=y\nFROM $A/$B", {}, "x/y"),
        ("ARG B\nFROM x$B", {}, "x"),
    ],
)
def test_the_base_has_its_variables_replaced(text: str, args: dict[str, str], base: str) -> None:
    assert parse(text, args).stages[0].base == base


def test_an_argument_may_be_made_of_an_earlier_one() -> None:
    file = parse("ARG VERSION=3.11\nARG BASE_IMAGE=python:${VERSION}-slim\nFROM $BASE_IMAGE")
    assert file.stages[0].base == "python:3.11-slim"
    assert file.arguments["BASE_IMAGE"] == "python:3.11-slim"


def test_a_build_argument_wins_in_the_arguments_made_of_it() -> None:
    file = parse("ARG V=3.11\nARG B=python:$V\nFROM $B", {"V": "3.12"})
    assert file.stages[0].base == "python:3.12"


def test_a_variable_that_was_not_declared_is_not_replaced_by_a_build_argument() -> None:
    assert parse("FROM ${B:-python}", {"B": "debian"}).stages[0].base == "python"


def test_arguments_are_those_before_the_first_from_with_their_defaults() -> None:
    file = parse("ARG A=1\nARG B\nARG C='x y'\nFROM scratch\nARG D=2\n")
    assert file.arguments == {"A": "1", "B": None, "C": "x y"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "ARG A=1\n", "RUN x\n"])
def test_no_from_is_an_error(text: str) -> None:
    with pytest.raises(ByocError, match="has no FROM"):
        parse(text)


# -- lines -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a", [("RUN", "a")]),
        ("  run   a  ", [("RUN", "a")]),
        ("RUN a \\\n    b", [("RUN", "a b")]),
        ("RUN a \\\n  # a comment inside\n  b", [("RUN", "a b")]),
        ("RUN a \\\n\n  b", [("RUN", "a b")]),
        ("# RUN a\nRUN b # no comment", [("RUN", "b # no comment")]),
        ("RUN a \\  \n b", [("RUN", "a b")]),
        ("RUN a\r\nRUN b\r\n", [("RUN", "a"), ("RUN", "b")]),
        ("RUN\ta", [("RUN", "a")]),
        ("\n\n", []),
    ],
)
def test_continuations_and_comments(text: str, expected: list[tuple[str, str]]) -> None:
    assert lines(text) == expected


@pytest.mark.parametrize("first", ["# escape=`\n", "# syntax=docker/dockerfile:1\n#Escape = `\n"])
def test_the_escape_directive(first: str) -> None:
    file = parse(first + "FROM scratch\nRUN a `\n  b\nRUN c\\\nRUN d")
    assert [line.rest for line in file.stages[0].instructions] == ["scratch", "a b", "c\\", "d"]


def test_a_directive_after_the_first_instruction_is_a_comment() -> None:
    assert lines("# escape=`\nRUN a \\\n b") == [("RUN", "a b")]


def test_a_byte_order_mark_is_no_word() -> None:
    assert parse("\ufeffFROM scratch").stages[0].base == "scratch"


def test_a_here_document_is_part_of_its_instruction() -> None:
    text = "RUN <<EOF\nFROM nothing\necho x\nEOF\nRUN after\n"
    (heredoc, after) = parse("FROM scratch\n" + text).stages[0].instructions[1:]
    assert heredoc.heredoc
    assert heredoc.text == "RUN <<EOF\nFROM nothing\necho x\nEOF"
    assert (after.word, after.rest, after.heredoc) == ("RUN", "after", False)


@pytest.mark.parametrize(
    "text", ["COPY <<'A' <<-\"B\" /x/\na\nA\n\tb\n\tB\nRUN after\n", "ADD <<X /x\nFROM x\nX\nRUN after\n"]
)
def test_here_documents_of_copy_with_several_marks_and_quotes(text: str) -> None:
    assert [word for word, _ in lines(text)] == [text.partition(" ")[0], "RUN"]


def test_a_here_string_of_the_shell_is_no_here_document() -> None:
    assert lines("RUN cat <<<EOF\nRUN b\n") == [("RUN", "cat <<<EOF"), ("RUN", "b")]


# -- stages ------------------------------------------------------------------------------------------------------------

STAGES = """
ARG BASE_IMAGE=python:3.11
FROM ${BASE_IMAGE} AS Base
FROM base AS build
RUN make
FROM golang:1 AS tool
FROM alpine AS unused
COPY --from=nobody/image /x /x
FROM base AS final
COPY --from=build /x /x
RUN --mount=type=bind,from=tool,source=/t,target=/t use
COPY --from=docker.io/library/busybox /bin/sh /sh
"""


def test_a_target_is_found_by_name_and_number_else_the_last() -> None:
    file = parse(STAGES)
    assert [file.target(name) for name in ("base", "BUILD", "2", "", "final")] == [0, 1, 2, 4, 4]


def test_a_target_that_is_none_is_not_the_last_stage() -> None:
    with pytest.raises(UsageError) as caught:
        parse("FROM x AS one\nFROM y\nFROM z AS two\n").target("tow")
    assert (caught.value.message, caught.value.hint) == (
        "there is no stage 'tow' in the Dockerfile",
        "its stages: one, two",
    )


@pytest.mark.parametrize(
    ("target", "needed"), [("", [0, 1, 2, 4]), ("build", [0, 1]), ("tool", [2]), ("unused", [3]), ("Base", [0])]
)
def test_only_the_stages_that_a_target_is_made_of_are_needed(target: str, needed: list[int]) -> None:
    assert parse(STAGES).needed(target) == needed


@pytest.mark.parametrize(
    ("target", "bases"), [("", ["python:3.11", "golang:1"]), ("build", ["python:3.11"]), ("unused", ["alpine"])]
)
def test_bases_are_what_comes_from_a_registry(target: str, bases: list[str]) -> None:
    assert parse(STAGES).bases(target) == bases


def test_a_stage_may_have_the_name_of_an_image_below() -> None:
    file = parse("FROM python AS python\nFROM python\nCOPY --from=0 / /\n")
    assert file.bases() == ["python"]
    assert file.needed() == [0, 1]


def test_scratch_comes_from_no_registry() -> None:
    assert parse("FROM scratch\n").bases() == []


# -- for the classic builder -------------------------------------------------------------------------------------------


def test_what_the_classic_builder_knows_stays_to_the_letter() -> None:
    text = 'ARG A=1\nFROM python:3.11\n# why\nRUN a \\\n    # inside\n    b\nCOPY . /x\nENTRYPOINT ["train"]\n'
    assert classic(parse(text), "", {}) == text


def test_cache_mounts_are_dropped() -> None:
    rewritten = classic(parse("FROM x\nRUN --mount=type=cache,target=/root/.cache pip install y\n"), "", {})
    assert rewritten == "FROM x\nRUN pip install y\n"


def test_a_secret_is_copied_in_every_stage_but_the_last() -> None:
    text = (
        "FROM x AS build\nRUN --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca make\n"
        "FROM x\nCOPY --from=build /a /a\nRUN --mount=type=secret,id=pipconf,target=/etc/pip.conf pip install y\n"
    )
    assert classic(parse(text), "", {"pipconf": "holder:1", "ca": "holder:1"}) == (
        "FROM x AS build\nCOPY --from=holder:1 /pipconf /etc/pip.conf\nCOPY --from=holder:1 /ca /run/secrets/ca\n"
        "RUN make\nFROM x\nCOPY --from=build /a /a\nRUN pip install y\n"
    )


def test_a_secret_that_is_not_given_is_not_copied() -> None:
    text = "FROM x AS a\nRUN --mount=type=secret,id=netrc make\nFROM a\n"
    assert classic(parse(text), "", {"ca": "holder:1"}) == "FROM x AS a\nRUN make\nFROM a\n"


def test_stages_that_are_not_needed_are_dropped_with_their_faults() -> None:
    text = "FROM a AS one\nFROM b AS two\nRUN <<EOF\nx\nEOF\nFROM one\nRUN z\n"
    assert classic(parse(text), "", {}) == "FROM a AS one\nFROM one\nRUN z\n"


def test_what_follows_the_target_is_dropped() -> None:
    assert classic(parse("FROM a AS one\nRUN x\nFROM one AS two\nRUN y\n"), "one", {}) == "FROM a AS one\nRUN x\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("RUN <<EOF\nx\nEOF", "a here-document"),
        ("COPY <<EOF /x\nx\nEOF", "a here-document"),
        ("RUN --mount=type=bind,target=/x make", "RUN --mount=type=bind"),
        ("RUN --mount=target=/x make", "RUN --mount=type=bind"),
        ("RUN --mount=type=ssh make", "RUN --mount=type=ssh"),
        ("RUN --mount=type=tmpfs,target=/x make", "RUN --mount=type=tmpfs"),
        ("RUN --network=none make", "RUN --network"),
        ("RUN --security=insecure make", "RUN --security"),
        ("COPY --chmod=755 a /a", "COPY --chmod"),
        ("COPY --chown=1:1 --chmod=755 a /a", "COPY --chmod"),
        ("COPY --link a /a", "COPY --link"),
        ("ADD --chmod=755 a /a", "ADD --chmod"),
    ],
)
def test_what_only_buildkit_knows_is_refused_by_name(text: str, what: str) -> None:
    with pytest.raises(ByocError) as caught:
        classic(parse(f"FROM x\n{text}\n"), "", {})
    assert f"the Dockerfile uses {what}" in caught.value.message
    assert "buildx" in caught.value.hint


def test_a_flag_of_the_command_itself_is_not_the_builder_s() -> None:
    text = "FROM x\nRUN tool --link --chmod=1 --mount=type=bind\nCOPY my--link /a\n"
    assert classic(parse(text), "", {}) == text


def test_an_instruction_knows_the_line_that_it_begins_on() -> None:
    text = "# first\n\nARG A=1\nFROM x\n# about\n\nRUN a \\\n  # within\n  b\nCOPY <<EOF /c\nUSER\nEOF\nUSER 1\n"
    file = parse(text)
    assert [line.line for line in (*file.head, *file.stages[0].instructions)] == [3, 4, 7, 10, 13]
