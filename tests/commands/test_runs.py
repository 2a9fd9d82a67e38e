"""`byoc runs`, `metrics` and `logs` of jobs, through main()."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from byoc_cli.app import main
from byoc_cli.commands.options import Doors, job_names
from byoc_cli.commands.runs import duration, started
from byoc_cli.errors import MachineError
from tests.commands import programs
from tests.commands.conftest import Byoc, Ran
from tests.fakes import Box, FakeEngine

TOML = r"""image = "my-model"
[train.metrics]
loss = 'loss=(\S+)'
"""


def diverges(_: Box) -> programs.Printed:
    """Prints what is no number."""
    yield "stdout", b"loss=1.5\nloss=nan\nloss=-inf\nloss=nan\n"
    return 0


@pytest.fixture(autouse=True)
def image(engine: FakeEngine, project: Path) -> FakeEngine:
    (project / "byoc.toml").write_text(TOML)
    engine.add_image("my-model:latest", {"train": programs.train})
    engine.add_image("fails:1", {"train": programs.fail})
    engine.add_image("diverges:1", {"train": diverges})
    return engine


def put(project: Path, job: str, *, age: float = 1000.0, log: str = "", **described: Any) -> Path:
    """A run folder as a job in progress has it, whose job.json was written `age` seconds ago."""
    folder = project / ".byoc" / "runs" / job
    folder.mkdir(parents=True)
    stamp = datetime.fromtimestamp(time.time() - age, UTC).isoformat()
    definitions = {"MetricDefinitions": [{"Name": "loss", "Regex": r"loss=(\S+)"}]}
    described = {
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "CreationTime": stamp,
        "TrainingStartTime": stamp,
        "AlgorithmSpecification": definitions,
        **described,
    }
    (folder / "job.json").write_text(json.dumps(described))
    (folder / "log.txt").write_text(log)
    os.utime(folder / "job.json", (time.time() - age,) * 2)
    return folder


@pytest.fixture
def without_engine(capfd: pytest.CaptureFixture[str]) -> Byoc:
    """`byoc` where Docker is not running."""

    def connect() -> None:
        raise MachineError("the Docker Engine is not running\nno socket", hint="start it")

    def run(*words: str) -> Ran:
        code = main(words, Doors(connect=cast("Any", connect)))
        return Ran(code, *capfd.readouterr())

    return run


# -- runs --------------------------------------------------------------------------------------------------------------


def test_runs_of_nothing(byoc: Byoc, project: Path) -> None:
    ran = byoc("runs")
    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr == f"nothing was trained yet in {project}\n"
    assert byoc("runs", "--json").data == []


def test_runs_are_a_table(byoc: Byoc) -> None:
    byoc("local-train", "--name", "one")
    byoc("local-train", "fails:1", "--name", "two")
    ran = byoc("runs")
    assert (ran.code, ran.stderr) == (0, "")
    header, two, one = ran.stdout.splitlines()
    assert header.split() == ["NAME", "STATUS", "STARTED", "TIME", "METRICS"]
    assert two.split()[:3] == ["two", "Failed", "today"]
    assert one.split()[:4] == ["one", "Completed", "(latest)", "today"]
    assert one.split()[-3:] == ["0.0", "s", "loss=1"]
    assert byoc("runs", "-n", "1").stdout.splitlines()[1].startswith("two")
    assert len(byoc("runs", "-n", "1").stdout.splitlines()) == 2


def test_runs_as_json_are_in_the_words_of_the_platform(byoc: Byoc, project: Path) -> None:
    byoc("local-train", "--name", "one")
    byoc("local-train", "fails:1", "--name", "two")
    two, one = byoc("runs", "--json").data
    assert set(one) == set(two)
    described = json.loads((project / ".byoc" / "runs" / "one" / "job.json").read_text())
    for key in (
        *("TrainingJobName", "TrainingJobStatus", "SecondaryStatus", "CreationTime", "TrainingTimeInSeconds"),
        *("FinalMetricDataList", "Run"),
    ):
        assert one.pop(key) == described[key]
    assert one == {"FailureReason": None, "Latest": True, "Orphaned": False}
    assert two["FailureReason"] == "AlgorithmError: no data, exit code: 3"
    assert (two["Latest"], two["TrainingJobStatus"], two["FinalMetricDataList"]) == (False, "Failed", [])


def test_a_job_that_goes_on_has_its_phase_and_its_metrics_so_far(byoc: Byoc, project: Path) -> None:
    put(project, "going", age=5, log="loss=3\nloss=0.25\n")
    ran = byoc("runs")
    assert ran.stdout.splitlines()[1].split()[:2] == ["going", "Training"]
    assert ran.stdout.rstrip().endswith("loss=0.25")
    (row,) = byoc("runs", "--json").data
    assert (row["TrainingJobStatus"], row["Orphaned"]) == ("InProgress", False)
    assert row["TrainingTimeInSeconds"] == pytest.approx(5, abs=4)


def test_a_job_whose_byoc_was_killed_is_told_from_one_that_goes_on(
    byoc: Byoc, project: Path, image: FakeEngine
) -> None:
    put(project, "killed")
    ran = byoc("runs")
    assert (ran.stdout.splitlines()[1].split()[:2], ran.stderr) == (["killed", "Orphaned"], "")
    assert byoc("runs", "--json").data[0]["Orphaned"] is True
    marks = {"byoc.project": str(project), "byoc.kind": "train", "byoc.job": "killed"}
    image.create_network("byoc-killed", marks)
    assert byoc("runs").stderr == (
        "warning: the byoc of killed was killed, and the job's container or network is still there\n"
        "hint: byoc clean removes it\n"
    )


def test_runs_without_docker(without_engine: Byoc, project: Path) -> None:
    put(project, "done", TrainingJobStatus="Completed", FinalMetricDataList=[])
    ran = without_engine("runs")
    assert (ran.code, ran.stderr) == (0, ""), "an engine is not asked about what has ended"
    put(project, "going")
    ran = without_engine("runs")
    assert (ran.code, len(ran.stdout.splitlines())) == (0, 3)
    assert "whether a job that is in progress still runs is not known: the Docker Engine is not running" in ran.stderr
    assert {row["TrainingJobName"]: row["Orphaned"] for row in without_engine("runs", "--json").data} == {
        "done": False,
        "going": None,
    }


def test_a_broken_folder_is_listed_and_breaks_nothing(byoc: Byoc, project: Path) -> None:
    byoc("local-train", "--name", "good")
    runs = project / ".byoc" / "runs"
    for name, content in (("torn", '{"TrainingJobStatus": "Inp'), ("list", "[1]"), ("none", None)):
        (runs / name).mkdir()
        if content:
            (runs / name / "job.json").write_text(content)
    (runs / "a-file").touch()
    ran = byoc("runs")
    assert (ran.code, ran.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1] for line in ran.stdout.splitlines()[1:]}
    assert rows == {"torn": "unknown", "list": "unknown", "none": "unknown", "good": "Completed"}
    torn = next(row for row in byoc("runs", "--json").data if row["TrainingJobName"] == "torn")
    assert (torn["TrainingJobStatus"], torn["FinalMetricDataList"]) == (None, [])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.04, "0.0 s"), (9.94, "9.9 s"), (10.2, "10 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s")),
        *((3599.9, "1 h 0 min"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h")),
    ],
)
def test_how_long(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_when_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 23, 23, 30, tzinfo=UTC).timestamp()
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # where it is the 24th
    time.tzset()
    try:
        assert started(now - 60, now) == "today 08:29"
        assert started(now - 12 * 3600, now) == "Nov 23 20:30"
        assert started(now - 400 * 86_400, now) == "2025-10-20"
    finally:
        monkeypatch.undo()
        time.tzset()


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_metrics_are_a_table_of_the_latest_completed_job(byoc: Byoc, project: Path) -> None:
    byoc("local-train", "--name", "one")
    byoc("local-train", "fails:1", "--name", "two")
    ran = byoc("metrics")
    assert ran.code == 0
    assert [line.split() for line in ran.stdout.splitlines()] == [
        ["METRIC", "COUNT", "FIRST", "LAST", "MIN", "AT", "MAX", "AT"],
        ["loss", "2", "2", "1", "1", "2", "2", "1"],
    ]
    assert ran.stderr == (
        "job one: the latest completed one\na newer one: byoc metrics two\n"
        f"curves: {project}/.byoc/runs/one/metrics.png\n"
    )
    assert byoc("metrics", "-q").stderr == ""


def test_metrics_of_a_path_as_local_train_prints_it(byoc: Byoc) -> None:
    path = byoc("local-train").stdout.strip()
    assert "loss" in byoc("metrics", path).stdout


def test_metrics_as_json(byoc: Byoc) -> None:
    byoc("local-train", "--name", "one")
    data = byoc("metrics", "--json").data
    assert (data["TrainingJobName"], data["TrainingJobStatus"], data["Unmatched"]) == ("one", "Completed", [])
    (final,) = data["FinalMetricDataList"]
    assert (final["MetricName"], final["Value"]) == ("loss", 1.0)
    assert [(each["MetricName"], each["Step"], each["Value"]) for each in data["MetricData"]] == [
        ("loss", 1, 2.0),
        ("loss", 2, 1.0),
    ]
    assert all(datetime.fromisoformat(each["Timestamp"]) for each in data["MetricData"])


@pytest.mark.parametrize("plot", ["--plot", "--no-plot"])
def test_what_is_no_number_breaks_nothing(byoc: Byoc, plot: str) -> None:
    assert byoc("local-train", "diverges:1").code == 0
    ran = byoc("metrics", plot)
    assert ran.stdout.splitlines()[1].split() == ["loss", "4", "1.5", "nan", "-inf", "3", "1.5", "1"]
    assert len(ran.stdout.splitlines()) == 2, "one number makes no curve"
    ran = byoc("metrics", "--json")
    assert "NaN" not in ran.stdout
    assert [each["Value"] for each in ran.data["MetricData"]] == [1.5, None, None, None]
    assert ran.data["FinalMetricDataList"] == []


def test_curves_are_drawn_where_they_are_asked_for(byoc: Byoc) -> None:
    byoc("local-train")
    assert "┤" not in byoc("metrics").stdout, "stdout is no terminal"
    drawn = byoc("metrics", "--plot").stdout
    assert drawn.startswith("METRIC")
    assert "\nloss\n2 ┤⠉" in drawn
    assert "\x1b" not in drawn


def test_metrics_of_a_job_that_goes_on(byoc: Byoc, project: Path) -> None:
    folder = put(project, "going", log="loss=3\nloss=2\n")
    ran = byoc("metrics")
    assert ran.stdout.splitlines()[1].split()[:4] == ["loss", "2", "3", "2"]
    assert ran.stderr.startswith("job going: the newest one, for none is completed\n")
    first = (folder / "metrics.png").read_bytes()
    os.utime(folder / "metrics.png", (1, 1))
    (folder / "log.txt").write_text("loss=3\nloss=2\nloss=1\n")
    data = byoc("metrics", "going", "--json").data
    assert [each["Timestamp"] for each in data["MetricData"]] == [None, None, None]
    assert data["FinalMetricDataList"] == [{"MetricName": "loss", "Value": 1.0, "Timestamp": None}]
    assert (folder / "metrics.png").read_bytes() != first, "it is drawn again when the job has gone on"


def test_a_regex_that_never_matched_is_named_and_so_is_one_with_two_groups(byoc: Byoc, project: Path) -> None:
    (project / "byoc.toml").write_text(TOML + "accuracy = 'acc=(\\d+)'\nboth = '(lo|l)oss=(\\d)'\n")
    byoc("local-train")
    ran = byoc("metrics")
    assert ran.code == 0
    assert "warning: metric 'accuracy' never matched the log\nhint: its regex is 'acc=(\\d+)' (T-70)\n" in ran.stderr
    assert "warning: metric 'both': its regex has 2 groups, and the first one is the value\n" in ran.stderr
    assert byoc("metrics", "--json").data["Unmatched"] == ["accuracy", "both"]


def test_a_job_that_goes_on_may_match_yet(byoc: Byoc, project: Path) -> None:
    put(project, "going", log="step 1\n")
    ran = byoc("metrics", "going")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "no value yet: loss\n")


def test_a_completed_job_is_found_before_latest_points_at_it(byoc: Byoc, project: Path) -> None:
    put(project, "done", TrainingJobStatus="Completed", log="loss=1\n")
    put(project, "going", age=1, log="loss=2\n")
    assert byoc("metrics").stderr.startswith("job done: the latest completed one\na newer one: byoc metrics going\n")


def test_metrics_of_a_job_that_had_none(byoc: Byoc, project: Path) -> None:
    (project / "byoc.toml").write_text('image = "my-model"\n')
    byoc("local-train", "--name", "one")
    ran = byoc("metrics")
    assert (ran.code, ran.stdout) == (0, "")
    assert "warning: job one had no metrics\nhint: put a regex for each below [train.metrics]" in ran.stderr


def test_a_png_where_it_is_wanted(byoc: Byoc, project: Path) -> None:
    byoc("local-train", "--name", "one")
    (project / ".byoc" / "runs" / "one" / "metrics.png").unlink()
    assert byoc("metrics", "--png", "x.png").code == 0
    assert (project / "x.png").read_bytes().startswith(b"\x89PNG")
    assert (project / ".byoc" / "runs" / "one" / "metrics.png").read_bytes().startswith(b"\x89PNG")
    ran = byoc("metrics", "--png", "nowhere/x.png")
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: nowhere/x.png cannot be written\nNo such file or directory\n" in ran.stderr


def test_a_png_of_nothing_is_an_error(byoc: Byoc, project: Path) -> None:
    put(project, "going", log="loss=3\n")
    ran = byoc("metrics", "--png", "x.png")
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: x.png was not written\nno metric of going has two values yet\n" in ran.stderr
    assert not (project / "x.png").exists()


def test_a_job_that_is_not_there(byoc: Byoc, project: Path) -> None:
    ran = byoc("metrics")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == f"error: nothing was trained yet in {project}\n\nhint: byoc local-train\n"
    byoc("local-train", "--name", "job-one")
    ran = byoc("metrics", "jobone")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == f"error: there is no job 'jobone' in {project}/.byoc/runs\n\nhint: did you mean 'job-one'?\n"


# -- logs, completion --------------------------------------------------------------------------------------------------


def test_the_log_of_a_job_that_ended_needs_no_docker(without_engine: Byoc, project: Path) -> None:
    put(project, "done", TrainingJobStatus="Completed", log="one\ntwo\n")
    assert without_engine("logs", "done", "--follow", "-n", "1").stdout == "two\n"
    assert without_engine("logs").code == 3, "what runs is the engine's to say"


def test_names_are_completed(byoc: Byoc, project: Path) -> None:
    put(project, "job-old", age=9)
    put(project, "job-new", age=1)
    put(project, "another")
    assert job_names("job") == ["job-new", "job-old"]
    (project / "byoc.toml").write_text("nonsense = 1\n")
    assert job_names("") == []
