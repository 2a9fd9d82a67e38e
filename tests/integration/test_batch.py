"""`byoc batch` on the real engine: much data, little memory, and nothing half-done."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Build
from tests.integration.world import Byoc, Live, make_project, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def project(build: Build, tmp_path: Path) -> Path:
    """An empty project of the image that batch jobs are made for."""
    return make_project(tmp_path / "project", build("batcher"))


def made(project: Path) -> dict[str, bytes]:
    out = project / "out"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def peak(live: Live, timeout: float = 300) -> int:
    """Wait for its end; gives the most memory it had, in MB."""
    most, process, end = 0, psutil.Process(live.process.pid), time.monotonic() + timeout
    while live.process.poll() is None:
        assert time.monotonic() < end, live.stderr
        try:
            most = max(most, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    return most >> 20


def test_h58_a_hundred_thousand_lines_in_order(byoc: Byoc, project: Path) -> None:
    lines = [f"{number:06d},{'x' * (number % 90)}\n".encode() for number in range(100_000)]
    (project / "data.csv").write_bytes(b"".join(lines))
    words = ("--split-type", "Line", "--max-payload-mb", "1", "--max-concurrent", "4", "--json")
    ran = byoc("batch", "data.csv", "--out", "out", *words, cwd=project)
    assert ran.code == 0, ran.stderr
    described = ran.json()
    assert (described["TransformJobStatus"], described["records"]) == ("Completed", 100_000)
    assert made(project) == {"data.csv.out": b"".join(lines).upper()}


def test_h55_h56_what_container_and_byoc_tell_each_other(byoc: Byoc, project: Path) -> None:
    (project / "data").write_bytes(b"x")
    parameters = '{"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 7}'
    words = ("--env", "ACT=see", "--env", f"PARAMETERS={parameters}", "--max-concurrent", "2", "--content-type", "a/b")
    ran = byoc("batch", "data", "--out", "out", *words, cwd=project)
    assert ran.code == 0, ran.stderr
    assert "MaxConcurrentTransforms=2, MaxPayloadInMB=7, BatchStrategy=SINGLE_RECORD\n" in ran.stderr
    seen = json.loads(made(project)["data.out"])
    assert seen["environment"] == {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "2"}
    assert seen["arguments"] == ["/usr/local/bin/serve"]
    assert seen["headers"]["Content-Type"] == "a/b"
    assert "Accept" not in seen["headers"]


def test_h60_an_id_column_goes_around_the_model(byoc: Byoc, project: Path) -> None:
    rows = [(f"id {number}", f"a{number}", "b") for number in range(20_000)]
    (project / "data.csv").write_text("".join(f"{','.join(row)}\n" for row in rows))
    ran = byoc(
        *("batch", "data.csv", "--out", "out", "--split-type", "Line", "--assemble-with", "Line"),
        *("--content-type", "text/csv", "--max-payload-mb", "1", "--max-concurrent", "2"),
        *("--input-filter", "$[1:]", "--join-source", "Input", "--output-filter", "$[0,3:]"),
        cwd=project,
    )
    assert ran.code == 0, ran.stderr
    expected = "".join(
        f"{name},{first},{second}\n".replace("a", "A").replace(",b", ",B") for name, first, second in rows
    )
    assert made(project) == {"data.csv.out": expected.encode()}


def test_a_container_that_dies_in_the_middle(byoc: Byoc, project: Path) -> None:
    (project / "in").mkdir()
    for name, data in (("a.csv", b"a\n"), ("b.csv", b"b\n" * 5 + b"die\n" + b"b\n" * 5), ("c.csv", b"c\n")):
        (project / "in" / name).write_bytes(data)
    words = ("--split-type", "Line", "--batch-strategy", "SingleRecord")
    ran = byoc("batch", "in", "--out", "out", *words, cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert "the container ended in the middle of the job\nexit code 7\n2 of 3 files were not done\n" in ran.stderr
    assert made(project) == {"a.csv.out": b"A\n"}
    assert byoc("ps", "--json", cwd=project).json() == []


def test_h58_a_file_that_fails_is_named_with_the_containers_last_words(byoc: Byoc, project: Path) -> None:
    for name, data in (("1.csv", b"1\n"), ("2.csv", b"2\nbad\n"), ("sub/3.csv", b"3\n")):
        (project / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "in" / name).write_bytes(data)
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line", "--retries", "1", cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    first, *last, reason = ran.error.splitlines()
    assert first == "error: the transform job failed: 1 of 3 files"
    assert last[:3] == [
        "2.csv: records 1 to 2: Bad HTTP status received from algorithm: 500",
        *("could not convert", "the container's last lines:"),
    ]
    # Two streams of one container, which have no order between them; of two tries the second's may come too late.
    assert set(last[3:]) == {"  serving", "  ValueError: could not convert string to float: 'bad'"}
    assert reason == "FailureReason: AlgorithmError: See job logs for more information"
    assert made(project) == {"1.csv.out": b"1\n", "sub/3.csv.out": b"3\n"}


def test_h57_a_large_file_is_streamed_in_little_memory(byoc: Byoc, project: Path) -> None:
    size = (400 << 20) + 7
    with (project / "large").open("wb") as file:
        file.truncate(size)  # sparse: nothing but zeros, and no disk
    live = byoc.start("batch", "large", "--out", "out", "--max-payload-mb", "0", "--env", "ACT=digest", cwd=project)
    most = peak(live)
    assert live.end().code == 0, live.stderr
    digest = hashlib.sha1()
    for _ in range(400):
        digest.update(bytes(1 << 20))
    digest.update(bytes(7))
    assert made(project) == {"large.out": f"{size} {digest.hexdigest()}\n".encode()}
    assert most < 150, f"{most} MB"


def test_h58_many_records_in_little_memory(byoc: Byoc, project: Path) -> None:
    block = b"".join(b"%07d,%s\n" % (number, b"x" * 90) for number in range(10_000))
    with (project / "lines").open("wb") as file:
        for _ in range(300):
            file.write(block)
    live = byoc.start(
        *("batch", "lines", "--out", "out", "--split-type", "Line", "--max-concurrent", "2"),
        *("--env", "ACT=digest", "--json"),
        cwd=project,
    )
    most = peak(live)
    ran = live.end()
    assert ran.code == 0, live.stderr
    assert ran.json()["records"] == 3_000_000
    answers = made(project)["lines.out"].splitlines()
    assert sum(int(answer.split()[0]) for answer in answers) == 300 * len(block)
    assert len(answers) == -(-300 * len(block) // (6 << 20))
    assert most < 150, f"{most} MB"


def begun(byoc: Byoc, project: Path) -> Live:
    """Start a job that takes 100 s, and wait until it is in the middle of its second file."""
    (project / "in").mkdir()
    (project / "in" / "a.csv").write_bytes(b"a\n")
    (project / "in" / "b.csv").write_bytes(b"b\n" * 2000)
    words = ("--split-type", "Line", "--batch-strategy", "SingleRecord", "--env", "ACT=slow")
    live = byoc.start("batch", "in", "--out", "out", *words, cwd=project)
    wait_for((project / "out" / "b.csv.out.part").exists, 60, lambda: live.stderr)
    return live


def test_killed_in_the_middle_and_run_again(byoc: Byoc, project: Path) -> None:
    live = begun(byoc, project)
    live.send(signal.SIGKILL)
    live.process.wait(60)
    assert set(made(project)) - {"b.csv.out.part"} == {"a.csv.out"}
    (row,) = byoc("ps", "--json", cwd=project).json()
    assert (row["kind"], row["state"]) == ("transform", "orphaned")
    assert byoc("clean", "--yes", cwd=project).code == 0
    ran = byoc("batch", "in", "--out", "out", "--split-type", "Line", cwd=project)
    assert ran.code == 0, ran.stderr
    assert made(project) == {"a.csv.out": b"A\n", "b.csv.out": b"B\n" * 2000}


def test_ctrl_c_leaves_nothing_half_done(byoc: Byoc, project: Path) -> None:
    live = begun(byoc, project)
    live.ctrl_c()
    ran = live.end()
    assert (ran.code, ran.stdout) == (130, "")
    assert set(made(project)) == {"a.csv.out"}
    assert byoc("ps", "--json", cwd=project).json() == []


def test_stopped_from_another_shell(byoc: Byoc, project: Path) -> None:
    live = begun(byoc, project)
    (row,) = byoc("ps", "--json", cwd=project).json()
    assert byoc("stop", row["name"], cwd=project).stdout == f"{row['name']}\n"
    ran = live.end()
    assert ran.code == 1
    assert "error: the transform job was stopped\n1 of 2 files were not done\n" in ran.stderr
    assert set(made(project)) == {"a.csv.out"}
