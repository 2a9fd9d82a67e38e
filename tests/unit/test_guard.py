"""The guard bites, and the house rules of the tests hold."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard import Guard, OutsideWorld

TESTS = Path(__file__).parents[1]


def _unix() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/var/run/docker.sock")


def _udp() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("192.0.2.1", 53))


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=0.1),
        lambda: socket.create_connection(("2001:db8::1", 80), timeout=0.1),
        lambda: socket.getaddrinfo("example.com", 443),
        _udp,
        _unix,
        lambda: subprocess.run(["docker", "ps"], check=False),
        lambda: subprocess.run(["/usr/bin/docker", "ps"], check=False),
        lambda: os.system("true"),
    ],
)
def test_reaching_outside_is_an_error_that_no_except_eats(guard: Guard, reach: Callable[[], object]) -> None:
    def careless() -> None:
        try:
            reach()
        except Exception:  # noqa: BLE001 - what code under test may do
            pytest.fail("eaten")

    with pytest.raises(OutsideWorld):
        careless()
    assert len(guard.caught) == 1
    guard.caught.clear()


def test_a_thread_that_reaches_outside_is_remembered(guard: Guard) -> None:
    def reach() -> None:
        with pytest.raises(OutsideWorld):
            socket.create_connection(("192.0.2.1", 80))

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join()
    assert "192.0.2.1" in guard.caught[0]
    guard.caught.clear()


def test_a_server_of_the_test_itself_may_be_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_a_docker_that_the_test_made_may_be_started(tmp_path: Path) -> None:
    script = tmp_path / "docker"
    script.write_text("#!/bin/sh\necho mine\n")
    script.chmod(0o755)
    ran = subprocess.run(["docker"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert ran.stdout == "mine\n"


def _violations(file: Path) -> list[str]:
    """Mocks, and functions replaced under the code's feet: pass a fake through the constructor instead."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            if any("mock" in name for name in [module, *(alias.name for alias in node.names)]):
                found.append(f"{file.name}:{node.lineno} imports a mock")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if node.func.attr in {"setattr", "setitem"} and isinstance(owner, ast.Name) and "monkey" in owner.id:
                found.append(f"{file.name}:{node.lineno} replaces something with monkeypatch")
    return found


def test_no_test_mocks_or_replaces() -> None:
    assert [line for file in sorted(TESTS.rglob("*.py")) for line in _violations(file)] == []


@pytest.mark.parametrize(
    "text",
    ["from unittest import mock", "import unittest.mock", "def f(monkeypatch):\n    monkeypatch.setattr('a.b', 1)"],
)
def test_the_rule_finds_what_it_forbids(tmp_path: Path, text: str) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(text)
    assert _violations(file)
