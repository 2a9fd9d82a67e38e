"""What adopting a folder shows: the byoc.toml on stdout; what was taken, and what is missing, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.check.report import MARKS
from byoc_cli.console import Console

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
    finding = missing.finding
    head = f"{MARKS[finding.result]} {finding.rule.id} {finding.rule.level}: {finding.rule.sentence}" if finding else "WARN"
    lines = ["", head if finding else f"WARN build: {missing.seen.splitlines()[0]}"]
    parts = [("at", missing.where), *([("seen", missing.seen)] if finding else []), ("fix", missing.fix)]
    for name, text in parts:
        for index, line in enumerate(text.splitlines()):
            label = f"{name}:" if index == 0 else ""
            lines.append(f"{_INDENT}{label:<6}{line}")
    console.log("\n".join(lines))


def end(console: Console, found: Adoption, *, written: bool, dry_run: bool, asked: bool) -> None:
    """Say whether it was written, and what comes next."""
    if written:
        console.log(f"written: {found.file}")
        if found.proposal.dockerfile:
            console.log(f"next: byoc build {_folder(found)}&& byoc check {_there(found)}".rstrip())
    elif asked:
        console.log("nothing was written")
    elif dry_run:
        console.log(f"nothing was written (--dry-run); without it: {found.file}")
    else:
        console.log(f"nothing was written: nobody is there to be asked. --yes writes {found.file}")


def _folder(found: Adoption) -> str:
    del found
    return ""


def _there(found: Adoption) -> str:
    del found
    return ""
