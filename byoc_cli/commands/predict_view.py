"""How `byoc predict` shows an answer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.errors import ByocError

if TYPE_CHECKING:
    from byoc_cli.console import Console
    from byoc_cli.endpoint import Response
    from byoc_cli.project import Project


def write(console: Console, pieces: Iterable[bytes], content_type: str, output: Path) -> None:
    """Write an answer to a file, or to stdout."""
    if str(output) == "-":
        for piece in pieces:
            console.raw(piece)
        return
    size = 0
    try:
        with output.open("wb") as file:
            for piece in pieces:
                size += file.write(piece)
    except OSError as error:
        raise ByocError(f"the answer cannot be written to {output}\n{error.strerror}", hint="-o FILE") from error
    console.log(f"{size:,} bytes of {content_type or 'unknown type'}: {output}")


def check_json(response: Response, accept: str) -> None:
    """See that an answer that says it is JSON (or, saying nothing, was asked to be) is JSON."""
    from byoc_cli import payload
    from byoc_cli.endpoint import InvocationFailed

    if "json" in (response.content_type or accept) and "lines" not in response.content_type:
        try:
            payload.parse_json(response.body)
        except ValueError as error:
            start = response.body[:200].decode(errors="replace")
            said = response.content_type or "nothing of its type"
            raise InvocationFailed(
                f"the answer is not JSON, though it says {said}\n{error}\nit begins: {start}"
            ) from error


def show_json(console: Console, response: Response, *, several: bool) -> None:
    """Print a body as it came; of several each on a line."""
    from byoc_cli import payload

    if several:
        console.result(payload.one_line(response.body))
        return
    console.raw(response.body)
    if console.terminal and not response.body.endswith(b"\n"):
        console.result("")


def show(console: Console, project: Project, source: str, response: Response, *, several: bool) -> None:
    """Print an answer for people."""
    from byoc_cli import payload

    classes = payload.classes(response.body, project.predict.classes)
    if several:
        answer = f"{classes[0][0]}  {classes[0][1]:.2%}" if classes else payload.one_line(response.body)[:200]
        console.result(f"{source}\t{answer}")
    elif classes:
        console.bars(classes[:10])
    elif (text := payload.pretty(response.body, response.content_type)) is not None:
        console.result(text.rstrip("\n"))
    else:
        kind = response.content_type or "an unknown type"
        raise ByocError(f"the answer is {len(response.body):,} bytes of {kind}: nothing to print", hint="-o FILE")
    console.log(f"{response.seconds * 1e3:.1f} ms")
