"""One container through docker-py."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import docker
import docker.errors
import requests
from docker.utils import decode_json_header

from byoc_cli.engine import faults
from byoc_cli.engine.docker_rows import exit_of, seconds_of
from byoc_cli.engine.types import Exit, FileStat, Stream

_REMOVAL_SECONDS = 15
_OOM_SECONDS = 1.0


class DockerContainer:
    """A `Container`."""

    def __init__(self, api: docker.APIClient, container_id: str, name: str) -> None:
        self.api = api
        self.id = container_id
        self.name = name
        self._output: Iterator[tuple[bytes | None, bytes | None]] = iter(())
        self._signalled = threading.Event()

    def put(self, folder: str, tar: bytes | Iterable[bytes]) -> None:
        with faults.translated():
            self.api.put_archive(self.id, folder, tar)

    def get(self, path: str) -> Generator[bytes, None, None]:
        # Not docker-py's get_archive: it gives no hold of the connection, which stays open when reading is broken off.
        with faults.translated(), closing(self._archive("GET", path)) as answer:
            if answer.status_code == 404 and "no such container" not in answer.text.lower():
                return
            self.api._raise_for_status(answer)  # type: ignore[attr-defined]
            yield from answer.iter_content(1 << 20)

    def stat(self, path: str) -> FileStat | None:
        with faults.translated():
            answer = self._archive("HEAD", path)
        header = answer.headers.get("x-docker-container-path-stat")
        if answer.status_code != 200 or not header:
            return None
        stat = decode_json_header(header)
        modified, link = str(stat.get("mtime") or ""), str(stat.get("linkTarget") or "")
        return FileStat(stat["name"], int(stat["size"]), int(stat["mode"]), modified, link)

    def _archive(self, method: str, path: str) -> requests.Response:
        # docker-py has no call for HEAD …/archive either.
        url = self.api._url("/containers/{0}/archive", self.id)  # type: ignore[attr-defined]
        return self.api.request(
            method,
            url,
            params={"path": path},
            headers={"Accept-Encoding": "identity"},
            stream=method == "GET",
            timeout=self.api.timeout,
        )

    def connect(self, network: str) -> None:
        with faults.translated():
            self.api.connect_container_to_network(self.id, network)

    def start(self) -> None:
        with faults.translated():
            # Attached before the start, so that not a byte is missed.
            self._output = self.api.attach(self.id, stdout=True, stderr=True, stream=True, demux=True)
            threading.Thread(target=self._listen, name=f"signals of {self.name}", daemon=True).start()
            try:
                self.api.start(self.id)
            except BaseException:
                self._let_go()
                raise

    def _listen(self) -> None:
        """Notice signals until the container is removed: an engine remembers 256 events only, of all containers."""
        wanted = {"container": self.id, "event": ["kill", "destroy"]}
        # Whatever breaks it off: `was_signalled` asks, too.
        with (
            suppress(docker.errors.APIError, requests.RequestException, OSError, ValueError),
            closing(self.api.events(filters=wanted, decode=True)) as events,
        ):
            for event in events:
                if event.get("Action") == "destroy":
                    return
                self._signalled.set()

    def output(self) -> Iterator[tuple[Stream, bytes]]:
        with faults.translated():
            for stdout, stderr in self._output:
                if stdout:
                    yield "stdout", stdout
                if stderr:
                    yield "stderr", stderr
        self._let_go()

    def _let_go(self) -> None:
        """Close the connection of the attach, which docker-py leaves to the garbage collector."""
        with suppress(AttributeError, OSError, docker.errors.DockerException):  # what was never attached has no close
            self._output.close()  # type: ignore[attr-defined]

    def wait(self) -> Exit:
        with faults.translated():
            self.api.wait(self.id)
            return self._exit(self.api.inspect_container(self.id))

    def exited(self) -> Exit | None:
        with faults.translated():
            row = self.api.inspect_container(self.id)
            ended = row["State"]["Status"] not in {"created", "running", "paused", "restarting"}
            return self._exit(row) if ended else None

    def _exit(self, row: Mapping[str, Any]) -> Exit:
        """Read how it ended; an engine may notice a moment after the end that it was memory."""
        exit_ = exit_of(row["State"])
        if exit_.code == 137 and row["HostConfig"].get("Memory") and not self._signalled.is_set():
            deadline = time.monotonic() + _OOM_SECONDS
            while not exit_.out_of_memory and time.monotonic() < deadline:
                time.sleep(0.05)
                exit_ = exit_of(self.api.inspect_container(self.id)["State"])
        return exit_

    def was_signalled(self) -> bool:
        if self._signalled.is_set():
            return True
        with faults.translated():
            row = self.api.inspect_container(self.id)
            # The engine writes a signal down when its sending has returned: a busy one after the container's end. Until
            # now, then, by its own clock: the call waits for a future.
            since, end = seconds_of(row["Created"]), seconds_of(row["State"]["FinishedAt"])
            until = max(end + 0.001, seconds_of(self.api.info().get("SystemTime", "")))
            kills = self.api.events(  # type: ignore[call-overload] # the API takes fractions, its stubs do not
                since=f"{since:.6f}",
                until=f"{until:.6f}",
                filters={"container": self.id, "event": "kill"},
                decode=True,
            )
            return next(iter(kills), None) is not None

    def is_there(self) -> bool:
        with faults.translated(), suppress(docker.errors.NotFound):
            return self.api.inspect_container(self.id)["State"]["Status"] not in {"removing", "dead"}
        return False

    def is_on(self, network: str) -> bool:
        with faults.translated():
            return network in self.api.inspect_container(self.id)["NetworkSettings"]["Networks"]

    def stop(self, grace: float) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.stop(self.id, timeout=int(grace))

    def kill(self) -> None:
        with faults.translated():
            try:
                self.api.kill(self.id)
            except docker.errors.APIError as error:
                if error.status_code not in {404, 409}:  # gone, or not running any more
                    raise

    def logs(self, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
        with faults.translated():
            lines = self.api.logs(self.id, stream=True, follow=follow, tail="all" if tail is None else tail)
            yield from lines

    def changes(self) -> list[str]:
        with faults.translated():
            return [row["Path"] for row in self.api.diff(self.id) or [] if row["Kind"] != 2]  # 2 is a removal

    def pid(self) -> int:
        with faults.translated():
            return int(self.api.inspect_container(self.id)["State"].get("Pid") or 0)

    def free_cpus(self) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.update_container(self.id, cpu_quota=-1)

    def cpu_seconds(self) -> float:
        with faults.translated():
            stats: Any = self.api.stats(self.id, stream=False, one_shot=True)
        return float((stats.get("cpu_stats") or {}).get("cpu_usage", {}).get("total_usage", 0)) / 1e9

    def port(self, port: int) -> int:
        with faults.translated():
            bindings = self.api.inspect_container(self.id)["NetworkSettings"]["Ports"].get(f"{port}/tcp")
        return int(bindings[0]["HostPort"]) if bindings else 0

    def address(self, network: str) -> str:
        with faults.translated():
            found = self.api.inspect_container(self.id)["NetworkSettings"]["Networks"].get(network) or {}
        return f"{found['IPAddress']}/{found['IPPrefixLen']}" if found.get("IPAddress") else ""

    def remove(self) -> None:
        with faults.translated():
            try:
                self.api.remove_container(self.id, v=True, force=True)
            except docker.errors.APIError as error:
                if error.status_code == 409:  # somebody else is removing it just now
                    self._wait_until_removed()
                elif error.status_code != 404:  # gone
                    raise

    def _wait_until_removed(self) -> None:
        with suppress(docker.errors.NotFound, requests.exceptions.RequestException):
            self.api.wait(self.id, timeout=_REMOVAL_SECONDS, condition="removed")
