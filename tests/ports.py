"""Ports that stay free until they are used."""

from __future__ import annotations

import random
import socket

_QUIET = range(20_000, 30_000)
"""Below those that kernels and engines give to whoever asks for any: nobody is given one of these by chance."""


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody holds."""
    for port in random.SystemRandom().sample(_QUIET, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of a hundred ports of {_QUIET} is free")
