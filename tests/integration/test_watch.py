"""`byoc serve --watch` on the real engine: another model, another image, and what is wrong with them."""

from __future__ import annotations

import io
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.integration.world import LABEL, Byoc, Live, give_sign, make_project, wait_for

pytestmark = pytest.mark.integration

TOOK_OVER = "the new container answers from now on"
STAYS = "and the old container answers as before\n"


@pytest.fixture
def tagged(docker_client: docker.DockerClient, actor: str, tag: str) -> Callable[[str], str]:
    """Let a reference name the actor with another environment, as a build does: `tagged("MARK=2")`."""
    reference = f"byoc-watched:{tag}"

    def build(variable: str) -> str:
        dockerfile = io.BytesIO(f"FROM {actor}\nENV {variable}\n".encode())
        docker_client.images.build(fileobj=dockerfile, tag=reference, rm=True)
        return reference

    return build


@pytest.fixture
def watched(tagged: Callable[[str], str], tmp_path: Path) -> Path:
    """A project whose image has MARK=1, and a model of one file."""
    project = make_project(tmp_path / "project", tagged("MARK=1"))
    (project / "model").mkdir()
    (project / "model" / "weights").write_text("one")
    return project


@pytest.fixture
def serve(byoc: Byoc, watched: Path, free_port: int) -> Callable[..., Live]:
    def start(*words: str) -> Live:
        live = byoc.start("serve", "--watch", "--port", str(free_port), *words, cwd=watched)
        live.until("/invocations\n")
        return live

    return start


@pytest.fixture
def ask(free_port: int) -> Callable[..., requests.Response]:
    def post(attributes: str = "") -> requests.Response:
        headers = {"X-Amzn-SageMaker-Custom-Attributes": attributes} if attributes else {}
        return requests.post(f"http://127.0.0.1:{free_port}/invocations", b"x", headers=headers, timeout=90)

    return post


class Callers:
    """Ask without a pause, in a thread, until it is told to end; `wrong` is all that was no answer."""

    def __init__(self, ask: Callable[..., requests.Response]) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self._end = threading.Event()
        self._ask = ask
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                answer = self._ask()
                if answer.status_code != 200:
                    self.wrong.append(f"{answer.status_code} {answer.text}")
            except requests.RequestException as error:
                self.wrong.append(repr(error))
            self.answers += 1

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def model_of(ask: Callable[..., requests.Response]) -> dict[str, str]:
    return dict(ask().json()["model"])


def mark_of(ask: Callable[..., requests.Response]) -> Any:
    return ask().json()["environment"]["MARK"]


def containers(client: docker.DockerClient, project: Path) -> list[Any]:
    return client.containers.list(filters={"label": f"{LABEL}={project}"})


@pytest.fixture
def callers(ask: Callable[..., requests.Response]) -> Iterator[Callable[[], Callers]]:
    made: list[Callers] = []

    def start() -> Callers:
        made.append(Callers(ask))
        return made[-1]

    yield start
    for each in made:
        each.end()


def test_another_model_and_another_image_and_no_request_is_lost(
    serve: Callable[..., Live],
    watched: Path,
    ask: Callable[..., requests.Response],
    callers: Callable[[], Callers],
    tagged: Callable[[str], str],
    docker_client: docker.DockerClient,
    byoc: Byoc,
) -> None:
    live = serve("--model", "model")
    (first,) = containers(docker_client, watched)
    all_the_time = callers()

    # What is at work when the model changes is answered by the old one, which is told to stop only then.
    held: list[int] = []
    holding = threading.Thread(target=lambda: held.append(ask("hold:sign").status_code))
    holding.start()
    live.until("invocation hold\n")
    shutil.rmtree(watched / "model")
    (watched / "model").mkdir()
    (watched / "model" / "other").write_text("two")
    live.until(TOOK_OVER)
    wait_for(lambda: model_of(ask) == {"other": "two"})
    live.until("the old one has begun answers, and ends with the last of them\n")
    assert "stopping the old container" not in live.stderr
    give_sign(docker_client, first.id, "sign")
    live.until("stopping the old container: SIGTERM, up to 30 s\n")
    holding.join()
    assert held == [200]
    wait_for(lambda: len(containers(docker_client, watched)) == 1)
    assert "the model changed: starting a new container beside the one that answers\n" in live.stderr

    tagged("MARK=2")
    wait_for(lambda: mark_of(ask) == "2", 60)
    assert model_of(ask) == {"other": "two"}
    assert "the image changed: starting a new container" in live.stderr
    wait_for(lambda: live.stderr.count("stopping the old container: SIGTERM") >= 2)
    wait_for(lambda: len(containers(docker_client, watched)) == 1)
    (row,) = byoc("ps", "--json", cwd=watched).json()
    assert row["state"] == "running"
    assert row["container"].startswith(f"byoc-{row['name']}-update-")

    all_the_time.end()
    assert all_the_time.wrong == []
    assert all_the_time.answers > 10
    assert live.stdout.count("/invocations\n") == 1, "callers know where it is"
    assert byoc("stop", row["name"], cwd=watched).code == 0
    assert live.end().code == 0


def test_what_is_wrong_leaves_the_old_one(
    serve: Callable[..., Live],
    watched: Path,
    ask: Callable[..., requests.Response],
    tagged: Callable[[str], str],
    docker_client: docker.DockerClient,
) -> None:
    archive = watched / "model.tar.gz"

    def pack(content: str) -> bytes:
        (watched / "model" / "weights").write_text(content)
        with tarfile.open(watched / "packed", "w:gz") as tar:
            tar.add(watched / "model" / "weights", "weights")
        return (watched / "packed").read_bytes()

    def put(data: bytes) -> None:
        """In one step: what is half-written for long is an archive of its own."""
        (watched / "part").write_bytes(data)
        (watched / "part").replace(archive)

    put(pack("one"))
    live = serve("--model", "model.tar.gz")
    (first,) = containers(docker_client, watched)

    def says(what: str, *causes: str) -> None:
        def said() -> bool:
            last = live.stderr.rpartition("warning: ")[2]
            return last.startswith(f"the {what} changed, {STAYS}") and all(cause in last for cause in causes)

        wait_for(said, 60, lambda: live.stderr)
        assert [each.id for each in containers(docker_client, watched)] == [first.id]
        assert model_of(ask) == {"weights": "one"}

    tagged("ACT=die")
    says(
        "image",
        "the container ended before it was ready\n",
        "ImportError: cannot import name 'model'\n",
        "SageMaker would say: CannotStartContainerError",
    )
    put(b"not an archive")
    says("model", "'model.tar.gz' is not a gzip-compressed tar\n")
    whole = pack("two" * 20_000)
    put(whole[: len(whole) - 12])
    says("model", f"{archive} cannot be unpacked\n")
    put(whole)
    tagged("MARK=3")
    wait_for(lambda: mark_of(ask) == "3", 60)
    assert model_of(ask)["weights"].startswith("twotwo")
    live.ctrl_c()
    assert live.end().code == 130


def test_the_last_run_is_another_one(
    byoc: Byoc, serve: Callable[..., Live], watched: Path, ask: Callable[..., requests.Response]
) -> None:
    live = serve()
    assert model_of(ask) == {}
    (watched / "gone").touch()
    ran = byoc("local-train", "--hyperparam", "act=meet", "--channel", "meeting=.", cwd=watched)
    assert ran.code == 0, ran.stderr
    wait_for(lambda: model_of(ask) == {"who": Path(ran.stdout.strip()).name})
    live.ctrl_c()
    assert live.end().code == 130
    assert "the model changed: " in live.stderr


def test_a_signal_while_a_new_container_starts(
    serve: Callable[..., Live], watched: Path, tagged: Callable[[str], str], docker_client: docker.DockerClient
) -> None:
    """And before that: one that never becomes ready makes room for the next."""
    live = serve("--model", "model")
    tagged("ACT=unhealthy")
    live.until("the image changed: starting a new container")
    (watched / "model" / "more").touch()
    live.until("it changed again: the new container is given up\n")
    wait_for(lambda: live.stderr.count("starting a new container") == 2)
    wait_for(lambda: len(containers(docker_client, watched)) == 2)
    live.ctrl_c()
    ran = live.end()
    assert ran.code == 130
    assert TOOK_OVER not in ran.stderr
    assert ran.stderr.count("stopping the endpoint: SIGTERM, up to 30 s\n") == 1
    assert ran.stderr.count("signal 15: stopping\n") == 1, "the new one has nothing to finish"
    assert "Traceback" not in ran.stderr


def test_a_signal_while_the_old_one_gives_its_last_answers(
    serve: Callable[..., Live],
    watched: Path,
    ask: Callable[..., requests.Response],
    docker_client: docker.DockerClient,
) -> None:
    live = serve("--model", "model")
    (first,) = containers(docker_client, watched)
    held: list[int] = []
    holding = threading.Thread(target=lambda: held.append(ask("hold:sign").status_code))
    holding.start()
    live.until("invocation hold\n")
    (watched / "model" / "more").touch()
    live.until("the old one has begun answers, and ends with the last of them\n")
    live.ctrl_c()
    wait_for(lambda: live.stderr.count("signal 15: stopping\n") == 2, why=lambda: "both are told at once")
    give_sign(docker_client, first.id, "sign")
    ran = live.end()
    holding.join()
    assert (ran.code, held) == (130, [200])
    assert "stopping the endpoint: SIGTERM" in ran.stderr
    assert "stopping the old container: SIGTERM" in ran.stderr
