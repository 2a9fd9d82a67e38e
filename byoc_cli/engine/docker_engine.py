"""The Docker Engine through docker-py. Its low-level client is used throughout: one request a call, no surprises."""

from __future__ import annotations

import calendar
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
from docker.utils import decode_json_header

from byoc_cli.engine import faults
from byoc_cli.engine.types import (
    BASE_LABEL,
    BASE_REPOSITORY,
    JOB_LABEL,
    KIND_LABEL,
    PROJECT_LABEL,
    ContainerSpec,
    EngineInfo,
    Exit,
    FileStat,
    Image,
    Mount,
    Stream,
    Thing,
)
from byoc_cli.errors import ByocError

_REGISTRY_SECONDS = 8.0  # long enough for a slow registry, short enough for a firewall that drops packets


def connect() -> DockerEngine:
    """Connect to the engine that the docker CLI would use (DOCKER_HOST, then contexts).

    Raises:
        MachineError: no engine answers; says why.

    """
    with faults.translated():
        # 600 s: the default of 60 s between two bytes is too short for a large layer on its way.
        return DockerEngine(docker.from_env(timeout=600).api)


class DockerEngine:
    """An `Engine`."""

    def __init__(self, api: docker.APIClient) -> None:
        self.api = api

    def info(self) -> EngineInfo:
        with faults.translated():
            info = self.api.info()
        address = str(self.api.base_url)
        return EngineInfo(
            name=str(info.get("Name", "")),
            version=str(info.get("ServerVersion", "")),
            operating_system=str(info.get("OperatingSystem", "")),
            architecture=_architecture(str(info.get("Architecture", ""))),
            cpus=int(info.get("NCPU", 0)),
            memory=int(info.get("MemTotal", 0)),
            address=address,
            # docker-py calls a unix socket "http+docker://localhost".
            remote=not address.startswith(("http+docker://local", "http+unix://", "npipe://")),
            containerd_store=any("io.containerd.snapshotter" in str(pair) for pair in info.get("DriverStatus") or []),
            root=str(info.get("DockerRootDir", "")),
        )

    def image(self, reference: str) -> Image | None:
        with faults.translated():
            try:
                return _image(self.api.inspect_image(reference))  # type: ignore[no-untyped-call]
            except docker.errors.NotFound:
                return None

    def stand_in(self, reference: str) -> str:
        with faults.translated():
            found = self.api.images(BASE_REPOSITORY, filters={"label": [f"{BASE_LABEL}={reference}"]})
        tags = [tag for row in sorted(found, key=lambda row: -row["Created"]) for tag in row.get("RepoTags") or []]
        return next((tag for tag in tags if not tag.startswith("<none>")), "")

    def registry_gives(self, reference: str) -> bool:
        """Ask in a thread: the engine itself waits for minutes where packets are dropped."""
        answers: list[bool] = []

        def ask() -> None:
            try:
                self.api.inspect_distribution(reference)  # type: ignore[no-untyped-call]
                answers.append(True)
            except Exception:  # noqa: BLE001 - a name that does not resolve, 401, 404, 500: it does not give the image
                answers.append(False)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_REGISTRY_SECONDS)
        return answers == [True]

    def create(self, spec: ContainerSpec) -> DockerContainer:
        with faults.translated():
            try:
                made = self.api.create_container(
                    spec.image,
                    list(spec.command),
                    name=spec.name,
                    hostname=spec.hostname or None,
                    labels=dict(spec.labels),
                    environment=dict(spec.environment),
                    ports=list(spec.ports),
                    host_config=self._host_config(spec),
                    networking_config=self._networking(spec),
                )
            except docker.errors.ImageNotFound as error:
                raise ByocError(f"there is no image '{spec.image}' here", hint="byoc build") from error
        return DockerContainer(self.api, made["Id"], spec.name)

    def container(self, name: str) -> DockerContainer:
        with faults.translated():
            try:
                found = self.api.inspect_container(name)
            except docker.errors.NotFound as error:
                raise ByocError(f"there is no container '{name}'", hint="byoc ps") from error
        return DockerContainer(self.api, found["Id"], found["Name"].lstrip("/"))

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        with faults.translated():
            self.api.create_network(name, driver="bridge", labels=dict(labels))

    def remove_network(self, name: str) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.remove_network(name)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        with faults.translated():
            self.api.create_volume(name, labels=dict(labels))
        return name

    def remove_volume(self, name: str) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.remove_volume(name, force=True)

    def things(self, *, project: str | None = None) -> list[Thing]:
        label = PROJECT_LABEL if project is None else f"{PROJECT_LABEL}={project}"
        filters = {"label": [label]}
        with faults.translated():
            containers = [_container_thing(row) for row in self.api.containers(all=True, filters=filters)]
            networks = [_thing("network", row["Id"], row) for row in self.api.networks(filters=filters)]
            volumes = [
                _thing("volume", row["Name"], row) for row in self.api.volumes(filters=filters).get("Volumes") or []
            ]
        return containers + networks + volumes

    def remove(self, thing: Thing) -> None:
        if thing.type == "container":
            DockerContainer(self.api, thing.id, thing.name).remove()
        elif thing.type == "network":
            self.remove_network(thing.id)
        else:
            self.remove_volume(thing.name)

    def _host_config(self, spec: ContainerSpec) -> Any:
        return self.api.create_host_config(
            mounts=[_mount(mount, spec.labels) for mount in spec.mounts],
            network_mode=spec.network or None,
            # Decision 9: nothing that we serve is open to the network.
            port_bindings={port: ("127.0.0.1", host or None) for port, host in spec.ports.items()},
            device_requests=_device_requests(spec.gpus),
        )

    def _networking(self, spec: ContainerSpec) -> Any:
        if spec.network in {"", "none", "host", "bridge"}:
            return None
        endpoint = self.api.create_endpoint_config(aliases=list(spec.aliases))
        return self.api.create_networking_config({spec.network: endpoint})  # type: ignore[arg-type]


class DockerContainer:
    """A `Container`."""

    def __init__(self, api: docker.APIClient, container_id: str, name: str) -> None:
        self.api = api
        self.id = container_id
        self.name = name
        self._output: Iterator[tuple[bytes | None, bytes | None]] = iter(())

    def put(self, folder: str, tar: bytes | Iterable[bytes]) -> None:
        with faults.translated():
            self.api.put_archive(self.id, folder, tar)

    def get(self, path: str) -> Iterator[bytes]:
        with faults.translated():
            try:
                chunks, _ = self.api.get_archive(self.id, path, chunk_size=1 << 20)
            except docker.errors.NotFound:
                return
            yield from chunks

    def stat(self, path: str) -> FileStat | None:
        # docker-py has no call for HEAD …/archive: it would fetch the whole file to look at its header.
        url = self.api._url("/containers/{0}/archive", self.id)  # type: ignore[attr-defined]
        with faults.translated():
            answer = self.api.head(url, params={"path": path}, timeout=60)
        header = answer.headers.get("x-docker-container-path-stat")
        if answer.status_code != 200 or not header:
            return None
        stat = decode_json_header(header)
        return FileStat(stat["name"], int(stat["size"]), int(stat["mode"]))

    def start(self) -> None:
        with faults.translated():
            # Attached before the start, so that not a byte is missed.
            self._output = self.api.attach(self.id, stdout=True, stderr=True, stream=True, demux=True)
            self.api.start(self.id)

    def output(self) -> Iterator[tuple[Stream, bytes]]:
        with faults.translated():
            for stdout, stderr in self._output:
                if stdout:
                    yield "stdout", stdout
                if stderr:
                    yield "stderr", stderr

    def wait(self) -> Exit:
        with faults.translated():
            self.api.wait(self.id)
            return _exit(self.api.inspect_container(self.id)["State"])

    def exited(self) -> Exit | None:
        with faults.translated():
            state = self.api.inspect_container(self.id)["State"]
        return None if state["Status"] in {"created", "running", "paused", "restarting"} else _exit(state)

    def was_signalled(self) -> bool:
        with faults.translated():
            row = self.api.inspect_container(self.id)
            # An `until` in the past, or the call would wait for it.
            since, until = _seconds(row["Created"]), _seconds(row["State"]["FinishedAt"]) + 0.001
            kills = self.api.events(  # type: ignore[call-overload] # the API takes fractions, its stubs do not
                since=f"{since:.6f}",
                until=f"{until:.6f}",
                filters={"container": self.id, "event": "kill"},
                decode=True,
            )
            return next(iter(kills), None) is not None

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

    def port(self, port: int) -> int:
        with faults.translated():
            bindings = self.api.inspect_container(self.id)["NetworkSettings"]["Ports"].get(f"{port}/tcp")
        return int(bindings[0]["HostPort"]) if bindings else 0

    def remove(self) -> None:
        with faults.translated():
            try:
                self.api.remove_container(self.id, v=True, force=True)
            except docker.errors.APIError as error:
                # 404: gone; 409: somebody else is removing it just now.
                if error.status_code not in {404, 409}:
                    raise


def _mount(mount: Mount, labels: Mapping[str, str]) -> docker.types.Mount:
    if mount.source:
        return docker.types.Mount(
            mount.target,
            mount.source,
            type="bind" if Path(mount.source).is_absolute() else "volume",
            read_only=mount.read_only,
        )
    # no_copy: what the image has there is hidden, as in the cloud (I-08).
    return docker.types.Mount(
        mount.target, None, type="volume", no_copy=True, labels=dict(labels), read_only=mount.read_only
    )


def _device_requests(gpus: str) -> list[docker.types.DeviceRequest]:
    if gpus == "none":
        return []
    count = -1 if gpus == "all" else int(gpus)
    return [docker.types.DeviceRequest(count=count, capabilities=[["gpu"]])]


def _exit(state: Mapping[str, Any]) -> Exit:
    return Exit(int(state["ExitCode"]), bool(state.get("OOMKilled")), str(state.get("Error") or ""))


def _image(row: Mapping[str, Any]) -> Image:
    # LastTagTime moves with each build, `Created` does not where every step was cached.
    tagged = max(_seconds(row.get("Created", "")), _seconds((row.get("Metadata") or {}).get("LastTagTime", "")))
    config = row.get("Config") or {}
    user = str(config.get("User") or "").partition(":")[0]
    return Image(
        id=row["Id"],
        tags=row.get("RepoTags") or [],
        digests=row.get("RepoDigests") or [],
        tagged=tagged,
        architecture=row.get("Architecture", ""),
        os=row.get("Os", ""),
        size=int(row.get("Size", 0)),
        labels=config.get("Labels") or {},
        user="" if user in {"root", "0"} else user,
    )


def _container_thing(row: Mapping[str, Any]) -> Thing:
    ports = {
        int(port["PrivatePort"]): int(port["PublicPort"]) for port in row.get("Ports") or [] if port.get("PublicPort")
    }
    return _thing(
        "container",
        row["Id"],
        {"Name": row["Names"][0].lstrip("/"), "Labels": row["Labels"]},
        state=row["State"],
        image=row["Image"],
        created=float(row["Created"]),
        ports=ports,
    )


def _thing(type_: Any, thing_id: str, row: Mapping[str, Any], **more: Any) -> Thing:
    labels = row.get("Labels") or {}
    return Thing(
        type=type_,
        id=thing_id,
        name=row["Name"],
        kind=labels.get(KIND_LABEL, ""),
        job=labels.get(JOB_LABEL, ""),
        project=labels.get(PROJECT_LABEL, ""),
        labels=labels,
        **more,
    )


def _seconds(stamp: str) -> float:
    """Seconds since the epoch of Docker's RFC 3339 with nanoseconds, 0 where there is none."""
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", stamp or "")
    if not found or stamp.startswith("0001"):
        return 0.0
    seconds = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) + float(found[2] or 0)
    if found[3] and found[3] != "Z":
        hours, minutes = found[3][1:].split(":")
        seconds -= (1 if found[3][0] == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60)
    return seconds


def _architecture(machine: str) -> str:
    """Docker's name for what uname calls x86_64 or aarch64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
