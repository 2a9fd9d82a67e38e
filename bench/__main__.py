"""`python -m bench`: run the rows, print the table, write docs/performance.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

from bench import machine, report, rows_sdk
from bench.figures import Figure, table
from bench.rows import ROWS
from bench.shell import BenchError, say
from bench.workshop import REPOSITORY, Workshop

PAGE = REPOSITORY / "docs" / "performance.md"
ROUNDS = 5

_EPILOG = """\
examples:
  python -m bench
  python -m bench --only help --only local-train
  python -m bench --json > figures.json

A reach that is missed is shown, not a failure. Exit code: 0 when all rows were run, 1 when one could not be.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench; returns the exit code."""
    options = _options(argv)
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:18} {row.about}")
        return 0
    signal.signal(signal.SIGTERM, _terminated)
    try:
        shop = Workshop(options.rounds, options.sdk_python)
    except BenchError as error:
        say(f"error: {error}")
        return 3
    names = list(dict.fromkeys(options.only)) or list(ROWS)
    try:
        return _run(shop, names, as_json=options.json)
    except KeyboardInterrupt:
        return 130
    finally:
        say("removing what the bench made")
        shop.remove_all()


def _run(shop: Workshop, names: Sequence[str], *, as_json: bool) -> int:
    say(f"Docker Engine {shop.engine_version}, client {shop.docker} ({shop.client_version}), {shop.rounds} rounds")
    where = machine.machine()
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name in names:
        row = ROWS[name]
        if row.optional and (why := row.optional(shop)):
            say(f"{name}: left out, {why}")
            continue
        say(f"{name}: {row.about}")
        try:
            found = row.measure(shop)
        except BenchError as error:
            failed[name] = str(error)
            say(f"  could not be run: {error}")
            continue
        figures += found
        for figure in found:
            say(f"  {figure.name}: {json.dumps(figure.as_json())}")
    if as_json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
    elif figures:
        print(table(figures))
    if failed:
        say("error: these rows could not be run: " + ", ".join(failed))
        return 1
    # A page of some rows, or of hasty ones, would pass for the whole.
    if set(names) == set(ROWS) and shop.rounds >= ROUNDS:
        page = report.render(figures, where, machine.versions(shop), shop.rounds, datetime.now(UTC).date())
        report.write(PAGE, page)
        say(f"written: {PAGE.relative_to(REPOSITORY)}")
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure byoc and its container against the alternatives, side by side.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAME", action="append", default=[], choices=list(ROWS), help="only this row")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--json", action="store_true", help="print a list of objects, one a figure")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"samples of each side; the page is written from {ROUNDS} on"
    )
    parser.add_argument(
        "--sdk-python",
        metavar="PATH",
        default=rows_sdk.default_python(),
        help=f"a Python with sagemaker 2.x, for the row sdk (or ${rows_sdk.PYTHON_VARIABLE})",
    )
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    # By way of every `finally`.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
