"""An endpoint of many models before a real container, which has memory for two of them at a time."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
import requests
from botocore.config import Config

from byoc_cli.contract.multi_model import name_of
from tests.integration.test_gateway import gateways
from tests.integration.world import Byoc, make_project, nothing_stays, wait_for
from tests.unit.many_world import archive

pytestmark = pytest.mark.integration

ACT = "X-Amzn-SageMaker-Custom-Attributes"
TARGET = "X-Amzn-SageMaker-Target-Model"


class Endpoint:
    """`project` has the models' archives in models/; a model answers with its letter."""

    def __init__(self, project: Path, said: dict[str, Any]) -> None:
        self.project = project
        self.url = str(said["endpoint"])
        self.name = str(said["name"])

    @property
    def unpacked(self) -> Path:
        return self.project / ".byoc" / "endpoints" / self.name

    def call(self, target: str, act: str = "", body: bytes = b"x") -> requests.Response:
        headers = {TARGET: target, "Content-Type": "text/csv"} | ({ACT: act} if act else {})
        return requests.post(f"{self.url}/invocations", body, headers=headers, timeout=90)

    def model(self, target: str, act: str = "", body: bytes = b"x") -> str:
        """Which model answers."""
        answer = self.call(target, act, body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["model"])

    def report(self) -> dict[str, Any]:
        """What came to the container so far, asked of the model used last: that loads none."""
        last = requests.get(f"{self.url}/endpoints/{self.name}", timeout=30).json()["LoadedModels"][-1]
        return dict(self.call(last, "report").json())

    def sdk(self) -> Any:
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="A" * 20,
            aws_secret_access_key="x",
            config=Config(retries={"max_attempts": 0}),
        )


def put_models(project: Path) -> None:
    for letter in "abcd":
        archive(project / "models" / f"{letter}.tar.gz", {"weights": letter.encode()})
    archive(project / "models" / "sub" / "e.tar.gz", {"weights": b"e"})
    archive(project / "models" / "bad.tar.gz", {"weights": b"bad\nload-status 500"})
    (project / "models" / "broken.tar.gz").write_text("no archive")


@pytest.fixture(scope="module")
def many(build: Any) -> str:
    return str(build("many"))


@pytest.fixture(scope="module")
def endpoint(
    many: str,
    session_byoc: Byoc,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    docker_client: docker.DockerClient,
) -> Iterator[Endpoint]:
    """A detached one; stopped at the end, when nothing may be left."""
    project = make_project(tmp_path_factory.mktemp("many"), many)
    put_models(project)
    with nothing_stays(docker_client, root):
        words = ("serve", "--models", "models", "--detach", "--json", "-e", "ROOM=2", "-e", "PAGE=1")
        ran = session_byoc(*words, cwd=project, env={"BYOC_PORT": _free()})
        assert ran.code == 0, ran.stderr
        made = Endpoint(project, ran.json())
        yield made
        assert made.report()["wrongs"] == []
        assert session_byoc("stop", cwd=project).code == 0
        assert not made.unpacked.exists()


def _free() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def project(many: str, tmp_path: Path) -> Path:
    made = make_project(tmp_path / "project", many)
    put_models(made)
    return made


def short(calls: list[str]) -> list[str]:
    """Calls with targets in the place of names."""
    targets = {name_of(f"{letter}.tar.gz"): letter for letter in "abcd"}
    shown = []
    for call in calls:
        for name, letter in targets.items():
            call = call.replace(name, letter)  # noqa: PLW2901
        shown.append(call)
    return shown


# -- by the rules ------------------------------------------------------------------------------------------------------


def test_h35_an_image_without_the_label_is_refused(build: Any, byoc: Byoc, project: Path) -> None:
    image = build("many", "unlabelled")
    ran = byoc("serve", image, "--models", "models", cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert (
        f"SageMaker would say: Your Ecr Image {image} does not contain required "
        "com.amazonaws.sagemaker.capabilities.multi-models=true Docker label(s)."
    ) in ran.error
    assert not (project / ".byoc").exists()


def test_h35_a_container_finds_its_models_and_is_told_that_there_are_many(endpoint: Endpoint) -> None:
    assert endpoint.model("a.tar.gz") == "a"
    report = endpoint.report()
    assert report["environment"]["SAGEMAKER_MULTI_MODEL"] == "true"
    assert f"/opt/ml/models/{name_of('a.tar.gz')}/model/weights" in report["files"]
    assert not any(path.startswith("/opt/ml/model/") for path in report["files"])
    assert report["wrongs"] == []  # H-04: it tried to write


def test_h36_h37_h39_load_list_unload(endpoint: Endpoint) -> None:
    assert [endpoint.model(f"{letter}.tar.gz") for letter in "ab"] == ["a", "b"]
    before = len(endpoint.report()["calls"])
    assert [endpoint.model(f"{letter}.tar.gz") for letter in "aca"] == ["a", "c", "a"]
    calls = short(endpoint.report()["calls"][before:])
    assert calls == [
        "POST /models/a/invoke",
        "POST /models",
        "GET /models",
        "GET /models?next_page_token=1",
        "DELETE /models/b",
        "POST /models",
        "POST /models/c/invoke",
        "POST /models/a/invoke",
        "POST /models/a/invoke",  # the report itself
    ]


def test_h38_a_model_that_was_forgotten_is_looked_for_and_loaded_again(endpoint: Endpoint) -> None:
    assert endpoint.model("a.tar.gz", "forget") == "a"
    assert endpoint.model("a.tar.gz") == "a"
    calls = short(endpoint.report()["calls"])
    assert calls[calls.index("GET /models/a") :][:3] == ["GET /models/a", "POST /models", "POST /models/a/invoke"]
    answer = endpoint.call("a.tar.gz", "status:404")
    assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 404)


def test_h40_an_unmodified_sdk_client(endpoint: Endpoint) -> None:
    answer = endpoint.sdk().invoke_endpoint(
        EndpointName=endpoint.name,
        TargetModel="sub/e.tar.gz",
        Body=b"1,2",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="a=b",
    )
    seen = json.loads(answer["Body"].read())
    assert (seen["model"], seen["body"]) == ("e", "1,2")
    assert seen["path"] == f"/models/{name_of('sub/e.tar.gz')}/invoke"
    assert {key: value for key, value in seen["headers"].items() if key != "Host"} == {
        "Content-Type": "text/csv",
        "Accept": "application/json",
        "Content-Length": "3",
        ACT: "a=b",
        TARGET: "sub/e.tar.gz",
    }


def test_h40_507_of_an_invocation_is_tried_again_with_more_room(endpoint: Endpoint) -> None:
    assert [endpoint.model(f"{letter}.tar.gz") for letter in "ab"] == ["a", "b"]
    assert endpoint.model("b.tar.gz", "no-memory", b"just once") == "b"
    status = requests.get(f"{endpoint.url}/endpoints/{endpoint.name}", timeout=30).json()
    assert status["LoadedModels"] == ["b.tar.gz"]


def test_many_callers_and_little_room(endpoint: Endpoint) -> None:
    targets = [f"{'abcd'[number % 4]}.tar.gz" for number in range(160)]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda target: endpoint.model(target, "seconds:0.01"), targets))
    assert answers == [target[0] for target in targets]


def test_new_archives_are_found(endpoint: Endpoint) -> None:
    assert endpoint.call("new.tar.gz").status_code == 400
    archive(endpoint.project / "models" / "new.tar.gz", {"weights": b"new"})
    assert endpoint.model("new.tar.gz") == "new"


# -- as a user sees it -------------------------------------------------------------------------------------------------


def test_predict_names_a_model(endpoint: Endpoint, byoc: Byoc) -> None:
    words = ("predict", "-", "--json", "--target-model")
    ran = byoc(*words, "a.tar.gz", cwd=endpoint.project, stdin="1")
    assert ran.json()["model"] == "a", ran.stderr
    errors = {
        "nope.tar.gz": "there is no model 'nope.tar.gz' in ",
        "../models/a.tar.gz": "there is no model '../models/a.tar.gz' in ",
        "sub": "models/sub is a folder, not an archive",
        "broken.tar.gz": "broken.tar.gz cannot be unpacked",
        "bad.tar.gz": "the container answered 500 to POST /models for bad.tar.gz\nthese weights are no good\n",
    }
    for target, words_of_it in errors.items():
        ran = byoc(*words, target, cwd=endpoint.project, stdin="1")
        assert (ran.code, ran.stdout) == (1, "")
        assert words_of_it in ran.error
    ran = byoc("predict", "-", cwd=endpoint.project, stdin="1")
    assert "the call has no TargetModel" in ran.error


def test_an_ordinary_endpoint_has_no_target_models(byoc: Byoc, actor: str, tmp_path: Path, free_port: int) -> None:
    project = make_project(tmp_path / "one", actor)
    assert byoc("serve", "--detach", "--port", str(free_port), cwd=project).code == 0
    ran = byoc("predict", "-", "--target-model", "a.tar.gz", cwd=project, stdin="1")
    assert "is not a multi-model endpoint and does not support target model header." in ran.error
    assert byoc("stop", cwd=project).code == 0


def test_in_the_foreground_what_happens_is_said_and_ctrl_c_leaves_nothing(
    byoc: Byoc, project: Path, free_port: int
) -> None:
    live = byoc.start("serve", "--models", "models", "-e", "ROOM=1", "--port", str(free_port), cwd=project)
    live.until("Ctrl-C stops it")
    (unpacked,) = (project / ".byoc" / "endpoints").iterdir()
    for letter in "ab":
        headers = {TARGET: f"{letter}.tar.gz"}
        answer = requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", headers=headers, timeout=90)
        assert answer.json()["model"] == letter
    assert (unpacked / "models" / name_of("a.tar.gz") / "model" / "weights").read_text() == "a"
    live.ctrl_c()
    ran = live.end()
    assert ran.code == 130
    assert "model a.tar.gz loaded in " in ran.stderr
    assert "model a.tar.gz unloaded: the container has no memory for b.tar.gz (507)" in ran.stderr
    assert not unpacked.exists()


def test_ctrl_c_in_the_middle_of_a_load(byoc: Byoc, project: Path, free_port: int) -> None:
    archive(project / "models" / "slow.tar.gz", {"weights": b"slow\nload-seconds 60"})
    live = byoc.start("serve", "--models", "models", "--port", str(free_port), cwd=project)
    live.until("Ctrl-C stops it")
    with ThreadPoolExecutor(1) as pool:
        url, headers = f"http://127.0.0.1:{free_port}/invocations", {TARGET: "slow.tar.gz"}
        call = pool.submit(requests.post, url, b"x", headers=headers, timeout=90)
        (unpacked,) = (project / ".byoc" / "endpoints").iterdir()
        wait_for((unpacked / "models" / name_of("slow.tar.gz") / "model" / "weights").exists, 60)
        live.ctrl_c()
        live.ctrl_c()  # it need not end by itself: the second kills
        assert live.end().code == 130
        call.exception()
    assert not unpacked.exists()


def test_a_local_endpoint_that_is_killed_leaves_files_to_stop(byoc: Byoc, project: Path, free_port: int) -> None:
    words = ("serve", "--models", "models", "--detach", "--json", "--port", str(free_port))
    endpoint = Endpoint(project, byoc(*words, cwd=project).json())
    assert endpoint.model("a.tar.gz") == "a"
    (pid,) = gateways(free_port)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gateways(free_port) == [])
    # What runs is not cleaned away under it.
    assert byoc("clean", "--yes", cwd=project).code == 0
    assert endpoint.unpacked.is_dir()
    assert byoc("stop", cwd=project).code == 0
    assert not endpoint.unpacked.exists()


def test_a_byoc_that_is_killed_leaves_files_to_clean(byoc: Byoc, project: Path, free_port: int) -> None:
    live = byoc.start("serve", "--models", "models", "--port", str(free_port), cwd=project)
    live.until("Ctrl-C stops it")
    (unpacked,) = (project / ".byoc" / "endpoints").iterdir()
    live.send(signal.SIGKILL)
    live.end()
    ran = byoc("clean", "--yes", "--json", cwd=project)
    assert ran.json()["staging"] == [f".byoc/endpoints/{unpacked.name}"]
    assert not unpacked.exists()


def test_h37_a_container_that_has_no_list_does_not_become_ready(byoc: Byoc, project: Path) -> None:
    ran = byoc("serve", "--models", "models", "-e", "LISTS=no", "--startup-timeout", "1", cwd=project)
    assert ran.code == 1
    assert "/models answers 404, not 200\n" in ran.error
    assert "hint: answer GET /models with the models that are loaded (H-37)" in ran.error
    assert list((project / ".byoc" / "endpoints").iterdir()) == []
