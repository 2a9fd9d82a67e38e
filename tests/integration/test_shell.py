"""`byoc shell` and `--shell-on-failure`: a user's terminal in a container (T-79)."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.conftest import Build
from tests.integration.pseudo_terminal import PseudoTerminal
from tests.integration.world import LABEL, Byoc, Live, make_project, wait_for

pytestmark = pytest.mark.integration

Terminal = Callable[..., PseudoTerminal]
FAILED = ("local-train", "--shell-on-failure", "--name", "job", "--hyperparam", "act=fail", "--hyperparam", "code=3")


@pytest.fixture
def terminal(project: Path) -> Iterator[Terminal]:
    """`terminal("shell", …)` runs byoc in a terminal of its own."""
    opened: list[PseudoTerminal] = []

    def start(*words: str, cwd: Path = project) -> PseudoTerminal:
        opened.append(PseudoTerminal(words, cwd, None))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def names(client: docker.DockerClient, project: Path) -> list[str]:
    found = client.containers.list(all=True, filters={"label": f"{LABEL}={project}"})
    return sorted(container.name or "" for container in found)


# -- where a job failed ------------------------------------------------------------------------------------------------


def test_a_job_that_failed_is_looked_around_in(
    terminal: Terminal, project: Path, docker_client: docker.DockerClient
) -> None:
    at = terminal(*FAILED, "--env", "LEVEL=7")
    at.until("algo-1 failed: /bin/bash in a new container of its image, with its /opt/ml")
    assert names(docker_client, project) == ["byoc-job", "byoc-job-shell"]
    assert (project / ".byoc/runs/job/model.tar.gz").is_file(), "what it left is here already"
    at.type("cat /opt/ml/input/config/hyperparameters.json; echo\n")
    at.until('{"act": "fail", "code": "3"}')
    at.type("echo $TRAINING_JOB_NAME $LEVEL $(id -u); getent hosts algo-1 > /dev/null && echo res''olved\n")
    at.until("job 7 0\n")
    at.until("resolved\n")
    at.type("sleep 1000\n")
    wait_for(lambda: "sleep" in str(docker_client.containers.get("byoc-job-shell").top()))
    at.type("\x03")
    at.type("echo Ctrl-C was $?\n")  # 130: the program's end, not byoc's
    at.until("Ctrl-C was 130\n")
    at.type("exit 5\n")
    assert at.end() == 1, "the job's failure, not the shell's end"
    assert at.text.index("Ctrl-C was 130\n") < at.text.index("error: the training job failed")
    assert "FailureReason: AlgorithmError: , exit code: 3" in at.text
    assert json.loads((project / ".byoc/runs/job/job.json").read_text())["TrainingJobStatus"] == "Failed"
    assert names(docker_client, project) == []


def test_of_several_hosts_it_is_the_one_that_failed(terminal: Terminal) -> None:
    script = """grep -q 'current_host.: .algo-2' /opt/ml/input/config/resourceconfig.json && exit 4
        trap 'exit 0' TERM; while :; do sleep 0.1; done"""
    program = ["sh", "-c", script]
    at = terminal("local-train", "--shell-on-failure", "--instance-count", "2", "--entrypoint", json.dumps(program))
    at.until("algo-2 failed: /bin/bash")
    at.type('grep -o \'"current_host": "[^"]*"\' /opt/ml/input/config/resourceconfig.json; exit\n')
    assert at.end() == 1
    assert '"current_host": "algo-2"\n' in at.text


def test_a_program_that_is_not_there_is_looked_for(terminal: Terminal, build: Build, tmp_path: Path) -> None:
    at = terminal(*("local-train", "--shell-on-failure"), cwd=make_project(tmp_path / "p", build("broken", "no-train")))
    at.until("algo-1 failed: /bin/bash")
    at.type("command -v train || echo no''where; exit\n")
    assert at.end() == 1
    assert "nowhere\n" in at.text
    assert "executable file not found" in at.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_shell_and_the_job_ends_as_it_would(
    terminal: Terminal, project: Path, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    at = terminal(*FAILED)
    at.until("algo-1 failed: ")
    at.type("echo at the pro''mpt\n")
    at.until("at the prompt\n")
    at.process.send_signal(number)
    assert at.end() == 1
    assert "error: the training job failed" in at.text
    assert names(docker_client, project) == []


def test_after_a_kill_of_byoc_all_of_it_is_found(
    terminal: Terminal, byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    at = terminal(*FAILED)
    at.until("algo-1 failed: ")
    at.type("echo at the pro''mpt\n")
    at.until("at the prompt\n")
    at.process.send_signal(signal.SIGKILL)
    at.process.wait()
    rows = byoc("ps", "--json", cwd=project).json()
    assert [(row["container"], row["state"]) for row in rows] == [
        ("byoc-job-shell", "orphaned"),
        ("byoc-job", "exited"),
    ]
    assert byoc("clean", "--yes", cwd=project).code == 0
    assert names(docker_client, project) == []


def test_a_job_that_is_stopped_or_completes_has_no_shell(terminal: Terminal) -> None:
    at = terminal("local-train", "--shell-on-failure", "--hyperparam", "act=wait")
    at.until("training\n")
    at.type("\x03")
    assert at.end() == 130
    assert "algo-1 failed" not in at.text
    done = terminal("local-train", "--shell-on-failure")
    assert done.end() == 0
    assert "algo-1 failed" not in done.text


# -- what runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(byoc: Byoc, project: Path) -> Iterator[Live]:
    """A job that trains until it is told to stop."""
    live = byoc.start("local-train", "--hyperparam", "act=wait", "--name", "job", cwd=project)
    live.until("training\n")
    yield live
    live.ctrl_c()
    assert live.end().code == 130


@pytest.mark.usefixtures("running")
def test_a_program_needs_no_terminal_and_its_end_is_byoc_s(byoc: Byoc, project: Path) -> None:
    ran = byoc("shell", "job", "--", "sh", "-c", "cat; echo problem >&2; exit 7", cwd=project, stdin="from here\n")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "from here\n", "problem\n")
    ran = byoc("shell", "--", "cat", "/opt/ml/input/config/hyperparameters.json", cwd=project)
    assert (ran.code, ran.json()) == (0, {"act": "wait"})
    assert byoc("shell", "--", "no-such-program", cwd=project).code in {126, 127}


@pytest.mark.usefixtures("running")
def test_a_shell_in_the_running_container(terminal: Terminal) -> None:
    at = terminal("shell")
    at.until("/bin/bash in byoc-job; exit leaves it")
    at.type("cat /proc/1/cmdline | tr '\\0' ' '; ls /opt/ml/model; tty\n")
    at.until("/usr/local/bin/train")
    at.until("before\n")
    at.until("/dev/pts/")
    at.type("exit 9\n")
    assert at.end() == 9


def test_a_host_of_several(byoc: Byoc, project: Path) -> None:
    live = byoc.start(
        *("local-train", "--hyperparam", "act=wait", "--instance-count", "2", "--name", "job"), cwd=project
    )
    live.until("algo-1 | training\n")
    live.until("algo-2 | training\n")
    words = ("--", "cat", "/opt/ml/input/config/resourceconfig.json")
    assert byoc("shell", *words, cwd=project).json()["current_host"] == "algo-1"
    assert byoc("shell", "job", "--host", "algo-2", *words, cwd=project).json()["current_host"] == "algo-2"
    wrong = byoc("shell", "--host", "algo-3", *words, cwd=project)
    assert (wrong.code, "running: algo-1, algo-2\n" in wrong.stderr) == (2, True)
    live.ctrl_c()
    assert live.end().code == 130


@pytest.mark.usefixtures("running")
def test_an_endpoint_beside_a_job(byoc: Byoc, project: Path, free_port: int) -> None:
    (project / "model").mkdir()
    served = byoc("serve", "--detach", "--model", "model", "--port", str(free_port), "--json", cwd=project)
    assert served.code == 0, served.stderr
    name = served.json()["name"]
    which = byoc("shell", "--", "true", cwd=project)
    assert which.code == 2
    assert f"2 of this project are running: which one?\n{name}, job\n" in which.stderr
    inside = byoc("shell", name, "--", "ls", "/opt/ml", cwd=project)
    assert (inside.code, "model" in inside.stdout) == (0, True)
    assert byoc("stop", name, cwd=project).code == 0
