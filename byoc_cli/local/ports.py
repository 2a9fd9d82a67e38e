"""A port of this machine: is it free, and if not, who has it."""

from __future__ import annotations

import socket
from contextlib import suppress

from byoc_cli.engine.types import Engine
from byoc_cli.errors import MachineError
from byoc_cli.local.labels import PORT_LABEL


def check_port(engine: Engine, port: int, option: str = "--port") -> None:
    """See that a port, of that option, is free before anything is made.

    Raises:
        MachineError: it is taken; says by whom.

    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if isinstance(error, PermissionError):
                raise MachineError(
                    f"port {port} may not be used by this user", hint=f"choose one above 1024 with {option}"
                ) from error
            raise MachineError(
                f"port {port} is taken\n{_holder(engine, port)}", hint=f"choose another one with {option}"
            ) from error


def _holder(engine: Engine, port: int) -> str:
    for thing in engine.things():
        if thing.running and (port in thing.ports.values() or thing.labels.get(PORT_LABEL) == str(port)):
            return f"by the {thing.kind} '{thing.job}' of {thing.project}"
    import psutil  # late: only for this message

    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.laddr
                and connection.laddr.port == port
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                return f"by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "by another program (of another user)"
