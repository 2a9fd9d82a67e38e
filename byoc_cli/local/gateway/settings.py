"""What a local endpoint is told before it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from byoc_cli.contract import hosting, multi_model
from byoc_cli.contract.asynchronous import AsyncInferenceConfig
from byoc_cli.contract.invocation import Account
from byoc_cli.local.account import ACCOUNT


@dataclass(frozen=True)
class Settings:
    """`name` is the EndpointName, `upstream` where the container answers ("HOST:PORT"), `capture` a file or "".

    Of an endpoint of many models `models` is the folder of their archives, `unpacked` that of what is unpacked of them.
    `max_payload` is in bytes, of a request and of an answer; the rest are seconds. With `asynchronous` it takes
    asynchronous requests, and no others (H-50).
    """

    name: str
    upstream: str
    capture: str = ""
    region: str = "us-east-1"
    models: str = ""
    unpacked: str = ""
    max_payload: int = hosting.MAX_PAYLOAD_BYTES
    invocation_timeout: float = hosting.INVOCATION_TIMEOUT_SECONDS
    stream_timeout: float = hosting.STREAM_TIMEOUT_SECONDS
    ping_timeout: float = hosting.PING_TIMEOUT_SECONDS
    ping_interval: float = hosting.PING_INTERVAL_SECONDS
    load_timeout: float = multi_model.LOAD_TIMEOUT_SECONDS
    asynchronous: AsyncInferenceConfig | None = None

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
        given = json.loads(text)
        config = given.pop("asynchronous")
        return Settings(**given, asynchronous=AsyncInferenceConfig(**config) if config else None)
