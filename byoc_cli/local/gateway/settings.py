"""What a local endpoint is told before it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from byoc_cli.contract import hosting
from byoc_cli.contract.invocation import Account
from byoc_cli.local.account import ACCOUNT


@dataclass(frozen=True)
class Settings:
    """`name` is the EndpointName, `upstream` where the container answers ("HOST:PORT"), `capture` a file or "".

    `max_payload` is in bytes, of a request and of an answer; the rest are seconds.
    """

    name: str
    upstream: str
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
        return Settings(**json.loads(text))
