"""Answers that a provider gives in several pieces, each asked for by a request of its own, as one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import attrs

from modelserver.dialects.codec import StreamDecoder
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    FinishEvent,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import Finish, FinishReason, Message, Part, Response, ToolCall, finished_with_calls
from modelserver.ir.request import Request
from modelserver.ir.usage import Usage, add_usage
from modelserver.ports import UpstreamAnswer

Dispatch = Callable[[], Awaitable[UpstreamAnswer]]
"""Sends the request that is due now; the answer is one of status 200."""

MOST: Final[Mapping[FinishReason, int]] = {FinishReason.PAUSE: 5, FinishReason.CONTINUATION: 8}
"""How often an answer is continued, by why it stopped."""
_IN_A_BLOCK: Final = (BlockStart, Delta, Section, Cite, SealEvent, BlockEnd)


class Continuation:
    """One answer's requests, and what its pieces have said.

    Attributes:
        request: What to ask now.
        said: The parts of the pieces before.
        usage: Of the pieces before; each is billed with its whole input.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.said: tuple[Part, ...] = ()
        self.usage: Usage | None = None
        self._asked = request
        self._left = dict(MOST)

    def goes_on(self, finish: Finish, parts: Sequence[Part], usage: Usage | None) -> bool:
        """Whether the answer goes on after a piece that ended so; then that is noted, and `request` asks for the next.

        A pause with calls of the client's tools does not: the client has to answer them.
        """
        if self._asked.n > 1 or not self._left.get(finish.reason):
            return False
        said, used = (*self.said, *parts), add_usage(self.usage, usage)
        following = self._following(finish, said, used)
        if following is None:
            return False
        self._left[finish.reason] -= 1
        self.request, self.said, self.usage = following, said, used
        return True

    def joined(self, response: Response) -> Response:
        """The last piece with those before it."""
        if not self.said and self.usage is None:
            return response
        (choice,) = response.choices
        parts = (*self.said, *choice.parts)
        choice = attrs.evolve(choice, parts=parts, finish=finished_with_calls(parts, choice.finish))
        return attrs.evolve(response, choices=(choice,), usage=add_usage(self.usage, response.usage))

    def _following(self, finish: Finish, said: tuple[Part, ...], used: Usage | None) -> Request | None:
        asked = self._asked
        if finish.reason is FinishReason.CONTINUATION:
            spent = 0 if used is None else used.output or 0
            if finish.resume is None or (asked.max_output is not None and spent >= asked.max_output):
                return None
            return attrs.evolve(asked, resume=finish.resume)
        if not said or any(isinstance(part, ToolCall) for part in said):
            return None
        # Anthropic, "Handling stop reasons": what was said so far goes back as the assistant's turn, as it came.
        return attrs.evolve(asked, messages=(*asked.messages, Message(role="assistant", parts=said)))


class JoiningDecoder:
    """The streams of an answer's pieces in, one legal stream of events out: block numbers go on, usage is summed.

    Attributes:
        is_paused: The piece is complete and the answer is not: `resume`, then feed the bytes of the next piece.
    """

    def __init__(
        self, open_decoder: Callable[[], StreamDecoder], goes_on: Callable[[Finish, Sequence[Part], Usage | None], bool]
    ) -> None:
        self.is_paused = False
        self._open_decoder = open_decoder
        self._goes_on = goes_on
        self._decoder = open_decoder()
        self._before = 0
        """Blocks of the pieces before."""
        self._said: list[Part] = []
        self._parts: list[Part] = []
        """Of this piece."""
        self._used: Usage | None = None
        """By the pieces before."""
        self._usage: Usage | None = None
        """Of this piece."""
        self._is_first = True

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        return self._join(self._decoder.feed(data))

    def close(self) -> list[StreamEvent]:
        """See `StreamDecoder.close`; the answer may go on after this piece all the same."""
        return [] if self.is_paused else self._join(self._decoder.close())

    def resume(self) -> None:
        """Begin the next piece."""
        self.is_paused = self._is_first = False
        self._before += len(self._parts)
        self._said += self._parts
        self._used = add_usage(self._used, self._usage)
        self._parts, self._usage = [], None
        self._decoder = self._open_decoder()

    def _join(self, events: list[StreamEvent]) -> list[StreamEvent]:
        for event in events:
            kind = type(event)
            if kind is Delta:
                continue
            if isinstance(event, BlockEnd):
                self._parts.append(event.part)
            elif kind is UsageUpdate or kind is Start:
                # Reports of the dialects that pause are cumulative: nothing to merge, on a path that is hot at Gemini.
                self._usage = event.usage or self._usage  # type: ignore[union-attr]
        if events and type(events[-1]) is End and self._pauses(events):
            self.is_paused = True
            events = [event for event in events if not _is_end(event)]
        return events if self._is_first else self._continued(events)

    def _pauses(self, events: Iterable[StreamEvent]) -> bool:
        finishes = [event.finish for event in events if isinstance(event, FinishEvent)]
        return len(finishes) == 1 and self._goes_on(finishes[0], self._parts, self._usage)

    def _continued(self, events: Iterable[StreamEvent]) -> list[StreamEvent]:
        """The events of a later piece, as they stand in the whole."""
        continued: list[StreamEvent] = []
        usage: Usage | None
        for event in events:
            if isinstance(event, _IN_A_BLOCK):
                continued.append(attrs.evolve(event, block=self._before + event.block))
            elif isinstance(event, UsageUpdate):
                usage = add_usage(self._used, self._usage)
                continued.append(attrs.evolve(event, usage=usage or event.usage))
            elif isinstance(event, FinishEvent):
                parts = (*self._said, *self._parts)
                continued.append(attrs.evolve(event, finish=finished_with_calls(parts, event.finish)))
            elif isinstance(event, Start):
                if (usage := add_usage(self._used, self._usage)) is not None:
                    continued.append(UsageUpdate(usage))
            else:
                continued.append(event)
        return continued


def _is_end(event: StreamEvent) -> bool:
    return isinstance(event, FinishEvent | End) or (isinstance(event, UsageUpdate) and event.final)


class Pausing(Protocol):
    """What `ContinuedAnswer` asks the reader of its bytes."""

    @property
    def is_paused(self) -> bool:
        """The piece is complete, and the answer goes on in another one."""
        ...

    def resume(self) -> None:
        """The bytes of the next piece are going to come."""
        ...

    def end_piece(self) -> None:
        """The bytes of this piece are over; the reader may be paused after it."""
        ...


class ContinuedAnswer:
    """The bytes of an answer's pieces, one after the other; each is asked for when its reader wants it.

    The dispatch is a task of its own, since waits for bytes are broken off whenever a keep-alive is due.
    """

    def __init__(self, answer: UpstreamAnswer, reader: Pausing, dispatch: Dispatch) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._reader = reader
        self._dispatch = dispatch
        self._next: asyncio.Future[UpstreamAnswer] | None = None

    async def read(self) -> bytes:
        """See `ports.UpstreamAnswer.read`.

        Raises:
            GatewayError: The next piece can't be had.
        """
        while True:
            if self._next is None and self._reader.is_paused:
                self._answer.finish()
                self._reader.resume()
                self._next = asyncio.ensure_future(self._dispatch())  # noqa: TID251 - ended by `close`
            if self._next is not None:
                self._answer = await asyncio.shield(self._next)
                self._next = None
            data = await self._answer.read()
            if data:
                return data
            self._reader.end_piece()
            if not self._reader.is_paused:
                return b""

    def close(self) -> None:
        """See `ports.UpstreamAnswer.close`."""
        self._answer.close()
        if self._next is not None:
            self._next.cancel()
            self._next.add_done_callback(_let_go)

    def finish(self) -> None:
        """See `ports.UpstreamAnswer.finish`."""
        self._answer.finish()


def _let_go(sent: asyncio.Future[UpstreamAnswer]) -> None:
    if not sent.cancelled() and sent.exception() is None:
        sent.result().close()
