"""Is this machine ready? Each finding carries its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byoc_cli.engine import builders
from byoc_cli.engine.dockerfile import parse
from byoc_cli.engine.types import Engine, EngineInfo
from byoc_cli.errors import ByocError
from byoc_cli.project import Project

LOW_DISK_BYTES = 10_000_000_000
_DEFAULT_BASE = "python:3.11-slim-bookworm"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, what to do."""

    name: str
    result: Literal["ok", "warn", "fail", "skip"]
    seen: str
    remedy: str = ""


def examine(load: Callable[[], Project], connect: Callable[[], Engine]) -> list[Finding]:
    """Look at everything; nothing raises."""
    project, of_project = _project(load)
    findings = [of_project]
    try:
        engine = connect()
        info = engine.info()
    except ByocError as error:
        return [
            *findings,
            Finding("engine", "fail", error.message.replace("\n", ": "), _how_to_start(error)),
            *_builder(None),
            *(Finding(name, "skip", "needs an engine") for name in ("platform", "registry", "gpu")),
            *_disk(project.root if project else Path.cwd(), None),
            _aws(),
        ]
    return [
        *findings,
        _engine(info),
        *_builder(info),
        _platform(project, info),
        *_disk(project.root if project else Path.cwd(), info),
        _registry(engine, project),
        _gpu(),
        _aws(),
    ]


def _project(load: Callable[[], Project]) -> tuple[Project | None, Finding]:
    try:
        project = load()
    except ByocError as error:
        return None, Finding("project", "fail", error.message.replace("\n", ": "), error.hint)
    if not project.dockerfile.is_file():
        return project, Finding(
            "project", "warn", f"no {project.build.dockerfile} in {project.root}", "go to the folder that has one"
        )
    return project, Finding("project", "ok", f"{project.image} in {project.file or project.root}")


def _how_to_start(error: ByocError) -> str:
    # Elsewhere the hint leads here.
    if "byoc doctor" in error.hint:
        return "install Docker if it is missing, and start it: sudo systemctl start docker, or Docker Desktop"
    return error.hint


def _engine(info: EngineInfo) -> Finding:
    machine = f"{info.operating_system or info.name}, {info.cpus} CPUs, {info.memory / 2**30:.1f} GiB"
    seen = f"Docker Engine {info.version} on {machine}, {info.address if info.remote else 'local'}"
    if info.remote:
        return Finding("engine", "warn", seen, "local-train and serve need an engine that sees this machine's files")
    if info.containerd_store:
        return Finding(
            "engine", "ok", seen + " (containerd image store: byoc build makes manifests that SageMaker takes)"
        )
    return Finding("engine", "ok", seen)


def _builder(info: EngineInfo | None) -> Iterator[Finding]:
    try:
        builder = builders.find()
    except ByocError as error:
        yield Finding("builder", "fail", error.message.replace("\n", ": "), error.hint)
        return
    if builder.kind != "classic":
        yield Finding("builder", "ok", str(builder))
        return
    remedy = "install the buildx plugin (package docker-buildx or docker-buildx-plugin)"
    trap = ""
    if info and info.containerd_store:
        trap = " (on this engine's image store it makes OCI manifests, which SageMaker refuses)"
    yield Finding("builder", "warn", str(builder) + trap, remedy)


def _platform(project: Project | None, info: EngineInfo) -> Finding:
    wanted = (project.platform if project else "linux/amd64").split("/")[1]
    if wanted == info.architecture:
        return Finding("platform", "ok", f"the engine runs {info.architecture}, as the project's images are")
    return Finding(
        "platform",
        "warn",
        f"the project's images are {wanted}, the engine is {info.architecture}: they run emulated or not at all",
        "install emulation: docker run --privileged --rm tonistiigi/binfmt --install all",
    )


def _disk(folder: Path, info: EngineInfo | None) -> Iterator[Finding]:
    places = {"disk (project)": folder}
    if info and info.root and not info.remote and Path(info.root).is_dir():
        places["disk (engine)"] = Path(info.root)
    for name, place in places.items():
        free = shutil.disk_usage(place).free
        low = free < LOW_DISK_BYTES
        yield Finding(
            name,
            "warn" if low else "ok",
            f"{free / 1e9:,.1f} GB free at {place}",
            "byoc clean --keep 3, docker system prune" if low else "",
        )


def _registry(engine: Engine, project: Project | None) -> Finding:
    base = _DEFAULT_BASE
    if project and project.dockerfile.is_file():
        try:
            bases = parse(project.dockerfile.read_text("utf-8-sig"), project.build.args).bases(project.build.target)
            base = bases[0] if bases else base
        except (ByocError, OSError, UnicodeDecodeError):
            pass  # the build will say it
    if engine.registry_gives(base):
        return Finding("registry", "ok", f"gives {base}")
    if engine.image(base):
        return Finding("registry", "ok", f"does not answer, but {base} is here")
    if stand_in := engine.stand_in(base):
        return Finding("registry", "ok", f"does not give {base}; its stand-in is here: {stand_in}")
    return Finding(
        "registry", "warn", f"does not give {base}", "check the network, the proxy of the engine, and `docker login`"
    )


def _gpu() -> Finding:
    # Whether --gpus works is known for sure only by trying; a driver is what it needs first.
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        runtime = shutil.which("nvidia-container-runtime-hook") or shutil.which("nvidia-ctk")
        if runtime:
            return Finding("gpu", "ok", "NVIDIA driver and container toolkit are here")
        return Finding(
            "gpu",
            "warn",
            "an NVIDIA driver, but no container toolkit",
            "install nvidia-container-toolkit and restart Docker",
        )
    return Finding("gpu", "skip", "no NVIDIA driver on this machine; --gpus is not possible")


def _aws() -> Finding:
    from byoc_cli.cloud import account  # late: boto3

    try:
        identity = account.identity()
    except ByocError as error:
        return Finding("aws", "skip", error.message.replace("\n", ": "), error.hint)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "no region set"
    return Finding("aws", "ok", f"{identity} ({region})")
