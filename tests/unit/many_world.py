"""A local endpoint before a container of many models, which is a small server of this process."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from byoc_cli.contract import hosting
from byoc_cli.contract.multi_model import name_of
from tests.unit.gateway_world import World, world

SECONDS = 60.0


class Many:
    """Answers as a container of many models does; `room` is how many it has memory for, of which it lists one a page.

    `on_load` and `on_invoke` are called with a model's target before it does what it should; what they give is answered
    in the place of that, a status of 0 is no answer at all. `wrongs` is what must never come.
    """

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.loaded: dict[str, str] = {}
        self.bodies: list[dict[str, str]] = []
        self.calls: list[str] = []
        self.wrongs: list[str] = []
        self.lists = True
        self.deaf = False  # to DELETE
        self.on_load: Callable[[str], tuple[int, bytes] | None] = lambda _: None
        self.on_invoke: Callable[[str], tuple[int, bytes] | None] = lambda _: None
        self.unpacked = Path()
        self._busy: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        target = handler.headers.get(hosting.TARGET_MODEL_HEADER, "")
        status, content = self._do(handler, target, body)
        if not status:
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _do(self, handler: BaseHTTPRequestHandler, target: str, body: bytes) -> tuple[int, bytes]:
        url = urlsplit(handler.path)
        what = f"{handler.command} {url.path}"
        name = (url.path.split("/") + [""] * 3)[2]
        self.calls.append(what.replace(name, target or self.loaded.get(name, name)) if name else what)
        if what == "GET /models":
            return self._page(parse_qs(url.query)) if self.lists else (404, b"")
        if what == "POST /models":
            self.bodies.append(json.loads(body))
            return self.on_load(target) or self._load(target)
        if handler.command == "POST":
            return self._invoke(name, target, body)
        if handler.command == "DELETE":
            return self._unload(name)
        return (200 if name in self.loaded else 404), b"{}"

    def _page(self, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        at = int(query.get("next_page_token", ["&+/=0"])[0].removeprefix("&+/="))
        names = [unquote(name) for name in self.loaded]
        page: dict[str, Any] = {"models": [{"modelName": name, "modelUrl": "…"} for name in names[at : at + 1]]}
        more = {"nextPageToken": f"&+/={at + 1}"} if at + 1 < len(names) else {}
        return 200, json.dumps(page | more).encode()

    def _load(self, target: str) -> tuple[int, bytes]:
        with self._lock:
            if name_of(target) in self.loaded:
                return 409, b"it is there"
            if len(self.loaded) >= self.room:
                return 507, b"no memory"
            self.loaded[name_of(target)] = target
        return 200, b"{}"

    def _unload(self, name: str) -> tuple[int, bytes]:
        if name in self._busy:
            self.wrongs.append(f"{name} is to be unloaded while it is invoked")
        if self.deaf:
            return 500, b"no"
        return (200 if self.loaded.pop(name, None) else 404), b""

    def _invoke(self, name: str, target: str, body: bytes) -> tuple[int, bytes]:
        with self._lock:
            if name not in self.loaded:
                return 404, b"it is not loaded"
            self._busy.append(name)
        weights = (self.unpacked / "models" / name / "model" / "weights").read_bytes()
        answer = self.on_invoke(target)
        with self._lock:
            self._busy.remove(name)
            if name not in self.loaded:
                self.wrongs.append(f"{target} was unloaded while it was invoked")
        return answer or (200, weights + b" " + body[:10])

    def asked(self, call: str) -> int:
        """How often that came."""
        return self.calls.count(call)


class ManyWorld:
    """`folder` has the archives; `call` invokes a model."""

    def __init__(self, local: World, many: Many, folder: Path) -> None:
        self.local = local
        self.many = many
        self.folder = folder

    def call(self, target: str = "", body: bytes = b"x", **headers: str) -> requests.Response:
        named = {hosting.TARGET_MODEL_HEADER: target} if target else {}
        return requests.post(self.local.url + "/invocations", body, headers=named | headers, timeout=SECONDS)

    def loaded(self) -> list[str]:
        """What the local endpoint says that is loaded."""
        answer = requests.get(f"{self.local.url}/endpoints/my-endpoint", timeout=SECONDS)
        return list(answer.json()["LoadedModels"])


@contextmanager
def many_world(tmp_path: Path, many: Many, **changes: Any) -> Iterator[ManyWorld]:
    """One with archives a.tar.gz to d.tar.gz; the weights of each are its letter."""
    folder, unpacked = tmp_path / "prefix", tmp_path / "unpacked"
    (unpacked / "models").mkdir(parents=True)
    many.unpacked = unpacked
    for letter in "abcd":
        archive(folder / f"{letter}.tar.gz", {"weights": letter.encode()})
    with world(many, models=str(folder), unpacked=str(unpacked), **changes) as local:
        yield ManyWorld(local, many, folder)


def archive(path: Path, files: Mapping[str, bytes], *members: tarfile.TarInfo) -> Path:
    """Make a tar.gz of files, and of other members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return path
