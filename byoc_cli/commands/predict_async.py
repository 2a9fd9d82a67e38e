"""`byoc predict --async`: inputs are handed over, and their answers waited for (H-50)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc_cli.commands.options import Outcome, Session, stdin_bytes
from byoc_cli.commands.predict_view import check_json, show, write
from byoc_cli.contract import asynchronous
from byoc_cli.contract.channels import S3
from byoc_cli.errors import ByocError, Interrupted, UsageError

if TYPE_CHECKING:
    from byoc_cli.endpoint import Accepted, Client
    from byoc_cli.local.places import Reader
    from byoc_cli.project import Project

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Input:
    """What is sent: a URI, or "" and bytes."""

    source: str
    uri: str
    body: bytes
    content_type: str


@contextmanager
def _inputs(project: Project, files: Sequence[str], content_type: str) -> Iterator[list[Input]]:
    """Make inputs of files, pictures and stdin; what is made of them and is not small is a file for that time."""
    stdin = stdin_bytes() if "-" in files else b""
    with tempfile.TemporaryDirectory(prefix="byoc-") as folder:
        yield [_input(project, file, stdin, content_type, Path(folder, str(at))) for at, file in enumerate(files)]


def _input(project: Project, source: str, stdin: bytes, content_type: str, file: Path) -> Input:
    from byoc_cli import payload
    from byoc_cli.local.places import uri_of

    known = payload.content_type_unread(source, project.predict, content_type=content_type)
    if source.startswith(S3):
        return Input(source, source, b"", known or "application/octet-stream")
    if known and source != "-":
        path = payload.check_file(Path(source))
        if path.is_file():
            return _checked(Input(source, uri_of(path), b"", known), path.stat().st_size)
    sent = payload.load(source, project.predict, stdin=stdin, content_type=content_type)
    if 0 < len(sent.body) <= asynchronous.MAX_INLINE_BYTES:
        return Input(source, "", sent.body, sent.content_type)
    file.write_bytes(sent.body)
    return _checked(Input(source, uri_of(file), b"", sent.content_type), len(sent.body))


def _checked(one: Input, size: int) -> Input:
    if size > asynchronous.MAX_INPUT_BYTES:
        raise UsageError(asynchronous.too_large(one.source, size), hint="byoc batch has no limit for a file")
    return one


@dataclass(frozen=True)
class Wanted:
    """How inputs are sent, and where an answer goes."""

    content_type: str
    accept: str
    headers: Mapping[str, str]
    output: Path | None


def check_possible(target_model: str, repeat: int) -> None:
    """See that nothing was asked for that an asynchronous request has not.

    Raises:
        UsageError: it was.

    """
    for option, given in (("--target-model", target_model), ("--repeat", repeat > 1)):
        if given:
            raise UsageError(f"{option} does not go with --async", hint="leave one of them out")


def predict_async(
    session: Session,
    project: Project,
    files: Sequence[str],
    client: Callable[[], AbstractContextManager[Client]],
    wanted: Wanted,
) -> Outcome:
    """Hand all over, then show their answers in order."""
    several = len(files) > 1
    with _inputs(project, files, wanted.content_type) as sent, client() as endpoint:
        for asked in [_ask(session, endpoint, one, wanted) for one in sent]:
            try:
                _show(session, project, endpoint, asked, wanted, several=several)
            except ByocError as error:
                if several:
                    error.message = f"{asked.input.source}: {error.message}"
                raise
            except (KeyboardInterrupt, Interrupted):
                session.console.log("the endpoint goes on with what it was asked")
                raise
    return Outcome()


@dataclass(frozen=True)
class _Asked:
    """What was handed over, and when."""

    input: Input
    accepted: Accepted
    begun: float


def _ask(session: Session, client: Client, one: Input, wanted: Wanted) -> _Asked:
    from byoc_cli.local.places import shown

    named = {asynchronous.CONTENT_TYPE_HEADER: one.content_type, asynchronous.ACCEPT_HEADER: wanted.accept or "*/*"}
    if one.uri:
        named[asynchronous.INPUT_HEADER] = one.uri
    begun = time.monotonic()
    accepted = client.invoke_async(one.body, {**named, **wanted.headers})
    session.console.log(f"{one.source}: the answer will be {shown(accepted.output)}")
    return _Asked(one, accepted, begun)


def _show(session: Session, project: Project, client: Client, asked: _Asked, wanted: Wanted, *, several: bool) -> None:
    from byoc_cli.endpoint import Response
    from byoc_cli.local import answers
    from byoc_cli.local.places import Places

    console, its = session.console, asked.accepted
    with closing(answers.wait(Places(session.doors.s3), its, client.reachable, console)) as reader:
        if wanted.output:
            write(console, _pieces(reader), "", wanted.output)
            return
        body = b"".join(_pieces(reader))
    if console.as_json:
        console.json({"inference_id": its.inference_id, "output": its.output, "answer": _json(body)})
        return
    response = Response(200, body, "", {}, time.monotonic() - asked.begun)
    check_json(response, wanted.accept)
    show(console, project, asked.input.source, response, several=several)


def _pieces(reader: Reader) -> Iterator[bytes]:
    """Read it to its end; an answer may be large."""
    while piece := reader.read(_CHUNK):
        yield piece


def _json(body: bytes) -> Any:
    from byoc_cli import payload

    try:
        return payload.parse_json(body)
    except ValueError:
        return None
