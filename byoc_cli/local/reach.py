"""Whether the engine's networks are this machine's own, so that what is on them and this machine reach each other."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import ip_address, ip_interface

from byoc_cli.engine.types import EngineInfo


def elsewhere(info: EngineInfo) -> str:
    """Say why the engine's networks are not this machine's, "" where nothing tells so."""
    if info.remote:
        return f"the engine is on another machine ({info.address})"
    if "docker desktop" in info.operating_system.lower():
        return "Docker Desktop's containers run in a virtual machine"
    return ""


def is_here(address: str) -> bool:
    """Whether this machine is itself on the network of an address ("172.18.0.2/16").

    Where it is not (a rootless engine, a virtual machine, a container that byoc runs in) the way leads elsewhere.
    """
    there = ip_interface(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((str(there.ip), 9))  # sends nothing: it asks which address of ours would be the sender's
        return ip_address(probe.getsockname()[0]) in there.network
    return False
