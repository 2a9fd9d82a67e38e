"""On which addresses a container listens, as Linux tells in /proc; nothing is known where the engine is elsewhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from byoc_cli.check.training.signals import first_process

_LISTENS, _ESTABLISHED = "0A", "01"
_NAMES = IPv4Address("127.0.0.11")
"""The engine's own name server, in every container on a network of the user's."""


@dataclass(frozen=True)
class Listening:
    """An address and a port ("127.0.0.1", 8080)."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside of the container gets there."""
        return ip_address(self.address).is_loopback

    def __str__(self) -> str:
        """As people write it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def listening(pid: int, proc: Path = Path("/proc")) -> list[Listening] | None:
    """List what the container with that first process listens on; None where it is not to be seen."""
    rows = _rows(pid, proc)
    if rows is None:
        return None
    found = dict.fromkeys(_row(fields[1]) for fields in rows if fields[3] == _LISTENS)
    return [each for each in found if each.address != str(_NAMES)]


def has_unread(pid: int, port: int, proc: Path = Path("/proc")) -> bool:
    """Whether something has come to that port which the container has not read yet."""
    return any(
        fields[3] == _ESTABLISHED and _row(fields[1]).port == port and int(fields[4].partition(":")[2], 16)
        for fields in _rows(pid, proc) or ()
    )


def _rows(pid: int, proc: Path) -> list[list[str]] | None:
    """The kernel's table of connections, of both versions of IP."""
    if first_process(pid, proc) is None:  # another machine's number
        return None
    found: list[list[str]] = []
    seen = False
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            found += [row.split() for row in (proc / str(pid) / "net" / name).read_text().splitlines()[1:]]
            seen = True
    return found if seen else None


def _row(text: str) -> Listening:
    """Read "0100007F:1F90": words of 32 bits in the machine's order, which is little-endian wherever this runs."""
    address, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    found = IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return Listening(str(mapped or found), int(port, 16))
