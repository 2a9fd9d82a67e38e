"""A FIFO of this machine carries a channel into a container, epoch after epoch (T-61 to T-64)."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from byoc_cli.engine.docker_engine import connect
from byoc_cli.local.channels import fifo
from byoc_cli.local.channels.order import shuffled
from byoc_cli.local.channels.pipe import PipeFeeder
from tests.integration.world import STAND_IN

pytestmark = pytest.mark.integration

INPUT = "/opt/ml/input/data"
# As a training program does: two epochs whole, one that it leaves early, and one more; two channels.
READER = """
import hashlib, json, os
def digest(name):
    with open(name, "rb", buffering=0) as pipe:
        return hashlib.file_digest(pipe, "sha256").hexdigest()
before = sorted(os.listdir())
said = [digest("training_0"), digest("training_1")]
with open("training_2", "rb", buffering=0) as pipe:
    pipe.read(100)
said += [digest("training_3"), digest("eval_0")]
print(json.dumps({"before": before, "digests": said, "after": sorted(os.listdir()), "user": os.getuid()}))
"""

Run = Callable[..., Any]


@pytest.fixture
def run(docker_client: docker.DockerClient, tmp_path: Path) -> Iterator[Run]:
    """Run the reader with `tmp_path`/data as its input and give what it said; its container is removed."""
    made: list[str] = []

    def until_end(user: str) -> Any:
        api = docker_client.api
        host = api.create_host_config(binds=[f"{tmp_path / 'data'}:{INPUT}:ro"], network_mode="none")
        words = ["python3", "-c", READER]
        made.append(api.create_container(STAND_IN, words, user=user, working_dir=INPUT, host_config=host)["Id"])
        api.start(made[-1])
        code = api.wait(made[-1], timeout=60)["StatusCode"]
        printed = api.logs(made[-1])
        assert code == 0, printed
        return json.loads(printed)

    yield until_end
    for container in made:
        docker_client.api.remove_container(container, force=True, v=True)


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_reads_epoch_after_epoch(run: Run, tmp_path: Path, user: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    # pytest's folders are the user's own, and a container need not run as that one.
    data.chmod(0o755)
    contents = {tmp_path / str(number): random.Random(number).randbytes(3_000_001) for number in range(4)}
    for path, content in contents.items():
        path.write_bytes(content)

    def order(epoch: int) -> list[Path]:
        return shuffled(list(contents), 1, epoch)

    def digest(paths: list[Path]) -> str:
        return hashlib.sha256(b"".join(contents[path] for path in paths)).hexdigest()

    feeders = [PipeFeeder(data, "training", order), PipeFeeder(data, "eval", lambda _: list(contents)[:1])]
    try:
        for feeder in feeders:
            feeder.start()
        said = run(user)
        assert [(feeder.epochs, feeder.error) for feeder in feeders] == [(4, ""), (1, "")]
    finally:
        for feeder in feeders:
            feeder.close()
    assert said == {
        "before": ["eval_0", "training_0"],
        "digests": [*(digest(order(epoch)) for epoch in (0, 1, 3)), digest(list(contents)[:1])],
        "after": ["eval_1", "training_4"],
        "user": int(user),
    }
    assert list(data.iterdir()) == []


def test_this_engine_carries_a_fifo() -> None:
    engine = connect()
    try:
        fifo.check_fifo_support(engine.info(), sys.platform)
    finally:
        engine.api.close()
