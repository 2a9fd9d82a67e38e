"""A check as JUnit's XML, which every CI shows: a rule is a test case, a step its class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from byoc_cli.check.model import Finding


def junit(reference: str, findings: Sequence[Finding], *, strict: bool = False) -> str:
    """Write it; with `strict` a warning is a failure, as it is for the exit code."""
    failing = {"fail", "warn"} if strict else {"fail"}
    suite = ET.Element(
        "testsuite",
        name=f"byoc check {reference}",
        tests=str(len(findings)),
        failures=str(sum(each.result in failing for each in findings)),
        skipped=str(sum(each.result == "skip" for each in findings)),
        errors="0",
        time=f"{sum({each.rule.step.name: each.seconds for each in findings}.values()):.3f}",
    )
    for each in findings:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"byoc.check.{each.rule.step.name}",
            name=_clean(f"{each.rule.id} {each.rule.sentence}"),
            time=f"{each.seconds:.3f}",
        )
        if each.result in failing:
            first = each.verdict.seen.partition("\n")[0]
            failure = ET.SubElement(case, "failure", type=each.rule.level, message=_clean(first))
            failure.text = _clean(_text(each))
        elif each.result == "skip":
            ET.SubElement(case, "skipped", message=_clean(each.verdict.seen))
        else:
            ET.SubElement(case, "system-out").text = _clean(_text(each))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _text(finding: Finding) -> str:
    parts = {"seen": finding.verdict.seen, "cloud": finding.verdict.cloud, "fix": finding.fix}
    lines = [f"{name}: {text}" for name, text in parts.items() if text]
    return "\n".join([*lines, f"source: {finding.rule.source}"])


def _clean(text: str) -> str:
    """Leave out what XML cannot hold: a container may print anything."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)
