"""A check as it goes on, and what it found: a line for each rule as it is known, then each finding with its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from byoc_cli.check.report import MARKS, summary
from byoc_cli.console import Console

if TYPE_CHECKING:
    from rich.status import Status

    from byoc_cli.check.model import Finding, Rule, Step

STYLES = {"pass": "green", "warn": "bold yellow", "fail": "bold red", "skip": "dim"}
_INDENT = " " * 6


class CheckView:
    """A check's `Watcher`: results are lines on stdout as they come, a terminal's last line tells what runs now.

    With --json stdout is the document's, so the lines go to stderr; with -q there are none.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[str] = []
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()
        self._show_status()

    def log(self, text: str) -> None:
        self._hide_status()
        self._console.log(text)
        self._show_status()

    def started(self, step: Step[Any]) -> None:
        self._running.append(f"{step.name}: {step.about}")
        self._show_status()

    def ended(self, step: Step[Any], findings: Sequence[Finding], seconds: float) -> None:
        self._running.remove(f"{step.name}: {step.about}")
        self._hide_status()
        if not self._console.quiet and findings:
            self._console.log(f"{step.name}: {step.about} ({seconds:.1f} s)")
            for finding in findings:
                self._line(finding)
        self._show_status()

    def _line(self, finding: Finding) -> None:
        mark, rule = MARKS[finding.result], finding.rule
        text = f"{rule.id:<5} {rule.level:<6} {rule.sentence}"
        if finding.result == "skip":
            text += f" ({finding.verdict.seen})"
        if self._console.as_json:
            self._console.log(f"{mark} {text}")
            return
        _marked(self._console, mark, STYLES[finding.result], f" {text}")

    def _show_status(self) -> None:
        self._hide_status()
        if self._running and self._console.animated:
            self._status = self._console.err.status("; ".join(self._running))
            self._status.start()

    def _hide_status(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def _marked(console: Console, mark: str, style: str, text: str) -> None:
    console.out.print(mark, style=style, end="", markup=False)
    console.out.print(text, markup=False)


def show(console: Console, reference: str, findings: Sequence[Finding]) -> None:
    """Print what is wrong, each with what to do, and the count of all."""
    wrong = [each for result in ("fail", "warn") for each in findings if each.result == result]
    for finding in wrong:
        rule = finding.rule
        console.result("")
        _marked(console, MARKS[finding.result], STYLES[finding.result], f" {rule.id} {rule.level}: {rule.sentence}")
        parts = (("seen", finding.verdict.seen), ("cloud", finding.verdict.cloud), ("fix", finding.fix))
        for name, text in (*parts, ("source", rule.source)):
            _part(console, name, text)
    console.result("")
    counts = summary(findings)
    console.result(f"{reference}: " + ", ".join(f"{count} {result}" for result, count in counts.items()))


def _part(console: Console, name: str, text: str) -> None:
    for index, line in enumerate(text.splitlines()):
        label = f"{name}:" if index == 0 else ""
        console.out.print(f"{_INDENT}{label:<8}", style="dim", end="", markup=False)
        console.out.print(line, style="cyan" if name == "fix" else None, markup=False)


def show_rules(console: Console, rules: Sequence[Rule[Any]]) -> None:
    """Print the table of rules that can be checked."""
    rows = [[each.id, each.level, each.step.name, each.sentence] for each in rules]
    console.rows(["RULE", "LEVEL", "STEP", "WHAT IS CHECKED"], rows, fold=True)
