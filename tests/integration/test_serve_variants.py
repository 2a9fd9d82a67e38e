"""`byoc serve` serverless, isolated and as large as an instance type, on the real engine."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests
from docker.models.containers import Container

from tests.integration.conftest import Build
from tests.integration.training.lab import neighbour
from tests.integration.world import Byoc, make_project

pytestmark = pytest.mark.integration

MB = 1 << 20
_CALL = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))"

Serve = Callable[..., Container]


@pytest.fixture
def serve(byoc: Byoc, project: Path, free_port: int, docker_client: docker.DockerClient) -> Iterator[Serve]:
    """`serve("--serverless", "1024")` gives the container of a detached endpoint, which is stopped at the end."""

    def detached(*words: str) -> Container:
        ran = byoc("serve", "--detach", "--json", "--port", str(free_port), *words, cwd=project)
        assert ran.code == 0, ran.stderr
        return docker_client.containers.get(ran.json()["container"])

    yield detached
    assert byoc("stop", cwd=project).code == 0


def run(container: Container, *words: str) -> tuple[int, str]:
    """Exit code and output of a program in the container."""
    code, output = container.exec_run(list(words))
    assert isinstance(code, int)
    assert isinstance(output, bytes)
    return code, output.decode().strip()


def said(container: Container, *words: str) -> str:
    """What a program in the container prints."""
    code, output = run(container, *words)
    assert code == 0, output
    return output


def answers(container: Container, address: str, seconds: float) -> bool:
    """Whether somebody is reached from inside."""
    return run(container, "python3", "-c", _CALL, *address.split(":"), str(seconds))[0] == 0


def test_h65_what_a_serverless_container_sees(serve: Serve, tmp_path: Path, free_port: int) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "weights").write_text("w\n")
    container = serve("--serverless", "1024", "--model", str(tmp_path / "m"))
    uid, gid, name = (said(container, "sh", "-c", f"id {word} 2>/dev/null || true") for word in ("-u", "-g", "-un"))
    assert uid == gid
    assert int(uid) >= 100_000
    assert name in {"", uid}, "nobody in /etc/passwd"
    assert f"Uid:\t{uid}\t" in said(container, "cat", "/proc/1/status")
    config = container.attrs["HostConfig"]
    assert (config["Memory"], config["MemorySwap"]) == (1024 * MB, 1024 * MB)
    limit = "cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert said(container, "sh", "-c", f"({limit}) 2>/dev/null") == str(1024 * MB)

    url = f"http://127.0.0.1:{free_port}/invocations"
    answer = requests.post(url, b"x" * 4 * MB, timeout=60)
    assert (answer.status_code, answer.json()["length"]) == (200, 4 * MB)
    assert (answer.json()["model"], answer.json()["read-only"]) == ({"weights": "w\n"}, True)
    refused = requests.post(url, b"x" * (4 * MB + 1), timeout=60)
    assert (refused.status_code, refused.json()) == (413, {"message": "HTTP content length exceeded 4194304 bytes."})


def test_h65_a_container_that_needs_root(byoc: Byoc, project: Path, free_port: int) -> None:
    ran = byoc("serve", "--serverless", "1024", "--port", str(free_port), "--env", "ACT=write", cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: the container ended before it was ready\n")
    assert "PermissionError: [Errno 13] Permission denied: '/usr/local/pid'\nexit code 1\n" in ran.error
    assert "SageMaker would say: CannotStartContainerError" in ran.error
    assert "hint: a serverless container is not root: `RUN chmod -R o+rwX PATH` in the Dockerfile" in ran.error


def test_h65_a_container_that_needs_more_memory(byoc: Byoc, project: Path, free_port: int) -> None:
    ran = byoc("serve", "--serverless", "1024", "--port", str(free_port), "--env", "ACT=eat", cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: the container ended before it was ready\n")
    # An engine may notice a moment too late that it was memory.
    assert "it ran out of memory\n" in ran.error or "exit code 137\n" in ran.error
    assert "SageMaker would say: CannotStartContainerError" in ran.error


def test_h26_an_isolated_endpoint_calls_nobody_and_is_called(
    serve: Serve, byoc: Byoc, project: Path, free_port: int, docker_client: docker.DockerClient
) -> None:
    container = serve("--network-isolation")
    (row,) = byoc("ps", "--json", cwd=project).json()
    assert (row["state"], row["port"]) == ("running", free_port)
    assert json.loads(byoc("predict", "-", "--json", cwd=project, stdin="x").stdout)["body"] == "x"
    (network,) = container.attrs["NetworkSettings"]["Networks"]
    assert docker_client.networks.get(network).attrs["Internal"] is True
    assert not any(container.attrs["NetworkSettings"]["Ports"].values())
    with neighbour() as outside:
        if not outside:
            pytest.skip("to have somebody outside needs root")
        assert not answers(container, outside, 2)
        assert byoc("stop", cwd=project).code == 0
        assert answers(serve(), outside, 30), "he is there"


def test_h26_an_isolated_endpoint_in_the_foreground_ends_without_a_trace(
    byoc: Byoc, project: Path, free_port: int
) -> None:
    live = byoc.start("serve", "--network-isolation", "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    assert requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", timeout=30).json()["body"] == "x"
    live.send(signal.SIGINT)
    assert live.end().code == 130


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_h26_where_an_isolated_container_cannot_be_reached(
    byoc: Byoc, project: Path, free_port: int, words: tuple[str, ...]
) -> None:
    """In a network of its own byoc is not on the engine's, as with a rootless engine, or in a container."""
    before = ("unshare", "--net")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("to have a network of its own needs root")
    ran = byoc("serve", "--network-isolation", "--port", str(free_port), *words, cwd=project, before=before)
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.error.startswith("error: --network-isolation is not possible with this engine\nits networks (")
    assert "hint: run byoc on Linux with its own engine" in ran.error


def test_an_instance_type_gives_its_cpus_and_memory(serve: Serve, docker_client: docker.DockerClient) -> None:
    info = docker_client.info()
    container = serve("--instance-type", "ml.c5.large")  # 2 CPUs, 4 GiB
    assert said(container, "nproc") == str(min(2, info["NCPU"]))
    assert container.attrs["HostConfig"]["Memory"] == (4096 * MB if info["MemTotal"] > 4096 * MB else 0)


def test_h26_a_batch_job_without_a_network(byoc: Byoc, build: Build, tmp_path: Path) -> None:
    project = make_project(tmp_path / "batch", build("batcher"))
    (project / "data").write_bytes(b"x")
    ran = byoc("batch", "data", "--out", "out", "--network-isolation", "--instance-type", "ml.m5.large", cwd=project)
    assert ran.code == 0, ran.stderr
    assert (project / "out" / "data.out").read_bytes() == b"X"
