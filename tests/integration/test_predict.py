"""`byoc predict` against a real container: what reaches it, what comes back, what is said of errors."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.world import Byoc, Ran, environment, make_project, nothing_stays
from tests.ports import free_port

pytestmark = pytest.mark.integration

ACT = "X-Amzn-SageMaker-Custom-Attributes"  # what the container does; other headers do not get through

PROJECT_FILE = """
[predict]
classes = ["cat", "dog", "ship"]
"""


@pytest.fixture(scope="module")
def endpoint(
    actor: str,
    session_byoc: Byoc,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    docker_client: docker.DockerClient,
) -> Iterator[Path]:
    """A project with a detached endpoint, and files to send."""
    project = make_project(tmp_path_factory.mktemp("endpoint"), actor, PROJECT_FILE)
    (project / "rows.csv").write_text("1,2\n3,4\n")
    (project / "text.txt").write_text("grüezi\n")
    (project / "tensor.npy").write_bytes(b"\x93NUMPY\x00\xff")
    (project / "cat.png").write_bytes(b"\x89PNG and so on")
    with nothing_stays(docker_client, root):
        words = ("serve", "--detach", "--json", "--env", "X=1", "--port", str(free_port()))
        served = session_byoc(*words, cwd=project)
        assert served.code == 0, served.stderr
        (project / "url").write_text(served.json()["endpoint"])
        yield project
        assert session_byoc("stop", cwd=project).code == 0


def answer(body: bytes, content_type: str = "application/json") -> tuple[str, str]:
    """The option that lets the container answer with this."""
    return "--header", f"{ACT}=body:{content_type},{base64.b64encode(body).decode()}"


# -- what reaches the container ---------------------------------------------------------------------------------------


def test_files_go_as_they_are_with_their_content_type(byoc: Byoc, endpoint: Path) -> None:
    for name, content_type in (
        ("rows.csv", "text/csv"),
        ("text.txt", "text/plain"),
        ("tensor.npy", "application/x-npy"),
        ("cat.png", "image/png"),
    ):
        seen = byoc("predict", name, "--json", cwd=endpoint).json()
        assert seen["headers"]["Content-Type"] == content_type
        assert seen["length"] == (endpoint / name).stat().st_size
        assert seen["body"] == (endpoint / name).read_bytes().decode(errors="replace")


def test_options_reach_the_container(byoc: Byoc, endpoint: Path) -> None:
    ran = byoc(
        *("predict", "-", "--json", "--content-type", "application/x-mine", "--accept", "text/csv"),
        *("--header", "X-Amzn-SageMaker-Custom-Attributes=a=b; c", "-H", "X-Other: 1"),
        cwd=endpoint,
        stdin='{"instances": [1]}',
    )
    headers = ran.json()["headers"]
    assert ran.json()["body"] == '{"instances": [1]}'
    assert (headers["Content-Type"], headers["Accept"]) == ("application/x-mine", "text/csv")
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "a=b; c"
    assert "X-Other" not in headers
    guessed = byoc("predict", "-", "--json", cwd=endpoint, stdin='{"instances": [1]}').json()
    assert guessed["headers"]["Content-Type"] == "application/json"


def test_any_url(byoc: Byoc, endpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1\n")
    url = (endpoint / "url").read_text()
    for given in (url, f"{url}/invocations", url.removeprefix("http://")):
        ran = byoc("predict", "x.csv", "--url", given, "--json", cwd=tmp_path, env={"http_proxy": "http://127.0.0.1:1"})
        assert ran.code == 0, ran.stderr
        assert ran.json()["path"] == "/invocations"


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_json_is_the_body_unchanged(byoc: Byoc, endpoint: Path) -> None:
    for body, kind in ((b'{ "a" :\t1.50,\r\n"b": "\\u00e9"}', "application/json"), (b"1,2\n", "text/csv"), (b"x", "")):
        ran = byoc("predict", "rows.csv", "--json", *answer(body, kind), cwd=endpoint)
        assert (ran.code, ran.stdout.encode()) == (0, body)


def test_classes_are_bars_for_people(byoc: Byoc, endpoint: Path) -> None:
    ran = byoc("predict", "rows.csv", *answer(b'{"predictions": [[0.1, 0.7, 0.2]]}'), cwd=endpoint)
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert [(row[0], row[-1]) for row in rows] == [("dog", "70.00%"), ("ship", "20.00%"), ("cat", "10.00%")]
    assert "\x1b" not in ran.stdout
    assert re.fullmatch(r"\d+\.\d ms\n", ran.stderr)


def test_other_answers_for_people(byoc: Byoc, endpoint: Path) -> None:
    pretty = byoc("predict", "rows.csv", *answer(b'{"a":[1,2],"\xc3\xa9":null}'), cwd=endpoint)
    assert pretty.stdout == '{\n  "a": [\n    1,\n    2\n  ],\n  "é": null\n}\n'
    assert byoc("predict", "rows.csv", *answer(b"0.5\n0.7\n", "text/csv"), cwd=endpoint).stdout == "0.5\n0.7\n"


def test_binary_answers_go_to_a_file(byoc: Byoc, endpoint: Path, tmp_path: Path) -> None:
    picture = answer(b"\x89PNG\x00\xff", "image/png")
    refused = byoc("predict", "rows.csv", *picture, cwd=endpoint)
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.error == "error: the answer is 6 bytes of image/png: nothing to print\n\nhint: -o FILE\n"
    written = byoc("predict", "rows.csv", *picture, "-o", str(tmp_path / "out.png"), cwd=endpoint)
    assert (written.code, written.stdout) == (0, "")
    assert (tmp_path / "out.png").read_bytes() == b"\x89PNG\x00\xff"
    assert f"6 bytes of image/png: {tmp_path}/out.png\n" in written.stderr


def test_several_files_are_a_row_each(byoc: Byoc, endpoint: Path) -> None:
    body = answer(b'{\n"predictions": [[0.1, 0.7, 0.2]]\n}')
    people = byoc("predict", "rows.csv", "text.txt", *body, cwd=endpoint)
    assert people.stdout == "rows.csv\tdog  70.00%\ntext.txt\tdog  70.00%\n"
    lines = byoc("predict", "rows.csv", "text.txt", "--json", *body, cwd=endpoint).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"predictions": [[0.1, 0.7, 0.2]]}] * 2
    broken = byoc("predict", "rows.csv", "text.txt", "--header", f"{ACT}=status:500", cwd=endpoint)
    assert broken.error.startswith("error: rows.csv: the container answered 500 to /invocations\n")


def test_repeat_gives_percentiles(byoc: Byoc, endpoint: Path) -> None:
    ran = byoc("predict", "rows.csv", "--repeat", "20", "--json", cwd=endpoint)
    data = ran.json()
    assert set(data) == {"requests", "p50", "p95", "p99", "requests_per_second"}
    assert data["requests"] == 20
    assert 0 < data["p50"] <= data["p95"] <= data["p99"]
    people = byoc("predict", "rows.csv", "--repeat", "3", cwd=endpoint).stdout
    assert re.fullmatch(r"3 requests: p50 \S+ ms, p95 \S+ ms, p99 \S+ ms, \S+ requests/s\n", people)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(500, "server"), (400, "client")])
def test_an_error_of_the_container_is_an_error(byoc: Byoc, endpoint: Path, status: int, kind: str) -> None:
    ran = byoc("predict", "rows.csv", "--header", f"{ACT}=status:{status}", "--json", cwd=endpoint)
    assert (ran.code, ran.stdout) == (1, ""), "an error's body is no prediction"
    assert ran.error.startswith(
        f"error: the container answered {status} to /invocations\nthe model says no\n"
        f"SageMaker would say: ModelError: Received {kind} error ({status}) from primary with message "
        '"the model says no". See https://'
    )
    assert ran.error.endswith("  invocation status\n\nhint: byoc logs\n")


def test_an_answer_that_is_not_json(byoc: Byoc, endpoint: Path) -> None:
    ran = byoc("predict", "rows.csv", *answer(b"<html>oops"), "--json", cwd=endpoint)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: the answer is not JSON, though it says application/json\n")
    assert "it begins: <html>oops\n" in ran.error


def test_a_connection_that_is_closed(byoc: Byoc, endpoint: Path) -> None:
    ran = byoc("predict", "rows.csv", "--header", f"{ACT}=hang-up", cwd=endpoint)
    assert ran.code == 1
    assert ran.error.startswith("error: the container closed the connection without an answer\n")
    assert "  invocation hang-up\n" in ran.error
    assert "Exception" not in ran.error


def test_a_timeout(endpoint: Path) -> None:
    """With two seconds in the place of SageMaker's 60: a minute is too long for a test."""
    script = (
        "from byoc_cli.contract import hosting; hosting.INVOCATION_TIMEOUT_SECONDS = 2.0\n"
        "from byoc_cli.__main__ import run; run()"
    )
    words = [sys.executable, "-c", script, "predict", "rows.csv", "--header", f"{ACT}=sleep:4"]
    start = time.monotonic()
    ended = subprocess.run(words, cwd=endpoint, env=environment(), capture_output=True, text=True, check=False)
    ran = Ran(ended.returncode, ended.stdout, ended.stderr)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: no answer within 2 s\nModelError: ")
    assert "Your invocation timed out" in ran.error
    assert "  invocation sleep\n" in ran.error
    assert time.monotonic() - start < 50


def test_wrong_words(byoc: Byoc, endpoint: Path) -> None:
    for words, code, said in (
        (("nowhere.csv",), 2, "there is no file 'nowhere.csv'"),
        ((".",), 2, "'.' is a folder, not a file"),
        (("rows.csv", "--header", "x"), 2, "--header x: there is no '='"),
        (("rows.csv", "text.txt", "-o", "x"), 2, "-o takes one response"),
        (("rows.csv", "--url", f"127.0.0.1:{free_port()}"), 3, "the connection was refused"),
        (("rows.csv", "--url", "http://no-such-host.invalid"), 3, "http://no-such-host.invalid cannot be reached"),
    ):
        ran = byoc("predict", *words, cwd=endpoint)
        assert (ran.code, ran.stdout) == (code, ""), words
        assert said in ran.error
        assert "Traceback" not in ran.stderr
        assert "HTTPConnection" not in ran.stderr


# -- without an endpoint ----------------------------------------------------------------------------------------------


def test_without_an_endpoint_one_is_started_and_stopped(byoc: Byoc, project: Path) -> None:
    (project / "x.csv").write_text("1\n")
    neither = byoc("predict", "x.csv", cwd=project)
    assert (neither.code, neither.stdout) == (1, "")
    assert neither.error == (
        "error: no endpoint of this project is running, and there is no trained model to start one with\n\n"
        "hint: byoc serve, or byoc local-train first\n"
    )
    (project / "gone").touch()
    trained = byoc("local-train", "--hyperparam", "act=meet", "--channel", "meeting=.", cwd=project)
    assert trained.code == 0, trained.stderr

    ran = byoc("predict", "x.csv", "--json", cwd=project)
    assert ran.code == 0, ran.stderr
    assert set(ran.json()["model"]) == {"who"}
    assert ran.stderr == (
        "no endpoint is running: starting one for this, with the last run's model\nstopping the endpoint\n"
    )
    assert ran.seconds < 30, "a connection that stays open does not keep the server from ending"
    assert byoc("ps", "--json", cwd=project).json() == []
    failed = byoc("predict", "x.csv", "--header", f"{ACT}=status:500", cwd=project)
    assert failed.code == 1
    assert failed.seconds < 30
    assert "error: the container answered 500" in failed.stderr
    assert "byoc logs" not in failed.stderr, "there is no container any more whose log could be read"
    assert byoc("ps", "--json", cwd=project).json() == []
