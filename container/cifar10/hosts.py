"""The hosts of a training job (T-15): which one this is, and what its part of the work is. No TensorFlow here."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sagemaker_job import ML_ROOT, JobError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sagemaker_job import StopRequest

PORT = 2222  # of TensorFlow's server on every host; between the hosts of a job all ports are open (T-71)
_JOIN_SECONDS = 900  # a host starts when its own download is done, which may be minutes after the others'
_RETRY_SECONDS = 0.2
_GET_INTERFACE_ADDRESS = 0x8915  # SIOCGIFADDR, the same on every Linux


@dataclass(frozen=True)
class Hosts:
    """All hosts of a job, sorted as strings (T-17), so that each knows the others' numbers; the first is the chief."""

    names: tuple[str, ...] = ("localhost",)
    current: str = "localhost"
    address: str = "localhost"  # where the others reach this host

    @property
    def count(self) -> int:
        """How many hosts there are."""
        return len(self.names)

    @property
    def index(self) -> int:
        """The number of this host, from 0."""
        return self.names.index(self.current)

    @property
    def is_chief(self) -> bool:
        """Whether this host alone prints metrics and writes the checkpoints and the model (T-47, T-53)."""
        return self.index == 0

    def share(self, batch_size: int) -> int:
        """How many of a step's pictures this host takes; batch normalisation needs at least two."""
        if batch_size < 2 * self.count:
            raise JobError(
                f"hyperparameter batch-size is {batch_size}: {self.count} hosts share it and each needs at least 2"
                f" pictures, so give at least {2 * self.count}"
            )
        return batch_size // self.count + (self.index < batch_size % self.count)

    def tf_config(self) -> dict[str, Any]:
        """Return TF_CONFIG's content, from which MultiWorkerMirroredStrategy knows the hosts."""
        addresses = [self.address if name == self.current else name for name in self.names]
        return {
            "cluster": {"worker": [f"{address}:{PORT}" for address in addresses]},
            "task": {"type": "worker", "index": self.index},
        }


def read_hosts(root: Path = ML_ROOT) -> Hosts:
    """Read resourceconfig.json; a plain `docker run` has none and is a job of one host."""
    path = root / "input/config/resourceconfig.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Hosts()
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read as JSON: {error}") from error
    try:
        names, current = tuple(sorted(map(str, content["hosts"]))), str(content["current_host"])
        interface = str(content.get("network_interface_name", ""))
    except (LookupError, TypeError, AttributeError):
        raise JobError(f"{path} must name hosts and current_host, it holds {json.dumps(content)[:200]}") from None
    if current not in names:
        raise JobError(f"{path}: the current_host {current!r} is not among the hosts {', '.join(names)}")
    # What /etc/hosts says of the host itself may be wrong (T-71): the interface knows.
    return Hosts(names, current, _interface_address(interface) or current)


def reads_shards(channel: str, root: Path = ML_ROOT) -> bool:
    """Whether the platform has dealt the channel's files to the hosts (T-57), so that each reads all of its own."""
    path = root / "input/config/inputdataconfig.json"
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))[channel]["S3DistributionType"] == "ShardedByS3Key")
    except (OSError, ValueError, LookupError, TypeError):
        return False  # FullyReplicated, the platform's default


def wait_for_hosts(hosts: Hosts, stop: StopRequest) -> None:
    """Return when all hosts are here, or when a stop is requested.

    TensorFlow would wait as well, but nothing could end that: meanwhile no Python runs, not even in another thread.
    """
    others = [name for name in hosts.names if name != hosts.current]
    if others:
        with socket.create_server(("", PORT)):  # a connection that nobody accepts is enough of an answer
            reach_all(others, stop, _reach)


def reach_all(
    names: Sequence[str], stop: StopRequest, reach: Callable[[str], None], seconds: float = _JOIN_SECONDS
) -> None:
    """Call `reach` for each name until it raises no OSError: names may not resolve at once (T-71)."""
    deadline = time.monotonic() + seconds
    for name in names:
        while not stop:
            try:
                reach(name)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise JobError(f"host {name} cannot be reached after {seconds:g} s: {error}") from error
            time.sleep(_RETRY_SECONDS)


def _reach(name: str) -> None:
    socket.create_connection((name, PORT), timeout=5).close()


def _interface_address(interface: str) -> str:
    """Return the IPv4 address of a network interface; "" where there is no such interface."""
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            return socket.inet_ntoa(fcntl.ioctl(any_socket.fileno(), _GET_INTERFACE_ADDRESS, request)[20:24])
        except OSError:
            return ""
