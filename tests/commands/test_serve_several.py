"""`byoc serve` with several images: what it refuses, and what it gives to each container."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from byoc_cli.contract import capabilities, hosting
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import FakeEngine

pytestmark = pytest.mark.usefixtures("project")
LABELS = {capabilities.BIND_TO_PORT: "true"}


@pytest.fixture
def images(engine: FakeEngine) -> FakeEngine:
    """The project's image and another, both good; "plain" has not the label, "dead" does not serve."""
    for name, labels, program in (
        ("my-model", LABELS, programs.serve),
        ("prepare", LABELS, programs.serve),
        ("plain", {}, programs.serve),
        ("dead", LABELS, programs.die),
    ):
        engine.add_image(f"{name}:latest", {"serve": program}, labels=labels)
    return engine


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("a=prepare", "a=my-model"), 2, "SageMaker would refuse this\ncontainer 'a': 2 have this name (H-32)\n"),
        (("prepare",) * 16, 2, "SageMaker would refuse this\n16 containers; an endpoint has at most 15 (H-32)\n"),
        (("prepare", "No"), 2, "'No' is not an image name"),
        (("prepare", "my-model", "--raw"), 2, "--raw is the own port of one container, and there are 2\n"),
        (("prepare", "--mode", "direct"), 2, "--mode direct is for several containers, and there is one\n"),
        (
            ("prepare", "my-model", "--mode", "direct", "--async-output", "x"),
            2,
            "--mode direct does not go with --async-output\nInvokeEndpointAsync has no TargetContainerHostname\n",
        ),
        (("prepare", "my-model", "--mode", "both"), 2, "--mode both: there is no such word\n"),
        (("prepare", "my-model", "--model", "m"), 2, "1 --model for 2 images\n"),
        (("prepare", "--model", "m", "--model", "m"), 2, "2 --model for 1 image\n"),
        (("prepare", "my-model", "--model", "none", "--model", "nowhere"), 2, "there is no model at 'nowhere'\n"),
        (("prepare", "my-model", "--env", "b:K=V"), 2, "--env b:K=V: there is no container 'b'\n"),
        (("prepare", "my-model", "--env", "container-2:A-B=V"), 2, "SageMaker would refuse this\nenvironment variable"),
        (("prepare", "my-model", "--serverless", "2048"), 2, "SageMaker would refuse this\n--serverless with 2 images"),
        (("prepare", "nosuch"), 1, "there is no image 'nosuch:latest' here\n"),
        (
            ("prepare", "b=plain"),
            1,
            "b may not be one of several containers\nSageMaker would say: Your Ecr Image plain:latest does not ",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    byoc: Byoc, images: FakeEngine, project: Path, words: Sequence[str], code: int, error: str
) -> None:
    ran = byoc("serve", *words)
    assert (ran.code, ran.stdout) == (code, "")
    assert f"error: {error}" in ran.stderr
    assert images.specs == []
    assert not (project / ".byoc").exists()


def test_h30_each_has_its_model_its_variables_and_its_port(
    byoc: Byoc, images: FakeEngine, project: Path, port: str
) -> None:
    (project / "m").mkdir()
    (project / "byoc.toml").write_text('image = "my-model"\n[serve]\nenvironment = { OF_PROJECT = "1", K = "0" }\n')
    words = ("--env", "K=1", "--env", "pre:K=2", "--env", "URL=http://h:1", "--model", "none", "--model", "m")
    ran = byoc("serve", "pre=prepare", "my-model", "--detach", "--json", "--port", port, *words)
    assert ran.code == 0, ran.stderr
    assert "warning" not in ran.stderr
    name = ran.data["name"]
    assert name.startswith("my-model-")
    assert ran.data["containers"] == [
        {"hostname": "pre", "container": f"byoc-{name}-pre", "image": "prepare:latest", "model": ""},
        {
            "hostname": "container-2",
            "container": f"byoc-{name}-container-2",
            "image": "my-model:latest",
            "model": str(project / "m"),
        },
    ]
    assert [dict(spec.environment) for spec in images.specs] == [
        {"OF_PROJECT": "1", "K": "2", "URL": "http://h:1", **hosting.bind_variables(0)},
        {"OF_PROJECT": "1", "K": "1", "URL": "http://h:1", **hosting.bind_variables(1)},
    ]
    assert [mount.read_only for spec in images.specs for mount in spec.mounts] == [True, True]

    rows = byoc("ps", "--json").data
    assert {(row["name"], row["host"], row["port"], row["state"]) for row in rows} == {
        (name, "pre", int(port), "running"),
        (name, "container-2", int(port), "running"),
    }
    (project / "row.csv").write_text("1,2\n")
    assert byoc("predict", "row.csv", "--json").data == {"bytes": 32, "type": "application/json"}
    assert byoc("logs").stdout == "pre | serving\ncontainer-2 | serving\n"
    assert byoc("logs", f"byoc-{name}-pre").stdout == "serving\n"
    (project / "bad.csv").write_text("bad\n")
    failed = byoc("predict", "bad.csv")
    assert failed.stderr.startswith("error: pre answered 400 to /invocations\nwrong shape\n")
    assert "pre's last lines:\n  serving\ncontainer-2's last lines:\n  serving\n" in failed.stderr
    unheard = byoc("predict", "row.csv", "--target-container", "pre")  # in a row nobody is called by name
    assert "SageMaker would say: ValidationError" in unheard.stderr
    assert "last lines" not in unheard.stderr, "no container was asked"
    stopped = byoc("stop")
    assert (stopped.code, stopped.stdout) == (0, f"{name}\n")
    assert images.empty


def test_without_a_model_the_last_run_s_is_for_the_project_s_image(byoc: Byoc, images: FakeEngine, port: str) -> None:
    images.add_image("my-model:latest", {"train": programs.train, "serve": programs.serve}, labels=LABELS)
    assert byoc("local-train").code == 0
    images.specs.clear()
    ran = byoc("serve", "prepare", "my-model", "--detach", "--json", "--port", port)
    assert ran.code == 0, ran.stderr
    first, second = ran.data["containers"]
    assert (first["model"], second["model"].endswith("/model")) == ("", True)
    assert "warning: /opt/ml/model is empty in container-1\nhint: --model PATH for each image" in ran.stderr
    assert byoc("stop").code == 0


def test_h26_several_without_a_network_are_reached_by_their_addresses(
    byoc: Byoc, images: FakeEngine, project: Path, port: str
) -> None:
    ran = byoc("serve", "prepare", "my-model", "--network-isolation", "--detach", "--port", port)
    assert ran.code == 0, ran.stderr
    assert [dict(spec.ports) for spec in images.specs] == [{}, {}]
    assert len(images.internal) == 1
    (project / "row.csv").write_text("1,2\n")
    assert byoc("predict", "row.csv", "--json").data == {"bytes": 32, "type": "application/json"}
    assert byoc("stop").code == 0
    assert images.empty


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_one_that_dies_before_it_is_ready_ends_the_start(
    byoc: Byoc, images: FakeEngine, port: str, words: tuple[str, ...]
) -> None:
    ran = byoc("serve", "prepare", "dead", "--port", port, *words)
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: container-2 ended before it was ready\nits last lines:\n  no model\nexit code 5\n" in ran.stderr
    assert images.empty


def test_one_without_a_program_is_named(byoc: Byoc, images: FakeEngine, port: str) -> None:
    images.add_image("empty:latest", labels=LABELS)
    ran = byoc("serve", "prepare", "empty", "--port", port)
    assert (ran.code, ran.stdout) == (1, "")
    assert 'error: container-2 cannot start\nexec: "serve": executable file not found in $PATH\n' in ran.stderr
    assert images.empty


def test_h32_the_container_that_is_meant_is_named(byoc: Byoc, images: FakeEngine, project: Path, port: str) -> None:
    assert byoc("serve", "prepare", "large=my-model", "--mode", "direct", "--detach", "--port", port).code == 0
    (project / "row.csv").write_text("1,2\n")
    named = byoc("predict", "row.csv", "--json", "--target-container", "large")
    assert named.data == {"bytes": 4, "type": "text/csv"}
    assert byoc("predict", "row.csv").stderr.startswith(
        "error: no container was named\nTargetContainerHostname is one of container-1, large (H-32)\n"
    )
    assert byoc("stop").code == 0
    assert images.empty
