"""JSON, JUnit and the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from byoc_cli.check import report
from byoc_cli.check.model import failed, passed, skipped, warned
from byoc_cli.check.report.junit import junit
from byoc_cli.check.report.page import page
from byoc_cli.contract.rules import RULES
from tests.unit.check_world import finding

FINDINGS = [
    finding(
        "T-01", failed("<b>`train`</b> is gone\nreally", "COPY train /usr/local/bin/train", "exit code: 127"), 0.25
    ),
    finding("T-07", warned("tini")),
    finding("H-01", passed("serve is /serve")),
    finding("I-16", skipped("no CUDA")),
]


def test_json_is_exactly_this() -> None:
    data = report.data("image:1", FINDINGS)
    assert list(data) == ["image", "rules", "summary"]
    assert data["summary"] == {"fail": 1, "warn": 1, "pass": 1, "skip": 1}
    assert data["rules"][0] == {
        "id": "T-01",
        "level": "MUST",
        "result": "fail",
        "seen": "<b>`train`</b> is gone\nreally",
        "cloud": "exit code: 127",
        "fix": "COPY train /usr/local/bin/train",
        "source": RULES["T-01"].source,
        "seconds": 0.25,
    }
    assert data["rules"][2]["fix"] == "", "nothing is to be done"


def test_junit() -> None:
    suite = ET.fromstring(junit("image:1", FINDINGS))
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "<b>`train`</b> is gone"
    assert "fix: COPY train /usr/local/bin/train" in (failure.text or "")
    assert len(ET.fromstring(junit("image:1", FINDINGS, strict=True)).findall("testcase/failure")) == 2


def test_junit_holds_whatever_a_container_prints() -> None:
    text = junit("image:1", [finding("T-01", failed("\x1b[31mred\x00 \ud800"))])
    assert ET.fromstring(text).find("testcase/failure") is not None
    text.encode()


def test_the_page_stands_alone_and_escapes() -> None:
    text = page("<image>", FINDINGS, when="now", version="1")
    assert "&lt;image&gt;" in text
    assert "&lt;b&gt;" in text
    assert "<b>`train`" not in text
    assert not re.search(r"<(?:script|link|img|iframe)|@import|url\(|src=", text), "nothing is fetched"
    assert text.count("<article") == 2
    assert text.count("<tr>") == 1 + len(FINDINGS)
    assert "will not work" in text
    assert "All that was tried holds" in page("a", FINDINGS[2:], when="", version="")
    assert "No MUST is broken" in page("a", FINDINGS[1:], when="", version="")
