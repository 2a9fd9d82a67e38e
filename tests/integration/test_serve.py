"""`byoc serve` and `byoc stop` on the real engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests import ports
from tests.integration.conftest import Build
from tests.integration.world import Byoc, make_project, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def trained(project: Path, byoc: Byoc) -> Path:
    """A project with a completed run."""
    assert (
        byoc("local-train", "--hyperparam", "act=meet", "--channel", "meeting=.", cwd=trained_data(project)).code == 0
    )
    return project


def trained_data(project: Path) -> Path:
    (project / "gone").touch()
    return project


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a model, with spaces"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights").write_text("from the folder\n")
    return folder


def ask(port: int, body: bytes = b"{}") -> dict[str, Any]:
    """Post a request by hand."""
    return dict(requests.post(f"http://127.0.0.1:{port}/invocations", body, timeout=60).json())


def test_detach_predict_and_stop_from_other_shells(
    byoc: Byoc, project: Path, model: Path, free_port: int, docker_client: docker.DockerClient
) -> None:
    words = (
        "--detach",
        "--json",
        "--model",
        str(model),
        "--port",
        str(free_port),
        "--env",
        "GREETING=a=b c",
        "--env",
        "FROM_HERE",
    )
    ran = byoc("serve", *words, cwd=project, env={"FROM_HERE": "1", "AWS_ACCESS_KEY_ID": "A" * 20})

    assert ran.code == 0, ran.stderr
    data = ran.json()
    assert set(data) == {"endpoint", "name", "container", "model", "ready_seconds"}
    assert requests.get(f"{data['endpoint']}/ping", timeout=60).status_code == 200
    assert requests.post(f"{data['endpoint']}/invocations", b"x", timeout=60).status_code == 200
    assert data["endpoint"] == f"http://127.0.0.1:{free_port}"
    assert (data["container"], data["model"]) == (f"byoc-{data['name']}", str(model))
    assert 0 < data["ready_seconds"] < ran.seconds

    # What the container sees: `IMAGE serve`, the model, nothing writable in it, no credentials.
    predicted = json.loads(byoc("predict", "-", "--json", cwd=project, stdin="hello").stdout)
    assert (predicted["path"], predicted["body"], predicted["arguments"]) == ("/invocations", "hello", [])
    assert predicted["model"] == {"1/weights": "from the folder\n"}
    assert predicted["read-only"] is True
    assert {predicted["environment"].get("GREETING"), predicted["environment"].get("FROM_HERE")} == {"a=b c", "1"}
    assert [name for name in predicted["environment"] if name.startswith(("AWS_", "SM_"))] == []

    # On this machine only, on a network of its own.
    container = docker_client.containers.get(data["container"])
    (published,) = container.attrs["NetworkSettings"]["Ports"]["8080/tcp"]
    assert published["HostIp"] == "127.0.0.1"
    assert published["HostPort"] != str(free_port), "the local endpoint has that"
    assert list(container.attrs["NetworkSettings"]["Networks"]) == [data["container"]]
    row = byoc("ps", "--json", cwd=project).json()[0]
    assert {key: row[key] for key in ("name", "kind", "state", "container", "port", "project")} == {
        "name": data["name"],
        "kind": "endpoint",
        "state": "running",
        "container": data["container"],
        "port": free_port,
        "project": str(project),
    }
    assert "serving\n" in byoc("logs", cwd=project).stdout

    stopped = byoc("stop", cwd=project)
    assert (stopped.code, stopped.stdout) == (0, f"{data['name']}\n")
    assert byoc("ps", "--json", cwd=project).json() == []
    again = byoc("stop", cwd=project)
    assert (again.code, again.stdout) == (0, "")
    assert "nothing is running" in again.stderr


def test_a_model_archive_is_unpacked_and_the_last_run_s_is_the_default(
    byoc: Byoc, trained: Path, model: Path, free_port: int
) -> None:
    with tarfile.open(model.parent / "model.tar.gz", "w:gz") as tar:
        tar.add(model / "1", "1")
    for words, weights in (
        (("--model", str(model.parent / "model.tar.gz")), {"1/weights": "from the folder\n"}),
        ((), {"who": (trained / ".byoc/latest").resolve().name}),
    ):
        ran = byoc("serve", "--detach", "--port", str(free_port), *words, cwd=trained)
        assert (ran.code, ran.stdout) == (0, f"http://127.0.0.1:{free_port}/invocations\n"), ran.stderr
        answer = ask(free_port)
        assert (answer["model"], answer["read-only"]) == (weights, True)
        assert byoc("stop", cwd=trained).code == 0


def test_without_a_model_it_serves_and_says_so(byoc: Byoc, project: Path, free_port: int) -> None:
    ran = byoc("serve", "--detach", "--port", str(free_port), cwd=project)
    assert ran.code == 0, ran.stderr
    assert (
        "warning: there is no trained model: /opt/ml/model is empty\nhint: byoc local-train, or --model PATH\n"
        in ran.stderr
    )
    answer = ask(free_port)
    assert (answer["model"], answer["read-only"]) == ({}, True), "what the image has in /opt/ml/model is hidden"
    assert byoc("stop", cwd=project).code == 0


def test_a_wrong_model(byoc: Byoc, project: Path) -> None:
    (project / "model.tar.gz").write_text("not one")
    for given, said in (
        ("nowhere", "there is no model at 'nowhere'"),
        ("model.tar.gz", "is not a gzip-compressed tar"),
    ):
        ran = byoc("serve", "--model", given, cwd=project)
        assert (ran.code, ran.stdout) == (2, "")
        assert said in ran.error
        assert "hint: " in ran.error


# -- ports ------------------------------------------------------------------------------------------------------------


def test_two_endpoints_on_two_ports_and_a_taken_one(byoc: Byoc, project: Path, free_port: int) -> None:
    first = byoc("serve", "--detach", "--json", "--port", str(free_port), cwd=project).json()
    taken = byoc("serve", "--port", str(free_port), cwd=project)
    assert (taken.code, taken.stdout) == (3, "")
    assert taken.error == (
        f"error: port {free_port} is taken\nby the endpoint '{first['name']}' of {project}\n\n"
        "hint: choose another one with --port\n"
    )
    other_port = ports.free_port()
    second = byoc("serve", "--detach", "--json", cwd=project, env={"BYOC_PORT": str(other_port)}).json()
    assert second["endpoint"] == f"http://127.0.0.1:{other_port}"
    assert {row["name"] for row in byoc("ps", "--json", cwd=project).json()} == {first["name"], second["name"]}

    newest = byoc("predict", "-", "--json", cwd=project, stdin="x")
    assert "2 endpoints are running; the newest is asked: " + second["name"] in newest.stderr
    assert byoc("stop", first["name"], cwd=project).stdout == f"{first['name']}\n"
    assert ask(other_port)["length"] == 2
    assert byoc("stop", "--json", cwd=project).json() == [second["name"]]


def test_a_port_that_another_program_has(byoc: Byoc, project: Path) -> None:
    """A server that answers /ping, as the other one did to whom somebody once talked by mistake."""
    script = (
        "import http.server as h, sys\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        "s = h.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True); s.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        port = other.stdout.readline().strip()
        for words in (("--detach",), ()):
            ran = byoc("serve", "--port", port, *words, cwd=project)
            assert (ran.code, ran.stdout) == (3, "")
            assert re.search(
                rf"error: port {port} is taken\nby python\S* \(process {other.pid}\)\n\nhint: ", ran.stderr
            )
        other.terminate()


# -- containers that do not serve -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_a_server_that_dies_at_start_is_reported_at_once(
    byoc: Byoc, project: Path, free_port: int, words: tuple[str, ...]
) -> None:
    ran = byoc("serve", "--port", str(free_port), "--env", "ACT=die", *words, cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith(
        "error: the container ended before it was ready\nits last lines:\n  starting\n"
        "  ImportError: cannot import name 'model'\nexit code 1\n"
    ) or ran.error.startswith(
        "error: the container ended before it was ready\nits last lines:\n  ImportError: cannot import name 'model'\n"
        "  starting\nexit code 1\n"
    )
    assert "SageMaker would say: CannotStartContainerError" in ran.error
    assert ran.seconds < 400, "not after the start-up time of 480 s"


def test_a_server_that_never_becomes_ready(byoc: Byoc, project: Path) -> None:
    """Side by side: each needs time enough to begin."""
    waiting = {}
    for act in ("unhealthy", "loopback"):
        words = ("--port", str(ports.free_port()), "--startup-timeout", "5", "--env", f"ACT={act}", "--detach")
        waiting[act] = byoc.start("serve", *words, cwd=project)
    for act, said in (("unhealthy", "/ping answers 503, not 200"), ("loopback", "nothing answers on the port")):
        ran = waiting[act].end()
        assert (ran.code, ran.stdout) == (1, "")
        assert ran.error.startswith(f"error: the endpoint did not become ready within 5 s\n{said}\n")
        assert "did not pass the ping health check" in ran.error
        assert "its last lines:\n  serving\n" in ran.error
        assert "hint: listen on 0.0.0.0:8080, not on 127.0.0.1, and answer /ping with 200" in ran.error


def test_an_image_without_serve(byoc: Byoc, build: Build, tmp_path: Path, free_port: int) -> None:
    project = make_project(tmp_path / "p", build("broken", "no-train"))
    ran = byoc("serve", "--port", str(free_port), cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert 'exec: "serve": executable file not found in $PATH' in ran.error
    assert "put an executable `serve` on the image's PATH" in ran.error


def test_gpus_without_a_gpu(byoc: Byoc, project: Path, free_port: int) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a GPU")
    ran = byoc("serve", "--gpus", "all", "--port", str(free_port), cwd=project)
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.error.startswith("error: this engine has no GPU to give\n")


@pytest.fixture
def serving(byoc: Byoc, project: Path, free_port: int) -> Iterator[Any]:
    live = byoc.start("serve", "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    yield live
    assert live.process.poll() is not None


def test_a_container_that_dies_while_it_serves(byoc: Byoc, project: Path, serving: Any) -> None:
    failed = byoc("predict", "-", "--header", "X-Amzn-SageMaker-Custom-Attributes: die", cwd=project, stdin="x")
    ran = serving.end()
    assert failed.code == 1
    assert failed.error.startswith("error: the container closed the connection without an answer\n")
    assert ran.code == 1
    assert ran.error.startswith("error: the container ended by itself, with exit code 7\n")
    assert "Segmentation fault\n" in ran.stderr


def test_a_foreground_endpoint_that_is_stopped_elsewhere(byoc: Byoc, project: Path, serving: Any) -> None:
    assert byoc("stop", cwd=project).code == 0
    ran = serving.end()
    assert ran.code == 0, ran.stderr
    assert "error" not in ran.stderr
    wait_for(lambda: byoc("ps", "--json", cwd=project).json() == [])
