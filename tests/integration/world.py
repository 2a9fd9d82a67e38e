"""What the integration tests are made of: the byoc command as a process, what is in the engine, folders as projects."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

REPOSITORY = Path(__file__).parents[2]
PROJECTS = Path(__file__).with_name("projects")
BYOC = str(Path(sys.executable).with_name("byoc"))
STAND_IN = "byoc-base:bookworm-py3.11"
BASE = "python:3.11-slim-bookworm"
LABEL = "byoc.project"


@dataclass(frozen=True)
class Ran:
    """How a byoc process ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    @property
    def error(self) -> str:
        """What the user is told went wrong: from `error:` to the end."""
        return self.stderr[self.stderr.index("error: ") :]

    def json(self) -> Any:
        """Read stdout as one JSON document."""
        return json.loads(self.stdout)


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give this process's environment without what steers byoc or AWS, and with the changes."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("BYOC_", "AWS_"))}
    return own | {"AWS_EC2_METADATA_DISABLED": "true"} | dict(changes or {})


def _default_signals() -> None:
    """Undo what nohup, or a shell that runs tests in the background, has ignored: byoc would ignore it, too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Live:
    """A byoc process that runs; its output goes to files, so that it never waits for a reader."""

    def __init__(self, words: list[str], cwd: Path, env: Mapping[str, str] | None, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        self._start = time.monotonic()
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            # A group of its own: what a terminal does with Ctrl-C reaches byoc and its children, not pytest.
            self.process = subprocess.Popen(
                words,
                cwd=cwd,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_default_signals,  # noqa: PLW1509 - no other thread is in the middle of anything
            )

    @property
    def stdout(self) -> str:
        """What it printed so far."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it printed so far."""
        return self._stderr.read_text(errors="replace")

    @property
    def raw_stderr(self) -> bytes:
        """The same, as bytes."""
        return self._stderr.read_bytes()

    def until(self, text: str, timeout: float = 120) -> None:
        """Wait until it printed `text`."""

        def there() -> bool:
            if text in self.stderr + self.stdout:
                return True
            assert self.process.poll() is None, f"it ended ({self.process.returncode}):\n{self.stderr}"
            return False

        wait_for(there, timeout, lambda: f"'{text}' never came:\n{self.stderr}")

    def ctrl_c(self) -> None:
        """Send SIGINT to the whole group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to byoc alone, as `kill` does."""
        self.process.send_signal(number)

    def end(self, timeout: float = 120) -> Ran:
        """Wait for its end."""
        code = self.process.wait(timeout)
        return Ran(code, self.stdout, self.stderr, time.monotonic() - self._start)


class Byoc:
    """Runs the command as a user does: `byoc("build", cwd=folder)`; `env` is added to this process's environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: list[Live] = []

    def __call__(
        self,
        *words: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
        before: tuple[str, ...] = (),
    ) -> Ran:
        """Run it to its end; `before` are words of a command that runs it (unshare, setpriv)."""
        start = time.monotonic()
        ended = subprocess.run(
            [*before, BYOC, *words],
            cwd=cwd,
            env=environment(env),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        # Decoded here: text mode would turn a carriage return into a newline.
        stdout, stderr = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
        return Ran(ended.returncode, stdout, stderr, time.monotonic() - start)

    def start(self, *words: str, cwd: Path, env: Mapping[str, str] | None = None, before: tuple[str, ...] = ()) -> Live:
        """Start it, and let the test go on."""
        live = Live([*before, BYOC, *words], cwd, env, self._folder / str(len(self._live)))
        self._live.append(live)
        return live

    def close(self) -> None:
        """Kill what a failed test left."""
        for live in self._live:
            if live.process.poll() is None:
                os.killpg(live.process.pid, signal.SIGKILL)
                live.process.wait()


def wait_for(condition: Callable[[], bool], timeout: float = 60, why: Callable[[], str] = str) -> None:
    """Look again and again, quickly."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, why() or "it never came to be"
        time.sleep(0.02)


# -- the engine -------------------------------------------------------------------------------------------------------

Inventory = tuple[set[str], set[str], set[str]]


def inventory(client: docker.DockerClient, root: Path) -> Inventory:
    """Name the containers, networks and volumes of byoc's projects in `root`; what has no label scripts/test finds."""

    def ours(row: Mapping[str, Any]) -> bool:
        return str((row.get("Labels") or {}).get(LABEL, "")).startswith(f"{root}/")

    return (
        {row["Names"][0] for row in client.api.containers(all=True) if ours(row)},
        {row["Name"] for row in client.api.networks() if ours(row)},
        {row["Name"] for row in client.api.volumes()["Volumes"] or [] if ours(row)},
    )


def give_sign(client: docker.DockerClient, container: str, name: str) -> None:
    """Put an empty file into /tmp of a container that waits for it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    client.api.put_archive(container, "/tmp", buffer.getvalue())


@contextmanager
def nothing_stays(client: docker.DockerClient, root: Path) -> Iterator[None]:
    """Count before and after; what the engine itself is still removing is given a moment."""
    before = inventory(client, root)
    yield

    def left() -> list[list[str]]:
        return [sorted(now - then) for now, then in zip(inventory(client, root), before, strict=True)]

    wait_for(lambda: not any(left()), 60, lambda: f"left behind (containers, networks, volumes): {left()}")


# -- projects ---------------------------------------------------------------------------------------------------------


def copied(name: str, folder: Path) -> Path:
    """Copy a test project, so that nothing is written into the repository."""
    return Path(shutil.copytree(PROJECTS / name, folder / name))


def make_project(folder: Path, image: str, more: str = "") -> Path:
    """Make a folder with nothing but a project file that names an image."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "byoc.toml").write_text(f'image = "{image}"\n{more}')
    return folder


@dataclass(frozen=True)
class Job:
    """A job that ran: its process, and what lies in its run folder."""

    ran: Ran
    folder: Path

    @property
    def description(self) -> dict[str, Any]:
        """job.json."""
        return dict(json.loads((self.folder / "job.json").read_text()))

    @property
    def log(self) -> bytes:
        """log.txt."""
        return (self.folder / "log.txt").read_bytes()


def job_of(project: Path, ran: Ran) -> Job:
    """Find the run that a process left: on stdout, or, of a failed job, the newest."""
    if ran.stdout.strip():
        return Job(ran, project / ran.stdout.strip())
    return Job(ran, max((project / ".byoc" / "runs").iterdir(), key=lambda run: run.stat().st_mtime))
