"""Stop strings enforced on an answer whose upstream has no field for them: events in, events out.

Only the visible text of the first choice counts, each text block by itself. Text that may be the beginning of a stop
string is held back, so at most the longest string less one character.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from modelserver.dialects.codec import StreamDecoder
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    SealEvent,
    StreamEvent,
)
from modelserver.ir.parts import Citation, Finish, FinishReason, Text, TokenLogprob, ToolCall, finished_with_calls


class StopFilter:
    """Events of a stream in, the same out up to a stop string, which itself is never shown.

    Of several strings the one that is complete first counts, so that the result does not depend on how the text was
    cut. After it `done` is set, the events have been ended by `End`, and the upstream can be left.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.done = False
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._start: BlockStart | None = None
        """The open text block, whose start is not shown before text of it is."""
        self._shown = True
        self._said: list[str] = []
        self._held = ""
        self._tokens: list[TokenLogprob] = []
        """Log probabilities of text that is held back."""
        self._cites: list[Citation] = []
        self._call: ToolCall | None = None

    def feed(self, events: Iterable[StreamEvent]) -> list[StreamEvent]:
        """What may be shown now; nothing after `done`."""
        out: list[StreamEvent] = []
        for event in events:
            if self.done:
                break
            if isinstance(event, End | Fail):
                self.done = True
            if getattr(event, "choice", 0) != 0:
                out.append(event)
            elif isinstance(event, BlockStart) and isinstance(event.part, Text):
                self._open(event)
            elif self._start is not None and isinstance(event, Delta | Cite | SealEvent | BlockEnd):
                self._in_text(event, out)
            else:
                if isinstance(event, BlockEnd) and isinstance(event.part, ToolCall):
                    self._call = event.part
                out.append(event)
        return out

    def _open(self, event: BlockStart) -> None:
        self._start = event
        self._shown = False
        self._said.clear()
        self._cites.clear()
        self._tokens.clear()
        self._held = ""

    def _in_text(self, event: Delta | Cite | SealEvent | BlockEnd, out: list[StreamEvent]) -> None:
        match event:
            case Delta(text=text, logprobs=logprobs):
                self._tokens.extend(logprobs)
                self._take(text, out)
            case BlockEnd():
                self._release(len(self._held), out)
                self._show(out)
                self._start = None
                out.append(event)
            case Cite(citation=citation):
                self._cites.append(citation)
                self._show(out)
                out.append(event)
            case _:
                self._show(out)
                out.append(event)

    def _take(self, text: str, out: list[StreamEvent]) -> None:
        self._held += text
        found = self._find()
        if found is not None:
            at, stop = found
            self._release(at, out)
            self._finish(stop, out)
            return
        held = self._held
        keep = next(
            (
                length
                for length in range(min(self._longest - 1, len(held)), 0, -1)
                if any(stop.startswith(held[-length:]) for stop in self._stops)
            ),
            0,
        )
        self._release(len(held) - keep, out)

    def _find(self) -> tuple[int, str] | None:
        """Where the stop string that ends first begins; of several with one end the longest."""
        best: tuple[int, int, str] | None = None
        for stop in self._stops:
            at = self._held.find(stop)
            if at >= 0 and (best is None or (at + len(stop), at) < best[:2]):
                best = (at + len(stop), at, stop)
        return None if best is None else (best[1], best[2])

    def _release(self, length: int, out: list[StreamEvent]) -> None:
        """Show the first `length` characters that are held, and the log probabilities of the tokens in them."""
        text, self._held = self._held[:length], self._held[length:]
        tokens: list[TokenLogprob] = []
        if self._tokens:
            room = length
            while self._tokens and (len(self._tokens[0].token) <= room or not self._held):
                token = self._tokens.pop(0)
                room -= len(token.token)
                tokens.append(token)
        if text or tokens:
            self._show(out)
            assert self._start is not None
            self._said.append(text)
            out.append(Delta(0, self._start.block, text, tuple(tokens)))

    def _show(self, out: list[StreamEvent]) -> None:
        if not self._shown and self._start is not None:
            self._shown = True
            out.append(self._start)

    def _finish(self, stop: str, out: list[StreamEvent]) -> None:
        start = self._start
        assert start is not None
        if self._shown:
            text = "".join(self._said)
            cites = tuple(cite for cite in self._cites if cite.end is None or cite.end <= len(text))
            assert isinstance(start.part, Text)
            out.append(BlockEnd(0, start.block, attrs.evolve(start.part, text=text, citations=cites)))
        finish = Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence=stop)
        if self._call is not None:
            finish = finished_with_calls((self._call,), finish)
        out.extend((FinishEvent(0, finish), End()))
        self.done = True


class StoppingDecoder:
    """A stream decoder whose answer ends at a stop string."""

    def __init__(self, decoder: StreamDecoder, stops: Sequence[str]) -> None:
        self._decoder = decoder
        self._filter = StopFilter(stops)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        return [] if self._filter.done else self._filter.feed(self._decoder.feed(data))

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means."""
        return [] if self._filter.done else self._filter.feed(self._decoder.close())
