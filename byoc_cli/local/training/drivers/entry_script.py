"""Runs SM_ENTRY_SCRIPT with the hyperparameters as `--name value`, in the current folder (T-09).

A .py by this Python; a .sh is made executable and run by its first line, as SDK v3 does. Ends with the script's exit
code. Where the script failed and left no word in /opt/ml/output/failure, its end is said there; of its words, which
may hold secrets, only the name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - the image's Python may be an old one

_RUN = 'chmod +x "$0" && exec ./"$0" "$@"'


def command(script: str, hyperparameters: Mapping[str, Any], python: str) -> list[str]:
    """Make the words of the script's process."""
    start = [python, script] if script.endswith(".py") else ["/bin/sh", "-c", _RUN, script]
    return [*start, *arguments(hyperparameters)]


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Make words of hyperparameters: text as it is, all else as JSON."""
    words = []
    for name, value in hyperparameters.items():
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return words


def run(environ: Mapping[str, str]) -> int:
    """Run the script to its end."""
    script = environ["SM_ENTRY_SCRIPT"]
    code = subprocess.call(command(script, json.loads(environ["SM_HPS"]), sys.executable))
    failure = Path(environ["SM_OUTPUT_FAILURE"])
    if code and not failure.exists():
        failure.write_text(f"{script} returned non-zero exit status {code}.\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    # Of a script that a signal killed it is negative, and the shell sees 256 less the signal: so it is with SDK v3.
    sys.exit(run(os.environ))
