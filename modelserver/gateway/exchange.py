"""What one call says to its upstream, and how the answer becomes the client's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

import attrs

from modelserver.config import StreamUsage
from modelserver.dialects.dialect import Claim, Dialect, StreamRelay
from modelserver.gateway.continuation import Dispatch
from modelserver.gateway.snapshot import Route
from modelserver.ir.request import Loss
from modelserver.ir.types import Ask, Complaint
from modelserver.ir.usage import Usage
from modelserver.ports import UpstreamAnswer


@attrs.frozen(kw_only=True, slots=True)
class Outgoing:
    """A request as it leaves; credentials are in the headers already."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    losses: tuple[Loss, ...] = ()


@attrs.frozen(kw_only=True, slots=True)
class Finished:
    """A whole answer as the client gets it; an event stream where it asked for one."""

    body: bytes
    usage: Usage | None
    output_chars: int


class Exchange(Protocol):
    """One call in the dialect of its upstream."""

    def outgoing(self) -> Outgoing:
        """The request.

        Raises:
            InvalidRequest: It can't be said to this upstream.
        """
        ...

    def is_stream(self, content_type: str, first: bytes | None) -> bool | None:
        """Whether an answer is the stream that was asked for; None when its first bytes must tell."""
        ...

    def open_stream(self, answer: UpstreamAnswer, dispatch: Dispatch) -> tuple[StreamRelay, UpstreamAnswer]:
        """A relay for the stream, and where its bytes come from: `answer`, and those that go on with it."""
        ...

    def finished(self, body: bytes) -> Finished | Complaint | None:
        """A body of status 200; None when the answer goes on: `outgoing` now asks for the rest.

        Raises:
            UpstreamFailed: It is no answer.
        """
        ...

    def complaint(self, status: int, body: bytes) -> Complaint:
        """A body of any other status."""
        ...

    def repaired(self) -> Exchange | None:
        """The exchange to try once when the upstream refuses the seals of earlier turns; None: there is none."""
        ...

    def committed(self) -> Exchange:
        """What is left of the exchange once its stream is committed: without the request, if that is not sent again."""
        ...


class SameDialect:
    """Client and upstream speak the same: bytes pass.

    `passed` are the client's headers that go on; `claim` is told the ids of what the provider keeps; `translated` makes
    the exchange through the neutral model, for a stream that was answered whole.
    """

    __slots__ = ("_ask", "_claim", "_dialect", "_passed", "_rename", "_route", "_translated")

    def __init__(
        self,
        dialect: Dialect,
        ask: Ask,
        route: Route,
        *,
        passed: Mapping[str, str],
        claim: Claim,
        translated: Callable[[], Exchange],
    ) -> None:
        self._dialect = dialect
        self._ask = ask
        self._route = route
        self._passed = passed
        self._claim = claim
        self._translated = translated
        self._rename = ask.model if ask.model != route.target else None

    def outgoing(self) -> Outgoing:
        """See `Exchange.outgoing`."""
        ask, route = self._ask, self._route
        headers = route.stream_headers if ask.stream else route.json_headers
        return Outgoing(
            url=route.stream_url if ask.stream else route.json_url,
            headers=joined_headers(headers, self._passed) if self._passed else headers,
            body=self._dialect.forward(
                ask,
                target=route.target,
                params=route.params,
                ask_usage=self._asks_usage(),
                drop_options=route.settings.quirks.stream_usage is not StreamUsage.OPTION,
                quirks=route.settings.quirks.dialect,
            ),
        )

    def is_stream(self, content_type: str, first: bytes | None) -> bool | None:
        """See `Exchange.is_stream`; some servers send one JSON object, or a page of HTML, instead."""
        if content_type == "text/event-stream":
            return True
        if content_type == "application/json":
            return False
        return None if first is None else first.lstrip()[:1] not in (b"{", b"[", b"<", b"")

    def open_stream(self, answer: UpstreamAnswer, dispatch: Dispatch) -> tuple[StreamRelay, UpstreamAnswer]:
        """See `Exchange.open_stream`."""
        relay = self._dialect.open_stream(withhold_usage=self._asks_usage(), rename=self._rename, claim=self._claim)
        return relay, answer

    def finished(self, body: bytes) -> Finished | Complaint | None:
        """See `Exchange.finished`."""
        whole = self._dialect.read_answer(body)
        if isinstance(whole, Complaint):
            return whole
        for id in whole.ids:
            self._claim(id)
        if self._ask.stream:
            if self._dialect.replay is None:
                return self._translated().finished(body)
            body = self._dialect.replay(whole.parsed, model=self._rename, wants_usage=self._ask.wants_usage)
        elif self._rename is not None:
            body = self._dialect.rename(body, self._rename)
        return Finished(body=body, usage=whole.usage, output_chars=whole.output_chars)

    def complaint(self, status: int, body: bytes) -> Complaint:
        """See `Exchange.complaint`."""
        return self._dialect.read_error(status, body)

    def repaired(self) -> Exchange | None:
        """See `Exchange.repaired`: what the client sent is its own affair here."""
        return None

    def committed(self) -> Exchange:
        """See `Exchange.committed`."""
        return SameDialect(
            self._dialect,
            attrs.evolve(self._ask, wire=b"", parsed={}),
            self._route,
            passed={},
            claim=_gone,
            translated=_gone,
        )

    def _asks_usage(self) -> bool:
        """Whether the option for usage is ours and not the client's."""
        ask = self._ask
        return ask.stream and not ask.wants_usage and self._route.settings.quirks.stream_usage is StreamUsage.OPTION


def joined_headers(headers: Mapping[str, str], passed: Mapping[str, str]) -> dict[str, str]:
    """The headers of a dispatch with those of the client, which win; of betas both sides' count."""
    joined = dict(headers)
    names = {name.lower(): name for name in headers}
    for name, value in passed.items():
        ours = names.get(name, name)
        joined[ours] = f"{headers[ours]},{value}" if name.endswith("-beta") and ours in headers else value
    return joined


def _gone(*_: object) -> NoReturn:
    raise AssertionError("A committed exchange has let go of its request.")
