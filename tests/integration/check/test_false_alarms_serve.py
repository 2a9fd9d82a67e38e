"""Servers in the styles found in the wild, all of them sound: nothing fails, and nothing warns."""

from __future__ import annotations

import signal
from pathlib import Path

import docker
import pytest

from tests.integration.check.images import findings
from tests.integration.conftest import Build
from tests.integration.world import LABEL, Byoc, wait_for

NOT_CLAIMED = {"H-31", "H-35", "H-36", "H-37", "H-38", "H-39", "H-40", "H-47"}


@pytest.mark.parametrize("style", ["gunicorn", "nginx", "script", "asgi", "plain", "compiled"])
def test_a_sound_server_raises_no_alarm(build: Build, folder: Path, style: str) -> None:
    found = findings(build("wild", style), folder, ["serve"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    skipped = {id_ for id_, each in found.items() if each.result == "skip"}
    assert skipped - {"I-16"} == NOT_CLAIMED | ({"H-45"} if style != "asgi" else set())


def test_what_needs_a_model_is_not_blamed_for_having_none(build: Build, folder: Path) -> None:
    found = findings(build("wild", "modelless"), folder, ["serve"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    assert "may need a model" in found["H-15"].verdict.seen


def test_a_signal_while_it_serves_leaves_nothing(byoc: Byoc, folder: Path, docker_client: docker.DockerClient) -> None:
    labels = {"label": [f"{LABEL}={folder}"]}
    live = byoc.start("check", "--only", "H-10", cwd=folder)
    wait_for(lambda: any(row["Names"][0].endswith("-serve") for row in docker_client.api.containers(filters=labels)))
    live.send(signal.SIGTERM)
    ran = live.end()
    assert (ran.code, ran.stdout) == (143, "")
    assert "Traceback" not in ran.stderr
    assert docker_client.api.containers(all=True, filters=labels) == []
    assert docker_client.api.networks(filters=labels) == []
    assert docker_client.api.volumes(filters=labels)["Volumes"] in ([], None)
    assert not (folder / ".byoc").exists()
