"""HTTP as all hubs use it: one client, the token kept to its host, failures told apart."""

from __future__ import annotations

import email.utils
import functools
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from paddock._version import __version__
from paddock.errors import FetchError, PaddockError
from paddock.inference.checkpoint.hubs.base import Policy

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next attempt."""


class Interrupted(Exception):
    """An attempt that failed for a reason that may pass. Never leaves this package.

    ``wait`` is how many seconds the server asked to wait; ``cost`` how much of the patience it
    takes: a host that cannot be reached at all is given up sooner than one that drops connections.
    """

    def __init__(self, reason: str, *, wait: float | None = None, cost: int = 1) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.cost = reason, wait, cost


class Cancelled(Exception):
    """Another file failed or the user stopped; what is on disk stays. Never leaves this package."""


class Refused(Exception):
    """HTTP 401, 403 or 404, whose meaning the hub knows. Never leaves this package."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Patience:
    """Counts failures in a row and waits between them."""

    def __init__(self, policy: Policy, cancel: threading.Event, what: str) -> None:
        self._policy, self._cancel, self._what = policy, cancel, what
        self._spent = 0

    def refill(self) -> None:
        """Start counting anew, after real progress."""
        self._spent = 0

    def wait(self, failure: Interrupted) -> None:
        """Sleep until the next attempt. Raises FetchError once there should be none."""
        self._spent += failure.cost
        if self._spent > self._policy.retries:
            raise FetchError(
                f"{self._what}: {failure.reason}; given up after {self._policy.retries} retries",
                hint="run the same command again: it continues where it stopped",
            ) from failure
        seconds = self._policy.backoff * 2 ** (self._spent - failure.cost)
        if failure.wait is not None:
            if failure.wait > self._policy.longest_wait:
                raise FetchError(
                    f"{self._what}: {failure.reason}, and the server asks to wait"
                    f" {failure.wait:.0f} s",
                    hint="run the same command again then: it continues where it stopped",
                ) from failure
            seconds = failure.wait
        if self._cancel.wait(min(seconds, self._policy.longest_wait)):
            raise Cancelled


class Session:
    """An HTTP client that sends ``auth`` headers to one origin only, redirected or not."""

    def __init__(self, origin: str, auth: dict[str, str], policy: Policy) -> None:
        self.policy = policy
        self.cancel = threading.Event()
        self._origin, self._auth = httpx.URL(origin), auth
        self._client = httpx.Client(
            headers={"User-Agent": f"paddock/{__version__}", "Accept-Encoding": "identity"},
            timeout=policy.timeout,
            verify=_authorities(),
            follow_redirects=True,
        )

    def close(self) -> None:
        """Drop all connections."""
        self._client.close()

    @contextmanager
    def open(
        self, url: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> Iterator[httpx.Response]:
        """A response whose body is not read yet: status 2xx or 416.

        Raises Interrupted for what may pass, Refused for 401, 403 and 404, FetchError for the
        rest; failures while the caller reads the body are mapped in the same way.
        """
        sent = dict(headers or {})
        if _origin(httpx.URL(url)) == _origin(self._origin):
            sent.update(self._auth)
        try:
            # httpx drops Authorization when a redirect leaves the origin (unless it only upgrades
            # the same host to https) and Cookie on any redirect.
            with self._client.stream(method, url, headers=sent) as response:
                _check(response)
                yield response
        except (httpx.TransportError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise _failure(error, url) from error

    def read(self, url: str, what: str) -> httpx.Response:
        """A whole small answer, with retries. Raises Refused or FetchError."""
        patience = Patience(self.policy, self.cancel, what)
        while True:
            try:
                with self.open(url) as response:
                    response.read()
                    return response
            except Interrupted as failure:
                patience.wait(failure)

    def json(self, url: str, what: str) -> Any:
        """A whole small answer as JSON. Raises Refused or FetchError."""
        response = self.read(url, what)
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("Content-Type", "no type")
            raise FetchError(
                f"{what}: the answer of {url} is not JSON ({kind})",
                hint="check the endpoint, and whether a proxy or login page answers in its place",
            ) from error

    def size(self, url: str, what: str) -> int | None:
        """The length of a file by HEAD; None where the server does not tell. Raises as ``read``."""
        patience = Patience(self.policy, self.cancel, what)
        while True:
            try:
                with self.open(url, method="HEAD") as response:
                    return content_length(response)
            except Interrupted as failure:
                patience.wait(failure)


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are believed. Reading them takes 50 ms, so once per process."""
    return httpx.create_ssl_context()


def content_length(response: httpx.Response) -> int | None:
    """The length that a response announces for its body."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    ports = {"http": 80, "https": 443}
    return url.scheme, url.host, url.port or ports.get(url.scheme)


def _check(response: httpx.Response) -> None:
    status, host = response.status_code, response.url.host
    if response.is_success or status == 416:
        return
    if status in (401, 403, 404):
        raise Refused(status)
    reason = f"{host} answers HTTP {status} {response.reason_phrase}".rstrip()
    if status in RETRIED:
        raise Interrupted(reason, wait=_retry_after(response.headers.get("Retry-After", "")))
    raise FetchError(reason, hint=f"the address was {response.url.copy_with(query=None)}")


def _retry_after(text: str) -> float | None:
    """Seconds from now, of either form of Retry-After (RFC 9110, section 10.2.3)."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _failure(error: Exception, url: str) -> Interrupted | PaddockError:
    """What a failure of httpx means."""
    host = httpx.URL(url).host if not isinstance(error, httpx.InvalidURL) else url
    detail = f": {error}" if str(error) else ""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return FetchError(
            f"the certificate of {host} cannot be verified{detail}",
            hint="if your network has its own authority, set SSL_CERT_FILE to its certificate",
        )
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.TooManyRedirects):
        return FetchError(f"{host} cannot be fetched from{detail}")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Interrupted(f"cannot reach {host}{detail}", cost=2)
    if isinstance(error, httpx.TimeoutException):
        return Interrupted(f"{host} went silent")
    return Interrupted(f"the connection to {host} broke{detail}")
