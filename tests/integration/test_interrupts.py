"""Ctrl-C, SIGTERM, SIGKILL and `byoc stop`: an interrupt is never swallowed, and nothing runs on unseen."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import docker
import pytest
import requests

from tests.integration.world import LABEL, Byoc, Job, Live, job_of, wait_for

pytestmark = pytest.mark.integration


def training(byoc: Byoc, project: Path, act: str = "wait", *words: str) -> Live:
    live = byoc.start("local-train", "--hyperparam", f"act={act}", "--name", "job", *words, cwd=project)
    live.until("training\n")
    return live


def left(live: Live, project: Path) -> Job:
    return job_of(project, live.end())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_job_and_keeps_what_it_made(
    byoc: Byoc, project: Path, number: signal.Signals, code: int
) -> None:
    live = training(byoc, project)
    if number == signal.SIGINT:
        live.ctrl_c()  # to the whole group, as a terminal does
    else:
        live.send(number)  # to byoc alone, as a CI system does
    job = left(live, project)

    assert (job.ran.code, job.ran.stdout) == (code, "")
    said = job.ran.stderr
    assert said.index("stopping the job: SIGTERM, up to 120 s (press Ctrl-C again to kill it)") < said.index(
        "signal 15: saving\n"
    )
    assert said.rstrip().endswith(f"stopped; what it left is in {job.folder}")
    assert "Traceback" not in said
    assert sorted(path.name for path in (job.folder / "model").iterdir()) == ["before", "saved-on-signal"]
    assert (job.folder / "model.tar.gz").is_file()
    assert (job.description["TrainingJobStatus"], job.description["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "FailureReason" not in job.description
    assert not (project / ".byoc/latest").exists()


def test_a_second_ctrl_c_kills(byoc: Byoc, project: Path) -> None:
    live = training(byoc, project, "ignore", "--json")
    live.ctrl_c()
    live.until("SIGTERM is ignored\n")
    live.ctrl_c()
    job = left(live, project)
    assert job.ran.code == 130
    assert "killing the job\n" in job.ran.stderr
    assert job.ran.seconds < 100, "not after 120 s"
    # An interrupted job has a description, too.
    assert job.ran.json() == json.loads((project / ".byoc/runs/job/job.json").read_text())
    description = job.ran.json()
    assert (description["TrainingJobStatus"], description["ExitCode"]) == ("Stopped", 137)
    assert (project / ".byoc/runs/job/model/before").read_text() == "before\n"


def test_stop_from_another_shell(byoc: Byoc, project: Path) -> None:
    live = training(byoc, project)
    assert byoc("stop", "no-such-job", cwd=project).code == 1
    stopped = byoc("stop", "job", cwd=project)
    assert (stopped.code, stopped.stdout) == (0, "job\n")
    assert "stopping job: SIGTERM, up to 120 s" in stopped.stderr
    job = left(live, project)
    assert job.ran.code == 1
    assert job.ran.error.startswith(f"error: the training job was stopped\nwhat it left is in {job.folder}\n")
    assert job.description["TrainingJobStatus"] == "Stopped"
    assert (job.folder / "model/saved-on-signal").is_file()


def test_after_a_kill_the_job_is_found_and_removed(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    live = training(byoc, project, "ignore")
    live.send(signal.SIGKILL)
    live.process.wait()

    row = byoc("ps", "--json", cwd=project).json()[0]
    assert (row["name"], row["kind"], row["state"]) == ("job", "train", "orphaned")
    assert "orphaned" in byoc("ps", cwd=project).stdout
    refused = byoc("clean", cwd=project)
    assert refused.code == 2
    assert refused.error == "error: nobody is there to be asked (no terminal)\n\nhint: say --yes\n"
    assert "  container byoc-job\n" in refused.stderr, "it is listed first"
    cleaned = byoc("clean", "--yes", "--json", cwd=project).json()
    assert (cleaned["containers"], cleaned["networks"], len(cleaned["volumes"])) == (["byoc-job"], ["byoc-job"], 4)
    assert byoc("ps", "--json", cwd=project).json() == []
    filters = {"label": f"{LABEL}={project}"}
    assert docker_client.volumes.list(filters=filters) == docker_client.networks.list(filters=filters) == []


def test_a_job_that_was_killed_can_be_stopped(byoc: Byoc, project: Path) -> None:
    live = training(byoc, project)
    live.send(signal.SIGKILL)
    live.process.wait()
    stopped = byoc("stop", "job", "--json", cwd=project)
    assert (stopped.code, stopped.json()) == (0, ["job"])
    assert byoc("ps", "--json", cwd=project).json() == []


# -- endpoints --------------------------------------------------------------------------------------------------------


def slow_request(port: int, answers: list[int], seconds: float = 1.5) -> None:
    """Post a request that takes its time; for a thread of its own."""
    headers = {"X-Amzn-SageMaker-Custom-Attributes": f"sleep:{seconds}"}
    answers.append(requests.post(f"http://127.0.0.1:{port}/invocations", b"x", headers=headers, timeout=60).status_code)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_foreground_endpoint(
    byoc: Byoc, project: Path, free_port: int, number: signal.Signals, code: int
) -> None:

    live = byoc.start("serve", "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    assert live.stdout == f"http://127.0.0.1:{free_port}/invocations\n"
    answers: list[int] = []
    client = threading.Thread(target=slow_request, args=(free_port, answers))
    client.start()
    live.until("invocation sleep\n")
    if number == signal.SIGINT:
        live.ctrl_c()
    else:
        live.send(number)
    ran = live.end()
    client.join()

    assert ran.code == code
    assert answers == [200], "what was begun is answered"
    said = ran.stderr
    assert (
        said.index("stopping the endpoint: SIGTERM, up to 30 s")
        < said.index("signal 15: stopping\n")
        < said.index("stopped\n", said.index("signal 15: stopping\n") + 20)
    )
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("local-train", "--hyperparam", "act=ignore"), "job byoc-actor-"),
        (("serve", "--env", "ACT=unhealthy"), "endpoint byoc-actor-"),
        (("serve", "--env", "ACT=unhealthy", "--detach"), "endpoint byoc-actor-"),
    ],
)
def test_a_signal_while_things_are_made(
    byoc: Byoc, project: Path, free_port: int, words: tuple[str, ...], shown: str
) -> None:
    """There is nothing to stop yet, and SIGTERM would mean nothing to a program that has just begun."""
    live = byoc.start(*words, cwd=project, env={"BYOC_PORT": str(free_port)})
    live.until(shown)
    live.ctrl_c()
    ran = live.end(timeout=29)  # not after a grace
    assert (ran.code, ran.stdout) == (130, "")
    assert "error:" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_signal_while_an_endpoint_starts(byoc: Byoc, project: Path, free_port: int) -> None:
    for words in ((), ("--detach",)):
        live = byoc.start("serve", "--port", str(free_port), "--env", "ACT=unhealthy", *words, cwd=project)
        live.until("serving\n")
        live.ctrl_c()
        ran = live.end(timeout=29)  # not after a grace
        assert (ran.code, ran.stdout) == (130, ""), ran.stderr
        assert "error:" not in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_killed_endpoint_is_found_and_removed(byoc: Byoc, project: Path, free_port: int) -> None:
    live = byoc.start("serve", "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    live.send(signal.SIGKILL)
    live.process.wait()
    row = byoc("ps", "--json", cwd=project).json()[0]
    assert (row["kind"], row["state"], row["port"]) == ("endpoint", "orphaned", free_port)
    assert not row["image"].startswith("sha256:")
    assert byoc("clean", "--yes", "--json", cwd=project).json()["containers"] == [row["container"]]
    wait_for(lambda: byoc("ps", "--json", cwd=project).json() == [])
