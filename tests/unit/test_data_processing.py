"""Filters and join of a batch job: each example of AWS's guide, and what a record may do to them (H-60)."""

from __future__ import annotations

from typing import Any

import pytest

from byoc_cli.contract import json_path
from byoc_cli.contract.batch import AssembleWith, SplitType
from byoc_cli.contract.data_processing import CSV, JSON, JSON_LINES, DataProcessing, JoinSource, Processor, problems

DOCUMENT: dict[str, Any] = {
    "id": 7,
    "features": [1, 2, 3, 4, 5, 6, 7],
    "a": {"b": {"c": 2}, "d": 3, "my key": 4},
    "SageMakerOutput": [{"score": 1}, {"score": 2}, {"label": 3}],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$.features", [1, 2, 3, 4, 5, 6, 7]),
        ("$.features[1]", 2),
        ("$.features[-1]", 7),
        ("$.features[1,3,5]", [2, 4, 6]),
        ("$.features[ 0 , -1 ]", [1, 7]),
        ("$.features[0,5:]", [1, 6, 7]),
        ("$.features[20:]", []),
        ("$.a.*", [{"c": 2}, 3, 4]),
        ("$.a[*]", [{"c": 2}, 3, 4]),
        ("$['a']['b'].c", 2),
        ("$['id','features']", {"id": 7, "features": [1, 2, 3, 4, 5, 6, 7]}),
        ("$.a.['b','d']", {"b": {"c": 2}, "d": 3}),
        ("$.a['my key']", 4),
        ("$.SageMakerOutput[0].score", 1),
        ("$.SageMakerOutput[*].score", [1, 2]),
    ],
)
def test_h60_the_operators_of_the_guide(path: str, expected: object) -> None:
    assert json_path.select(json_path.parse(path), DOCUMENT) == expected


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("$[1:4]", "bcde"),  # "specifies the second through fifth columns"
        ("$[5:]", "fgh"),  # "all columns from the 6th column through the last column"
        ("$[:5]", "abcdef"),  # "from the first column (index 0) through the sixth column"
        ("$[2:5]", "cdef"),
        ("$[-2:]", "gh"),
        ("$[:-1]", "abcdefgh"),
        ("$[:-2]", "abcdefg"),
        ("$[3:100]", "defgh"),
    ],
)
def test_h60_a_slice_has_its_end(path: str, columns: str) -> None:
    assert json_path.select(json_path.parse(path), list("abcdefgh")) == list(columns)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$.x", "there is no 'x' in it"),
        ("$['id','x']", "there is no 'id' or 'x' in it"),
        ("$.id.x", "there is no 'x' in it"),
        ("$[0]", "there is no element 0 in it"),
        ("$.features[7]", "there is no element 7 in it"),
        ("$.id.*", "there is no array or object in it"),
    ],
)
def test_h60_what_is_not_there_is_an_error(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        json_path.select(json_path.parse(path), DOCUMENT)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "it does not start with $"),
        ("features", "it does not start with $"),
        ("$.account_id", 'Unexpected "_" in JsonPath'),
        ("$[?(@.x > 1)]", 'Unexpected "?" in JsonPath'),
        ("$[0:2,246:]", "only single range filters of format (eg: [1:5]) are supported. Format [0:2,246:] is not"),
        ("$..id", "'..id' is no step"),
        ("$.", "'.' is no step"),
        ("$.a[", "'[' is no step"),
        ("$[]", "[] has neither"),
        ("$[1:2:3]", "[1:2:3] has neither"),
        ("$['a','b.c']", "['a','b.c'] has neither"),
        ("$['a','b'].c", "several names in brackets can only be the last step"),
        ("$." + "a" * 62, "it has 64 characters; at most 63"),
    ],
)
def test_h60_what_sagemaker_does_not_know_is_refused(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        json_path.parse(path)
    assert said in str(caught.value)
    assert json_path.parse("$." + "a" * 61).steps


def done(
    body: bytes,
    answer: bytes,
    input_filter: str = "$",
    output_filter: str = "$",
    join: JoinSource = "None",
    *,
    kind: str = CSV,
    accept: str = "",
    records: int = 1,
) -> tuple[bytes, bytes]:
    """Give what is sent, and what is stored."""
    processor = Processor(DataProcessing(input_filter, output_filter, join), kind, accept)
    return processor.request(body, records), processor.answer(body, records, answer)


def test_h60_example_only_inferences() -> None:
    assert not DataProcessing("$", "$", "None").wanted
    assert done(b"1,2,3\n", b" 1\r\n\n") == (b"1,2,3\n", b" 1\r\n\n")


def test_h60_example_input_and_inferences() -> None:
    sent, stored = done(b'{"key":1}', b'{"label":1}', join="Input", kind=JSON)
    assert (sent, stored) == (b'{"key":1}', b'{"key":1,"SageMakerOutput":{"label":1}}')
    assert done(b"1,2,3\n", b"1\n", join="Input") == (b"1,2,3\n", b"1,2,3,1")


def test_h60_example_an_id_column() -> None:
    body = b"a,1,2,3,4\nb,5,6,7,8\n"
    sent, stored = done(body, b"0.5\n0.7", "$[1:]", "$", "Input", records=2)
    assert (sent, stored) == (b"1,2,3,4\n5,6,7,8\n", b"a,1,2,3,4,0.5\nb,5,6,7,8,0.7")
    assert done(body, b"0.5\n0.7\n", "$[1:]", "$[0,-1]", "Input", records=2)[1] == b"a,0.5\nb,0.7"


def test_h60_example_an_id_attribute() -> None:
    body = b'{"id": 7, "features": [1, 2.5]}\n{"id": 8, "features": []}\n'
    sent, stored = done(
        body, b'{"score":1}\n[2]\n', "$.features", "$['id','SageMakerOutput']", "Input", kind=JSON_LINES, records=2
    )
    assert sent == b"[1,2.5]\n[]\n"
    assert stored == b'{"id":7,"SageMakerOutput":{"score":1}}\n{"id":8,"SageMakerOutput":[2]}'


@pytest.mark.parametrize("value", ["[1,2]", '"text"', "7", "null"])
def test_h60_what_is_no_object_becomes_one(value: str) -> None:
    _, stored = done(value.encode(), b"1", join="Input", kind=JSON)
    assert stored == f'{{"SageMakerInput":{value},"SageMakerOutput":1}}'.encode()


def test_h60_the_name_of_the_output_is_the_outputs() -> None:
    _, stored = done(b'{"SageMakerOutput":1,"a":"\xc3\xbc"}', b"2", join="Input", kind=JSON)
    assert stored == b'{"SageMakerOutput":2,"a":"\xc3\xbc"}'


def test_one_document_may_have_many_lines() -> None:
    assert done(b'{\n "a": [1,\n 2]\n}\n', b'{\n "b": 3\n}\n', "$.a", "$.b", kind=JSON) == (b"[1,2]\n", b"3")


def test_rows_of_csv_stay_as_they_are_written() -> None:
    row = b'"a,""b""",\xff,,"",x y\r\n'
    assert done(row, b"1\r\n", "$[0,2:]", "$", "Input") == (b'"a,""b""",,"",x y\n', b'"a,""b""",\xff,,"",x y,1')


@pytest.mark.parametrize(
    ("kind", "body", "answer", "said"),
    [
        (CSV, b'a"b,1\n', b"1\n", 'Failed to parse input as CSV: bare "'),
        (CSV, b'"a,1\n', b"1\n", "Failed to parse input as CSV"),
        (CSV, b"1\n", b'{"predictions": [1.5]}', 'Failed to parse output from the algorithm as CSV: bare "'),
        (JSON, b"{", b"1", "Failed to parse input as JSON"),
        (JSON, b"1", b"<html>", "Failed to parse output from the algorithm as JSON"),
        (JSON, b"1", b"NaN", "NaN is no JSON"),
        (JSON, b"1", b"1e999", "Out of range float"),
        (JSON, b"\xff", b"1", "Failed to parse input as JSON"),
        (JSON, b"[" * 100_000, b"1", "Failed to parse input as JSON"),
        (JSON_LINES, b"1\n2\n", b"1\n", "mismatched line count between the input and the output\n2 in the input, 1 in"),
        (JSON_LINES, b"1\n\n", b"1\n2\n", "line 2: Failed to parse input as JSON"),
    ],
)
def test_h60_what_cannot_be_read_is_said(kind: str, body: bytes, answer: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        done(body, answer, join="Input", kind=kind, records=1)
    assert said in str(caught.value)


def test_h60_columns_that_are_not_there() -> None:
    with pytest.raises(ValueError, match=r"record 2: there is no such column in it"):
        done(b"1,2\n3\n", b"", "$[1:]", records=2)


@pytest.mark.parametrize(
    ("asked", "kind", "accept", "split", "assemble", "said"),
    [
        (DataProcessing("$[1:]"), CSV, CSV, "Line", "Line", ""),
        (DataProcessing("$[1:]"), "Text/CSV; charset=utf-8", "", "Line", "Line", ""),
        (DataProcessing("$.a"), JSON, "", "None", "None", ""),
        (DataProcessing("$.a"), JSON, CSV, "Line", "Line", ""),
        (DataProcessing(join_source="Input"), JSON_LINES, JSON, "Line", "Line", ""),
        (DataProcessing(), "image/png", "", "RecordIO", "None", ""),
        (DataProcessing("$[1:]"), "", "", "Line", "Line", "need a ContentType of text/csv, application/json or"),
        (DataProcessing("$.a"), JSON, "image/png", "Line", "Line", "need an Accept of text/csv, application/json or"),
        (DataProcessing(join_source="Input"), CSV, JSON, "Line", "Line", "needs the same format in ContentType and"),
        (DataProcessing("$.a"), JSON, "", "TFRecord", "Line", "SplitType is TFRecord"),
        (DataProcessing("$[0]"), CSV, "", "Line", "None", "need SplitType Line and AssembleWith Line"),
        (DataProcessing("$.a"), CSV, "", "Line", "Line", "InputFilter $.a: a row of CSV has numbers only"),
        (DataProcessing("$", "$.a_b"), JSON, "", "Line", "Line", 'OutputFilter $.a_b: Unexpected "_" in JsonPath'),
    ],
)
def test_h60_what_is_refused_before_anything_runs(
    asked: DataProcessing, kind: str, accept: str, split: SplitType, assemble: AssembleWith, said: str
) -> None:
    found = problems(asked, kind, accept, split, assemble)
    assert len(found) == bool(said), found
    assert said in "".join(found)
