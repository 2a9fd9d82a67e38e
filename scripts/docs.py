"""Write the pages of docs/ that are made from the program; `--check` says which are old."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from byoc_cli.app import COMMANDS, main
from scripts import check_page, contract_page


def commands_page() -> str:
    """All of --help, as one page."""
    os.environ |= {"COLUMNS": "110", "TERMINAL_WIDTH": "110"}
    parts = ["# Commands\n\nMade from `--help` by `python scripts/docs.py`.\n"]
    for words in ([], *(name.split() for name, *_ in COMMANDS)):
        buffer = io.StringIO()
        with contextlib.redirect_stdout(buffer):
            main([*words, "--help"])
        title = " ".join(["byoc", *words])
        parts.append(f"## {title}\n\n```text\n{buffer.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)


PAGES = {"check.md": check_page.page, "commands.md": commands_page, "contract.md": contract_page.page}


def write(folder: Path) -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")


def old(folder: Path) -> Iterator[str]:
    """Say which pages are not there, or not what they would be now."""
    for name, make in PAGES.items():
        page = folder / name
        if not page.is_file() or page.read_text(encoding="utf-8") != make():
            yield f"{name} is old: python scripts/docs.py"


def run(folder: Path, *, check: bool) -> list[str]:
    """Write or check all pages; gives what is wrong. Nothing is written from wrong statuses."""
    if wrong := [f"fidelity.toml: {problem}" for problem in contract_page.problems(contract_page.read())]:
        return wrong
    if check:
        return list(old(folder))
    write(folder)
    return []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, but say which pages are old")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1] / "docs")
    words = parser.parse_args()
    sys.exit("\n".join(run(words.folder, check=words.check)) or 0)
