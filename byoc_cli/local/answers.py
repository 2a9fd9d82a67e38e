"""The caller's side of an asynchronous request: its answer is waited for where it will be (H-50)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from byoc_cli.contract import asynchronous
from byoc_cli.contract.asynchronous import AsyncInferenceConfig
from byoc_cli.contract.channels import S3
from byoc_cli.endpoint import Accepted, InvocationFailed
from byoc_cli.errors import ByocError
from byoc_cli.local.places import Places, Reader, shown, uri_of
from byoc_cli.local.progress import Progress

_KEPT_SECONDS = 7 * 86_400
_SAY_SECONDS = 15.0
_GONE_SECONDS = 15.0  # an endpoint that ends still writes down what becomes of its requests
_FAILURE_BYTES = 64 * 1024


def own_config(home: Path) -> AsyncInferenceConfig:
    """Let answers go to a folder of the project's `.byoc`; what is in it goes after a week."""
    folder = home / "async"
    folder.mkdir(exist_ok=True)
    for old in folder.rglob("*"):  # S3OutputPathExtension makes folders
        with suppress(OSError):  # another byoc may have removed it
            if old.is_file() and old.stat().st_mtime < time.time() - _KEPT_SECONDS:
                old.unlink()
    uri = uri_of(folder)
    return AsyncInferenceConfig(uri, uri)


def wait(
    places: Places,
    asked: Accepted,
    reachable: Callable[[], bool],
    progress: Progress,
    gone_seconds: float = _GONE_SECONDS,
) -> Reader:
    """Give the answer when it is there.

    Raises:
        ByocError: a failure is there, or the endpoint is gone without having left either.

    """
    start = said = seen = time.monotonic()
    while True:
        if found := places.find(asked.output):
            return found[1]
        if failed := places.find(asked.failure) if asked.failure else None:
            raise _failure(failed[1], asked)
        now = time.monotonic()
        if reachable():
            seen = now
        elif now - seen > gone_seconds:
            raise ByocError(f"the endpoint has ended without an answer\nit would have been {shown(asked.output)}")
        if now - said > _SAY_SECONDS:
            said = now
            progress.log(f"no answer yet, after {now - start:.0f} s")
        # Quickly at first; S3 is asked less often.
        pause = 0.05 if now - start < 2 else 0.25
        time.sleep(4 * pause if asked.output.startswith(S3) else pause)


def _failure(reader: Reader, asked: Accepted) -> ByocError:
    with closing(reader):
        text = reader.read(_FAILURE_BYTES).decode(errors="replace").strip()
    # Only of what the container did wrong its log tells more.
    kind = InvocationFailed if text.startswith("ModelError") else ByocError
    return kind(
        f"the request failed\nSageMaker would say: {text}\nwritten to {shown(asked.failure)}",
        hint=asynchronous.NO_LENGTH_HINT if asynchronous.NO_LENGTH in text else "",
    )
