"""The local endpoint before a real container: an SDK's client, streams, load, and its process when it is detached."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import docker
import psutil
import pytest
import requests

from byoc_cli.local.gateway import status
from tests.integration.world import Byoc, wait_for

pytestmark = pytest.mark.integration

ACT = "X-Amzn-SageMaker-Custom-Attributes"


@pytest.fixture
def detached(byoc: Byoc, project: Path, free_port: int) -> Iterator[dict[str, Any]]:
    """A detached endpoint; stopped at the end, if it still is there."""
    ran = byoc("serve", "--detach", "--json", "--port", str(free_port), cwd=project)
    assert ran.code == 0, ran.stderr
    yield {**ran.json(), "port": free_port}
    assert byoc("stop", cwd=project).code == 0
    wait_for(lambda: gateways(free_port) == [])


def gateways(port: int) -> list[int]:
    """The processes that hold a port of 127.0.0.1."""
    return [
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.laddr.port == port and connection.status == "LISTEN" and connection.pid
    ]


def sdk(endpoint: str) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="A" * 20,
        aws_secret_access_key="x",
    )


def test_an_unmodified_sdk_client(detached: dict[str, Any]) -> None:
    client, name = sdk(detached["endpoint"]), detached["name"]
    answer = client.invoke_endpoint(EndpointName=name, Body=b"1,2", ContentType="text/csv", Accept="application/json")
    seen = json.loads(answer["Body"].read())
    assert (seen["path"], seen["body"]) == ("/invocations", "1,2")
    assert {key: value for key, value in seen["headers"].items() if key != "Host"} == {
        "Content-Type": "text/csv",
        "Accept": "application/json",
        "Content-Length": "3",
    }
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")

    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName=name, Body=b"x", CustomAttributes="status:503")
    error: Any = caught.value.response
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (503, "the model says no")
    assert error["LogStreamArn"].endswith(f"/aws/sagemaker/Endpoints/{name}")
    with pytest.raises(client.exceptions.ModelError, match="could not get a response"):
        client.invoke_endpoint(EndpointName=name, Body=b"x", CustomAttributes="hang-up")
    with pytest.raises(client.exceptions.ValidationError, match="Endpoint other of account 000000000000 not found"):
        client.invoke_endpoint(EndpointName="other", Body=b"x")
    large = client.invoke_endpoint(EndpointName=name, Body=b"x" * (25 << 20))
    assert json.loads(large["Body"].read())["length"] == 25 << 20
    with pytest.raises(client.exceptions.ClientError, match="content length exceeded"):
        client.invoke_endpoint(EndpointName=name, Body=b"x" * ((25 << 20) + 1))
    client.close()


def test_h45_a_stream(detached: dict[str, Any]) -> None:
    client = sdk(detached["endpoint"])
    answer = client.invoke_endpoint_with_response_stream(
        EndpointName=detached["name"], Body=b"x", CustomAttributes="stream"
    )
    parts = []
    for event in answer["Body"]:  # the container waits for a sign after each part
        parts.append(event["PayloadPart"]["Bytes"])
        client.invoke_endpoint(EndpointName=detached["name"], Body=b"x", CustomAttributes="go-on")
    assert parts == [b"part 0\n", b"part 1\n", b"part 2\n"]
    assert answer["ContentType"] == "text/plain"
    client.close()


def test_32_clients_lose_nothing(detached: dict[str, Any], byoc: Byoc, project: Path) -> None:
    (process,) = (psutil.Process(pid) for pid in gateways(detached["port"]))
    early: list[int] = []
    wrong: list[str] = []
    warm = threading.Barrier(32, lambda: early.append(process.memory_info().rss), timeout=120)

    def client(number: int) -> None:
        session = requests.Session()
        for count in range(20):
            if count == 5:
                warm.wait()
            body = f"{number}/{count}".encode() * 20
            answer = session.post(f"{detached['endpoint']}/invocations", body, timeout=120)
            if answer.status_code != 200 or answer.json()["body"] != body.decode():
                wrong.append(f"{answer.status_code} {answer.text[:200]}")
        session.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert process.memory_info().rss - early[0] < 20 << 20, "memory stays flat"
    # The engine's log may come a moment later.
    wait_for(lambda: byoc("logs", cwd=project).stdout.count("invocation echo\n") == 32 * 20)


# -- the process of a detached endpoint --------------------------------------------------------------------------------


def test_it_is_a_process_of_its_own(detached: dict[str, Any], project: Path) -> None:
    (pid,) = gateways(detached["port"])
    process = psutil.Process(pid)
    assert os.getsid(pid) == pid
    assert "byoc_cli.commands.endpoint_process" in process.cmdline()
    files = [Path(file).readlink() for file in Path(f"/proc/{pid}/fd").iterdir() if int(file.name) < 3]
    log = project / ".byoc" / "endpoints" / f"{detached['name']}.log"
    assert sorted(map(str, files)) == sorted(["/dev/null", str(log), str(log)])
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", [("rm", "-f"), ("kill",), ("stop", "-t", "1")])
def test_it_is_gone_when_its_container_is(
    detached: dict[str, Any], docker_client: docker.DockerClient, byoc: Byoc, project: Path, how: tuple[str, ...]
) -> None:
    (pid,) = gateways(detached["port"])
    container = docker_client.containers.get(detached["container"])
    if how[0] == "rm":
        container.remove(force=True, v=True)
    elif how[0] == "kill":
        container.kill()
    else:
        container.stop(timeout=1)
    wait_for(lambda: gateways(detached["port"]) == [] and not psutil.pid_exists(pid))
    assert byoc("clean", "--yes", cwd=project).code == 0


def test_one_that_is_killed_is_seen_and_its_container_can_be_stopped(
    detached: dict[str, Any], byoc: Byoc, project: Path
) -> None:
    (pid,) = gateways(detached["port"])
    assert byoc("ps", "--json", cwd=project).json()[0]["state"] == "running"
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid))
    listed = byoc("ps", "--json", cwd=project)
    assert listed.json()[0]["state"] == "unreachable"
    assert f"warning: the local endpoint of {detached['name']} is gone, its container runs on" in listed.stderr
    failed = byoc("predict", "-", cwd=project, stdin="x")
    assert (failed.code, failed.stdout) == (3, "")
    stopped = byoc("stop", cwd=project)
    assert (stopped.code, stopped.stdout) == (0, f"{detached['name']}\n")
    assert byoc("ps", "--json", cwd=project).json() == []


def test_it_ends_with_a_byoc_that_is_killed_before_it_was_ready(byoc: Byoc, project: Path, free_port: int) -> None:
    live = byoc.start("serve", "--detach", "--port", str(free_port), "--env", "ACT=unhealthy", cwd=project)
    # Its port is bound before there is a container.
    wait_for(lambda: byoc("ps", "--json", cwd=project).json() != [])
    name = byoc("ps", "--json", cwd=project).json()[0]["name"]
    wait_for(lambda: status.word(free_port, name) == "Creating")
    assert byoc("ps", "--json", cwd=project).json()[0]["state"] == "starting"
    live.send(signal.SIGKILL)
    live.process.wait()
    wait_for(lambda: gateways(free_port) == [])
    assert byoc("stop", cwd=project).code == 0


# -- in the foreground -------------------------------------------------------------------------------------------------


def test_h24_health_is_said_while_it_serves(byoc: Byoc, project: Path, free_port: int) -> None:
    live = byoc.start("serve", "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    sick = {ACT: "sick:1"}
    assert requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", headers=sick, timeout=60).status_code == 200
    live.until("warning: the endpoint is unhealthy\n/ping answers 503, not 200\n")
    assert byoc("ps", "--json", cwd=project).json()[0]["state"] == "unhealthy"
    requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", headers={ACT: "sick:0"}, timeout=60)
    live.until("the endpoint is healthy again: /ping answers 200\n")
    live.ctrl_c()
    ran = live.end()
    assert ran.code == 130
    assert ran.stderr.count("the endpoint is unhealthy\n/ping answers 503") == 1
    assert gateways(free_port) == []


def test_raw_is_the_container_s_own_port(byoc: Byoc, project: Path, free_port: int) -> None:
    served = byoc("serve", "--raw", "--detach", "--json", "--port", str(free_port), cwd=project).json()
    url = f"{served['endpoint']}/invocations"
    # No answer is kept: its connection would stay open, and the server waits for that when it is stopped.
    assert requests.post(url, b"x", headers={"X-Mine": "1"}, timeout=60).json()["headers"]["X-Mine"] == "1"
    assert requests.post(url, b"x", headers={ACT: "status:418"}, timeout=60).status_code == 418
    assert byoc("ps", "--json", cwd=project).json()[0]["port"] == free_port
    assert json.loads(byoc("predict", "-", "--json", cwd=project, stdin="x").stdout)["path"] == "/invocations"
    assert byoc("stop", cwd=project).code == 0
    both = byoc("serve", "--raw", "--data-capture", "x", cwd=project)
    assert (both.code, "--raw has no data capture" in both.stderr) == (2, True)


def test_h70_data_capture(byoc: Byoc, project: Path, free_port: int) -> None:
    words = ("serve", "--detach", "--port", str(free_port), "--data-capture")
    refused = byoc(*words, "nowhere/capture.jsonl", cwd=project)
    assert (refused.code, refused.stdout) == (2, "")
    assert byoc(*words, "capture.jsonl", cwd=project).code == 0
    (project / "row.csv").write_text("1,2\n")
    assert byoc("predict", "row.csv", "--json", cwd=project).code == 0
    assert byoc("stop", cwd=project).code == 0
    (line,) = (project / "capture.jsonl").read_text().splitlines()
    sides = json.loads(line)["captureData"]
    assert sides["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "1,2\n",
        "encoding": "CSV",
    }
    assert json.loads(sides["endpointOutput"]["data"])["body"] == "1,2\n"


def test_curl_waits_for_nothing(detached: dict[str, Any], tmp_path: Path) -> None:
    """It asks before it sends a large body, and would wait for an answer."""
    (tmp_path / "body").write_bytes(b"x" * (2 << 20))
    words = ["curl", "-sS", "-H", "Expect: 100-continue", "--expect100-timeout", "300", "--data-binary"]
    words += [f"@{tmp_path}/body", f"{detached['endpoint']}/invocations"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(done.stdout)["length"] == 2 << 20
