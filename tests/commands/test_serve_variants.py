"""`byoc serve --serverless`, `--network-isolation` and `--instance-type` through main()."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from byoc_cli.app import main
from byoc_cli.commands.options import Doors
from byoc_cli.engine.types import Exit
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import Box, FakeEngine
from tests.ports import free_port

pytestmark = pytest.mark.usefixtures("project")

GIB = 1 << 30


@pytest.fixture
def image(engine: FakeEngine) -> FakeEngine:
    """The project's image."""
    engine.add_image("my-model:latest", {"train": programs.train, "serve": programs.serve})
    return engine


@pytest.fixture
def port() -> str:
    return str(free_port())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "--serverless", "1500"], "--serverless 1500: its memory is one of 1024, 2048, 3072, 4096, 5120, 61"),
        (["serve", "--serverless", "0"], "--serverless 0: its memory is one of 1024, "),
        (["serve", "--serverless", "1024", "--gpus", "1"], "--serverless with --gpus: "),
        (["serve", "--serverless", "1024", "--network-isolation"], "--serverless with --network-isolation: "),
        (["serve", "--serverless", "1024", "--instance-type", "ml.m5.large"], "--serverless with --instance-type: "),
        (["serve", "--serverless", "1024", "--data-capture", "x"], "--serverless with --data-capture: "),
        (["serve", "--serverless", "1024", "--startup-timeout", "181"], "--serverless with --startup-timeout 181: "),
        (
            ["serve", "--network-isolation", "--raw"],
            "--raw is a port of this machine, and an isolated container has no",
        ),
        (["serve", "--instance-type", "ml.m5.larg"], "--instance-type ml.m5.larg: there is no such instance type"),
        (["serve", "--instance-type", "ml.m5.larg"], "hint: did you mean ml.m5.large?"),
        (["batch", "byoc.toml", "--out", "o", "--instance-type", "ml.c9"], "--instance-type ml.c9: there is no such"),
        (["batch", "byoc.toml", "--out", "o", "--instance-type", "ml.t2.medium"], "for hosting, not for transform"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_looked_up(words: list[str], message: str, project: Path) -> None:
    def connect() -> None:
        raise AssertionError("the engine was asked")

    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        code = main(words, Doors(connect=connect))  # type: ignore[arg-type]
    assert code == 2
    assert message in out.getvalue()
    assert sorted(path.name for path in project.iterdir()) == ["Dockerfile", "byoc.toml"], "nothing is made"


def test_h65_all_that_is_wrong_is_said_at_once(byoc: Byoc) -> None:
    ran = byoc("serve", "--serverless", "1500", "--gpus", "all", "--network-isolation")
    assert ran.code == 2
    assert ran.stderr.startswith("error: SageMaker would refuse this\n--serverless 1500: ")
    assert ran.stderr.count("\n--serverless with --") == 2


# -- serverless --------------------------------------------------------------------------------------------------------


def test_h65_memory_and_a_user_of_its_own(byoc: Byoc, image: FakeEngine, project: Path, port: str) -> None:
    (project / "byoc.toml").write_text('image = "my-model"\n[serve]\ninstance-type = "ml.t2.medium"\n')
    ran = byoc("serve", "--detach", "--serverless", "3072", "--gpus", "none", "--port", port)
    assert ran.code == 0, ran.stderr
    assert ", serverless with 3072 MB\n" in ran.stderr
    spec = image.specs[-1]
    assert (spec.memory, spec.cpuset, spec.gpus) == (3 * GIB, "", "none"), "and no instance type's"
    uid, gid = map(int, spec.user.split(":"))
    assert uid == gid >= 100_000
    (project / "body").write_bytes(b"x" * (4 << 20))
    assert byoc("predict", "body").code == 0
    (project / "body").write_bytes(b"x" * ((4 << 20) + 1))
    refused = byoc("predict", "body")
    assert refused.code == 1
    assert "error: the request is larger than 4 MB (H-21)\n" in refused.stderr
    byoc("stop")
    assert image.empty


def test_h65_an_image_that_is_too_large(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"serve": programs.serve}, size=10 * GIB + 1)
    ran = byoc("serve", "--serverless", "1024")
    assert (ran.code, ran.stdout) == (2, "")
    assert "Image size 10737418241 is greater than supported size 10737418240" in ran.stderr
    assert engine.specs == []


def test_h65_a_container_that_may_not_write(byoc: Byoc, engine: FakeEngine, port: str) -> None:
    def denied(_: Box) -> programs.Printed:
        yield "stderr", b"PermissionError: [Errno 13] Permission denied: '/opt/app/pid'\n"
        return 1

    engine.add_image("my-model:latest", {"serve": denied})
    ran = byoc("serve", "--serverless", "1024", "--port", port)
    assert (ran.code, ran.stdout) == (1, "")
    assert "hint: a serverless container is not root: `RUN chmod -R o+rwX PATH` in the Dockerfile" in ran.stderr
    assert "hint: a serverless" not in byoc("serve", "--port", port).stderr
    assert engine.empty


def test_h65_a_container_that_never_gets_ready_for_it_may_not_write(byoc: Byoc, engine: FakeEngine, port: str) -> None:
    def denied(box: Box) -> programs.Printed:
        yield "stderr", b"worker 1: Permission denied: '/opt/app/cache'\n"
        box.wait_for_signal()
        return 1

    engine.add_image("my-model:latest", {"serve": denied})
    ran = byoc("serve", "--serverless", "1024", "--port", port, "--startup-timeout", "1")
    assert (ran.code, ran.stdout) == (1, "")
    assert "did not become ready within 1 s\n" in ran.stderr
    assert "hint: a serverless container is not root: " in ran.stderr
    assert engine.empty


def test_h65_a_container_that_needs_more_memory(byoc: Byoc, engine: FakeEngine, port: str) -> None:
    def hungry(_: Box) -> programs.Printed:
        yield "stdout", b"loading\n"
        return Exit(137, out_of_memory=True)

    engine.add_image("my-model:latest", {"serve": hungry})
    ran = byoc("serve", "--serverless", "1024", "--port", port)
    assert ran.code == 1
    assert (
        "error: the container ended before it was ready\nits last lines:\n  loading\nit ran out of memory\n"
        in ran.stderr
    )
    assert "SageMaker would say: CannotStartContainerError" in ran.stderr
    assert "hint: fewer workers (one is advised where it is serverless), or a larger --serverless" in ran.stderr
    assert engine.empty


def test_h65_a_container_that_needs_more_memory_later(byoc: Byoc, engine: FakeEngine, port: str) -> None:
    def hungry(box: Box) -> programs.Printed:
        yield from programs.transform(box)
        return Exit(137, out_of_memory=True)

    engine.add_image("my-model:latest", {"serve": hungry})
    thread = threading.Thread(target=_ask, args=(port, b"die"))
    thread.start()
    ran = byoc("serve", "--serverless", "1024", "--port", port)
    thread.join()
    assert ran.code == 1
    assert "error: the container ended by itself, with exit code 137\nit ran out of memory\n" in ran.stderr
    assert "hint: fewer workers (one is advised where it is serverless), or a larger --serverless" in ran.stderr
    assert engine.empty


def _ask(port: str, body: bytes) -> int:
    """Send it when the endpoint is ready; gives the answer's status, 0 for none."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        with closing(connection), contextlib.suppress(OSError):
            connection.request("POST", "/invocations", body)
            if (status := connection.getresponse().status) != 503:
                return status
        time.sleep(0.02)
    return 0


# -- isolated ----------------------------------------------------------------------------------------------------------


def test_h26_an_isolated_endpoint_is_like_another(byoc: Byoc, image: FakeEngine, project: Path, port: str) -> None:
    ran = byoc("serve", "--detach", "--network-isolation", "--json", "--port", port)
    assert ran.code == 0, ran.stderr
    assert ran.data["endpoint"] == f"http://127.0.0.1:{port}"
    spec = image.specs[-1]
    assert (spec.network, spec.ports) == (ran.data["container"], {})
    assert spec.network in image.internal
    (row,) = byoc("ps", "--json").data
    assert (row["state"], row["port"]) == ("running", int(port))
    (project / "row.csv").write_text("1,2\n")
    assert '"bytes": 4' in byoc("predict", "row.csv").stdout
    assert byoc("stop").stdout == f"{ran.data['name']}\n"
    assert image.empty


def test_h26_an_isolated_endpoint_in_the_foreground(byoc: Byoc, image: FakeEngine, port: str) -> None:
    answers: list[int] = []

    def press() -> None:
        answers.append(_ask(port, b"x"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    ran = byoc("serve", "--network-isolation", "--port", port)
    thread.join()
    assert (ran.code, answers) == (130, [200])
    assert image.empty


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_h26_an_engine_elsewhere(byoc: Byoc, image: FakeEngine, port: str, words: tuple[str, ...]) -> None:
    image.sees_files = False
    ran = byoc("serve", "--network-isolation", "--port", port, *words)
    assert (ran.code, ran.stdout) == (3, "")
    assert (
        "error: --network-isolation is not possible with this engine\nthe engine is on another machine "
        "(http+docker://localhost): an isolated container is reached by its own address only\n\n"
        "hint: run byoc on Linux with its own engine (not in a container, not rootless), or leave it out\n"
    ) in ran.stderr
    assert image.specs == []
    assert image.empty


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_h26_a_network_that_this_machine_is_not_on(
    byoc: Byoc, image: FakeEngine, port: str, words: tuple[str, ...]
) -> None:
    image.prefix = "32"
    ran = byoc("serve", "--network-isolation", "--port", port, *words)
    assert (ran.code, ran.stdout) == (3, "")
    assert "error: --network-isolation is not possible with this engine\nits networks (127." in ran.stderr
    assert image.empty


def test_h26_an_isolated_container_that_dies(byoc: Byoc, engine: FakeEngine, port: str) -> None:
    engine.add_image("my-model:latest", {"serve": programs.die})
    ran = byoc("serve", "--network-isolation", "--port", port)
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: the container ended before it was ready\nits last lines:\n  no model\nexit code 5\n" in ran.stderr
    assert engine.empty


# -- instance types ----------------------------------------------------------------------------------------------------


def test_an_instance_type_gives_its_cpus_and_memory(byoc: Byoc, image: FakeEngine, port: str) -> None:
    ran = byoc("serve", "--detach", "--instance-type", "ml.t2.medium", "--port", port)
    assert ran.code == 0, ran.stderr
    spec = image.specs[-1]
    assert (spec.memory, spec.cpuset, spec.gpus, spec.user) == (4 * GIB, "", "none", "")
    assert "this machine gives" not in ran.stderr


def test_what_this_machine_has_not_is_said(byoc: Byoc, image: FakeEngine, port: str) -> None:
    ran = byoc("serve", "--detach", "--instance-type", "ml.m5.4xlarge", "--port", port)
    assert ran.code == 0, ran.stderr
    assert "ml.m5.4xlarge has 16 CPUs and 64 GiB; this machine gives 2 CPUs and 8 GiB\n" in ran.stderr
    assert image.specs[-1].memory == 0


def test_the_project_says_the_instance_type(byoc: Byoc, image: FakeEngine, project: Path, port: str) -> None:
    (project / "byoc.toml").write_text('image = "my-model"\n[serve]\ninstance-type = "ml.t2.medium"\n')
    assert byoc("serve", "--detach", "--port", port).code == 0
    assert image.specs[-1].memory == 4 * GIB
    byoc("stop")
    assert byoc("serve", "--detach", "--instance-type", "ml.m5.4xlarge", "--port", port).code == 0
    assert image.specs[-1].memory == 0
    byoc("stop")
    assert byoc("local-train").code == 0
    (project / "row.csv").write_text("1,2\n")
    assert byoc("predict", "row.csv").code == 0
    assert image.specs[-1].memory == 4 * GIB, "of the one that is started for a prediction, too"
    (project / "byoc.toml").write_text('image = "my-model"\n[serve]\ninstance-type = "ml.t2.mediu"\n')
    ran = byoc("serve")
    assert ran.code == 2
    assert "error: [serve] instance-type ml.t2.mediu: there is no such instance type\n" in ran.stderr
    assert "hint: did you mean ml.t2.medium?" in ran.stderr


# -- batch jobs --------------------------------------------------------------------------------------------------------


def test_a_batch_job_on_an_instance_type_without_a_network(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    engine.add_image("my-model:latest", {"serve": programs.transform})
    (project / "x").write_bytes(b"a")
    ran = byoc("batch", "x", "--out", "out", "--network-isolation", "--instance-type", "ml.m5.4xlarge")
    assert ran.code == 0, ran.stderr
    assert (project / "out" / "x.out").read_bytes() == b"A"
    assert "ml.m5.4xlarge has 16 CPUs and 64 GiB; this machine gives 2 CPUs and 8 GiB\n" in ran.stderr
    assert engine.specs[-1].ports == {}
    assert engine.specs[-1].network in engine.internal
    assert engine.empty
    engine.prefix = "32"
    ran = byoc("batch", "x", "--out", "out", "--network-isolation")
    assert (ran.code, "--network-isolation is not possible with this engine" in ran.stderr) == (3, True)
    assert engine.empty
