"""The row about `byoc dev`: how long an edit takes until it answers."""

from __future__ import annotations

import http.client
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, Reach
from bench.shell import BenchError, byoc, environment, run, side_by_side
from bench.workshop import REPOSITORY, Workshop, free_port

_SECONDS = 120.0
_EVERY_SECONDS = 0.01
_PROJECT = REPOSITORY / "tests" / "integration" / "projects" / "good"
_ANSWER = "{number + mean}"


def loop(shop: Workshop) -> list[Figure]:
    """A server of the standard library, saved again and again; the other side builds and serves what was saved."""
    image = shop.image("dev", _PROJECT)
    project = Path(shutil.copytree(_PROJECT, shop.folder / "dev"))
    (project / "byoc.toml").write_text(f'image = "{image}"\n')
    edit = _Edits(project / "serve")
    model = project / "model"
    model.mkdir()
    with _served(project, model) as port:

        def ours() -> float:
            wanted, start = edit.save(), time.perf_counter()
            _wait_for(port, wanted)
            return time.perf_counter() - start

        def against() -> float:
            own = free_port()
            wanted, start = edit.save(), time.perf_counter()
            try:
                run([*byoc(), "build", "-q", project, "--tag", f"{image}-build"], seconds=600)
                words: list[str | Path] = ["serve", f"{image}-build", "--detach", "--model", model, "--port", str(own)]
                run([*byoc(), *words], cwd=shop.project)
                _wait_for(own, wanted)
                return time.perf_counter() - start
            finally:
                run([*byoc(), "stop", "-q"], cwd=shop.project, check=False)  # that of another project goes on

        try:
            samples = side_by_side(ours, against, shop.rounds)
        finally:
            run([shop.docker, "image", "rm", f"{image}-build"], check=False)
    what = "from saving `serve` to the next prediction, `byoc dev serve`"
    return [Figure("dev-loop", what, "s", Reach(2.0, "value"), *samples, "`byoc build`, `byoc serve --detach`")]


class _Edits:
    """Saves a server that answers with another number each time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._text = file.read_text(encoding="utf-8")
        self._numbers = itertools.count(1)
        if self._text.count(_ANSWER) != 1:
            raise BenchError(f"{file} is another one than this row knows")

    def save(self) -> str:
        """Save the next one; gives the answer to 0."""
        number = next(self._numbers)
        self._file.write_text(self._text.replace(_ANSWER, f"{{number + mean + {number}}}"), encoding="utf-8")
        return f"{float(number)}"


@contextmanager
def _served(project: Path, model: Path) -> Iterator[int]:
    port = free_port()
    words: list[str | Path] = [*byoc(), "dev", "serve", "--port", str(port), "--model", model]
    log = project.parent / "dev.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in words], cwd=project, env=environment(), stdout=out, stderr=out
        )
    try:
        _wait_for(port, "0.0", process)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port: int, wanted: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Ask until the answer is what it has to be."""
    end = time.monotonic() + _SECONDS
    while _ask(port) != wanted:
        if time.monotonic() > end or (process and process.poll() is not None):
            raise BenchError(f"port {port} never answered {wanted}")
        time.sleep(_EVERY_SECONDS)


def _ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/invocations", b"0\n", {"Content-Type": "text/csv"})
        return connection.getresponse().read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
