"""Asynchronous endpoints (H-50) before a real container: files and S3, and how they end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import docker
import psutil
import pytest

from byoc_cli.local.places import path_of
from tests.integration.conftest import Aws, Build
from tests.integration.test_gateway import gateways, sdk
from tests.integration.world import Byoc, Live, job_of, make_project, wait_for

pytestmark = pytest.mark.integration

ACT = "X-Amzn-SageMaker-Custom-Attributes"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40}


@contextmanager
def detached(byoc: Byoc, project: Path, port: int, *words: str, **more: Any) -> Iterator[dict[str, Any]]:
    """A detached endpoint; nothing of it is left."""
    ran = byoc("serve", "--detach", "--json", "--port", str(port), *words, cwd=project, **more)
    assert ran.code == 0, ran.stderr
    yield ran.json()
    assert byoc("stop", cwd=project).code == 0
    wait_for(lambda: gateways(port) == [])


@pytest.fixture
def endpoint(byoc: Byoc, project: Path, free_port: int) -> Iterator[dict[str, Any]]:
    """One whose answers go to `answers`, two at once."""
    (project / "row.csv").write_text("1,2\n")
    with detached(byoc, project, free_port, "--async-output", "answers", "--max-concurrent", "2") as served:
        yield served


def left(project: Path) -> list[str]:
    """What is half-written."""
    return [path.name for path in (project / "answers").iterdir() if path.name.startswith(".")]


def test_d44_an_unmodified_sdk_client(endpoint: dict[str, Any], project: Path) -> None:
    client, name = sdk(endpoint["endpoint"]), endpoint["name"]
    asked = client.invoke_endpoint_async(
        EndpointName=name, InputLocation=(project / "row.csv").as_uri(), ContentType="text/csv", InferenceId="mine"
    )
    output = path_of(asked["OutputLocation"])
    wait_for(output.exists)
    seen = json.loads(output.read_bytes())
    assert (seen["path"], seen["body"], asked["InferenceId"]) == ("/invocations", "1,2\n", "mine")
    assert {key: value for key, value in seen["headers"].items() if key != "Host"} == {
        "Content-Type": "text/csv",
        "Content-Length": "4",
        "X-Amzn-SageMaker-Inference-Id": "mine",
    }
    assert output.stat().st_mode & 0o444 == 0o444, "as any file"
    with pytest.raises(client.exceptions.ValidationError, match="is asynchronous"):
        client.invoke_endpoint(EndpointName=name, Body=b"x")
    client.close()


def test_predict_waits_for_the_answer(endpoint: dict[str, Any], byoc: Byoc, project: Path) -> None:
    ran = byoc("predict", "row.csv", "--async", cwd=project)
    assert (ran.code, json.loads(ran.stdout)["body"]) == (0, "1,2\n")
    told = re.search(r"row.csv: the answer will be (\S+\.out)\n", ran.stderr)
    assert told
    assert json.loads(Path(told[1]).read_text()) == json.loads(ran.stdout)

    ran = byoc("predict", "row.csv", "--async", "--json", cwd=project)
    data = ran.json()
    assert data["answer"]["headers"]["Content-Type"] == "text/csv"
    assert path_of(data["output"]).name == f"{data['inference_id']}.out"

    assert byoc("predict", "-", "--async", "-o", "copy", cwd=project, stdin="[1]").code == 0
    assert json.loads((project / "copy").read_text())["headers"]["Content-Type"] == "application/json"
    large = "x" * 200_000  # too much to come with the request
    assert json.loads(byoc("predict", "-", "--async", cwd=project, stdin=large).stdout)["length"] == 200_000
    assert len(byoc("predict", "row.csv", "byoc.toml", "--async", cwd=project).stdout.splitlines()) == 2
    assert left(project) == []


def test_predict_says_what_failed(endpoint: dict[str, Any], byoc: Byoc, project: Path) -> None:
    def failing(*words: str) -> str:
        ran = byoc("predict", *words, cwd=project)
        assert (ran.code, ran.stdout) == (1, "")
        return ran.error

    said = failing("row.csv", "--async", "-H", f"{ACT}=status:503")
    assert said.startswith("error: the request failed\nSageMaker would say: ModelError: Received server error (503)")
    assert "\nthe container's last lines:\n" in said
    (written,) = re.findall(r"\nwritten to (\S+)\n", said)
    assert 'with message "the model says no"' in Path(written).read_text()

    said = failing("row.csv", "--async", "-H", f"{ACT}=stream:at-once")
    assert "did not specify the required Content-Length header" in said
    assert "hint: an asynchronous endpoint takes no answer in chunks" in said

    said = failing("row.csv")
    assert said.startswith("error: this endpoint is asynchronous (H-50)\n")
    assert said.endswith("\nhint: byoc predict --async\n")
    assert left(project) == []


def test_a_running_endpoint_that_is_not_asynchronous(byoc: Byoc, project: Path, free_port: int) -> None:
    (project / "row.csv").write_text("1,2\n")
    with detached(byoc, project, free_port):
        ran = byoc("predict", "row.csv", "--async", cwd=project)
        assert (ran.code, ran.stdout) == (1, "")
        assert ran.error.startswith("error: this endpoint is real-time (H-50)\n")
        assert "hint: byoc serve --async-output FOLDER makes an asynchronous one" in ran.error


def test_without_an_endpoint_one_is_started_and_stopped(byoc: Byoc, project: Path) -> None:
    (project / "row.csv").write_text("1,2\n")
    trained = byoc("local-train", cwd=project)
    assert job_of(project, trained).ran.code == 0
    ran = byoc("predict", "row.csv", "--async", "--json", cwd=project)
    assert ran.code == 0, ran.stderr
    data = ran.json()
    assert path_of(data["output"]).parent == project / ".byoc" / "async"
    assert json.loads(path_of(data["output"]).read_text()) == data["answer"]
    assert byoc("ps", "--json", cwd=project).json() == []


@pytest.mark.parametrize("end", ["kill", "rm"])
def test_what_was_asked_fails_with_its_container(
    endpoint: dict[str, Any], docker_client: docker.DockerClient, byoc: Byoc, project: Path, end: str
) -> None:
    """Two are at work, three wait: all are written down, and nothing is half-written."""
    client = sdk(endpoint["endpoint"])
    asked = [
        client.invoke_endpoint_async(EndpointName=endpoint["name"], Body=b"x", CustomAttributes="sleep:600")
        for _ in range(5)
    ]
    client.close()
    container = docker_client.containers.get(endpoint["container"])
    wait_for(lambda: container.logs().count(b"invocation sleep") == 2)
    container.kill() if end == "kill" else container.remove(force=True, v=True)
    failures = [path_of(one["FailureLocation"]) for one in asked]
    wait_for(lambda: all(path.exists() for path in failures))
    assert not any(path_of(one["OutputLocation"]).exists() for one in asked)
    assert all(re.match("(ModelError|InternalServerError): ", path.read_text()) for path in failures)
    wait_for(lambda: left(project) == [])
    log = project / ".byoc" / "endpoints" / f"{endpoint['name']}.log"
    assert log.read_text().count("INFO the asynchronous request ") == 5
    byoc("clean", "--yes", cwd=project)


def test_h50_large_inputs_and_answers_in_little_memory(
    byoc: Byoc, build: Build, tmp_path: Path, free_port: int
) -> None:
    project = make_project(tmp_path / "large", build("batcher"))
    with (project / "large.bin").open("wb") as file:
        file.truncate(80 << 20)  # sparse
    with detached(byoc, project, free_port, "--async-output", "answers") as served:
        (process,) = (psutil.Process(pid) for pid in gateways(free_port))
        before = peak(process)
        ran = byoc("predict", "large.bin", "--async", "-o", "out.bin", cwd=project)
        assert ran.code == 0, ran.stderr
        assert (project / "out.bin").stat().st_size == 80 << 20
        assert peak(process) - before < 40, "MB more"
        assert served["endpoint"] in f"http://127.0.0.1:{free_port}"
    with (project / "large.bin").open("wb") as file:
        file.truncate((1 << 30) + 1)
    ran = byoc("predict", "large.bin", "--async", cwd=project)
    assert (ran.code, "an asynchronous request has at most 1,073,741,824 (1 GB, H-50)" in ran.error) == (2, True)


def peak(process: psutil.Process) -> int:
    """The most memory that a process ever had, in MB."""
    (size,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(size) >> 10


# -- S3 ----------------------------------------------------------------------------------------------------------------


def s3_environment(aws: Aws, tmp_path: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }


def test_h50_input_and_output_in_s3(byoc: Byoc, project: Path, free_port: int, aws: Aws, tmp_path: Path) -> None:
    env = s3_environment(aws, tmp_path) | CREDENTIALS
    s3 = boto3.client(
        "s3", endpoint_url=aws.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    s3.create_bucket(Bucket="data")
    s3.put_object(Bucket="data", Key="in/row 1.csv", Body=b"1,2\n")
    words = ("--async-output", "s3://data/out", "--async-failure", "s3://data/bad/")
    with detached(byoc, project, free_port, *words, env=env) as served:
        ran = byoc("predict", "s3://data/in/row 1.csv", "--async", "--json", cwd=project, env=env)
        assert ran.code == 0, ran.stderr
        data = ran.json()
        assert re.fullmatch(r"s3://data/out/[0-9a-f-]{36}\.out", data["output"])
        assert data["answer"]["body"] == "1,2\n"
        assert data["answer"]["headers"]["Content-Type"] == "text/csv"
        written = s3.get_object(Bucket="data", Key=data["output"].removeprefix("s3://data/"))
        assert (json.loads(written["Body"].read()), written["ContentType"]) == (data["answer"], "application/json")

        ran = byoc("predict", "s3://data/nowhere", "--async", cwd=project, env=env)
        assert (ran.code, ran.stdout) == (1, "")
        assert "SageMaker would say: ClientError: there is nothing at s3://data/nowhere\n" in ran.error
        assert re.search(r"written to s3://data/bad/[0-9a-f-]{36}-error\.out", ran.error)
        ran = byoc("predict", "s3://no-such-bucket/key", "--async", cwd=project, env=env)
        assert "NoSuchBucket: The specified bucket does not exist" in ran.error
        assert served["endpoint"]
    s3.close()


def test_without_credentials_nothing_is_started(byoc: Byoc, project: Path, aws: Aws, tmp_path: Path) -> None:
    ran = byoc("serve", "--async-output", "s3://data/out", cwd=project, env=s3_environment(aws, tmp_path))
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.error.startswith("error: there are no AWS credentials\n")
    assert byoc("ps", "--json", cwd=project).json() == []


# -- in the foreground -------------------------------------------------------------------------------------------------


def test_ctrl_c_answers_what_was_begun_and_fails_what_waits(byoc: Byoc, project: Path, free_port: int) -> None:
    words = ("--async-output", "answers", "--async-failure", "failures", "--max-concurrent", "1")
    live = byoc.start("serve", "--json", "--port", str(free_port), *words, cwd=project)
    name = begun(live)
    client = sdk(f"http://127.0.0.1:{free_port}")
    asked = [client.invoke_endpoint_async(EndpointName=name, Body=b"x", CustomAttributes="sleep:3") for _ in range(6)]
    client.close()
    live.until("invocation sleep")
    live.ctrl_c()
    ran = live.end(60)
    assert ran.code == 130
    answers = [path_of(one["OutputLocation"]) for one in asked]
    failures = [path_of(one["FailureLocation"]) for one in asked]
    assert [answer.exists() for answer in answers] == [not failure.exists() for failure in failures]
    assert answers[0].read_text() == '{"slept": true}\n'
    assert failures[-1].read_text() == "InternalServerError: The endpoint ended before the request was begun.\n"
    assert re.search(r"warning: the endpoint ends before \d asynchronous requests? could be begun\n", ran.stderr)
    assert {path.suffix for path in (project / "answers").iterdir()} == {".out"}
    assert gateways(free_port) == []


def begun(live: Live) -> str:
    """Wait until an endpoint serves; gives its name."""
    live.until("ready after")
    wait_for(lambda: live.stdout.endswith("\n"))
    return str(json.loads(live.stdout)["name"])


def test_ctrl_c_of_a_predict_that_waits(
    endpoint: dict[str, Any], byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    live = byoc.start("predict", "row.csv", "--async", "-H", f"{ACT}=sleep:600", cwd=project)
    live.until("the answer will be ")
    live.ctrl_c()
    ran = live.end()
    assert (ran.code, ran.stdout) == (130, "")
    assert "the endpoint goes on with what it was asked\n" in ran.stderr
    container = docker_client.containers.get(endpoint["container"])
    assert container.status == "running"
    container.kill()
    wait_for(lambda: len(list((project / "answers").glob("*-error.out"))) == 1)
    byoc("clean", "--yes", cwd=project)


def test_ctrl_c_of_a_predict_with_an_endpoint_of_its_own(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    (project / "row.csv").write_text("1,2\n")
    assert byoc("local-train", cwd=project).code == 0
    live = byoc.start("predict", "row.csv", "--async", "-H", f"{ACT}=sleep:600", cwd=project)
    live.until("the answer will be ")
    live.ctrl_c()
    wait_for(lambda: "signal 15: stopping" in byoc("logs", cwd=project).stdout)
    live.ctrl_c()  # the second one kills
    ran = live.end()
    assert (ran.code, ran.stdout) == (130, "")
    assert byoc("ps", "--json", cwd=project).json() == []
