"""Write docs/commands.md from --help; `--check` says whether it is up to date."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from byoc_cli.app import COMMANDS, main

FILE = Path(__file__).parents[1] / "docs" / "commands.md"


def text() -> str:
    """All of --help, as one page."""
    os.environ |= {"COLUMNS": "110", "TERMINAL_WIDTH": "110"}
    parts = ["# Commands\n\nMade from `--help` by `python scripts/docs.py`.\n"]
    for words in ([], *([name] for name, *_ in COMMANDS)):
        buffer = io.StringIO()
        with contextlib.redirect_stdout(buffer):
            main([*words, "--help"])
        title = " ".join(["byoc", *words])
        parts.append(f"## {title}\n\n```text\n{buffer.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text(encoding="utf-8") == text() else "docs/commands.md is old: python scripts/docs.py")
    FILE.write_text(text(), encoding="utf-8")
