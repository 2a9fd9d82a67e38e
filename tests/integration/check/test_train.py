"""An image is let train: within bounds, on the user's data, and nothing is left of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.check.conftest import Make
from tests.integration.check.images import File, Recipe
from tests.integration.check.test_false_alarms_train import OTHER_CHANNEL
from tests.integration.world import LABEL, Byoc, make_project, wait_for

_COPY = ["COPY train /usr/local/bin/train"]
_SLEEPS = Recipe("train-sleeps", _COPY, {"train": File(b"#!/bin/sh\necho sleeping\nexec sleep 600\n")})


@pytest.fixture
def asleep(make: Make, tmp_path: Path) -> Path:
    """A project whose image trains for ten minutes."""
    return make_project(tmp_path / "asleep", make(_SLEEPS))


@pytest.fixture(autouse=True)
def nothing_left(docker_client: docker.DockerClient, tmp_path: Path) -> Iterator[None]:
    yield
    for folder in tmp_path.iterdir():
        assert _left(docker_client, folder) == []


def test_a_container_is_kept_within_bounds_and_ctrl_c_leaves_nothing(
    byoc: Byoc, asleep: Path, docker_client: docker.DockerClient
) -> None:
    live = byoc.start("check", "--only", "train-good", cwd=asleep, env={"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"})
    row = _running(docker_client, asleep)
    host = row["HostConfig"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert not host["Privileged"]
    assert not [variable for variable in row["Config"]["Env"] if variable.startswith("AWS_ACCESS")]
    shown = [mount["Source"] for mount in row["Mounts"] if mount["Type"] == "bind"]
    assert shown
    assert all(Path(source).is_relative_to(asleep / ".byoc" / "checks") for source in shown)
    network = docker_client.api.inspect_network(host["NetworkMode"])
    assert network["Internal"]
    live.send(signal.SIGINT)
    ran = live.end()
    assert (ran.code, "Traceback" in ran.stderr) == (130, False)
    assert not (asleep / ".byoc").exists()


def test_after_a_kill_clean_removes_all_of_it(byoc: Byoc, asleep: Path, docker_client: docker.DockerClient) -> None:
    live = byoc.start("check", "--only", "train-good", cwd=asleep)
    _running(docker_client, asleep)
    live.send(signal.SIGKILL)
    live.end()
    assert _left(docker_client, asleep)
    cleaned = byoc("clean", "--yes", cwd=asleep)
    assert cleaned.code == 0, cleaned.stderr
    assert list((asleep / ".byoc" / "checks").iterdir()) == []


def test_what_takes_too_long_is_skipped_with_a_hint(byoc: Byoc, asleep: Path) -> None:
    ran = byoc("check", "--only", "T-31,T-40", "--timeout", "4s", "--json", cwd=asleep)
    assert ran.code == 0, ran.stderr
    found = {rule["id"]: rule for rule in ran.json()["rules"]}
    assert (found["T-31"]["result"], "--timeout" in found["T-31"]["seen"]) == ("skip", True)
    assert (found["T-40"]["result"], "sleep 600" in found["T-40"]["seen"]) == ("warn", True)


def test_a_failure_on_the_user_s_data_is_a_finding(byoc: Byoc, make: Make, tmp_path: Path) -> None:
    image = make(Recipe("train-other-channel", _COPY, {"train": File(OTHER_CHANNEL)}))
    folder = make_project(tmp_path / "own-data", image)
    (folder / "rows.csv").write_text("1,2\n")
    ran = byoc("check", "--channel", "rows=rows.csv", "--only", "T-31", "--json", cwd=folder)
    assert ran.code == 1
    rule = ran.json()["rules"][0]
    assert (rule["result"], rule["fix"]) == ("fail", "--channel train=PATH")
    assert "No such file or directory: '/opt/ml/input/data/train/data.csv'" in rule["seen"]
    (folder / "data.csv").write_text("1,2\n")
    ran = byoc("check", "--channel", "train=data.csv", "--only", "train-good", "--json", cwd=folder)
    assert ran.code == 0, ran.stdout
    assert not (folder / ".byoc").exists()


def test_the_bundled_container_raises_no_alarm(
    byoc: Byoc, cifar10_image: str, cifar10_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    words = ["--channel", f"training={cifar10_data}", "--hyperparam", "train-steps=20", "--timeout", "5m"]
    ran = byoc("check", cifar10_image, *words, "--only", "train", "--json", cwd=tmp_path / "empty")
    assert {rule["id"]: rule["seen"] for rule in ran.json()["rules"] if rule["result"] in {"fail", "warn"}} == {}
    results = {rule["id"]: rule["result"] for rule in ran.json()["rules"]}
    assert {
        id_: results[id_] for id_ in ("T-12", "T-31", "T-32", "T-40", "T-41", "T-45", "T-52", "T-74")
    } == dict.fromkeys(("T-12", "T-31", "T-32", "T-40", "T-41", "T-45", "T-52", "T-74"), "pass")


def _running(client: docker.DockerClient, folder: Path) -> dict[str, Any]:
    """Wait for the container that trains."""

    def found() -> list[dict[str, Any]]:
        rows = client.api.containers(filters={"label": [f"{LABEL}={folder}", "byoc.kind=check"], "status": "running"})
        return [row for row in rows if row["Names"][0].endswith("-good")]

    wait_for(lambda: bool(found()))
    inspected: dict[str, Any] = client.api.inspect_container(found()[0]["Id"])
    return inspected


def _left(client: docker.DockerClient, folder: Path) -> list[str]:
    filters = {"label": [f"{LABEL}={folder}"]}
    things = [row["Id"] for row in client.api.containers(all=True, filters=filters)]
    things += [row["Id"] for row in client.api.networks(filters=filters)]
    things += [row["Name"] for row in client.api.volumes(filters=filters)["Volumes"] or []]
    return things
