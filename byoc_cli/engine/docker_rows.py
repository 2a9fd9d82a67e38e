"""The engine's JSON, read into our own types. Pure."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from typing import Any

from byoc_cli.engine.types import IMAGE_LABEL, JOB_LABEL, KIND_LABEL, PROJECT_LABEL, Exit, Image, ImageConfig, Thing


def exit_of(state: Mapping[str, Any]) -> Exit:
    """Read how a container ended, of its State."""
    return Exit(int(state["ExitCode"]), bool(state.get("OOMKilled")), str(state.get("Error") or ""))


def image_of(row: Mapping[str, Any]) -> Image:
    """Read an image, as GET /images/{name}/json gives it."""
    # LastTagTime moves with each build, `Created` does not where every step was cached.
    tagged = max(seconds_of(row.get("Created", "")), seconds_of((row.get("Metadata") or {}).get("LastTagTime", "")))
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
        config=_config_of(config),
    )


def _config_of(config: Mapping[str, Any]) -> ImageConfig:
    return ImageConfig(
        entrypoint=config.get("Entrypoint") or (),
        command=config.get("Cmd") or (),
        environment=dict(variable.partition("=")[::2] for variable in config.get("Env") or []),
        working_folder=str(config.get("WorkingDir") or ""),
        user=str(config.get("User") or ""),
        volumes=tuple(sorted(config.get("Volumes") or ())),
        stop_signal=str(config.get("StopSignal") or ""),
    )


def container_of(row: Mapping[str, Any]) -> Thing:
    """Read a container of a listing."""
    ports = {
        int(port["PrivatePort"]): int(port["PublicPort"]) for port in row.get("Ports") or [] if port.get("PublicPort")
    }
    return thing_of(
        "container",
        row["Id"],
        {"Name": row["Names"][0].lstrip("/"), "Labels": row["Labels"]},
        state=row["State"],
        image=(row["Labels"] or {}).get(IMAGE_LABEL) or row["Image"],
        created=float(row["Created"]),
        ports=ports,
    )


def thing_of(type_: Any, thing_id: str, row: Mapping[str, Any], **more: Any) -> Thing:
    """Read a container, network or volume by its labels."""
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


def seconds_of(stamp: str) -> float:
    """Seconds since the epoch of Docker's RFC 3339 with nanoseconds, 0 where there is none."""
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", stamp or "")
    if not found or stamp.startswith("0001"):
        return 0.0
    seconds = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) + float(found[2] or 0)
    if found[3] and found[3] != "Z":
        hours, minutes = found[3][1:].split(":")
        seconds -= (1 if found[3][0] == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60)
    return seconds


def architecture_of(machine: str) -> str:
    """Docker's name for what uname calls x86_64 or aarch64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
