"""Nothing outside: what makes a unit or command test fail when it leaves this process or this machine.

An audit hook sees every connection and every child process, whoever starts it, in every thread. It cannot be taken
out again, so it only acts while a guarded test runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

_PREFIXES = ("AWS_", "BYOC_", "DOCKER_", "BUILDX_", "BUILDKIT_", "PIP_", "XDG_", "GIT_")
_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "VIRTUAL_ENV", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class OutsideWorld(BaseException):
    """A test reached for the network, for Docker or for the docker CLI. No `except Exception` eats it."""


class Guard:
    """What was tried; a guarded test with an entry here fails."""

    def __init__(self) -> None:
        self.on = False
        self.caught: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (what := _forbidden(event, arguments)):
            self.caught.append(what)
            raise OutsideWorld(what)


GUARD = Guard()
sys.addaudithook(GUARD)


def _forbidden(event: str, arguments: tuple[Any, ...]) -> str:
    if event in {"socket.connect", "socket.sendto"}:
        return _address(arguments[1])
    if event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        return "" if _loopback(arguments[0]) else f"looked up {arguments[0]}"
    if event == "subprocess.Popen":
        return _program(arguments[0] or arguments[1][0], arguments[3])
    if event in {"os.exec", "os.posix_spawn"}:
        return _program(arguments[0], arguments[2])
    return "os.system: use a list of words" if event == "os.system" else ""


def _address(address: object) -> str:
    if isinstance(address, tuple):
        return "" if _loopback(address[0]) else f"connected to {address[0]}"
    path = os.fsdecode(address) if isinstance(address, str | bytes) else str(address)
    return f"connected to {path}" if "docker" in path else ""


def _loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return True
    try:
        return ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _program(program: str | bytes | Path, environment: Mapping[str, str] | None) -> str:
    """A `docker` is forbidden, but for one that a test made in a temporary folder."""
    name = os.fsdecode(program)
    if Path(name).name not in {"docker", "docker.exe", "dockerd", "docker-compose"}:
        return ""
    path = shutil.which(name, path=(os.environ if environment is None else environment).get("PATH")) or name
    return "" if Path(path).resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()) else f"started {path}"


@pytest.fixture
def guard() -> Guard:
    """The guard, for the tests of it."""
    return GUARD


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No network, no Docker, no settings and temporary files of the developer's own, signal handlers put back."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name in _VARIABLES or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if handlers[signal.SIGINT] is signal.SIG_IGN:  # by a shell that runs the tests in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.getbasetemp())
    GUARD.caught.clear()
    GUARD.on = True
    yield
    GUARD.on = False
    tempfile.tempdir = before
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert GUARD.caught == [], "a unit or command test reached outside"
