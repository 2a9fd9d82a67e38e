"""`byoc dev train` and `byoc dev serve` through main(): what they put into containers, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import Box, FakeEngine
from tests.ports import free_port

DOCKERFILE = """FROM base:1
COPY train serve /usr/local/bin/
COPY requirements.txt /tmp/
RUN pip install -r /tmp/requirements.txt
"""


def tell(box: Box) -> programs.Printed:
    """Print what it was started with, and who it is."""
    yield "stdout", box.path("/usr/local/bin/train").read_bytes()
    box.path("/opt/ml/model/environment.json").write_text(json.dumps(box.environment))
    return 0


@pytest.fixture
def source(project: Path) -> Path:
    """A project with two programs."""
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "train").write_text("the train of this folder\n")
    (project / "serve").write_text("#!/usr/bin/env python3\n")
    (project / "requirements.txt").write_text("numpy\n")
    return project


@pytest.fixture
def image(engine: FakeEngine, source: Path) -> FakeEngine:
    engine.add_image(
        "my-model:latest",
        {"train": tell, "serve": programs.serve},
        contents={"/usr/local/bin/python3": b"", "/usr/local/bin/serve": b""},
    )
    return engine


def test_a_job_with_the_source_as_it_is(byoc: Byoc, image: FakeEngine) -> None:
    ran = byoc("dev", "train", "--hyperparam", "a=1", "--json")
    assert ran.code == 0, ran.stderr
    assert "the train of this folder\n" in ran.stderr
    assert ran.data["Dev"] == {
        "Source": {
            "requirements.txt": "/tmp/requirements.txt",
            "serve": "/usr/local/bin/serve",
            "train": "/usr/local/bin/train",
        }
    }
    assert ran.data["HyperParameters"] == {"a": "1"}
    assert "source: requirements.txt at /tmp; serve, train at /usr/local/bin\n" in ran.stderr
    assert image.empty


def test_what_only_a_build_takes_in(byoc: Byoc, engine: FakeEngine, source: Path) -> None:
    engine.add_image("my-model:latest", {"train": tell}, tagged=time.time())
    later = time.time() + 60
    os.utime(source / "train", (later, later))
    assert "warning" not in byoc("dev", "train").stderr
    os.utime(source / "requirements.txt", (later, later))
    os.utime(source / "Dockerfile", (later, later))
    said = "warning: newer than the image, and used by its build: Dockerfile, requirements.txt\nhint: byoc build\n"
    assert said in byoc("dev", "train").stderr


def test_a_mount_of_the_project_file(byoc: Byoc, image: FakeEngine, source: Path) -> None:
    (source / "lib").mkdir()
    (source / "lib" / "a.py").write_text("")
    (source / "byoc.toml").write_text(
        'image = "my-model"\n[dev]\nmounts = { lib = "/opt/ml/code", "train" = "/usr/local/bin/train" }\n'
    )
    ran = byoc("dev", "train", "--json")
    assert ran.code == 0, ran.stderr
    spec = next(spec for spec in image.specs if spec.mounts)
    stated = {mount.target: (mount.source, mount.read_only) for mount in spec.mounts if mount.source.startswith("/")}
    assert stated["/opt/ml/code"] == (str(source / "lib"), True)
    assert stated["/usr/local/bin/train"] == (str(source / "train"), True)
    assert ran.data["Dev"]["Source"]["lib"] == "/opt/ml/code"


def test_an_engine_that_does_not_see_what_is_mounted(byoc: Byoc, image: FakeEngine, source: Path) -> None:
    (source / "byoc.toml").write_text('image = "my-model"\n[dev]\nmounts = { train = "/opt/ml/code/train" }\n')
    image.sees_files = False
    ran = byoc("dev", "train")
    assert ran.code == 3
    assert "the engine does not see this machine's files\n/opt/ml/code/train would be empty" in ran.stderr
    assert image.empty


def test_an_engine_elsewhere_takes_what_is_not_mounted(byoc: Byoc, image: FakeEngine) -> None:
    image.sees_files = False
    ran = byoc("dev", "train")
    assert ran.code == 0, ran.stderr
    assert "the train of this folder\n" in ran.stderr


def test_a_debugger_has_a_port_and_a_place_on_the_path(byoc: Byoc, image: FakeEngine) -> None:
    port = free_port()
    ran = byoc("dev", "train", "--debug-port", str(port), "--env", "PYTHONPATH=/own", "--json")
    assert ran.code == 0, ran.stderr
    spec = next(spec for spec in image.specs if spec.ports)
    assert spec.ports == {port: port}
    assert spec.environment["PYTHONPATH"] == "/opt/byoc-debug:/own"
    assert spec.environment["BYOC_DEBUG_PORT"] == str(port)
    launch = json.loads(ran.stderr[ran.stderr.index("{") : ran.stderr.index("\n}\n") + 2])
    assert launch["configurations"][0]["connect"] == {"host": "127.0.0.1", "port": port}
    assert "Environment" in ran.data
    assert ran.data["Environment"] == {"PYTHONPATH": "/own"}, "what the user gave"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "--debug-port", "80"], 2, "80 is not in the range 1024<=x<=65535"),
        (
            ["train", "--debug-port", "5678", "--instance-count", "2"],
            2,
            "--debug-port is for one host, and there are 2",
        ),
        (["train", "--debug-port", "5678", "--network-isolation"], 2, "nobody reaches a container without a network"),
        (["serve", "--debug-port", "8080"], 2, "--debug-port 8080 is the endpoint's own port"),
        (["serve", "--port", "9000", "--debug-port", "8080"], 2, "--debug-port 8080 is the endpoint's own port"),
        (["serve", "--model", "nowhere"], 2, "there is no model at 'nowhere'"),
        (["train", "my-image"], 2, "got unexpected extra argument(s) (my-image)"),
        (["train", "--channel", "a=nowhere"], 2, "there is no such file or folder"),
    ],
)
def test_what_is_refused(byoc: Byoc, image: FakeEngine, words: list[str], code: int, said: str) -> None:
    ran = byoc("dev", *words)
    assert ran.code == code
    assert said in ran.stderr
    assert image.empty


def test_a_debugger_s_port_that_is_taken(byoc: Byoc, image: FakeEngine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        ran = byoc("dev", "train", "--debug-port", str(taken.getsockname()[1]))
    assert (ran.code, "hint: choose another one with --debug-port\n" in ran.stderr) == (3, True)


def test_no_python_in_the_image(byoc: Byoc, engine: FakeEngine, source: Path) -> None:
    engine.add_image("my-model:latest", {"train": tell})
    ran = byoc("dev", "train", "--debug-port", str(free_port()))
    assert ran.code == 1
    assert ran.stderr.startswith("error: there is no Python in the image\n--debug-port waits in a Python program")
    assert engine.empty


def test_nothing_to_put(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    engine.add_image("my-model:latest", {"train": tell})
    ran = byoc("dev", "train")
    assert ran.code == 2
    assert ran.stderr.startswith("error: no COPY of Dockerfile puts a file of the project into the image as it is\n")
    assert '[dev] mounts = { "src" = "/opt/ml/code" }' in ran.stderr


def test_no_image_and_no_dockerfile(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    (project / "Dockerfile").unlink()
    ran = byoc("dev", "serve")
    assert ran.code == 1
    assert ran.stderr == "error: there is no image 'my-model:latest' here\n\nhint: byoc build\n"


def test_a_model_that_is_not_there_is_refused_before_the_build(byoc: Byoc, engine: FakeEngine, source: Path) -> None:
    ran = byoc("dev", "serve", "--model", "nowhere")
    assert (ran.code, "it is built first" in ran.stderr) == (2, False)
    assert "error: there is no model at 'nowhere'" in ran.stderr


def test_an_endpoint_that_is_stopped(byoc: Byoc, image: FakeEngine) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not any(thing.running for thing in image.things()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    ran = byoc("dev", "serve", "--port", str(free_port()))
    thread.join()
    assert ran.code == 130
    assert "source: requirements.txt at /tmp; serve, train at /usr/local/bin\n" in ran.stderr
    assert image.empty
