"""moto as AWS, made honest: its ECR points at a real registry, knows what is in it, and fails on demand.

The program under test is told of it by AWS_ENDPOINT_URL alone; there is no hook inside of it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.integration.push.registry import Registry

ACCOUNT = "123456789012"
TOKEN = f"{ACCOUNT}-auth-token"
"""What moto's get_authorization_token decodes to: the registry's password."""

_READS = ("DescribeImages", "BatchGetImage", "ListImages", "DescribeImageScanFindings", "StartImageScan")
Environ = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request to AWS."""

    operation: str
    region: str
    content: Mapping[str, Any]


@dataclass
class _Fault:
    status: int
    code: str
    message: str
    times: int
    regions: tuple[str, ...]


@dataclass
class Aws:
    """The middleware around moto. `host` is what repositoryUri begins with: the way to the registry."""

    app: Any
    registry: Registry
    url: str = ""
    host: str = ""
    calls: list[Call] = field(default_factory=list)
    _faults: dict[str, list[_Fault]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self, **more: str) -> dict[str, str]:
        """All that the program is told."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            **more,
        }

    def fail(
        self,
        operation: str,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        times: int = 1,
        regions: tuple[str, ...] = (),
    ) -> None:
        """Let an operation go wrong; with code "" it is a page of HTML that answers."""
        self._faults.setdefault(operation, []).append(_Fault(status, code, message, times, regions))

    @property
    def operations(self) -> list[str]:
        """What was asked for, in order."""
        return [call.operation for call in self.calls]

    @property
    def unused(self) -> list[str]:
        """Faults that nothing ran into."""
        return [name for name, faults in self._faults.items() for fault in faults if fault.times > 0]

    def reset(self) -> None:
        """Forget faults and calls; repositories stay."""
        self.calls.clear()
        self._faults.clear()
        self.host = self.registry.host

    # -- WSGI ---------------------------------------------------------------------------------------------------------

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        call = _call_of(environ)
        with self._lock:
            self.calls.append(call)
            fault = self._fault_for(call)
        if fault:
            return _failed(fault, environ, start_response)
        if "ContainerRegistry" not in environ.get("HTTP_X_AMZ_TARGET", ""):
            return list(self.app(environ, start_response))
        with self._lock:  # moto and our view of the registry are one thing
            if call.operation in _READS:
                self._learn(call.region)
            if call.operation == "BatchDeleteImage":
                self._learn(call.region)
                self._delete(call)
            return self._answered(call, environ, start_response)

    def _fault_for(self, call: Call) -> _Fault | None:
        for fault in self._faults.get(call.operation, []):
            if fault.times > 0 and (not fault.regions or call.region in fault.regions):
                fault.times -= 1
                return fault
        return None

    def _answered(self, call: Call, environ: Environ, start_response: Any) -> list[bytes]:
        got: dict[str, Any] = {}

        def keep(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            got.update(status=status, headers=headers)

        body = b"".join(self.app(environ, keep))
        if call.operation == "PutImage" and got["status"].startswith("200"):
            content = call.content
            self.registry.put_manifest(
                content["repositoryName"],
                content["imageTag"],
                content["imageManifestMediaType"],
                content["imageManifest"].encode(),
            )
        composed = f"{ACCOUNT}.dkr.ecr.{call.region}.amazonaws.com"
        body = body.replace(composed.encode(), self.host.encode())
        headers = [pair for pair in got["headers"] if pair[0].lower() != "content-length"]
        start_response(got["status"], [*headers, ("Content-Length", str(len(body)))])
        return [body]

    # -- moto learns of the registry ----------------------------------------------------------------------------------

    def _learn(self, region: str) -> None:
        """Tell moto what was pushed: tags, and what an index names."""
        for name, repository in _repositories(region).items():
            for tag in self.registry.tags(name):
                found = self.registry.manifest(name, tag)
                if found is None:
                    continue
                digest, media_type, content = found
                if not any(image.image_digest == digest and tag in image.image_tags for image in repository.images):
                    self._tell(region, name, (digest, media_type, content), tag)
                for part in json.loads(content).get("manifests", []):
                    known = {image.image_digest for image in repository.images}
                    child = self.registry.manifest(name, part["digest"])
                    if child and part["digest"] not in known:
                        self._tell(region, name, child, None)

    @staticmethod
    def _tell(region: str, name: str, manifest: tuple[str, str, bytes], tag: str | None) -> None:
        repository = _repositories(region)[name]
        digest, media_type, content = manifest
        for image in list(repository.images):
            if tag and tag in image.image_tags:
                image.image_tags.remove(tag)
                if not image.image_tags:
                    repository.images.remove(image)
        # Past put_image, which refuses to move what is immutable: the registry has moved it already.
        known = next((image for image in repository.images if image.image_digest == digest), None)
        if known is not None and tag:
            known.update_tag(tag)
        elif known is None:
            from moto.ecr.models import Image

            # Without a tag it is the part of an index.
            repository.images.append(Image(ACCOUNT, tag or "", content.decode(), name, media_type, digest))
            if not tag:
                repository.images[-1].image_tags.clear()

    def _delete(self, call: Call) -> None:
        """Delete in the registry, too: what has another tag stays."""
        name = call.content["repositoryName"]
        for image_id in call.content["imageIds"]:
            reference = image_id.get("imageDigest") or image_id["imageTag"]
            found = self.registry.manifest(name, reference)
            if found is None:
                continue
            same = [
                tag for tag in self.registry.tags(name) if (self.registry.manifest(name, tag) or ("",))[0] == found[0]
            ]
            assert "imageDigest" in image_id or len(same) == 1, f"this registry cannot delete one of the tags {same}"
            status, _, said = self.registry.ask("DELETE", f"{name}/manifests/{found[0]}")
            assert status == 202, said


def _repositories(region: str) -> dict[str, Any]:
    from moto.ecr.models import ecr_backends

    return dict(ecr_backends[ACCOUNT][region].repositories)


def _call_of(environ: Environ) -> Call:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    found = re.search(r"Credential=[^/]*/[^/]*/([^/]*)/", environ.get("HTTP_AUTHORIZATION", ""))
    region = found[1] if found else ""
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return Call(target.rpartition(".")[2], region, json.loads(body or b"{}"))
    query = {key: values[0] for key, values in parse_qs(body.decode(errors="replace")).items()}
    return Call(query.get("Action", str(environ["PATH_INFO"])), region, query)


def _failed(fault: _Fault, environ: Environ, start_response: Any) -> list[bytes]:
    if not fault.code:
        media_type, text = "text/html", "<html><body><h1>Blocked by the proxy</h1></body></html>"
    elif environ.get("HTTP_X_AMZ_TARGET"):
        media_type = "application/x-amz-json-1.1"
        text = json.dumps({"__type": fault.code, "message": fault.message})
    else:
        media_type = "text/xml"
        text = (
            "<ErrorResponse><Error><Type>Sender</Type>"
            f"<Code>{fault.code}</Code><Message>{escape(fault.message)}</Message></Error></ErrorResponse>"
        )
    start_response(f"{fault.status} Fault", [("Content-Type", media_type), ("Content-Length", str(len(text.encode())))])
    return [text.encode()]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""


@contextmanager
def served(registry: Registry) -> Iterator[Aws]:
    """Serve it on a free port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    aws = Aws(DomainDispatcherApplication(create_backend_app), registry)
    server = make_server("127.0.0.1", 0, aws, threaded=True, request_handler=_Quiet)
    aws.url = f"http://127.0.0.1:{server.server_port}"
    aws.reset()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
