"""DataProcessing of a transform job: what of a record is sent, and what is stored with its answer (H-60). Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from byoc_cli.contract import json_path
from byoc_cli.contract.batch import AssembleWith, SplitType
from byoc_cli.contract.json_path import JsonPath

JoinSource = Literal["None", "Input"]

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
INPUT_KEY, OUTPUT_KEY = "SageMakerInput", "SageMakerOutput"

_FIELD = re.compile(rb'(?:"(?:[^"]|"")*"|[^",]*)(?=,|$)')


@dataclass(frozen=True)
class DataProcessing:
    """What CreateTransformJob calls so; a path of "$" leaves all as it is."""

    input_filter: str = "$"
    output_filter: str = "$"
    join_source: JoinSource = "None"

    @property
    def wanted(self) -> bool:
        """Whether anything is done at all."""
        return self != DataProcessing()


def problems(
    asked: DataProcessing, content_type: str, accept: str, split: SplitType, assemble: AssembleWith
) -> list[str]:
    """What SageMaker would refuse."""
    if not asked.wanted:
        return []
    read, written = _formats(content_type, accept)
    known = f"{CSV}, {JSON} or {JSON_LINES}"
    found = []
    if read not in {CSV, JSON, JSON_LINES}:
        found += [f"filters and join need a ContentType of {known}, not {content_type or 'none'} (H-60)"]
    if written not in {CSV, JSON, JSON_LINES} and accept:
        found += [f"filters and join need an Accept of {known}, not {accept} (H-60)"]
    if asked.join_source == "Input" and CSV in {read, written} and read != written:
        found += [f"JoinSource Input needs the same format in ContentType and Accept, not {read} and {written} (H-60)"]
    if split not in {"None", "Line"}:
        found += [f"filters and join are of CSV and JSON, and SplitType is {split} (H-60)"]
    if CSV in {read, written} and (split, assemble) != ("Line", "Line"):
        found += [f"filters and join of {CSV} need SplitType Line and AssembleWith Line (H-60)"]
    return found + [
        f"{name} {path}: {why} (H-60)"
        for name, path, format_ in (
            ("InputFilter", asked.input_filter, read),
            ("OutputFilter", asked.output_filter, written),
        )
        if (why := _why_not(path, format_))
    ]


def streaming_problem(asked: DataProcessing, max_payload_mb: int | None) -> str:
    """Why a job cannot be done whose files are streamed; nobody says what SageMaker does with it."""
    if asked.wanted and max_payload_mb == 0:
        return "filters and join need whole records, and MaxPayloadInMB 0 streams the file (H-60)"
    return ""


def _why_not(text: str, format_: str) -> str:
    try:
        path = json_path.parse(text)
    except ValueError as error:
        return str(error)
    return "a row of CSV has numbers only: $[0], $[1:]" if format_ == CSV and not path.of_columns else ""


def _formats(content_type: str, accept: str) -> tuple[str, str]:
    """Of the requests and of the answers; where nothing is said of the latter they are like the former."""
    read, written = (value.partition(";")[0].strip().lower() for value in (content_type, accept))
    return read, written or read


class Processor:
    """Does that to the body of a request, and to its answer."""

    def __init__(self, asked: DataProcessing, content_type: str, accept: str) -> None:
        self._input = json_path.parse(asked.input_filter)
        self._output = json_path.parse(asked.output_filter)
        self._join = asked.join_source == "Input"
        self._read, self._written = _formats(content_type, accept)

    def request(self, body: bytes, records: int, first: int = 1) -> bytes:
        """Give what the container is sent of a body with so many records, of which the first has that number.

        Raises:
            ValueError: a record is not of the format, or has nothing of what is wanted; says which.

        """
        if self._input.whole:
            return body
        end = b"\n" if body.endswith(b"\n") else b""
        rows = _rows(body, self._read, records, "input")
        return b"\n".join(_filtered(self._input, row, number) for number, row in enumerate(rows, first)) + end

    def answer(self, body: bytes, records: int, answer: bytes, first: int = 1) -> bytes:
        """Give what is stored of the answer to a body, a line for each record.

        Raises:
            ValueError: as above, or there are more or fewer answers than records.

        """
        if self._output.whole and not self._join:
            return answer
        rows = _rows(answer, self._written, records, "output from the algorithm")
        if self._join:
            asked = _rows(body, self._read, records, "input")
            if len(asked) != len(rows):
                raise ValueError(
                    "Fail to join data: mismatched line count between the input and the output\n"
                    f"{len(asked):,} in the input, {len(rows):,} in the answer"
                )
            rows = [_joined(one, other) for one, other in zip(asked, rows, strict=True)]
        return b"\n".join(_filtered(self._output, row, number) for number, row in enumerate(rows, first))


@dataclass(frozen=True)
class _Row:
    """One record: of CSV its fields as they stand in it, of JSON its value."""

    value: Any
    csv: bool


def _rows(data: bytes, format_: str, records: int, what: str) -> list[_Row]:
    # One record of JSON may have any number of lines.
    whole = format_ == JSON and records == 1
    lines = [data] if whole else data.removesuffix(b"\n").split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = _Row(_fields(line.removesuffix(b"\r")), True) if format_ == CSV else _Row(_json(line), False)
        except (ValueError, RecursionError) as error:
            near = line[:60].decode(errors="replace")
            where = f"line {number:,}: " if len(lines) > 1 else ""
            raise ValueError(
                f"{where}Failed to parse {what} as {'CSV' if format_ == CSV else 'JSON'}: {error}\nnear: {near}"
            ) from error
        rows.append(row)
    return rows


def _fields(line: bytes) -> list[bytes]:
    """Cut a row at its commas (RFC 4180); quotes stay, so that what is not asked about is not changed."""
    if b'"' not in line:
        return line.split(b",")
    fields, at = [], 0
    while match := _FIELD.match(line, at):
        fields.append(match[0])
        at = match.end() + 1
        if at > len(line):
            return fields
    raise ValueError('bare " in a field, or a quote that is not closed')


def _json(text: bytes) -> Any:
    return json.loads(text.decode(), parse_constant=_no_number)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _joined(record: _Row, answer: _Row) -> _Row:
    if record.csv:
        return _Row(record.value + answer.value, True)
    held = record.value if isinstance(record.value, dict) else {INPUT_KEY: record.value}
    return _Row({**held, OUTPUT_KEY: answer.value}, False)


def _filtered(path: JsonPath, row: _Row, number: int) -> bytes:
    try:
        value = json_path.select(path, row.value)
        if not row.csv:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return _columns(value)
    except ValueError as error:
        raise ValueError(f"{path.text} of record {number:,}: {error}") from error


def _columns(value: bytes | list[bytes]) -> bytes:
    if not value and isinstance(value, list):
        raise ValueError("there is no such column in it")
    return b",".join(value if isinstance(value, list) else [value])
