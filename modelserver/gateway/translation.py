"""Calls whose client and upstream speak different dialects, through the neutral model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from modelserver.dialects.codec import Codec, Encoded, Reading, StreamEncoder, Writing
from modelserver.dialects.dialect import Dialect, StreamRelay
from modelserver.errors import GatewayError, Unsupported, UpstreamFailed
from modelserver.gateway.continuation import Continuation, ContinuedAnswer, Dispatch, JoiningDecoder
from modelserver.gateway.exchange import Exchange, Finished, Outgoing, joined_headers
from modelserver.gateway.memory import without_seals
from modelserver.gateway.params import not_said_neutrally
from modelserver.gateway.snapshot import Route
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    Fail,
    FinishEvent,
    SealEvent,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import fold, unfold
from modelserver.ir.parts import Finish, Opaque, Part, Reasoning, Refusal, Response, Text, ToolCall
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Ask, Complaint
from modelserver.ir.usage import Usage, merge_usage
from modelserver.ports import UpstreamAnswer
from modelserver.wire.json_text import loads_lenient

Remember = Callable[[Sequence[Part]], None]
"""Told the parts of each turn that was answered to its end."""


@attrs.frozen(kw_only=True, slots=True)
class Pair:
    """The two sides of a call."""

    client: Codec
    upstream: Dialect


class Translated:
    """An exchange through the neutral model."""

    def __init__(
        self,
        pair: Pair,
        request: Request,
        route: Route,
        profile: Profile,
        writing: Writing,
        remember: Remember,
        *,
        passed: Mapping[str, str],
    ) -> None:
        self._pair = pair
        self._request = request
        self._continuation = Continuation(request)
        self._route = route
        self._profile = profile
        self._writing = writing
        self._remember = remember
        self._passed = passed
        self._encoded: Encoded | None = None
        self._is_repaired = False

    def outgoing(self) -> Outgoing:
        """See `Exchange.outgoing`."""
        encoded = self._encode()
        headers = self._route.stream_headers if self._request.stream else self._route.json_headers
        if encoded.headers or self._passed:
            headers = joined_headers({**headers, **encoded.headers}, self._passed)
        return Outgoing(
            url=self._route.url_of(encoded.path, encoded.query),
            headers=headers,
            body=encoded.body,
            losses=encoded.losses,
        )

    def is_stream(self, content_type: str, first: bytes | None) -> bool | None:
        """See `Exchange.is_stream`; Gemini's stream may be one JSON array."""
        if content_type == "text/event-stream":
            return True
        if first is None:
            return None
        return first.lstrip()[:1] not in (b"{", b"<", b"")

    def open_stream(self, answer: UpstreamAnswer, dispatch: Dispatch) -> tuple[StreamRelay, UpstreamAnswer]:
        """See `Exchange.open_stream`."""
        relay = TranslatedRelay(
            JoiningDecoder(lambda: self._pair.upstream.codec.stream_decoder(self._reading()), self._goes_on),
            self._pair.client.stream_encoder(self._writing),
            self._remember,
        )
        return relay, ContinuedAnswer(answer, relay, dispatch)

    def finished(self, body: bytes) -> Finished | Complaint | None:
        """See `Exchange.finished`."""
        response = self._read(body)
        if isinstance(response, Complaint):
            return response
        if len(response.choices) == 1 and not self._request.stream:
            (choice,) = response.choices
            if self._goes_on(choice.finish, choice.parts, response.usage):
                return None
            response = self._continuation.joined(response)
        for choice in response.choices:
            self._remember(choice.parts)
        return Finished(
            body=self._written(response),
            usage=response.usage,
            output_chars=sum(_chars(part) for choice in response.choices for part in choice.parts),
        )

    def complaint(self, status: int, body: bytes) -> Complaint:
        """See `Exchange.complaint`."""
        return self._pair.upstream.codec.decode_error(status, body)

    def committed(self) -> Exchange:
        """See `Exchange.committed`: a paused answer is asked to go on with the whole request."""
        return self

    def repaired(self) -> Exchange | None:
        """See `Exchange.repaired`."""
        if self._is_repaired:
            return None
        bare = without_seals(self._request)
        if bare == self._request:  # the same again would be refused again
            return None
        repaired = Translated(
            self._pair, bare, self._route, self._profile, self._writing, self._remember, passed=self._passed
        )
        repaired._is_repaired = True
        return repaired

    def _encode(self) -> Encoded:
        if self._encoded is None:
            for field in self._request.rejected:
                raise Unsupported(
                    f"{field.param} is not supported for this model: {field.why.rstrip('.')}.",
                    param=field.param,
                    code="unsupported_parameter",
                )
            # With `refuse_losses` the encoder raises for what would be lost; ignored fields are among its losses.
            encoded = self._pair.upstream.codec.encode_request(self._continuation.request, self._profile)
            self._encoded = self._with_own_params(encoded)
        return self._encoded

    def _with_own_params(self, encoded: Encoded) -> Encoded:
        """What is encoded with those of the model's params that no other dialect has a word for."""
        own = not_said_neutrally(self._route.params) if self._route.params else {}
        if not own:
            return encoded
        target = self._route.target
        ask = Ask(model=target, stream=False, wants_usage=True, wire=encoded.body, parsed=loads_lenient(encoded.body))
        body = self._pair.upstream.forward(ask, target=target, params=own, ask_usage=False, drop_options=False)
        return attrs.evolve(encoded, body=body)

    def _goes_on(self, finish: Finish, parts: Sequence[Part], usage: Usage | None) -> bool:
        goes_on = self._continuation.goes_on(finish, parts, usage)
        if goes_on:
            self._encoded = None
        return goes_on

    def _read(self, body: bytes) -> Response | Complaint:
        if self._request.stream or not self._profile.quirks.get("stream_only"):
            return self._pair.upstream.codec.decode_response(body, self._reading())
        decoder = self._pair.upstream.codec.stream_decoder(self._reading())
        response = fold([*decoder.feed(body), *decoder.close()])
        if isinstance(response, GatewayError):
            raise response
        if response is None:  # what a decoder gives always ends
            raise UpstreamFailed("The provider's stream ended without an answer.", code="upstream_invalid_response")
        return response

    def _reading(self) -> Reading:
        return self._encode().reading

    def _written(self, response: Response) -> bytes:
        if not self._request.stream:
            return self._pair.client.encode_response(response, self._writing)
        encoder = self._pair.client.stream_encoder(self._writing)
        return b"".join(map(encoder.feed, unfold(response)))


class TranslatedRelay:
    """A stream of one dialect in, a stream of another out; see `dialects.dialect.StreamRelay`, and `Pausing`."""

    def __init__(self, decoder: JoiningDecoder, encoder: StreamEncoder, remember: Remember) -> None:
        self.has_content = False
        self.done = False
        self.failure: GatewayError | Complaint | None = None
        self.output_chars = 0
        self.usage: Usage | None = None
        self._decoder = decoder
        self._encoder = encoder
        self._remember = remember
        self._turns: dict[int, list[Part]] = {}
        self._held = b""
        """What the end of a piece has said."""

    @property
    def is_paused(self) -> bool:
        """See `Pausing.is_paused`."""
        return self._decoder.is_paused

    def resume(self) -> None:
        """See `Pausing.resume`."""
        self._decoder.resume()

    def end_piece(self) -> None:
        """See `Pausing.end_piece`; what that says leaves next."""
        if self.failure is None and not self.done:
            self._held += self._pass(self._decoder.close())

    def feed(self, data: bytes) -> bytes:
        """What of the stream may leave now; empty after `failure`."""
        if self.failure is not None or self.done:
            return b""
        out = self._pass(self._decoder.feed(data))
        if self._held:
            out, self._held = self._held + out, b""
        return out

    def close(self) -> bytes:
        """Call at the end of the upstream's bytes: what may still leave; sets `failure` when the stream was cut."""
        out, self._held = self._held, b""
        if self.failure is None and not self.done:
            out += self._pass(self._decoder.close())
            self.done = True
        return out

    def fail(self, error: GatewayError) -> bytes:
        """See `dialects.dialect.StreamRelay.fail`."""
        return self._encoder.feed(Fail(error))

    def _pass(self, events: Iterable[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            kind = type(event)
            if kind is Delta:
                self.has_content = True
                self.output_chars += len(event.text)  # type: ignore[union-attr]
            elif isinstance(event, Fail):
                self.failure = event.error
                break
            else:
                self._note(event)
            out.append(self._encoder.feed(event))
        # An answer that goes on is one: what comes before its rest may leave.
        self.has_content = self.has_content or self._decoder.is_paused
        return b"".join(out)

    def _note(self, event: StreamEvent) -> None:
        match event:
            case UsageUpdate(usage=usage):
                self.usage = merge_usage(self.usage, usage)
            case Start(usage=Usage() as usage):
                # Its output is one token of what is to come: of a stream that is left, the text tells more.
                self.usage = merge_usage(self.usage, attrs.evolve(usage, output=None))
            case BlockStart(part=part):
                self.has_content = self.has_content or isinstance(part, _CONTENT)
            case BlockEnd(choice=choice, part=part):
                self._turns.setdefault(choice, []).append(part)
            case SealEvent() | FinishEvent():
                self.has_content = True
            case End():
                self.done = True
                for parts in self._turns.values():
                    self._remember(parts)
            case _:
                pass


_CONTENT: Final = (ToolCall, Opaque, Refusal)
"""Parts that are content as soon as they begin."""


def _chars(part: Part) -> int:
    match part:
        case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
            return len(text)
        case ToolCall(arguments=arguments):
            return len(arguments)
        case _:
            return 0
