"""`byoc dev train` and `byoc dev serve` on the real engine: an edit is seen without a build."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests import ports
from tests.integration.dap import Editor
from tests.integration.world import LABEL, Byoc, Live, Ran, copied, give_sign, wait_for

pytestmark = pytest.mark.integration

TOOK_OVER = "the new container answers from now on"
CHANGED = "changed: starting a new container beside the one that answers\n"


@pytest.fixture(scope="session")
def image(build: Callable[..., str]) -> str:
    return build("edited")


@pytest.fixture
def edited(image: str, tmp_path: Path) -> Path:
    """The project, its image built, its programs without an execute bit here."""
    folder = copied("edited", tmp_path)
    (folder / "byoc.toml").write_text(f'image = "{image}"\n')
    for name in ("train", "serve"):
        (folder / "code" / name).chmod(0o644)
    return folder


def write(project: Path, text: str) -> None:
    (project / "code" / "words.py").write_text(f'TEXT = "{text}"\n')


def save_as_editors_do(project: Path, text: str) -> None:
    """Beside it, and then in its place: another inode."""
    part = project / "code" / "words.py~"
    part.write_text(f'TEXT = "{text}"\n')
    part.replace(project / "code" / "words.py")


def found(project: Path, ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.stderr
    return dict(json.loads((project / ran.stdout.strip() / "model" / "found.json").read_text()))


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if ".byoc" not in path.parts}


# -- train -------------------------------------------------------------------------------------------------------------


def test_an_edit_is_trained_without_a_build(byoc: Byoc, edited: Path) -> None:
    before = tree(edited)
    write(edited, "two")
    (edited / "code" / "new.py").write_text("")
    ran = byoc("dev", "train", cwd=edited)
    seen = found(edited, ran)
    assert (seen["text"], seen["generated"]) == ("two", True), "what the build made in the same folder is there"
    assert {"new.py", "requirements.txt", "generated.py"} <= set(seen["files"])
    assert "notes.ignored" not in seen["files"]
    assert (seen["mode"], seen["owner"]) == ("0o755", 0), "as in the image"
    assert "source: code, requirements.txt at /opt/ml/code\n" in ran.stderr
    assert "warning" not in ran.stderr
    description = json.loads((edited / ran.stdout.strip() / "job.json").read_text())
    assert description["Dev"] == {
        "Source": {"code": "/opt/ml/code", "requirements.txt": "/opt/ml/code/requirements.txt"}
    }
    assert tree(edited) - before == {"code/new.py"}, "nothing is written into the source"

    usual = byoc("local-train", "--json", cwd=edited).json()
    assert usual["ImageId"] == description["ImageId"]
    assert "Dev" not in usual
    model = json.loads((Path(usual["Run"]) / "model" / "found.json").read_text())
    assert model["text"] == "one", "the image is as it was"


def test_an_image_that_is_not_there_is_built_and_what_a_build_reads_is_warned_of(
    byoc: Byoc, edited: Path, tag: str
) -> None:
    (edited / "byoc.toml").write_text(f'image = "byoc-edited-anew:{tag}"\n')
    ran = byoc("dev", "train", cwd=edited)
    assert found(edited, ran)["text"] == "one"
    assert f"there is no image byoc-edited-anew:{tag} yet: it is built first\n" in ran.stderr
    (edited / "requirements.txt").write_text("numpy\nscipy\n")
    ran = byoc("dev", "train", cwd=edited)
    assert ran.code == 0
    assert "warning: newer than the image, and used by its build: requirements.txt\nhint: byoc build\n" in ran.stderr


def test_what_the_project_file_states_is_mounted_read_only(byoc: Byoc, edited: Path) -> None:
    other = edited / "other"
    other.mkdir()
    (other / "words.py").write_text('TEXT = "mounted"\n')
    with (edited / "byoc.toml").open("a") as file:
        file.write('[dev]\nmounts = { "other/words.py" = "/opt/ml/code/words.py", "other" = "/other" }\n')
    ran = byoc("dev", "train", "--entrypoint", '["sh", "-c", "train && ! touch /other/x"]', cwd=edited)
    assert found(edited, ran)["text"] == "mounted"
    assert tree(other) == {"words.py"}


# -- serve -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def serve(byoc: Byoc, edited: Path, free_port: int) -> Callable[..., Live]:
    def start(*words: str) -> Live:
        return byoc.start("dev", "serve", "--port", str(free_port), *words, cwd=edited)

    return start


@pytest.fixture
def ask(free_port: int) -> Callable[..., str]:
    def post(body: bytes = b"x") -> str:
        return requests.post(f"http://127.0.0.1:{free_port}/invocations", body, timeout=90).text

    return post


def test_an_edit_is_served_and_what_is_broken_leaves_the_old_one(
    serve: Callable[..., Live], edited: Path, ask: Callable[..., str], docker_client: docker.DockerClient
) -> None:
    before = tree(edited)
    live = serve()
    live.until("/invocations\n")
    assert ask() == "one"
    (first,) = docker_client.containers.list(filters={"label": f"{LABEL}={edited}"})

    # What has begun is answered, by what it began with.
    held: list[str] = []
    holding = threading.Thread(target=lambda: held.append(ask(b"hold")))
    holding.start()
    write(edited, "two")
    live.until(TOOK_OVER)
    assert f"the source (code/words.py) {CHANGED}" in live.stderr
    wait_for(lambda: ask() == "two")
    give_sign(docker_client, str(first.id), "sign")
    holding.join()
    assert held == ["one"]

    save_as_editors_do(edited, "three")
    wait_for(lambda: ask() == "three")

    (edited / "code" / "words.py").write_text("TEXT = \n")
    live.until("the source (code/words.py) changed, and the old container answers as before\n")
    live.until("SyntaxError: invalid syntax\n")
    assert ask() == "three"
    write(edited, "four")
    wait_for(lambda: ask() == "four")

    # What only a build takes in starts nothing.
    starts = live.stderr.count("starting a new container")
    (edited / "requirements.txt").write_text("scipy\n")
    live.until(
        "warning: requirements.txt is used by `RUN grep -c . requirements.txt > /installed`: "
        "its change needs a new image\nhint: byoc build\n"
    )
    with (edited / "Dockerfile").open("a") as file:
        file.write("ENV MORE=1\n")
    live.until("warning: Dockerfile says how the image is built: its change needs a new image\nhint: byoc build\n")
    (edited / "code" / "words.py.swp").write_text("")
    (edited / "code" / "x.ignored").write_text("")
    (edited / "code" / "__pycache__").mkdir()
    write(edited, "five")
    wait_for(lambda: ask() == "five")
    assert tree(edited) - before == {"code/words.py.swp", "code/x.ignored", "code/__pycache__"}
    assert live.stderr.count("starting a new container") <= starts + 2  # requirements.txt is put there, too

    live.ctrl_c()
    ended = live.end()
    assert (ended.code, ended.stdout.count("/invocations\n")) == (130, 1)


def test_what_is_broken_from_the_start_and_what_dies_wait_for_the_next_save(
    serve: Callable[..., Live], edited: Path, ask: Callable[..., str], byoc: Byoc
) -> None:
    (edited / "code" / "words.py").write_text("import nothing_like_it\n")
    live = serve()
    live.until("ModuleNotFoundError: No module named 'nothing_like_it'\n")
    live.until("waiting for the next change\n")
    save_as_editors_do(edited, "two")
    live.until("/invocations\n")
    assert ask() == "two"

    with pytest.raises((requests.RequestException, AssertionError)):
        assert ask(b"die") == "no answer"
    wait_for(lambda: live.stderr.count("waiting for the next change\n") == 2, why=lambda: live.stderr)
    write(edited, "three")
    wait_for(lambda: live.stderr.count("ready after ") == 2, why=lambda: live.stderr)
    assert ask() == "three"
    (row,) = byoc("ps", "--json", cwd=edited).json()
    assert byoc("stop", row["name"], cwd=edited).code == 0
    assert live.end().code == 0


def test_a_signal_while_it_waits_for_a_save(serve: Callable[..., Live], edited: Path) -> None:
    (edited / "code" / "words.py").write_text("import nothing_like_it\n")
    live = serve()
    live.until("waiting for the next change\n")
    live.send(signal.SIGTERM)
    assert live.end().code == 143


# -- a debugger --------------------------------------------------------------------------------------------------------


def configuration(live: Live) -> dict[str, Any]:
    """What it printed for the editor."""
    live.until("byoc: waiting for a debugger on port ")
    text = live.stderr
    launch = json.loads(text[text.index("{") : text.index("\n}\n") + 2])
    return dict(launch["configurations"][0])


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_a_debugger_stops_in_train(byoc: Byoc, edited: Path) -> None:
    port = ports.free_port()
    write(edited, "two")
    live = byoc.start("dev", "train", "--debug-port", str(port), cwd=edited)
    train, words = edited / "code" / "train", edited / "code" / "words.py"
    launch = configuration(live)
    assert launch["connect"] == {"host": "127.0.0.1", "port": port}
    with Editor(port) as editor:
        line = line_of(train, "found = {")
        editor.attach(launch, {train: line, words: 1})
        path, at, thread = editor.stopped()
        assert (path, at) == (words, 1)
        editor.go_on(thread)
        path, at, thread = editor.stopped()
        assert (path, at) == (train, line)
        assert editor.value("words.TEXT", thread) == "'two'"
        editor.go_on(thread)
        assert found(edited, live.end())["text"] == "two"


def test_who_waits_for_a_debugger_can_be_stopped(byoc: Byoc, edited: Path) -> None:
    live = byoc.start("dev", "train", "--debug-port", str(ports.free_port()), cwd=edited)
    live.until("byoc: waiting for a debugger on port ")
    live.ctrl_c()
    ended = live.end(timeout=60)
    assert ended.code == 130
    assert "SIGKILL" not in ended.stderr


def test_a_debugger_stops_in_serve_and_attaches_again_after_an_edit(
    serve: Callable[..., Live], edited: Path, ask: Callable[..., str]
) -> None:
    port = ports.free_port()
    live = serve("--debug-port", str(port))
    server = edited / "code" / "serve"
    launch = configuration(live)
    answers: list[str] = []

    def stop_once(expected: str) -> None:
        with Editor(port) as editor:
            editor.attach(launch, {server: line_of(server, "self.answer(200, text.encode())")})
            wait_for(lambda: live.stderr.count("ready after ") == len(answers) + 1)
            asking = threading.Thread(target=lambda: answers.append(ask()))
            asking.start()
            path, _, thread = editor.stopped()
            assert (path, editor.value("text", thread)) == (server, repr(expected))
            editor.go_on(thread)
            asking.join()
            assert answers[-1] == expected

    stop_once("one")
    write(edited, "two")
    wait_for(lambda: live.stderr.count("byoc: waiting for a debugger on port ") == 2)
    stop_once("two")
    live.ctrl_c()
    assert live.end().code == 130
