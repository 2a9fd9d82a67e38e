"""TensorFlow's import without its banner."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# TF_CPP_MIN_LOG_LEVEL does not reach these: they are printed before logging is set up.
_BANNER = (b"before absl::InitializeLog()", b"oneDNN custom operations are on")


@contextmanager
def without_banner() -> Iterator[None]:
    """Hold back stderr inside the block; afterwards print it without what TensorFlow tells about itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with os.fdopen(os.memfd_create("stderr"), "w+b") as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            lines = [line for line in held if not any(words in line for words in _BANNER)]
            os.write(2, b"".join(lines))
