"""What the cloud says of a container that breaks a rule: the words that users search for. Pure.

Those of a running endpoint are in `hosting` and `invocation`, those of a manifest in `image`.
"""

from __future__ import annotations

from collections.abc import Sequence

from byoc_cli.contract import hosting

_TRAINING = "AlgorithmError: , exit code: {code}"
_RUNC = "ClientError: Artifact upload failed:API error (400): OCI runtime create failed"

NOT_FOUND = 'exec: "{word}": executable file not found in $PATH'
NOT_PERMITTED = 'exec: "{word}": permission denied'
NO_SUCH_FILE = "exec {word}: no such file or directory"
WRONG_FORMAT = "exec {word}: exec format error"


def cannot_start(words: Sequence[str], reason: str, code: int) -> str:
    """What a job ("train") and an endpoint ("serve") say of a program that cannot be started (T-08, H-27)."""
    said = {"train": f"{_TRAINING.format(code=code)}, or {_RUNC}: {reason}", "serve": hosting.cannot_start()}
    return "; ".join(said[word] for word in words)


def no_failure_reason(code: int = 1) -> str:
    """What a job says that could not write its failure file (T-33, T-60)."""
    return _TRAINING.format(code=code)


def label_missing(capability: str) -> str:
    """What CreateModel says of an image that does not claim what it is used for (H-31)."""
    return f"Your Ecr Image does not contain required {capability}=true Docker label(s)."


def killed_while_stopping() -> str:
    """What becomes of a program that never sees SIGTERM (T-40, H-07)."""
    return "SIGKILL after 120 s (training) or 30 s (hosting): no last checkpoint, requests in flight are lost"
