"""`byoc` and `python -m byoc_cli`."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path


def run() -> None:
    """Entry point of the console script."""
    # The collector finds nothing in what imports make, and looks for a quarter of a command's start-up time.
    gc.set_threshold(100_000, 50, 50)
    # A stream that was closed (`>&-`) is None; what is printed there goes nowhere, as with any program.
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    try:
        # Here, so that a Ctrl-C while the imports go on ends as quietly as any other.
        from byoc_cli.app import main
        from byoc_cli.console import forgive

        forgive(sys.stdout, sys.stderr)
        code = main()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    run()
