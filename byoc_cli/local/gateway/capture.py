"""Data capture: a line of JSON for each invocation that succeeded, as Model Monitor reads them (H-70)."""

from __future__ import annotations

import base64
import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

from byoc_cli.errors import UsageError


class Capture:
    """Appends to a file.

    Raises:
        UsageError: it cannot be written.

    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise UsageError(
                f"--data-capture {path} cannot be written\n{error.strerror}", hint="--data-capture FILE"
            ) from error

    def write(self, request: bytes, request_type: str, answer: bytes, answer_type: str, inference_id: str) -> None:
        """Append one invocation.

        Raises:
            OSError: it cannot be written any more.

        """
        line = json.dumps(
            {
                "captureData": {
                    "endpointInput": _side("INPUT", request, request_type),
                    "endpointOutput": _side("OUTPUT", answer, answer_type),
                },
                "eventMetadata": {
                    "eventId": str(uuid.uuid4()),
                    **({"inferenceId": inference_id} if inference_id else {}),
                    "inferenceTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                "eventVersion": "0",
            },
            ensure_ascii=False,
        )
        rest = memoryview(f"{line}\n".encode(errors="replace"))  # a Content-Type may be anything
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _side(mode: str, body: bytes, content_type: str) -> dict[str, str]:
    kind = content_type.partition(";")[0].strip().lower()
    encoding = "CSV" if kind == "text/csv" else "JSON" if kind in {"application/json", "application/jsonlines"} else ""
    try:
        data = body.decode() if encoding else ""
    except UnicodeDecodeError:
        encoding = ""
    if not encoding:
        encoding, data = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
