"""`byoc serve --async-output` and `byoc predict --async`, as words (H-50)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byoc_cli.local.places import path_of
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import FakeEngine
from tests.ports import free_port


@pytest.fixture
def image(engine: FakeEngine, project: Path) -> FakeEngine:
    engine.add_image("my-model:latest", {"train": programs.train, "serve": programs.serve})
    (project / "row.csv").write_text("1,2")
    return engine


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--async-output", "x", "--raw"), "--raw does not go with --async-output"),
        (("--async-output", "x", "--data-capture", "y"), "--data-capture does not go with --async-output"),
        (("--async-output", "x", "--serverless", "2048"), "--serverless does not go with --async-output"),
        (("--async-failure", "x"), "--async-failure is for asynchronous endpoints"),
        (("--max-concurrent", "2"), "--max-concurrent is for asynchronous endpoints"),
        (("--async-output", "x", "--max-concurrent", "1001"), "invalid value for '--max-concurrent'"),
        (("--async-output", "s3://B"), "--async-output s3://B: no bucket has that name"),
        (("--async-output", "x", "--async-failure", "s3://"), "--async-failure s3://: no bucket has that name"),
        (("--async-output", "row.csv/x"), "--async-output row.csv/x cannot be made\nNot a directory"),
    ],
)
def test_wrong_words_of_serve(byoc: Byoc, image: FakeEngine, words: tuple[str, ...], said: str) -> None:
    ran = byoc("serve", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert image.empty


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("row.csv", "--repeat", "2"), "--repeat does not go with --async"),
        (("row.csv", "--target-model", "m"), "--target-model does not go with --async"),
        (("nowhere.csv",), "there is no file 'nowhere.csv'"),
        ((".",), "'.' is a folder, not a file"),
        (("large.csv",), "large.csv has 1,073,741,825 bytes; an asynchronous request has at most 1,073,741,824"),
    ],
)
def test_wrong_words_of_predict(
    byoc: Byoc, image: FakeEngine, project: Path, words: tuple[str, ...], said: str
) -> None:
    with (project / "large.csv").open("wb") as file:
        file.truncate((1 << 30) + 1)
    ran = byoc("predict", "--async", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert image.empty


def test_an_asynchronous_endpoint(byoc: Byoc, image: FakeEngine, port: int, project: Path) -> None:
    ran = byoc("serve", "--detach", "--port", str(port), "--async-output", "out", "--async-failure", "bad")
    assert (ran.code, ran.stdout) == (0, f"http://127.0.0.1:{port}/async-invocations\n")
    assert f"asynchronous: answers in {project / 'out'}, failures in {project / 'bad'}; 4 at once\n" in ran.stderr

    assert byoc("predict", "row.csv", "--async").stdout == '{\n  "bytes": 3,\n  "type": "text/csv"\n}\n'
    data = byoc("predict", "row.csv", "--async", "--json").data
    assert data["answer"] == {"bytes": 3, "type": "text/csv"}
    assert json.loads(path_of(data["output"]).read_text()) == data["answer"]
    assert byoc("predict", "row.csv", "--async", "-o", "-").stdout == '{"bytes": 3, "type": "text/csv"}'
    lines = byoc("predict", "row.csv", "byoc.toml", "--async").stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["row.csv", "byoc.toml"]

    (project / "row.csv").write_text("bad")
    ran = byoc("predict", "byoc.toml", "row.csv", "--async")
    assert ran.code == 1
    assert (
        "error: row.csv: the request failed\nSageMaker would say: ModelError: Received client error (400)" in ran.stderr
    )
    assert len(list((project / "bad").iterdir())) == 1
    (project / "row.csv").write_text("lie")
    assert (
        "error: the answer is not JSON" in byoc("predict", "row.csv", "--async", "--accept", "application/json").stderr
    )

    ran = byoc("predict", "row.csv")
    assert (ran.code, "hint: byoc predict --async\n" in ran.stderr) == (1, True)
    byoc("stop")
    assert image.empty


def test_a_picture_that_becomes_a_large_tensor(byoc: Byoc, image: FakeEngine, port: int, project: Path) -> None:
    """It is a file for as long as it is needed: too much to come with the request."""
    from PIL import Image

    (project / "byoc.toml").write_text('image = "my-model"\n[predict]\nimage = { size = [200, 200], color = "RGB" }\n')
    Image.new("RGB", (10, 10)).save(project / "x.png")
    byoc("serve", "--detach", "--port", str(port), "--async-output", "out")
    ran = byoc("predict", "x.png", "--async", "--json")
    assert ran.data["answer"]["type"] == "application/json"
    assert ran.data["answer"]["bytes"] > 200_000
    byoc("stop")
