"""Processes: run, timed, and their failures told with their last words."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.engine.builders import clients

Words = Sequence[str | Path]
_GRACE_SECONDS = 40.0  # byoc gives a served container 30 s


class BenchError(Exception):
    """A row cannot be run; says why."""


def environment() -> dict[str, str]:
    """Return this process's environment as a user's shell has it.

    Without PYTHONDONTWRITEBYTECODE: an installed command has its bytecode. Without BYOC_*: defaults are measured.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONDONTWRITEBYTECODE", "DOCKER_BUILDKIT"} and not name.startswith("BYOC_")
    }


def run(words: Words, *, cwd: Path | None = None, seconds: float = 900, check: bool = True, apart: bool = False) -> str:
    """Run a command and return its stdout. `apart`: Ctrl-C of the terminal does not reach it.

    Raises:
        BenchError: it failed, and `check` is on; says its last lines.

    """
    try:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=apart,
        )
    except OSError as error:
        raise BenchError(f"{_shown(words)}: {error}") from error
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{_shown(words)} took more than {seconds:.0f} s") from error
    finally:
        # Whatever ended the wait: asked, byoc and docker end what they have begun; killed, they cannot.
        _end(process)
    if check and process.returncode != 0:
        last = "\n".join((err or out).strip().splitlines()[-12:])
        raise BenchError(f"{_shown(words)} ended with {process.returncode}\n{last}")
    return out


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def timed(words: Words, *, cwd: Path | None = None) -> float:
    """Run a command; return the seconds of the whole process."""
    start = time.perf_counter()
    run(words, cwd=cwd)
    return time.perf_counter() - start


@dataclass(frozen=True)
class Measured:
    """What a process printed, how long it took, and the most memory that it had."""

    out: str
    seconds: float
    megabytes: float


def measured(words: Words, *, cwd: Path | None = None) -> Measured:
    """Run a command (through `env`, too, which becomes it) and measure it.

    Raises:
        BenchError: it failed; its own words stand on stderr.

    """
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([str(word) for word in words], cwd=cwd, env=environment(), stdout=out, text=True)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            _end(process)
        if process.returncode != 0:
            raise BenchError(f"{_shown(words)} ended with {process.returncode}")
        out.seek(0)
        return Measured(out.read(), time.perf_counter() - start, usage.ru_maxrss / 1e3)


def side_by_side(
    ours: Callable[[], float], against: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Sample both sides in turns, so that a busy minute hurts both; one round before that is not counted."""
    ours()
    against()
    pairs = [(ours(), against()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def byoc() -> list[str]:
    """Return the byoc command of the Python that runs the bench."""
    script = Path(sys.executable).with_name("byoc")
    return [str(script)] if script.exists() else [sys.executable, "-m", "byoc_cli"]


def engine_client() -> tuple[str, str, str]:
    """Return (path of the docker client, its version, the engine's version).

    Of several clients on PATH it is the one that came with the engine: a newer one is a little faster or slower.

    Raises:
        BenchError: no engine answers.

    """
    found: list[tuple[str, str, str]] = []
    for path in clients(os.environ):
        words = [path, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"]
        client, _, server = run(words, check=False).strip().partition(" ")
        if server:
            found.append((path, client, server))
    if not found:
        raise BenchError("no docker client on PATH reaches an engine; `byoc doctor` says why")
    return next((one for one in found if one[1] == one[2]), found[0])


def say(text: str) -> None:
    """The conversation is on stderr: stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


def _shown(words: Words) -> str:
    return " ".join(str(word) for word in words)[:200]
