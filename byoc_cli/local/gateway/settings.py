"""What a local endpoint is told before it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from byoc_cli.contract import hosting
from byoc_cli.contract.invocation import Account
from byoc_cli.local.account import ACCOUNT


@dataclass(frozen=True)
class Settings:
    """`name` is the EndpointName, `upstreams` where its containers are (host:port), in their order; seconds.

    `hostnames` is what several containers are called, `direct` whether a call names the one it is for, else it goes
    through all of them (H-32). `capture` is a file or "", `max_payload` in bytes, of a request and of an answer.
    """

    name: str
    upstreams: tuple[str, ...]
    hostnames: tuple[str, ...] = (hosting.PRIMARY,)
    direct: bool = False
    capture: str = ""
    region: str = "us-east-1"
    max_payload: int = hosting.MAX_PAYLOAD_BYTES
    invocation_timeout: float = hosting.INVOCATION_TIMEOUT_SECONDS
    stream_timeout: float = hosting.STREAM_TIMEOUT_SECONDS
    ping_timeout: float = hosting.PING_TIMEOUT_SECONDS
    ping_interval: float = hosting.PING_INTERVAL_SECONDS

    @property
    def account(self) -> Account:
        """Whose endpoint it would be."""
        return Account(self.name, self.region, ACCOUNT)

    def to_json(self) -> str:
        """As one line, for another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Settings:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        upstreams, hostnames = tuple(fields.pop("upstreams")), tuple(fields.pop("hostnames"))
        return Settings(upstreams=upstreams, hostnames=hostnames, **fields)
