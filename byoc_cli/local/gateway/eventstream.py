"""The frames of application/vnd.amazon.eventstream: botocore reads them and writes none.

A message is: its length, its headers' length and a CRC-32 of both (big-endian); headers; payload; a CRC-32 of all.
"""

from __future__ import annotations

import json
import struct
import zlib

_STRING = 7  # the type of a header's value
_OVERHEAD = 16  # two lengths, two checksums


def _header(name: str, value: str) -> bytes:
    key, content = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(content)) + content


def _message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", _OVERHEAD + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    body = prelude + headers + payload
    return body + struct.pack("!I", zlib.crc32(body))


_PART = (
    _header(":message-type", "event")
    + _header(":event-type", "PayloadPart")
    + _header(":content-type", "application/octet-stream")
)


def payload_part(data: bytes) -> bytes:
    """Frame a piece of an answer (H-45)."""
    return _message(_PART, data)


def stream_error(code: str, message: str) -> bytes:
    """Frame a ModelStreamError, the last of a broken stream: ModelInvocationTimeExceeded or StreamBroken (H-46)."""
    headers = (
        _header(":message-type", "exception")
        + _header(":exception-type", "ModelStreamError")
        + _header(":content-type", "application/json")
    )
    return _message(headers, json.dumps({"Message": message, "ErrorCode": code}).encode())
