"""Docker's exceptions, turned into what a user can act on. String matching is honest work: the API has no codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import docker.errors
import requests.exceptions
import urllib3.exceptions

from byoc_cli.engine.types import CannotStart, ContainerGone, EngineGone, SubnetTaken
from byoc_cli.errors import ByocError, MachineError

_GONE = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,  # an answer that broke off
    requests.exceptions.ReadTimeout,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)
_START_HINT = "is Docker installed and running? `byoc doctor` looks at this machine"

_REFUSALS: Sequence[tuple[Sequence[str], type[ByocError], str, str]] = (
    (
        ("could not select device driver", "unknown runtime", "unknown or invalid runtime", "nvidia-container-cli"),
        MachineError,
        "this engine has no GPU to give",
        "install the NVIDIA Container Toolkit and restart Docker, or leave --gpus out",
    ),
    (
        ("port is already allocated", "address already in use"),
        MachineError,
        "the port is taken",
        "choose another one with --port",
    ),
    (
        ("no space left on device",),
        MachineError,
        "the engine's disk is full",
        "`byoc clean` and `docker system prune` free some",
    ),
    (
        ("bind source path does not exist",),
        MachineError,
        "the engine does not see this machine's files",
        "run byoc on the machine that the engine runs on, not in a container or with a remote DOCKER_HOST",
    ),
    (
        ("requested cpus are not available",),
        MachineError,
        "this engine has not the CPUs that were asked for",
        "leave --instance-type out",
    ),
    (
        # Docker's address pools; Docker's bridges; podman.
        ("pool overlaps", "networks have overlapping", "is already used on the host"),
        SubnetTaken,
        "another network has these addresses",
        "`docker network ls` lists them",
    ),
    (
        ("no such container",),
        ContainerGone,
        "the container is not there any more",
        "somebody or something removed it: docker rm, docker system prune",
    ),
    (
        ("could not attach to network", "network byoc-"),
        ByocError,
        "the network is not there, or is not the only one of its name",
        "run it again; `byoc clean --all` removes networks that were left",
    ),
    (("no such image",), ByocError, "there is no such image here", "byoc build"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Let nothing of docker-py, requests or urllib3 out."""
    try:
        yield
    except docker.errors.APIError as error:
        raise api_fault(error) from error
    except docker.errors.DockerException as error:
        raise connection_fault(error) from error
    except _GONE as error:
        raise EngineGone(f"the Docker Engine does not answer any more\n{_cause(error)}", hint=_START_HINT) from error


def _cause(error: BaseException) -> str:
    """Return the system's own words, which requests and urllib3 wrap in each other's exceptions."""
    inner = next((each for each in error.args if isinstance(each, BaseException)), None) or error.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _cause(inner) if inner else str(error)


def connection_fault(error: Exception) -> MachineError:
    """Why no engine could be reached: docker-py has one exception for all of it."""
    text = str(error)
    if "FileNotFoundError" in text or "No such file or directory" in text:
        return MachineError("the Docker Engine is not running\nthere is no socket to talk to it", hint=_START_HINT)
    if "PermissionError" in text or "Permission denied" in text:
        return MachineError(
            "the Docker Engine cannot be used by this user\npermission denied on its socket",
            hint="add yourself to the group docker (`sudo usermod -aG docker $USER`) and log in again",
        )
    if "refused" in text:
        return MachineError("the Docker Engine is not running\nits socket refuses connections", hint=_START_HINT)
    return MachineError(
        f"the Docker Engine cannot be reached\n{explanation(error)}", hint="check DOCKER_HOST and `docker context ls`"
    )


def api_fault(error: docker.errors.APIError) -> ByocError:
    """What the engine refused, and what to do about it."""
    text = explanation(error)
    for marks, kind, message, hint in _REFUSALS:
        if any(mark in text.lower() for mark in marks):
            return kind(f"{message}\n{text}", hint=hint)
    if any(mark in text.lower() for mark in ("exec", "oci runtime", "shim")):
        return _cannot_start(text)
    return ByocError(f"the Docker Engine refused\n{text}")


def _cannot_start(text: str) -> CannotStart:
    """The program of the container could not be executed: what a shell's 126 and 127 mean (T-08, I-06)."""
    cause = re.sub(r"^.*?(exec:|exec )", r"\1", text.replace('\\"', '"'), flags=re.DOTALL).removesuffix(": unknown")
    program = (re.search(r'exec:? "([^"]+)"', text.replace('\\"', '"')) or ["", "the program"])[1]
    if "executable file not found" in text or "no such file or directory" in text:
        return CannotStart(
            cause,
            127,
            hint=f"put an executable `{program}` on the image's PATH, with a shebang whose interpreter is in the image",
        )
    if "permission denied" in text.lower():
        path = program if program.startswith("/") else f"…/{program}"
        return CannotStart(cause, 126, hint=f"make it executable: add `RUN chmod +x {path}` to the Dockerfile")
    if "exec format error" in text:
        return CannotStart(
            cause,
            126,
            hint="give it a shebang as its first line, or build for the engine's platform (byoc build --platform)",
        )
    return CannotStart(cause, 126)


def explanation(error: Exception) -> str:
    """Return the engine's own words, without docker-py's prefix of URL and status."""
    if isinstance(error, docker.errors.APIError) and error.explanation:
        return str(error.explanation).strip()
    return str(error).strip()
