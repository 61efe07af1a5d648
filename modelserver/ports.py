"""What the gateway needs from the outside, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from modelserver.policy.buckets import Standing
from modelserver.policy.principals import Scope


class Clock(Protocol):
    """Where time comes from."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> datetime:
        """The aware UTC instant."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class Lease(Protocol):
    """Admission held; released on every path out of a call."""

    @property
    def standing(self) -> Standing | None:
        """How close the caller is to its tightest request limit; None when it has none."""
        ...

    def release(self) -> None:
        """Give back what is held; may be called twice."""
        ...


class Limiter(Protocol):
    """Grants or refuses calls."""

    async def admit(self, scopes: Sequence[Scope], *, now_s: float) -> Lease:
        """Check and take in one step.

        Raises:
            RateLimited: A limit of one of the scopes is reached; nothing was taken.
        """
        ...


@attrs.frozen(kw_only=True, slots=True)
class UpstreamRequest:
    """One dispatch: everything that leaves for a provider.

    `url` is absolute, query included. `headers` is the complete set of headers that a dialect and the configuration
    want; a transport adds only Host and Content-Length. `body` is None for a GET.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    connect_s: float
    proxy: str | None = None
    fresh: bool = False
    """Never use a pooled connection: this is a retry."""


class UpstreamAnswer(Protocol):
    """A provider's answer whose head has arrived and whose body is read piece by piece."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names compare without regard to case."""
        ...

    async def read(self) -> bytes:
        """The bytes that have arrived, at least one, waiting for them; b"" at the end of the body and ever after.

        Cancelling the wait loses nothing: the next call goes on where this one was.

        Raises:
            UpstreamFailed: The connection broke, the framing was wrong, or a coded body could not be decoded.
        """
        ...

    def close(self) -> None:
        """Let go of the answer: pool the connection when the body was read to its end, else close it at once.

        Never raises, may be called twice.
        """
        ...

    def finish(self) -> None:
        """Let go of a stream whose last event was read, giving the end of its body a moment to arrive.

        `close` after it does nothing.
        """
        ...


class Transport(Protocol):
    """Sends requests to providers."""

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Dispatch and return once the head of the answer has arrived.

        Raises:
            UpstreamFailed: `upstream_unreachable` when no connection came about, `upstream_error` when it broke
                before the status. A pooled connection that turns out to be stale is replaced once, silently.
            UpstreamTimeout: Connecting took longer than `connect_s`.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@attrs.frozen(kw_only=True, slots=True)
class Fetched:
    """Media that were fetched."""

    media_type: str
    """What the bytes are, whatever their sender called them."""
    data: bytes


class Fetcher(Protocol):
    """Fetches media that clients name by URL."""

    async def fetch(self, url: str, *, arrived: Callable[[int], None]) -> Fetched:
        """What is at a URL; `arrived` is called with the size of each piece and may raise, which ends the fetching.

        Raises:
            InvalidRequest: It may not be fetched or can't be; the message is the end of a sentence and names the host
                at most.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
