"""What a check found, for programs (JSON, JUnit) and for a browser; the terminal's own form is the console's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from byoc_cli.check.model import RESULTS, Finding

MARKS = {"pass": "pass", "warn": "WARN", "fail": "FAIL", "skip": "skip"}


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """How many rules came to which result."""
    counts = Counter(finding.result for finding in findings)
    return {result: counts[result] for result in RESULTS}


def data(reference: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """What --json prints."""
    rules = [
        {
            "id": each.rule.id,
            "level": each.rule.level,
            "result": each.result,
            "seen": each.verdict.seen,
            "cloud": each.verdict.cloud,
            "fix": each.fix,
            "source": each.rule.source,
            "seconds": round(each.seconds, 3),
        }
        for each in findings
    ]
    return {"image": reference, "rules": rules, "summary": summary(findings)}
