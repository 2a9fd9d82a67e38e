"""One request of a batch to the container: as often and as long as SageMaker would (H-59)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import IO

import requests
from requests.adapters import HTTPAdapter

from byoc_cli.contract import batch, hosting
from byoc_cli.errors import ByocError

Body = Callable[[], bytes | Iterator[bytes]]
"""Makes a request's body, anew for each try; an iterator is sent in chunks."""

_PARAMETERS_TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 16
_CONNECTIONS = 1000  # that are kept for the next request
_PAUSES = (0.5, 1.0, 2.0)  # before each retry; SageMaker's are not documented


class Refused(ByocError):
    """The container did not give a good answer; `client` if by its status the request was wrong (4xx)."""

    client = False


class Gone(ByocError):
    """The container has ended: no other request will be answered."""


class Sender:
    """Posts to one container, from any number of threads.

    `alive` is called where nothing answers, and raises Gone when nothing will; `headers` are those that the request
    names, and no others: a None takes away what requests would say by itself.
    """

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        *,
        alive: Callable[[], None],
        timeout: float = batch.TIMEOUT_SECONDS,
        retries: int = batch.RETRIES,
        pauses: tuple[float, ...] = _PAUSES,
    ) -> None:
        self._base = base.rstrip("/").removesuffix(hosting.INVOCATIONS_PATH)
        self._alive = alive
        self._timeout = timeout
        self._retries = retries
        self._pauses = pauses
        self._session = requests.Session()
        # A proxy of the environment has nothing to say about a container on this machine.
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS))
        # What one answer sets is nothing that the next request says.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update(headers)

    def close(self) -> None:
        """Close the connections: a server that is told to stop may wait for that."""
        self._session.close()

    def execution_parameters(self) -> bytes | None:
        """Ask the container how it wants its requests; None unless it answers 200 (H-56).

        Raises:
            ValueError: there is no answer that could be read.
            Gone: the container has ended.

        """
        timeout = min(self._timeout, _PARAMETERS_TIMEOUT_SECONDS)
        deadline = time.monotonic() + timeout
        kept = bytearray()
        try:
            with self._session.get(
                self._base + batch.EXECUTION_PARAMETERS_PATH, timeout=timeout, allow_redirects=False, stream=True
            ) as answer:
                for piece in _pieces(answer, deadline):
                    kept += piece
                    if len(kept) > _CHUNK:
                        break
        except requests.RequestException as error:
            self._alive()
            raise ValueError(_why(error, timeout)) from error
        if answer.status_code != 200:
            return None
        if len(kept) > _CHUNK:
            raise ValueError(f"it has more than {_CHUNK:,} bytes")
        return bytes(kept)

    def send(self, body: Body, into: IO[bytes]) -> None:
        """Post to /invocations, and write the answer's body; what a failed try wrote is taken back.

        5xx, a lost connection and no answer in time are tried again, other statuses are final.

        Raises:
            Refused: no try was answered with 2xx.
            Gone: the container has ended.

        """
        for left in range(self._retries, -1, -1):
            into.seek(0)
            into.truncate()
            try:
                self._post(body(), into)
            except Refused as error:
                if error.client or not left:
                    raise
            except requests.RequestException as error:
                self._alive()
                if not left:
                    raise Refused(f"{batch.NO_RESPONSE}\n{_why(error, self._timeout)}") from error
            else:
                return
            time.sleep(self._pauses[min(self._retries - left, len(self._pauses) - 1)])

    def _post(self, body: bytes | Iterator[bytes], into: IO[bytes]) -> None:
        deadline = time.monotonic() + self._timeout
        with self._session.post(
            self._base + hosting.INVOCATIONS_PATH,
            data=body,
            timeout=self._timeout,
            allow_redirects=False,  # SageMaker follows none
            stream=True,
        ) as answer:
            good = 200 <= answer.status_code < 300
            kept = 0
            for piece in _pieces(answer, deadline):
                if good or kept < 2000:  # of an error its beginning is enough
                    into.write(piece)
                    kept += len(piece)
        if not good:
            into.seek(0)
            raise _refused(answer.status_code, into.read(2000))


def _pieces(answer: requests.Response, deadline: float) -> Iterator[bytes]:
    """Give an answer as it comes; requests' own limit is one between two bytes.

    Raises:
        requests.RequestException: it broke off, or is not whole at the deadline.

    """
    import urllib3

    try:
        while piece := answer.raw.read1(_CHUNK, decode_content=False):
            yield piece
            if time.monotonic() > deadline:
                raise requests.Timeout
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            raise
        late = isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError))
        raise (requests.Timeout if late else requests.ConnectionError)(error) from error


def _refused(status: int, body: bytes) -> Refused:
    said = body.decode(errors="replace").strip()
    error = Refused(f"{batch.bad_status(status)}\n{said or '(an empty body)'}")
    error.client = status < 500
    return error


def _why(error: requests.RequestException, timeout: float) -> str:
    # A body that nobody takes comes as a lost connection.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {timeout:g} s"
    return "the connection was refused" if "refused" in str(error) else "the container broke off the connection"
