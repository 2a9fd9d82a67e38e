"""An endpoint with several containers on the real engine: in a row, called directly, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import requests

from byoc_cli.contract import hosting
from byoc_cli.local.places import path_of
from tests.integration.conftest import Build
from tests.integration.test_gateway import gateways, sdk
from tests.integration.world import Byoc, wait_for

pytestmark = pytest.mark.integration

ACT = hosting.CUSTOM_ATTRIBUTES_HEADER
NONE = ("--model", "none", "--model", "none")


@pytest.fixture
def row(byoc: Byoc, project: Path, actor: str, free_port: int) -> Iterator[dict[str, Any]]:
    """A detached pipeline of two; stopped at the end, if it still is there."""
    (project / "m").mkdir()
    (project / "m" / "weights").write_text("of the second\n")
    words = ("--model", "none", "--model", "m", "--env", "container-2:WHO=second", "--env", "BOTH=1")
    ran = byoc("serve", actor, actor, *words, "--detach", "--json", "--port", str(free_port), cwd=project)
    assert ran.code == 0, ran.stderr
    yield {**ran.json(), "port": free_port}
    assert byoc("stop", cwd=project).code == 0
    wait_for(lambda: gateways(free_port) == [])


@pytest.fixture
def live(byoc: Byoc, project: Path, actor: str, free_port: int) -> Iterator[Any]:
    """A pipeline of two in the foreground."""
    live = byoc.start("serve", actor, actor, *NONE, "--port", str(free_port), cwd=project)
    live.until("/invocations\n")
    yield live
    assert live.process.poll() is not None
    assert gateways(free_port) == []


def test_h32_two_in_a_row(row: dict[str, Any], byoc: Byoc, project: Path, docker_client: docker.DockerClient) -> None:
    client = sdk(row["endpoint"])
    answer = client.invoke_endpoint(EndpointName=row["name"], Body=b"1,2", ContentType="text/csv", Accept="a/b")
    second = json.loads(answer["Body"].read())
    # H-32: what the second one got is what the first one answered; H-15, H-16: its headers.
    assert second["path"] == "/invocations"
    assert second["headers"]["Content-Type"] == "application/json"
    assert second["headers"]["Accept"] == "a/b"
    assert second["body"].startswith('{"path": "/invocations", "headers": {')
    assert '"Content-Type": "text/csv"' in second["body"]
    assert '"body": "1,2"' in second["body"]
    assert "Accept" not in second["body"], "what the caller wants is the last one's business"
    # H-03, H-08: each has its own model and variables.
    assert second["model"] == {"weights": "of the second\n"}
    assert second["read-only"] is True
    assert {name: second["environment"].get(name) for name in ("WHO", "BOTH")} == {"WHO": "second", "BOTH": "1"}
    # H-30: a port of its own.
    assert second["environment"]["SAGEMAKER_BIND_TO_PORT"] == str(hosting.bind_port(1))
    assert second["environment"]["SAGEMAKER_SAFE_PORT_RANGE"] == hosting.bind_variables(1)["SAGEMAKER_SAFE_PORT_RANGE"]
    containers = [docker_client.containers.get(each["container"]) for each in row["containers"]]
    assert ["WHO=second" in each.attrs["Config"]["Env"] for each in containers] == [False, True]
    for each in containers:
        (network,) = each.attrs["NetworkSettings"]["Networks"]
        assert network == f"byoc-{row['name']}"
        published = [port for ports in each.attrs["NetworkSettings"]["Ports"].values() for port in ports or ()]
        assert {port["HostIp"] for port in published} == {"127.0.0.1"}

    with pytest.raises(client.exceptions.ValidationError, match="does not support target container hostname header"):
        client.invoke_endpoint(EndpointName=row["name"], Body=b"x", TargetContainerHostname="container-1")
    client.close()

    # H-28: one log with the containers' names.
    wait_for(lambda: byoc("logs", cwd=project).stdout.count("invocation echo") == 2)
    logs = byoc("logs", cwd=project).stdout
    assert {line.partition(" | ")[0] for line in logs.splitlines()} == {"container-1", "container-2"}
    rows = byoc("ps", "--json", cwd=project).json()
    assert {(each["name"], each["host"], each["port"], each["state"]) for each in rows} == {
        (row["name"], "container-1", row["port"], "running"),
        (row["name"], "container-2", row["port"], "running"),
    }
    predicted = byoc("predict", "-", "--json", cwd=project, stdin="x")
    assert json.loads(predicted.stdout)["environment"]["WHO"] == "second"


def test_h18_and_h32_who_fails_is_named(row: dict[str, Any], byoc: Byoc, project: Path) -> None:
    client = sdk(row["endpoint"])
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName=row["name"], Body=b"x", CustomAttributes="status:503")
    error: Any = caught.value.response
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (503, "the model says no")
    assert 'Received server error (503) from container-1 with message "the model says no"' in str(caught.value)
    client.close()
    failed = byoc("predict", "-", "--header", f"{ACT}=hang-up", cwd=project, stdin="x")
    assert failed.error.startswith("error: container-1 closed the connection without an answer\n")
    assert "container-1's last lines:\n  serving\n  invocation status\n" in failed.error
    assert "container-2's last lines:\n  serving\n" in failed.error


def test_h32_direct_calls(byoc: Byoc, project: Path, actor: str, free_port: int) -> None:
    words = ("--mode", "direct", "--env", "large:WHO=large", "--detach", "--json", "--port", str(free_port))
    served = byoc("serve", f"small={actor}", f"large={actor}", *NONE, *words, cwd=project)
    assert served.code == 0, served.stderr
    client, name = sdk(served.json()["endpoint"]), served.json()["name"]
    for target, who in (("small", None), ("large", "large")):
        answer = client.invoke_endpoint(EndpointName=name, Body=b"x", TargetContainerHostname=target)
        seen = json.loads(answer["Body"].read())
        assert (seen["environment"].get("WHO"), seen["body"]) == (who, "x")
    for wrong in ({}, {"TargetContainerHostname": "other"}):
        with pytest.raises(client.exceptions.ValidationError, match=r"[Tt]arget\s*container\s*hostname"):
            client.invoke_endpoint(EndpointName=name, Body=b"x", **wrong)
    with pytest.raises(client.exceptions.ModelError, match="from large with message"):
        client.invoke_endpoint(
            EndpointName=name, Body=b"x", TargetContainerHostname="large", CustomAttributes="status:400"
        )
    client.close()
    predicted = byoc("predict", "-", "--json", "--target-container", "large", cwd=project, stdin="x")
    assert json.loads(predicted.stdout)["environment"]["WHO"] == "large"
    assert byoc("stop", name, cwd=project).stdout == f"{name}\n"


def test_h31_an_image_without_the_label_is_refused(
    byoc: Byoc, build: Build, project: Path, actor: str, free_port: int
) -> None:
    plain = build("actor", "unlabelled")
    ran = byoc("serve", actor, plain, cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith(
        "error: container-2 may not be one of several containers\n"
        f"SageMaker would say: Your Ecr Image {plain} does not contain required "
        "com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true Docker label(s).\n"
    )
    assert "hint: LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true in its Dockerfile" in ran.error
    assert byoc("serve", plain, "--detach", "--port", str(free_port), cwd=project).code == 0, "an only one needs none"
    assert byoc("stop", cwd=project).code == 0


@pytest.mark.parametrize("words", [(), ("--detach",)])
@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            "ignore-port",
            "container-2 answers /ping on port 8080, and not on 18082\nwith several containers each has to ",
        ),
        ("die", "container-2 ended before it was ready\nits last lines:\n"),
    ],
)
def test_h30_one_that_cannot_serve_ends_the_start(
    byoc: Byoc, project: Path, actor: str, free_port: int, act: str, said: str, words: tuple[str, ...]
) -> None:
    given = ("--env", f"container-2:ACT={act}", "--port", str(free_port), *words)
    ran = byoc("serve", actor, actor, *NONE, *given, cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith(f"error: {said}")
    assert ran.seconds < 120, "not after the start-up time of 480 s"


def test_h11_one_that_never_becomes_ready_is_named(byoc: Byoc, project: Path, actor: str, free_port: int) -> None:
    words = ("--env", "sick:ACT=unhealthy", "--startup-timeout", "2", "--port", str(free_port))
    ran = byoc("serve", f"sick={actor}", actor, *NONE, *words, cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: sick did not become ready within 2 s\n")
    assert "\nThe sick for production variant AllTraffic did not pass the ping health check.\n" in ran.error
    assert "hint: listen on 0.0.0.0:$SAGEMAKER_BIND_TO_PORT, not on 127.0.0.1, and answer /ping with 200" in ran.error


def test_h50_an_asynchronous_pipeline_and_how_it_ends(byoc: Byoc, project: Path, actor: str, free_port: int) -> None:
    words = ("--env", "container-2:WHO=second", "--async-output", "answers", "--max-concurrent", "1")
    ran = byoc("serve", actor, actor, *NONE, *words, "--detach", "--json", "--port", str(free_port), cwd=project)
    assert ran.code == 0, ran.stderr
    (project / "row.csv").write_text("1,2")
    second = byoc("predict", "row.csv", "--async", "--json", cwd=project).json()["answer"]
    assert (second["environment"]["WHO"], json.loads(second["body"])["body"]) == ("second", "1,2")
    client = sdk(ran.json()["endpoint"])
    # The first one ends the endpoint, whose others are stopped: each request leaves a file.
    asked = [
        client.invoke_endpoint_async(EndpointName=ran.json()["name"], Body=b"x", CustomAttributes=act)
        for act in ("die", "echo", "echo")
    ]
    client.close()
    failures = [path_of(each["FailureLocation"]) for each in asked]
    wait_for(lambda: all(path.exists() for path in failures), 60)
    assert failures[0].read_text().startswith("ModelError: Received server error (0) from container-1 with message")
    wait_for(lambda: gateways(free_port) == [], 60)
    assert {each["state"] for each in byoc("ps", "--json", cwd=project).json()} == {"exited"}
    assert byoc("clean", "--yes", cwd=project).code == 0


# -- ends --------------------------------------------------------------------------------------------------------------


def test_h07_ctrl_c_stops_all(live: Any) -> None:
    live.ctrl_c()
    ran = live.end(timeout=60)
    assert ran.code == 130
    for name in ("container-1", "container-2"):
        assert f"{name} | signal 15: stopping\n" in ran.stderr
        assert f"{name} | stopped\n" in ran.stderr


def test_one_that_dies_while_it_serves_is_named_and_the_others_are_stopped(
    byoc: Byoc, project: Path, actor: str, free_port: int
) -> None:
    words = ("--env", "container-2:ACT=mortal", "--port", str(free_port))
    live = byoc.start("serve", actor, actor, *NONE, *words, cwd=project)
    live.until("/invocations\n")
    answer = requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", timeout=60)
    assert answer.status_code == 424
    assert "Received server error (0) from container-2 with message" in answer.text
    ran = live.end(timeout=60)
    assert ran.code == 1
    assert ran.error.startswith("error: container-2 ended by itself, with exit code 7\n")
    assert "container-2 | Segmentation fault\n" in ran.stderr
    assert "container-1 | signal 15: stopping\n" in ran.stderr


def test_a_pipeline_in_the_foreground_is_stopped_elsewhere(byoc: Byoc, project: Path, live: Any) -> None:
    assert byoc("stop", cwd=project).code == 0
    ran = live.end(timeout=60)
    assert ran.code == 0, ran.stderr
    assert "error" not in ran.stderr
    assert "container-1 | stopped\n" in ran.stderr
    assert "container-2 | stopped\n" in ran.stderr


def test_a_detached_pipeline_ends_when_one_of_it_does(row: dict[str, Any], byoc: Byoc, project: Path) -> None:
    (process,) = (psutil.Process(pid) for pid in gateways(row["port"]))
    answer = requests.post(f"{row['endpoint']}/invocations", b"x", headers={ACT: "die"}, timeout=60)
    assert "from container-1 with message" in answer.text
    wait_for(lambda: not process.is_running(), 60)
    assert {each["state"] for each in byoc("ps", "--json", cwd=project).json()} == {"exited"}
    log = project / ".byoc" / "endpoints" / f"{row['name']}.log"
    assert "container-1 ended: stopping container-2\n" in log.read_text()
    cleaned = byoc("clean", "--yes", "--json", cwd=project).json()
    assert len(cleaned["containers"]) == 2
