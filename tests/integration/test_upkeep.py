"""`byoc ps`, `logs`, `clean`, `doctor` on the real engine, and what every command shares."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import docker
import pytest

from tests.integration.world import BYOC, LABEL, Byoc, environment, make_project

pytestmark = pytest.mark.integration


def train(byoc: Byoc, project: Path, name: str, act: str = "look") -> None:
    byoc("local-train", "--hyperparam", f"act={act}", "--name", name, cwd=project)


# -- logs -------------------------------------------------------------------------------------------------------------


def test_the_log_of_a_job_while_it_runs_and_afterwards(byoc: Byoc, project: Path) -> None:
    nothing = byoc("logs", cwd=project)
    assert (nothing.code, nothing.stdout) == (1, "")
    assert nothing.error.startswith("error: nothing has run here yet\n")
    live = byoc.start("local-train", "--hyperparam", "act=wait", "--name", "job", cwd=project)
    live.until("training\n")
    follower = byoc.start("logs", "job", "--follow", cwd=project)
    follower.until("training\n")
    assert byoc("logs", cwd=project).stdout == "training\n"
    live.ctrl_c()
    live.end()
    followed = follower.end()
    assert (followed.code, followed.stdout) == (0, "training\nsignal 15: saving\n")
    assert followed.stderr == ""

    # The container is gone: what was printed is in the run.
    for words, said in (
        ((), "training\nsignal 15: saving\n"),
        (("job",), "training\nsignal 15: saving\n"),
        (("--tail", "1"), "signal 15: saving\n"),
        (("job", "--tail", "0"), ""),
    ):
        ran = byoc("logs", *words, cwd=project)
        assert (ran.code, ran.stdout, ran.stderr) == (0, said, "")
    assert byoc("logs", "--json", cwd=project).json() == {"log": "training\nsignal 15: saving\n"}
    other = byoc("logs", "other", cwd=project)
    assert (other.code, other.stdout) == (1, "")
    assert other.error == (
        "error: there is no log of 'other'\nno job or endpoint of this project has that name\n\n"
        "hint: byoc runs lists the jobs\n"
    )


def test_logs_end_quietly_when_the_reader_has_enough(byoc: Byoc, project: Path) -> None:
    train(byoc, project, "flood", "flood")
    command = f"set -o pipefail; {BYOC} logs | head -1"
    ran = subprocess.run(["bash", "-c", command], cwd=project, env=environment(), capture_output=True, check=False)
    assert re.fullmatch(rb"(out|err) 000000 \n", ran.stdout)
    assert ran.stderr == b""


# -- clean ------------------------------------------------------------------------------------------------------------


def test_clean_keeps_what_it_should(byoc: Byoc, project: Path) -> None:
    for name in ("one", "two", "three"):
        train(byoc, project, name, "look" if name == "one" else "fail")
    runs = project / ".byoc" / "runs"
    nothing = byoc("clean", "--json", cwd=project)
    assert nothing.code == 0
    assert {**nothing.json(), "folders": []} == {
        key: [] for key in ("containers", "networks", "volumes", "images", "staging", "runs", "folders")
    }
    assert "there is nothing to clean" in nothing.stderr

    asked = byoc("clean", "--keep", "1", cwd=project)
    assert asked.code == 2
    assert "  run .byoc/runs/two\n" in asked.stderr
    assert asked.error == "error: nobody is there to be asked (no terminal)\n\nhint: say --yes\n"
    assert len(list(runs.iterdir())) == 3
    cleaned = byoc("clean", "--keep", "1", "--yes", "--json", cwd=project)
    assert cleaned.json()["runs"] == [".byoc/runs/two"]
    # The newest, and the latest completed one, which serve and predict use.
    assert sorted(run.name for run in runs.iterdir()) == ["one", "three"]
    assert byoc("clean", "--keep", "-1", cwd=project).code == 2


def answer_on_a_terminal(words: list[str], cwd: Path, answer: str) -> tuple[int, str]:
    """Run byoc on a terminal of its own, and type an answer to its question."""
    master, slave = pty.openpty()
    with subprocess.Popen(words, cwd=cwd, env=environment(), stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(master, 4096)
        os.write(master, answer.encode())
        while True:
            try:
                shown += os.read(master, 4096)
            except OSError:  # the other side is closed
                break
        code = process.wait()
    os.close(master)
    return code, shown.decode()


def test_clean_asks_on_a_terminal_and_leaves_other_projects_alone(
    byoc: Byoc, project: Path, tmp_path: Path, actor: str, docker_client: docker.DockerClient
) -> None:
    other = make_project(tmp_path / "other", actor)
    for folder in (project, other):
        docker_client.networks.create(f"byoc-left-{folder.name}", labels={LABEL: str(folder), "byoc.job": "left"})

    code, shown = answer_on_a_terminal([BYOC, "clean"], project, "n\n")
    assert code == 0
    assert "network byoc-left-project" in shown
    assert "byoc-left-other" not in shown
    assert "nothing was removed" in shown
    code, shown = answer_on_a_terminal([BYOC, "clean"], project, "y\n")
    assert (code, "removed 1" in shown) == (0, True)
    assert [network.name for network in docker_client.networks.list(["byoc-left-"])] == ["byoc-left-other"]

    code, shown = answer_on_a_terminal([BYOC, "clean", "--all"], project, "n\n")
    assert "network byoc-left-other" in shown
    assert byoc("clean", "--yes", "--json", cwd=other).json()["networks"] == ["byoc-left-other"]


# -- doctor -----------------------------------------------------------------------------------------------------------


def test_doctor_on_this_machine(byoc: Byoc, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    ran = byoc("doctor", "--json", cwd=project)
    assert ran.code == 0, ran.stderr
    findings = {row["name"]: row for row in ran.json()}
    assert {"project", "engine", "builder", "platform", "disk (project)", "registry", "gpu", "aws"} <= set(findings)
    assert all(set(row) == {"name", "result", "seen", "remedy"} for row in findings.values())
    assert {row["result"] for row in findings.values()} <= {"ok", "warn", "fail", "skip"}
    assert findings["engine"]["result"] == "ok"
    assert "Docker Engine " in findings["engine"]["seen"]
    assert findings["builder"]["result"] == "ok"
    assert findings["aws"]["result"] == "skip"
    people = byoc("doctor", cwd=project)
    assert people.code == 0
    assert len(people.stdout.splitlines()) >= len(findings)


def test_doctor_without_an_engine_or_with_a_wrong_file(byoc: Byoc, project: Path) -> None:
    ran = byoc("doctor", "--json", cwd=project, env={"DOCKER_HOST": f"unix://{project}/nonexistent"})
    assert ran.code == 3
    assert "error: this machine is not ready: engine\n" in ran.stderr
    rows = ran.json()
    found = {row["name"]: row for row in (rows["findings"] if isinstance(rows, dict) else rows)}
    assert (found["engine"]["result"], found["engine"]["remedy"] != "") == ("fail", True)
    assert found["gpu"]["result"] == "skip"

    (project / "byoc.toml").write_text('imge = "x"\n')
    wrong = byoc("doctor", cwd=project)
    assert wrong.code == 3
    assert "there is no key 'imge' at the top" in wrong.stdout
    assert "did you mean 'image'?" in wrong.stdout


# -- what every command shares ----------------------------------------------------------------------------------------


def test_a_wrong_project_file_is_wrong_usage_everywhere(byoc: Byoc, tmp_path: Path) -> None:
    (tmp_path / "byoc.toml").write_text("[train]\nhyperparameter = { a = 1 }\n")
    for command, *words in (["build"], ["local-train"], ["serve"], ["predict", "x"], ["ps"]):
        ran = byoc(command, *words, cwd=tmp_path)
        assert (ran.code, ran.stdout) == (2, ""), command
        assert ran.stderr == (
            f"error: {tmp_path}/byoc.toml: there is no key 'hyperparameter' in [train]\n\n"
            "hint: did you mean 'hyperparameters'?\n"
        )


def test_json_is_one_document_on_stdout(byoc: Byoc, project: Path) -> None:
    for words in (("ps", "--json"), ("stop", "--json"), ("clean", "--json"), ("ps", "--all", "--json")):
        ran = byoc(*words, cwd=project)
        assert ran.code == 0
        json.loads(ran.stdout)
