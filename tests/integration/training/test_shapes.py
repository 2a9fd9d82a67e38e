"""The shapes of containers that the AWS samples have: each works as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Build
from tests.integration.training.lab import Lab, contents

pytestmark = pytest.mark.integration


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for number in range(3):
        text = "".join(f"{x},ignored,{3 * x + 2}\n" for x in range(number * 10, number * 10 + 10))
        (tmp_path / f"{number}.csv").write_text(text)
    return tmp_path


def test_another_language(lab: Lab, build: Build, rows: Path, tmp_path: Path) -> None:
    columns = ("--hyperparam", "x=1", "--hyperparam", "y=3")
    (tmp_path / "none").mkdir()
    jobs = lab.run(
        {
            "Perl": ("--channel", f"training={rows}", *columns),
            "Perl-empty": ("--channel", f"training={tmp_path / 'none'}", *columns),
        },
        build("probe", "perl"),
    )
    good, bad = jobs["Perl"], jobs["Perl-empty"]
    assert (good.ran.code, good.log) == (0, b"rows=30 slope=3\n")
    assert contents(good.folder / "model") == {"line": "2 3\n"}
    assert bad.description["FailureReason"] == "AlgorithmError: perl: no rows, exit code: 9"


def test_a_shell_script_that_reads_a_pipe(lab: Lab, build: Build, rows: Path) -> None:
    job = lab.run_one("Shell-pipe", "--channel", f"training={rows},mode=Pipe", image=build("probe", "shell"))
    assert (job.ran.code, job.log) == (0, b"epoch 0: 30 lines\nepoch 1: 30 lines\n")
    assert contents(job.folder / "model") == {"lines": "epoch 0: 30 lines\nepoch 1: 30 lines\n"}
