"""Between a stream of events and a whole answer, both ways; written once for every dialect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import attrs

from modelserver.errors import GatewayError
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import (
    Audio,
    Choice,
    Inline,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, merge_usage


class Folding:
    """Events in, the answer out when they are all there.

    Attributes:
        failure: Why there is no answer.
        usage: What was reported so far, also of a stream that failed.
    """

    def __init__(self) -> None:
        self.failure: GatewayError | Complaint | None = None
        self.usage: Usage | None = None
        self._start: Start | None = None
        self._ended = False
        self._parts: dict[int, list[Part]] = {}
        self._logprobs: dict[int, list[TokenLogprob]] = {}
        self._finished: dict[int, FinishEvent] = {}

    def feed(self, events: Iterable[StreamEvent]) -> None:
        """Take further events."""
        for event in events:
            match event:
                case Start():
                    self._start = event
                    if event.usage is not None:
                        self.usage = merge_usage(self.usage, event.usage)
                case BlockEnd(choice=choice, part=part):
                    self._parts.setdefault(choice, []).append(part)
                case Delta(choice=choice, logprobs=logprobs) if logprobs:
                    self._logprobs.setdefault(choice, []).extend(logprobs)
                case UsageUpdate(usage=usage):
                    self.usage = merge_usage(self.usage, usage)
                case FinishEvent(choice=choice):
                    self._finished[choice] = event
                case Fail(error=error):
                    self.failure = error
                case End():
                    self._ended = True
                case _:
                    pass

    def response(self) -> Response | None:
        """The answer; None when the stream failed or is not over."""
        if not self._ended or self._start is None:
            return None
        return Response(
            id=self._start.id,
            model=self._start.model,
            created=self._start.created,
            choices=tuple(
                Choice(
                    index=index,
                    parts=tuple(self._parts.get(index, ())),
                    finish=event.finish,
                    logprobs=tuple(self._logprobs[index]) if index in self._logprobs else None,
                )
                for index, event in sorted(self._finished.items())
            ),
            usage=self.usage,
        )


def fold(events: Iterable[StreamEvent]) -> Response | GatewayError | Complaint | None:
    """The answer that a complete stream says, or why it failed; None for one that is not over."""
    folding = Folding()
    folding.feed(events)
    return folding.failure if folding.failure is not None else folding.response()


def unfold(response: Response) -> Iterator[StreamEvent]:
    """The stream that says a whole answer, one delta for each part."""
    yield Start(response.id, response.model, response.created)
    for choice in response.choices:
        logprobs = choice.logprobs or ()
        for block, part in enumerate(choice.parts):
            if isinstance(part, Text):
                yield from _block(choice.index, block, part, logprobs)
                logprobs = ()  # those of the whole choice, said with its first text
            else:
                yield from _block(choice.index, block, part, ())
    if response.usage is not None:
        yield UsageUpdate(response.usage, final=True)
    for choice in response.choices:
        yield FinishEvent(choice.index, choice.finish)
    yield End()


def _block(choice: int, block: int, part: Part, logprobs: tuple[TokenLogprob, ...]) -> Iterator[StreamEvent]:
    empty, text = _emptied(part)
    yield BlockStart(choice, block, empty)
    if isinstance(part, Reasoning) and len(part.sections) > 1:
        bounds = (*part.sections, len(part.text))
        for position, (start, end) in enumerate(pairwise(bounds)):
            if position:
                yield Section(choice, block)
            if part.text[start:end]:
                yield Delta(choice, block, part.text[start:end])
    elif text or logprobs:
        yield Delta(choice, block, text, logprobs)
    if isinstance(part, Text):
        for citation in part.citations:
            yield Cite(choice, block, citation)
    seal = getattr(part, "seal", None)
    if seal is not None:
        yield SealEvent(choice, block, seal)
    yield BlockEnd(choice, block, part)


def _emptied(part: Part) -> tuple[Part, str]:
    """The part as it begins, and the text that is to come."""
    match part:
        case Text(text=text):
            return attrs.evolve(part, text="", citations=(), seal=None), text
        case Reasoning(text=text):
            return attrs.evolve(part, text="", sections=(), seal=None), text
        case Refusal(text=text):
            return Refusal(text=""), text
        case ToolCall(arguments=arguments):
            return attrs.evolve(part, arguments="", seal=None), arguments
        case Audio(source=Inline(b64=b64)):
            return attrs.evolve(part, source=None), b64
        case _:
            return part, ""
