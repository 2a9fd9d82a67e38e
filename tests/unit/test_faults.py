"""Docker's exceptions in a user's words; the texts are those of real engines."""

from __future__ import annotations

import docker.errors
import pytest
import requests
import urllib3

from byoc_cli.engine import faults
from byoc_cli.engine.types import CannotStart
from byoc_cli.errors import ByocError, MachineError

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "


def translate(error: Exception) -> ByocError:
    with pytest.raises(ByocError) as caught, faults.translated():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def refused(text: str) -> ByocError:
    return translate(docker.errors.APIError("500 Server Error", explanation=text))


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', MachineError, "no GPU to give"),
        ("Unknown runtime specified nvidia", MachineError, "no GPU to give"),
        (RUNC + "nvidia-container-cli: initialization error", MachineError, "no GPU to give"),
        ("Bind for 127.0.0.1:8080 failed: port is already allocated", MachineError, "the port is taken"),
        ("listen tcp4 127.0.0.1:8080: bind: address already in use", MachineError, "the port is taken"),
        ("write /var/lib/docker/tmp/x: no space left on device", MachineError, "disk is full"),
        ("bind source path does not exist: /data", MachineError, "does not see this machine's files"),
        ("No such image: x:1", ByocError, "no such image"),
        ("something else", ByocError, "the Docker Engine refused"),
    ],
)
def test_what_the_engine_refuses(text: str, kind: type[ByocError], what: str) -> None:
    error = refused(text)
    assert type(error) is kind
    assert what in error.message.splitlines()[0]
    assert text in error.message, "the engine's own words are kept"
    assert error.hint or kind is ByocError


@pytest.mark.parametrize(
    ("text", "code", "cause", "hint"),
    [
        (
            RUNC + 'exec: "train": executable file not found in $PATH: unknown',
            127,
            'exec: "train": executable file not found in $PATH',
            "put an executable `train` on the image's PATH",
        ),
        (
            RUNC + 'exec: \\"/opt/train\\": stat /opt/train: no such file or directory: unknown',
            127,
            'exec: "/opt/train": stat /opt/train: no such file or directory',
            "put an executable `/opt/train`",
        ),
        (
            RUNC + 'exec: "/opt/train": permission denied: unknown',
            126,
            'exec: "/opt/train": permission denied',
            "`RUN chmod +x /opt/train`",
        ),
        (
            RUNC + "exec /usr/bin/train: exec format error: unknown",
            126,
            "exec /usr/bin/train: exec format error",
            "shebang",
        ),
    ],
)
def test_t08_a_program_that_cannot_be_executed(text: str, code: int, cause: str, hint: str) -> None:
    error = refused(text)
    assert isinstance(error, CannotStart)
    assert (error.exit_code_of_program, error.message) == (code, cause)
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Connection aborted.', FileNotFoundError(2, 'No such file or directory')", "is not running"),
        ("Connection aborted.', PermissionError(13, 'Permission denied')", "cannot be used by this user"),
        ("Connection aborted.', ConnectionRefusedError(111, 'Connection refused')", "is not running"),
        ("Name or service not known", "cannot be reached"),
    ],
)
def test_an_engine_that_cannot_be_reached(text: str, what: str) -> None:
    error = translate(docker.errors.DockerException(f"Error while fetching server API version: ('{text})"))
    assert isinstance(error, MachineError)
    assert what in error.message
    assert error.hint


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("x"),
        requests.exceptions.ReadTimeout("x"),
        urllib3.exceptions.ProtocolError("x"),
        ConnectionResetError("x"),
    ],
)
def test_an_engine_that_goes_away(error: Exception) -> None:
    gone = translate(error)
    assert isinstance(gone, MachineError)
    assert gone.message == "the Docker Engine does not answer any more\nx"


@pytest.mark.parametrize("error", [ByocError("mine"), KeyError("a bug")])
def test_what_is_not_docker_s_passes(error: Exception) -> None:
    with pytest.raises(type(error)), faults.translated():
        raise error
