"""AWS credentials for a job's containers, as they get them in the cloud: from an endpoint, on request (T-28).

The AWS SDKs read credentials over plain HTTP only from their own machine and from two addresses: 169.254.170.2, where
they are in the cloud, and 169.254.170.23. So the containers are put on a network whose gateway, which is this machine,
has one of them. What stands in the containers' environment is a token that is worth nothing when the job has ended.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from urllib.parse import urlsplit

from byoc_cli.contract import training
from byoc_cli.engine.types import Engine, SubnetTaken
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import labels, reach
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

Provider = Callable[[], Mapping[str, str]]
"""Gives credentials that are good now, in the endpoint's words: AccessKeyId, SecretAccessKey, Token, Expiration."""

MOST_HOSTS = 13
"""Addresses of a place's subnet that are left for containers."""


@dataclass(frozen=True)
class Place:
    """A subnet, and the address in it that the SDKs trust."""

    subnet: str
    gateway: str


PLACES = (Place("169.254.170.0/28", "169.254.170.2"), Place("169.254.170.16/28", "169.254.170.23"))
"""The first is known to every SDK, the second since the end of 2023."""


@dataclass(frozen=True)
class Access:
    """What a container needs: the network to be on, the variables that lead to the endpoint."""

    network: str
    environment: Mapping[str, str]


@contextmanager
def credentials_access(
    engine: Engine,
    project: Project,
    job: str,
    provider: Provider | None,
    progress: Progress,
    places: Sequence[Place] = PLACES,
) -> Iterator[Access | None]:
    """Serve the provider's credentials to a job as long as the block runs; without a provider there is nothing.

    Raises:
        MachineError: the engine is not on this machine, or other jobs have both addresses.

    """
    if provider is None:
        yield None
        return
    if elsewhere := reach.elsewhere(engine.info()):  # what else tells so, `served` finds out
        raise _not_here(elsewhere)
    network = f"byoc-{job}-credentials"
    try:
        place = _made(engine, network, labels.for_job(project, "train", job), _free(places, os.environ))
        if place != places[0]:
            progress.log(f"credentials are at {place.gateway}: an AWS SDK from before the end of 2023 refuses it")
        with served(provider, place.gateway, progress.warn) as environment:
            yield Access(network, environment)
    finally:
        # By labels: a network of that name may be another project's. The hosts, and what they had, are gone by now.
        labels.remove_job(engine, project, job, networks_only=True)


def _not_here(why: str) -> MachineError:
    return MachineError(
        f"--aws-credentials is not possible with this engine\n{why}, which does not see an endpoint of this one",
        hint="run byoc on Linux with its own engine (not in a container, not rootless), or leave --aws-credentials out",
    )


def _free(places: Sequence[Place], environment: Mapping[str, str]) -> list[Place]:
    """Leave out the address that this process, itself a container of ECS, CodeBuild or EKS, gets credentials from."""
    own = {
        urlsplit(environment.get(name, "")).hostname
        for name in (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "ECS_CONTAINER_METADATA_URI",
            "ECS_CONTAINER_METADATA_URI_V4",
        )
    }
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in environment:
        own.add(PLACES[0].gateway)
    return [place for place in places if place.gateway not in own]


def _made(engine: Engine, network: str, own: Mapping[str, str], places: Sequence[Place]) -> Place:
    """Make the network at the first place that is free. It leads nowhere but here: the job's own is the way out."""
    for place in places:
        try:
            engine.create_network(network, own, internal=True, subnet=place.subnet, gateway=place.gateway)
        except SubnetTaken:
            continue
        return place
    raise MachineError(
        "there is no place for a credentials endpoint\nthe two addresses that AWS SDKs accept are taken: by other jobs "
        "with --aws-credentials, running or killed, or by the AWS credentials of this machine itself",
        hint="wait for such a job (`byoc ps --all`); after a kill, `byoc clean --all`",
    )


# -- the endpoint ------------------------------------------------------------------------------------------------------


@contextmanager
def served(provider: Provider, address: str, warn: Callable[[str], object]) -> Iterator[Mapping[str, str]]:
    """Serve credentials at an address of this machine; gives the variables that lead an AWS SDK to them.

    When the provider fails, the container is told why, and so is, once, the user.

    Raises:
        MachineError: it is no address of this machine.

    """
    try:
        server = _Server(provider, address, warn)
    except OSError as error:
        raise _not_here(f"its networks are on another machine, or in a virtual one ({error.strerror})") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield training.credentials_environment(server.url, server.token)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingTCPServer):
    """Answers whoever has the token. Not http.server's own server: that asks for the name of its address first."""

    daemon_threads = True
    request_queue_size = 128  # every worker process of every host asks at its start

    def __init__(self, provider: Provider, address: str, warn: Callable[[str], object]) -> None:
        super().__init__((address, 0), _Handler)
        self.token = secrets.token_urlsafe(32)
        self.path = f"/v2/credentials/{uuid.uuid4()}"
        self.url = f"http://{address}:{self.server_address[1]}{self.path}"
        self._provider = provider
        self._warn = warn
        self._warned: set[str] = set()

    def answer(self, path: str, token: str) -> tuple[HTTPStatus, Mapping[str, str]]:
        """Answer a request; a refusal has ECS's form."""
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return HTTPStatus.FORBIDDEN, _refusal("AccessDenied", "the Authorization is not this job's")
        if path != self.path:
            return HTTPStatus.NOT_FOUND, _refusal("NotFound", "there are no such credentials")
        try:
            return HTTPStatus.OK, self._provider()
        except ByocError as error:
            self._warn_once(error)
            return HTTPStatus.INTERNAL_SERVER_ERROR, _refusal("CredentialsFailed", error.message)

    def _warn_once(self, error: ByocError) -> None:
        if error.message not in self._warned:
            self._warned.add(error.message)
            self._warn(f"the container gets no AWS credentials: {error.message}")

    def handle_error(self, *_: object) -> None:
        """Say nothing: a container that hangs up in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer with JSON."""
        status, answer = self.server.answer(self.path, self.headers.get("Authorization", ""))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep requests out of every log."""


def _refusal(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
