"""What adopting a folder shows: the byoc.toml on stdout; what was taken, and what is missing, on stderr."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from byoc_cli.adopt.reading import relative
from byoc_cli.check.report import MARKS
from byoc_cli.console import Console
from byoc_cli.console.check_view import STYLES

if TYPE_CHECKING:
    from byoc_cli.adopt import Adoption, Missing

_INDENT = " " * 6


def show(console: Console, found: Adoption) -> None:
    """Print what was taken, the text, and what the contract misses."""
    others = "".join(f"\nthere is also {file.name}: byoc adopt --from {name}" for name, file in found.others)
    console.log(f"{found.proposal.source}: {found.shown_by}{others}")
    for note in found.proposal.notes:
        console.log(f"note: {note}")
    if not console.as_json:
        console.log("")
        console.result(found.text.rstrip("\n"))
    for missing in found.missing:
        _missing(console, missing)
    count = len(found.missing)
    console.log("")
    console.log(f"{count} missing, as far as files tell" if count else "nothing is missing, as far as files tell")


def _missing(console: Console, missing: Missing) -> None:
    rule = missing.finding.rule if missing.finding else None
    head = f"{rule.id} {rule.level}: {rule.sentence}" if rule else missing.seen
    console.log("")
    console.log(f"{MARKS[missing.result]} {head}", style=STYLES[missing.result])
    for name, text in (("at", missing.where), ("seen", missing.seen if rule else ""), ("fix", missing.fix)):
        for index, line in enumerate(text.splitlines()):
            label = f"{name}:" if index == 0 else ""
            console.log(f"{_INDENT}{label:<6}{line}", style="cyan" if name == "fix" else "")


def end(console: Console, found: Adoption, there: Path | None, *, written: bool, asked: bool) -> None:
    """Say whether it was written, and what comes next; `there` is a project file that was there before."""
    if not written:
        what = "" if there == found.file else " with a [tool.byoc]"
        other = f"; {there}{what} is there already, and was not read" if there else ""
        how = "" if asked else f"; --yes{' --overwrite' if there else ''} writes it"
        console.log(f"nothing was written{how}{other}")
        return
    console.log(f"written: {found.file}")
    if found.proposal.dockerfile:
        home = Path.cwd() in {found.proposal.root, found.proposal.root.parent}
        named = found.proposal.root.name == "container" or Path.cwd() == found.proposal.root
        go = "" if home and named else f"cd {quote(relative(found.proposal.root, Path.cwd()))} && "
        console.log(f"next: {go}byoc build && byoc check")
