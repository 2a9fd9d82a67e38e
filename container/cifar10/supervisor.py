"""Starts the model server and nginx, watches them, and stops them in the order in which no request is lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from model_files import ServedModel

CODE = Path(__file__).resolve().parent
DEFAULT_PORT = 8080
_POLL_SECONDS = 0.005
_STOP_SECONDS = 25.0  # SageMaker kills after 30 (H-07)


class SupervisorError(Exception):
    """Serving cannot start or go on."""


class _StopRequested(BaseException):
    """SIGTERM or Ctrl-C came. Not an Exception: no `except` on the way may swallow it."""


@dataclass(frozen=True)
class ModelServer:
    """How to start a model server and where it listens: a Unix socket's path, or a local TCP port."""

    name: str
    command: list[str]
    address: str | int

    @property
    def nginx_address(self) -> str:
        """The address as nginx writes it."""
        return f"unix:{self.address}" if isinstance(self.address, str) else f"127.0.0.1:{self.address}"


def listen_port() -> int:
    """Return the port that SageMaker wants: 8080, or another in a pipeline of containers (H-12, H-30)."""
    text = os.environ.get("SAGEMAKER_BIND_TO_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise SupervisorError(f"SAGEMAKER_BIND_TO_PORT is {text!r}: it must be a port number")
    return int(text)


def internal_port() -> int:
    """Return a second port for TensorFlow Serving; in a pipeline only some are free for us (H-30)."""
    first, _, _last = os.environ.get("SAGEMAKER_SAFE_PORT_RANGE", "").partition("-")
    return int(first) if first.isdecimal() else 8501


def choose_servers(model: ServedModel, run: Path) -> list[ModelServer]:
    """Choose TensorFlow Serving if the image has it, else our own server, one process for every two cores."""
    if shutil.which("tensorflow_model_server"):
        return [_tensorflow_serving(model, internal_port())]
    count = _server_count()
    return [_own_server(model, run / f"model-{number}.sock") for number in range(count)]


def _server_count() -> int:
    wanted = os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")  # AWS images' own name for it (H-75)
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return max(1, len(os.sched_getaffinity(0)) // 2)  # a process keeps two busy: JSON in one, the model in one


def _tensorflow_serving(model: ServedModel, port: int) -> ModelServer:
    command = [
        "tensorflow_model_server",
        "--port=0",  # no gRPC
        f"--rest_api_port={port}",
        f"--model_name={model.name}",
        f"--model_base_path={model.base}",
        "--file_system_poll_wait_seconds=0",  # the model is read-only and never changes: look once
        "--rest_api_timeout_in_ms=3600000",
    ]
    return ModelServer("TensorFlow Serving", command, port)


def _own_server(model: ServedModel, path: Path) -> ModelServer:
    command = [sys.executable, str(CODE / "model_server.py"), f"--socket={path}"]
    command += [f"--name={model.name}", f"--base={model.base}", f"--version={model.version}"]
    return ModelServer("model server", command, str(path))


def render_nginx(template: str, servers: list[ModelServer], model_name: str, port: int, run: Path) -> str:
    """Fill in nginx.conf."""
    values = {
        "@RUN@": str(run),
        "@USER@": "user root;" if os.geteuid() == 0 else "",  # else the workers could not use our sockets
        "@ACCESS_LOG@": _access_log(),
        "@SERVERS@": "\n".join(f"        server {server.nginx_address} max_fails=0;" for server in servers),
        "@PORT@": str(port),
        "@MODEL@": model_name,
    }
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def _access_log() -> str:
    """Log to stdout where this user may open it; nginx would not start otherwise."""
    try:
        with Path("/dev/stdout").open("ab"):
            return "/dev/stdout brief"
    except OSError:
        return "off"


class Supervisor:
    """Runs the model servers and nginx as one: when one of them ends, all end."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._port = listen_port()
        self._stopping = False
        self._children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}

    def run(self) -> int:
        """Serve until SIGTERM (then 0) or until a child ends by itself (then not 0)."""
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGINT, self._request_stop)
        run = _make_run_folder()
        try:
            return self._serve(run)
        except _StopRequested:
            return 0
        except SupervisorError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
        finally:
            self._stop_all()
            shutil.rmtree(run, ignore_errors=True)

    def _serve(self, run: Path) -> int:
        servers = choose_servers(self._model, run)
        config = run / "nginx.conf"
        template = (CODE / "nginx.conf").read_text(encoding="utf-8")
        config.write_text(render_nginx(template, servers, self._model.name, self._port, run), encoding="utf-8")
        for server in servers:
            self._start(server.name, server.command)
        for server in servers:
            self._wait_ready(server)
        self._start("nginx", ["nginx", "-e", "stderr", "-c", str(config)])
        print(f"serving {self._model.folder} by {servers[0].name} on port {self._port}", flush=True)
        return self._watch()

    def _start(self, name: str, command: list[str]) -> None:
        try:
            child = subprocess.Popen(command)
        except OSError as error:
            raise SupervisorError(f"{name} cannot be started: {error}") from error
        self._children[child.pid] = (name, child)

    def _wait_ready(self, server: ModelServer) -> None:
        """Wait until the server tells that the model is loaded; SageMaker gives minutes (H-11)."""
        while not _is_available(server.address, self._model.name):
            self._check_children()
            time.sleep(_POLL_SECONDS)

    def _check_children(self) -> None:
        for name, child in self._children.values():
            code = child.poll()
            if code is not None:
                raise SupervisorError(f"{name} ended by itself with {_describe(code)}: stopping the rest")

    def _watch(self) -> int:
        """Sleep until a child ends. A signal interrupts the sleep by raising in its handler."""
        while True:
            pid, status = os.wait()
            if pid in self._children:  # else an orphan that came to us as PID 1
                self._children[pid][1].returncode = os.waitstatus_to_exitcode(status)
                self._check_children()

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise _StopRequested

    def _stop_all(self) -> None:
        """Stop nginx first, which finishes the requests in flight, then the model servers."""
        self._stopping = True
        deadline = time.monotonic() + _STOP_SECONDS
        running = [(name, child) for name, child in self._children.values() if child.poll() is None]
        for name, child in sorted(running, key=lambda entry: entry[0] != "nginx"):
            child.send_signal(signal.SIGQUIT if name == "nginx" else signal.SIGTERM)
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"warning: {name} does not stop: killing it", file=sys.stderr, flush=True)
                child.kill()
                child.wait()


def _make_run_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="serve-"))
    except OSError as error:
        raise SupervisorError(f"no folder for temporary files can be written: {error}") from error


def _is_available(address: str | int, model_name: str) -> bool:
    """Ask for the model's status; both kinds of server answer 200 with the word AVAILABLE once it is loaded."""
    try:
        with _connect(address) as connection:
            connection.sendall(f"GET /v1/models/{model_name} HTTP/1.0\r\nHost: model\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    except OSError:
        return False
    return b" 200 " in answer.partition(b"\r\n")[0] and b'"AVAILABLE"' in answer


def _connect(address: str | int) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    connection = socket.socket(family)
    connection.settimeout(2.0)
    try:
        connection.connect(address if isinstance(address, str) else ("127.0.0.1", address))
    except OSError:
        connection.close()
        raise
    return connection


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
