"""Servers in the styles found in the wild, all of them sound: nothing fails, and nothing warns."""

from __future__ import annotations

import signal
import tarfile
from pathlib import Path

import docker
import pytest

from tests.integration.check.conftest import Make
from tests.integration.check.images import File, Recipe, findings
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


LOADING = b"""#!/usr/bin/env python3
import http.server, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
begun = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() - begun > 17 else 503)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def test_h10_what_says_503_is_waited_for(make: Make, folder: Path) -> None:
    recipe = Recipe("serve-loading", ["COPY serve /usr/local/bin/serve"], {"serve": File(LOADING)})
    found = findings(make(recipe), folder, ["H-10", "H-11"])
    assert {each.result for each in found.values()} == {"pass"}


def test_h01_another_word_of_entrypoint_s_is_tried(make: Make, folder: Path) -> None:
    """What it does with a word that it does not name is seen; what ends then does not serve."""
    entry = '#!/bin/sh\nif [ "$1" = train ]; then exec /usr/local/bin/train; else {}; fi\n'
    for name, other, result in (("other", "exec /opt/run", "pass"), ("none", "echo usage; exit 2", "skip")):
        lines = ["RUN mv /usr/local/bin/serve /opt/run", "COPY e /e", 'ENTRYPOINT ["/e"]']
        recipe = Recipe(f"serve-{name}", lines, {"e": File(entry.format(other).encode())})
        found = findings(make(recipe), folder, ["H-01", "H-12"])
        assert {each.result for each in found.values()} == {result}, found["H-01"].verdict


def test_model_is_served_in_the_place_of_what_it_trains(byoc: Byoc, make: Make, folder: Path, tmp_path: Path) -> None:
    """A folder or an archive; what only serves is not let train."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text('{"mean": 5}')
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model, ".")
    serve = File(b"#!/bin/sh\nset -e\ngrep mean /opt/ml/model/model.json\nexec python3 /opt/serve.py\n")
    lines = ["RUN rm /usr/local/bin/train && mv /usr/local/bin/serve /opt/serve.py", "COPY serve /usr/local/bin/serve"]
    image = make(Recipe("serve-given", lines, {"serve": serve}))
    for path in (model, tmp_path / "model.tar.gz"):
        ran = byoc("check", image, "--only", "H-12,T-51", "--model", str(path), "--json", cwd=folder)
        assert ran.code == 0, ran.stderr
        assert {rule["id"]: rule["result"] for rule in ran.json()["rules"]} == {"H-12": "pass", "T-51": "skip"}
        assert "train-good" not in ran.stderr
    ran = byoc("check", image, "--model", str(tmp_path / "none"), cwd=folder)
    assert (ran.code, ran.error.splitlines()[0]) == (2, f"error: there is no model at '{tmp_path / 'none'}'")


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
