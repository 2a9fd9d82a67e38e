"""The Docker Engine through docker-py. Its low-level client is used throughout: one request a call, no surprises."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types

from byoc_cli.engine import faults, overlays
from byoc_cli.engine.docker_container import DockerContainer
from byoc_cli.engine.docker_rows import architecture_of, container_of, image_of, thing_of
from byoc_cli.engine.dockerfile import SECRETS_STAGE
from byoc_cli.engine.owner import OWNER_LABEL
from byoc_cli.engine.types import (
    BASE_LABEL,
    BASE_REPOSITORY,
    PROJECT_LABEL,
    ContainerSpec,
    EngineInfo,
    Image,
    Mount,
    NameTaken,
    Thing,
)
from byoc_cli.errors import ByocError

_CPU_PERIOD = 100_000  # µs, the kernel's own
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
            architecture=architecture_of(str(info.get("Architecture", ""))),
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
                return image_of(self.api.inspect_image(reference))  # type: ignore[no-untyped-call]
            except docker.errors.NotFound:
                return None

    def touch(self, reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.tag(reference, repository, tag, force=True)

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
                    entrypoint=None if spec.entrypoint is None else list(spec.entrypoint),
                    name=spec.name,
                    hostname=spec.hostname or None,
                    labels=dict(spec.labels),
                    environment=dict(spec.environment),
                    ports=list(spec.ports),
                    user=spec.user or None,
                    tty=spec.terminal,
                    stdin_open=spec.terminal,
                    host_config=self._host_config(spec),
                    networking_config=self._networking(spec),
                )
            except docker.errors.ImageNotFound as error:
                raise ByocError(f"there is no image '{spec.image}' here", hint="byoc build") from error
            except docker.errors.APIError as error:
                raise (self._taken(spec.name) if error.status_code == 409 else error) from None
        return DockerContainer(self.api, made["Id"], spec.name)

    def container(self, name: str) -> DockerContainer:
        with faults.translated():
            try:
                found = self.api.inspect_container(name)
            except docker.errors.NotFound as error:
                raise ByocError(f"there is no container '{name}'", hint="byoc ps") from error
        return DockerContainer(self.api, found["Id"], found["Name"].lstrip("/"))

    def create_network(
        self, name: str, labels: Mapping[str, str], *, internal: bool = False, subnet: str = "", gateway: str = ""
    ) -> None:
        pool = docker.types.IPAMPool(subnet=subnet, gateway=gateway or None)
        ipam = docker.types.IPAMConfig(pool_configs=[pool]) if subnet else None
        with faults.translated():
            try:
                # An engine before 25 lets two networks have one name, unless it is asked to look.
                self.api.create_network(
                    name, driver="bridge", labels=dict(labels), internal=internal, ipam=ipam, check_duplicate=True
                )
            except docker.errors.APIError as error:
                raise (self._taken(name) if error.status_code == 409 else error) from None

    def remove_network(self, name: str) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.remove_network(name)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        with faults.translated():
            self.api.create_volume(name, labels=dict(labels))
        return name

    def create_overlays(self, folders: Mapping[str, str], image: str, labels: Mapping[str, str]) -> list[str]:
        return overlays.create(self.api, folders, image, labels)

    def remove_volume(self, name: str) -> None:
        with faults.translated(), suppress(docker.errors.NotFound):
            self.api.remove_volume(name, force=True)

    def things(self, *, project: str | None = None) -> list[Thing]:
        label = PROJECT_LABEL if project is None else f"{PROJECT_LABEL}={project}"
        filters = {"label": [label]}
        with faults.translated():
            containers = [container_of(row) for row in self.api.containers(all=True, filters=filters)]
            networks = [thing_of("network", row["Id"], row) for row in self.api.networks(filters=filters)]
            volumes = [
                thing_of("volume", row["Name"], row) for row in self.api.volumes(filters=filters).get("Volumes") or []
            ]
        return containers + networks + volumes

    def secret_holders(self) -> list[Thing]:
        with faults.translated():
            rows = self.api.images(SECRETS_STAGE, filters={"label": OWNER_LABEL})
        return [
            thing_of("image", tag, {"Name": tag, "Labels": row.get("Labels")})
            for row in rows
            for tag in row.get("RepoTags") or []
        ]

    def remove(self, thing: Thing) -> None:
        if thing.type == "container":
            DockerContainer(self.api, thing.id, thing.name).remove()
        elif thing.type == "network":
            self.remove_network(thing.id)
        elif thing.type == "image":
            with faults.translated(), suppress(docker.errors.NotFound):
                self.api.remove_image(thing.id, force=True)
        else:
            self.remove_volume(thing.name)

    def _taken(self, name: str) -> NameTaken:
        """Say who has a name: a job's container and network have the same."""
        labels: Mapping[str, str] = {}
        with suppress(docker.errors.NotFound):
            labels = self.api.inspect_container(name)["Config"].get("Labels") or {}
        project = labels.get(PROJECT_LABEL)
        return NameTaken(
            f"the name '{name}' is taken\n" + (f"by a job or an endpoint of {project}" if project else "not by byoc"),
            hint="choose another --name, or try again; `byoc ps --all` shows what runs",
        )

    def _host_config(self, spec: ContainerSpec) -> Any:
        return self.api.create_host_config(
            mounts=[_mount(mount, spec.labels) for mount in spec.mounts],
            network_mode=spec.network or None,
            # Decision 9: nothing that we serve is open to the network.
            port_bindings={port: ("127.0.0.1", host or None) for port, host in spec.ports.items()},
            device_requests=_device_requests(spec.gpus),
            cpuset_cpus=spec.cpuset or None,
            mem_limit=spec.memory or None,
            memswap_limit=spec.memory or None,  # of memory and swap together: no swap
            shm_size=spec.shm_size or None,
            cpu_period=_CPU_PERIOD if spec.cpus else None,  # not NanoCpus: docker-py cannot take that back
            cpu_quota=int(spec.cpus * _CPU_PERIOD) or None,
            pids_limit=spec.pids or None,
            volumes_from=[spec.volumes_from] if spec.volumes_from else None,
        )

    def _networking(self, spec: ContainerSpec) -> Any:
        if spec.network in {"", "none", "host", "bridge"}:
            return None
        endpoint = self.api.create_endpoint_config(aliases=list(spec.aliases))
        return self.api.create_networking_config({spec.network: endpoint})  # type: ignore[arg-type]


def _mount(mount: Mount, labels: Mapping[str, str]) -> docker.types.Mount:
    if Path(mount.source).is_absolute():
        return docker.types.Mount(mount.target, mount.source, type="bind", read_only=mount.read_only)
    # no_copy: what the image has there is hidden, as in the cloud (I-08).
    return docker.types.Mount(
        mount.target,
        mount.source or None,
        type="volume",
        no_copy=True,
        labels=None if mount.source else dict(labels),
        read_only=mount.read_only,
    )


def _device_requests(gpus: str) -> list[docker.types.DeviceRequest]:
    if gpus == "none":
        return []
    count = -1 if gpus == "all" else int(gpus)
    return [docker.types.DeviceRequest(count=count, capabilities=[["gpu"]])]
