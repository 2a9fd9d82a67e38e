"""A container's terminal and the user's made one: through the docker CLI, for docker-py has no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from byoc_cli.engine.builders import clients
from byoc_cli.errors import MachineError

_STDIN, _STDERR = 0, 2  # what a child inherits, whatever sys.stdin is

# The CLI's own are Ctrl-P Ctrl-Q: it keeps each Ctrl-P, which a shell's history needs, until the next key.
_DETACH_KEYS = ("--detach-keys", "ctrl-@,ctrl-@")


def client(environ: Mapping[str, str] | None = None) -> str:
    """Find a docker CLI.

    Raises:
        MachineError: there is none on PATH.

    """
    found = clients(os.environ if environ is None else environ)
    if not found:
        raise MachineError(
            "there is no docker client on PATH\nthe terminal of a container needs one",
            hint="install the docker CLI (docker-ce-cli, docker-cli or docker.io)",
        )
    return found[0]


def execute(client: str, container: str, command: Sequence[str], *, terminal: bool) -> int:
    """Run a command in a running container with our stdin, stdout and stderr; gives its exit code."""
    tty = ["--tty", *_DETACH_KEYS] if terminal else []
    return _run([client, "exec", "--interactive", *tty, container, *command])


def attach(client: str, container: str) -> int:
    """Start a container that has a terminal, which becomes the user's; gives its exit code.

    What it prints goes to our stderr: stdout is for byoc's own result.
    """
    return _run([client, "start", "--attach", "--interactive", *_DETACH_KEYS, container], stdout=_STDERR)


def _run(words: Sequence[str], *, stdout: int | None = None) -> int:
    """Run the CLI in our own process group: the terminal is its own as well, and Ctrl-C the container's."""
    sys.stdout.flush()
    sys.stderr.flush()
    with _terminal_as_it_was():
        code = subprocess.run(words, stdout=stdout, check=False).returncode
    return code if code >= 0 else 128 - code


@contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Leave the terminal as it was found: a CLI that is killed leaves it raw."""
    try:
        import termios  # not on Windows

        before = termios.tcgetattr(_STDIN)
    except (ImportError, termios.error):
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):  # it was closed meanwhile
            # Only then: a byoc in the background would be stopped for it.
            if termios.tcgetattr(_STDIN) != before:
                termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)
