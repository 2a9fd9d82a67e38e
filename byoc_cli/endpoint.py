"""HTTP to a container: wait for /ping, post to /invocations, with the limits of a real endpoint (H-10 to H-21)."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests

from byoc_cli.contract import asynchronous, hosting, invocation, multi_model
from byoc_cli.errors import ByocError, MachineError, UsageError


@dataclass(frozen=True)
class Response:
    """What /invocations answered; `seconds` from the first byte sent to the last received."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    seconds: float


@dataclass(frozen=True)
class Accepted:
    """What an asynchronous endpoint says of a request: the URIs of the file that will be there, if it fails or not."""

    inference_id: str
    output: str
    failure: str


class InvocationFailed(ByocError):
    """The container answered, but not with 2xx, or not in time (H-18, H-20)."""


class RequestRefused(InvocationFailed):
    """The local endpoint refused the request itself; no container was asked."""


def url(port: int) -> str:
    """Where a container that is published on `port` answers."""
    return f"http://127.0.0.1:{port}"


def header_problem(name: str, value: str) -> str:
    """Why HTTP has no such header, or "" (RFC 9110): sent all the same, it would break the request."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return f"'{name}' is not the name of a header"
    if not re.fullmatch(r"[\t -~\xa0-\xff]*", value):
        return f"the value of '{name}' has a character that no header may have"
    return ""


def _ready_hint(path: str, *, alone: bool) -> str:
    if path == multi_model.MODELS_PATH:
        return "answer GET /models with the models that are loaded (H-37)"
    where, rules = (hosting.PORT, "H-10, H-12") if alone else (f"${hosting.BIND_TO_PORT}", "H-10, H-30")
    return f"listen on 0.0.0.0:{where}, not on 127.0.0.1, and answer /ping with 200 ({rules})"


class Client:
    """Talks to one container; keeps its connection open."""

    def __init__(
        self,
        base: str,
        *,
        ping_timeout: float = hosting.PING_TIMEOUT_SECONDS,
        invocation_timeout: float = hosting.INVOCATION_TIMEOUT_SECONDS,
    ) -> None:
        self.base = base.rstrip("/").removesuffix(hosting.INVOCATIONS_PATH).removesuffix(hosting.ASYNC_INVOCATIONS_PATH)
        self._ping_timeout = ping_timeout
        self._invocation_timeout = invocation_timeout
        self._session = requests.Session()
        # A proxy of the environment has nothing to say about a container on this machine.
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connection: a server that is told to stop may wait for that."""
        self._session.close()

    def ping(self, path: str = hosting.PING_PATH) -> tuple[int, str]:
        """Ask /ping, or another path, once: (status, ""), or (0, why not) after 2 s at most."""
        try:
            answer = self._session.get(self.base + path, timeout=self._ping_timeout, stream=True, allow_redirects=False)
            answer.close()
        except requests.Timeout:
            return 0, f"no answer within {self._ping_timeout:g} s"
        except requests.RequestException:
            return 0, "nothing answers on the port"
        return answer.status_code, ""

    def wait_until_ready(
        self,
        timeout: float,
        alive: Callable[[], None],
        path: str = hosting.PING_PATH,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        since: float | None = None,
        hostname: str = hosting.PRIMARY,
    ) -> float:
        """Poll /ping, or another path, until it answers 200; returns the seconds that took.

        `alive` raises when waiting is in vain. The time runs from `since` on (of time.monotonic), else from now on.
        `hostname` is what one of several containers is called.

        Raises:
            ByocError: not ready within `timeout` seconds; says what the last ping saw.

        """
        start = clock() if since is None else since
        while True:
            alive()
            status, why = self.ping(path)
            waited = clock() - start
            if status == 200:
                return waited
            if waited >= timeout:
                seen = f"{path} answers {status}, not 200" if status else why
                who = "the endpoint" if hostname == hosting.PRIMARY else hostname
                raise ByocError(
                    f"{who} did not become ready within {timeout:.0f} s\n{seen}\n{hosting.ping_failed(hostname)}",
                    hint=_ready_hint(path, alone=hostname == hosting.PRIMARY),
                )
            # Quickly at first: most servers are up within a second.
            sleep(0.01 if waited < 2 else 0.1 if waited < 30 else 0.5)

    def invoke(
        self, body: bytes, *, content_type: str, accept: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Post to /invocations.

        Raises:
            InvocationFailed: an answer that is not 2xx, or not all of it within 60 s.
            MachineError: nothing listens there.
            UsageError: HTTP has no such header.

        """
        sent = {"Content-Type": content_type, "Accept": accept or "*/*"} | dict(headers or {})
        response = self._send(body, sent, hosting.INVOCATIONS_PATH)
        if not 200 <= response.status < 300:
            raise _refused(response)
        return response

    def invoke_async(self, body: bytes, headers: Mapping[str, str]) -> Accepted:
        """Ask an asynchronous endpoint (H-50): with the location of an input among the headers, or with its bytes.

        Raises:
            InvocationFailed: it refused, or takes no such requests.
            MachineError: nothing listens there.
            UsageError: HTTP has no such header.

        """
        response = self._send(body, headers, hosting.ASYNC_INVOCATIONS_PATH)
        given = response.headers
        if response.status != 202 and invocation.ERROR_HEADER in given:
            raise _refused(response)
        if response.status != 202 or asynchronous.OUTPUT_HEADER not in given:
            raise InvocationFailed(
                f"{self.base} takes no asynchronous requests\nits answer was {response.status}",
                hint="byoc serve --async-output FOLDER makes an endpoint that does",
            )
        return Accepted(
            str(json.loads(response.body)["InferenceId"]),
            given[asynchronous.OUTPUT_HEADER],
            given.get(asynchronous.FAILURE_HEADER, ""),
        )

    def reachable(self) -> bool:
        """Whether somebody answers there, whatever it says."""
        try:
            self._session.get(self.base, timeout=self._ping_timeout, stream=True, allow_redirects=False).close()
        except requests.Timeout:
            return True
        except requests.RequestException:
            return False
        return True

    def _send(self, body: bytes, headers: Mapping[str, str], path: str) -> Response:
        for name, value in headers.items():
            if problem := header_problem(name, value):
                raise UsageError(problem, hint="--header NAME=VALUE")
        return self._within_time(lambda: self._post(body, headers, path))

    def _within_time(self, post: Callable[[], Response]) -> Response:
        """Wait for the whole answer as long as SageMaker does; requests' own limit is one between two bytes."""
        outcome: list[Response | Exception] = []

        def run() -> None:
            try:
                outcome.append(post())
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                outcome.append(error)

        # Of a server that goes on and on nobody reads any more: a thread that Python does not wait for at its end.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self._invocation_timeout)
        if not outcome:
            raise self._too_late()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def _too_late(self) -> InvocationFailed:
        return InvocationFailed(f"no answer within {self._invocation_timeout:g} s\n{hosting.timeout_error()}")

    def _post(self, body: bytes, headers: Mapping[str, str], path: str) -> Response:
        """Post once: apart from `invoke`, whose error would keep requests' answer and with it the connection."""
        start = time.monotonic()
        try:
            answer = self._session.post(
                self.base + path,
                data=body,
                headers=headers,
                timeout=self._invocation_timeout,
                allow_redirects=False,  # SageMaker follows none: an answer that is not 2xx is an error (H-18)
            )
        except requests.Timeout as error:
            raise self._too_late() from error
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise UsageError(f"'{self.base}' is not a URL\n{_cause(error)}", hint="--url http://HOST:PORT") from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise InvocationFailed("the container broke off in the middle of its answer") from error
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        return Response(
            answer.status_code,
            answer.content,
            answer.headers.get("Content-Type", ""),
            answer.headers,
            time.monotonic() - start,
        )

    def _unreachable(self, error: requests.RequestException) -> ByocError:
        if isinstance(error, requests.ConnectionError) and "refused" in str(error):
            return MachineError(f"nothing answers at {self.base}\nthe connection was refused", hint="byoc serve")
        if isinstance(error, requests.ConnectionError) and ("aborted" in str(error) or "reset" in str(error).lower()):
            return InvocationFailed(f"the container closed the connection without an answer\n{_cause(error)}")
        return MachineError(
            f"{self.base} cannot be reached\n{_cause(error)}", hint="--url http://HOST:PORT, or byoc serve"
        )


def _refused(response: Response) -> InvocationFailed:
    headers = response.headers
    if invocation.ERROR_HEADER in headers or invocation.CAUSE_HEADER in headers:
        return _service_error(headers.get(invocation.ERROR_HEADER) or str(response.status), response)
    message = response.body[:2000].decode(errors="replace").strip()
    return InvocationFailed(
        f"the container answered {response.status} to /invocations\n{message or '(an empty body)'}\n"
        f"SageMaker would say: {hosting.model_error(response.status, message[:200])}"
    )


def _service_error(code: str, response: Response) -> InvocationFailed:
    """Read what a local endpoint answers in SageMaker's words; what happened here stands in a header of its own."""
    try:
        said = dict(json.loads(response.body))
    except ValueError:
        said = {}
    status, original = said.get("OriginalStatusCode", 0), str(said.get("OriginalMessage", ""))
    if cause := _text(response, invocation.CAUSE_HEADER):
        what = cause.replace(": ", "\n", 1)
    elif status:
        found = re.search(r"error \(\d+\) from (\S+) ", str(said.get("Message")))
        who = found[1] if found and found[1] != hosting.PRIMARY else "the container"
        what = f"{who} answered {status} to /invocations\n{original.strip() or '(an empty body)'}"
    else:
        what = "the local endpoint refused the request"
    kind = RequestRefused if code == invocation.VALIDATION and not status else InvocationFailed
    return kind(
        f"{what}\nSageMaker would say: {code}: {said.get('Message') or said.get('message')}",
        hint=_text(response, invocation.HINT_HEADER),
    )


def _text(response: Response, header: str) -> str:
    """Read a header in UTF-8, which an HTTP library takes for Latin-1."""
    return response.headers.get(header, "").encode("latin-1", "replace").decode(errors="replace")


def _cause(error: BaseException) -> str:
    """Return the innermost reason: requests wraps urllib3 wraps the socket."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    inner = [each for each in getattr(reason, "args", ()) if isinstance(each, BaseException)]
    text = str(inner[-1] if inner else reason)
    # urllib3 begins with the object: "<…>: ", "HTTPConnection(…): ".
    return re.sub(r"^(<[^>]*>|\w+\([^)]*\)): ", "", text) or type(error).__name__
