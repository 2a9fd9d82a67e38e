"""On what was measured, and with what."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from bench.shell import run
from bench.workshop import PREFIX, Workshop

_LIBRARIES = ("typer", "rich", "docker", "isal")
_IN_IMAGE = ("tensorflow-cpu", "keras", "openvino", "uvicorn", "starlette")
_IN_CLASSIC = ("flask", "gunicorn")


def machine() -> dict[str, str]:
    """Name the machine's parts, without its name."""
    cpu = _line("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.processor() or platform.machine()
    kilobytes = _line("/proc/meminfo", r"MemTotal:\s*(\d+)")
    return {
        "CPU": cpu,
        "cores": str(os.cpu_count()),
        "memory": f"{int(kilobytes) / 2**20:.1f} GiB" if kilobytes else "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
    }


def versions(shop: Workshop) -> dict[str, str]:
    """Name what was measured; of images only those that were made."""
    found = {
        "byoc": metadata.version("byoc") if _installed("byoc") else _own_version(),
        "Python": sys.version.split()[0],
        "Docker Engine": shop.engine_version,
        "docker client": shop.client_version,
    }
    found |= {name: metadata.version(name) for name in _LIBRARIES if _installed(name)}
    for image, packages in (("cifar10", _IN_IMAGE), ("classic", _IN_CLASSIC)):
        if shop.has_image(image):
            found |= _in_image(shop, f"{PREFIX}-{image}:{shop.id}", packages)
    return found


def _in_image(shop: Workshop, image: str, packages: tuple[str, ...]) -> dict[str, str]:
    code = "\n".join(
        [
            "from importlib.metadata import distributions",
            f"wanted = {packages!r}",
            "print(*(f'{d.name}={d.version}' for d in distributions() if d.name.lower() in wanted))",
        ]
    )
    printed = run([shop.docker, "run", "--rm", "--network", "none", image, "python", "-c", code], check=False)
    pairs = dict(word.split("=", 1) for word in printed.split())
    return {name: pairs[name] for name in packages if name in pairs}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _own_version() -> str:
    import byoc_cli

    return byoc_cli.__version__


def _line(file: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(file).read_text())
    except OSError:
        return ""
    return found[1].strip() if found else ""
