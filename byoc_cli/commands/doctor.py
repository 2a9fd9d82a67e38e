"""`byoc doctor`."""

from __future__ import annotations

from byoc_cli.commands.options import Outcome, Session
from byoc_cli.console import Console
from byoc_cli.errors import MachineError

EXAMPLES = """
  byoc doctor
  byoc doctor --json
"""

_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("fail", "bold red"), "skip": ("skip", "dim")}


def doctor(session: Session) -> Outcome:
    """Look whether this machine can build, train and serve; say for each finding what to do.

    Ends with 3 when something is missing that everything needs (an engine, a valid project file).

    With --json: a list of objects with name, result (ok, warn, fail, skip), seen, remedy.
    """
    from byoc_cli.check.machine import examine

    findings = examine(session.project, session.doors.connect)
    rows = [{"name": each.name, "result": each.result, "seen": each.seen, "remedy": each.remedy} for each in findings]

    def show(console: Console) -> None:
        for each in findings:
            mark, style = _MARKS[each.result]
            console.out.print(f"[{style}]{mark:<5}[/{style}]", end="")
            console.out.print(f"{each.name}: {each.seen}", markup=False)
            if each.remedy:
                console.out.print(f"     {each.remedy}", markup=False, style="cyan")

    failed = [each.name for each in findings if each.result == "fail"]
    if failed:
        if not session.console.as_json:
            show(session.console)
        raise MachineError(
            f"this machine is not ready: {', '.join(failed)}", hint="see the remedies above", result=rows
        )
    return Outcome(rows, show)
