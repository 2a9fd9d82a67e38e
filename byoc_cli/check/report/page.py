"""A check as one page for a browser: nothing is fetched, it can be printed, light and dark are the reader's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from byoc_cli.check.model import Finding, Result
from byoc_cli.check.report import summary

_TEMPLATE = Path(__file__).with_name("page.html")
_WORDS: dict[Result, str] = {"fail": "broken", "warn": "may go wrong", "pass": "hold", "skip": "not tried"}


def page(reference: str, findings: Sequence[Finding], *, when: str, version: str) -> str:
    """Write it; `when` is the time of the check."""
    counts = summary(findings)
    wrong = [each for result in ("fail", "warn") for each in findings if each.result == result]
    tiles = "".join(
        f'<li class="{result}"><b>{counts[result]}</b> {_WORDS[result]}</li>'
        for result in ("fail", "warn", "pass", "skip")
    )
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        image=escape(reference),
        verdict=_verdict(counts),
        when=escape(when),
        version=escape(version),
        tiles=tiles,
        findings="".join(map(_card, wrong)) or "<p>Nothing is wrong in what was tried.</p>",
        rows="".join(map(_row, findings)),
    )


def _verdict(counts: dict[str, int]) -> str:
    if counts["fail"]:
        return '<span class="mark fail">fail</span> SageMaker will not work with this image as it is.'
    if counts["warn"]:
        return '<span class="mark warn">warn</span> No MUST is broken; look at the warnings.'
    return '<span class="mark pass">pass</span> All that was tried holds.'


def _card(finding: Finding) -> str:
    rule = finding.rule
    parts = (("seen", finding.verdict.seen), ("the cloud says", finding.verdict.cloud), ("to do", finding.fix))
    rows = "".join(f"<dt>{name}</dt><dd><pre>{escape(text)}</pre></dd>" for name, text in parts if text)
    return (
        f'<article class="{finding.result}"><h3><span class="mark {finding.result}">{finding.result}</span> '
        f"{rule.id} <small>{rule.level}</small> {_code(rule.sentence)}</h3>"
        f"<dl>{rows}<dt>source</dt><dd>{_links(rule.source)}</dd></dl></article>"
    )


def _row(finding: Finding) -> str:
    rule = finding.rule
    return (
        f'<tr><td><span class="mark {finding.result}">{finding.result}</span></td>'
        f"<td>{rule.id}</td><td>{rule.level}</td><td>{_code(rule.sentence)}<small>{_lines(finding.verdict.seen)}</small></td><td>{rule.step.name}</td></tr>\n"
    )


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _links(text: str) -> str:
    return re.sub(r"https://[^\s;,)]+", r'<a href="\g<0>">\g<0></a>', _code(text))
