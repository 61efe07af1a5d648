"""Which event may follow which: decoders must satisfy it, encoders may rely on it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import Audio, Reasoning, Refusal, Text, ToolCall


class State(enum.Enum):
    """Where one choice of a stream stands; `IDLE` and `DONE` are those of the stream."""

    IDLE = "idle"
    OPEN = "open"
    IN_BLOCK = "in_block"
    FINISHED = "finished"
    DONE = "done"


TRANSITIONS: Final[Mapping[State, Mapping[type[StreamEvent], State]]] = {
    State.IDLE: {Start: State.OPEN, Ping: State.IDLE, Fail: State.DONE},
    State.OPEN: {
        BlockStart: State.IN_BLOCK,
        UsageUpdate: State.OPEN,
        Ping: State.OPEN,
        FinishEvent: State.FINISHED,
        Fail: State.DONE,
    },
    State.IN_BLOCK: {
        Delta: State.IN_BLOCK,
        Section: State.IN_BLOCK,
        Cite: State.IN_BLOCK,
        SealEvent: State.IN_BLOCK,
        BlockEnd: State.OPEN,
        Ping: State.IN_BLOCK,
        UsageUpdate: State.IN_BLOCK,
        Fail: State.DONE,
    },
    State.FINISHED: {UsageUpdate: State.FINISHED, Ping: State.FINISHED, Fail: State.DONE, End: State.DONE},
    State.DONE: {},
}
_OF_A_CHOICE: Final = (BlockStart, Delta, Section, Cite, SealEvent, BlockEnd, FinishEvent)


class IllegalEvent(Exception):
    """A decoder broke the grammar: a bug, never an upstream's fault."""


class Validator:
    """Watches a stream and raises at the first illegal event; for tests and debugging."""

    def __init__(self) -> None:
        self._stream = State.IDLE
        self._choices: dict[int, State] = {}
        self._blocks: dict[int, int] = {}
        self._texts: dict[int, list[str]] = {}
        self._final_usage = False

    @property
    def is_done(self) -> bool:
        """The terminal event has come."""
        return self._stream is State.DONE

    def check(self, events: Iterable[StreamEvent]) -> None:
        """Take further events.

        Raises:
            IllegalEvent: One of them may not stand where it stands, or contradicts the ones before it.
        """
        for event in events:
            if isinstance(event, _OF_A_CHOICE):
                self._check_choice(event)
            else:
                self._check_stream(event)

    def _check_stream(self, event: StreamEvent) -> None:
        state = self._stream
        if isinstance(event, End):
            unfinished = [index for index, one in self._choices.items() if one is not State.FINISHED]
            if state is not State.OPEN or unfinished or not self._choices:
                raise IllegalEvent(f"End while {state.value}, unfinished choices {unfinished}")
            self._stream = State.DONE
            return
        if isinstance(event, UsageUpdate) and event.final:
            if self._final_usage:
                raise IllegalEvent("a second final usage")
            self._final_usage = True
        following = TRANSITIONS[state].get(type(event))
        if following is None:
            raise IllegalEvent(f"{type(event).__name__} while {state.value}")
        self._stream = following

    def _check_choice(self, event: BlockStart | Delta | Section | Cite | SealEvent | BlockEnd | FinishEvent) -> None:
        if self._stream is not State.OPEN:
            raise IllegalEvent(f"{type(event).__name__} while the stream is {self._stream.value}")
        state = self._choices.get(event.choice, State.OPEN)
        following = TRANSITIONS[state].get(type(event))
        if following is None:
            raise IllegalEvent(f"{type(event).__name__} while choice {event.choice} is {state.value}")
        if not isinstance(event, FinishEvent):
            self._check_block(event)
        self._choices[event.choice] = following

    def _check_block(self, event: BlockStart | Delta | Section | Cite | SealEvent | BlockEnd) -> None:
        expected = self._blocks.get(event.choice, 0)
        if event.block != expected:
            raise IllegalEvent(f"block {event.block} where {expected} is due")
        if isinstance(event, BlockStart):
            self._texts[event.choice] = []
            if isinstance(event.part, ToolCall) and not (event.part.id and event.part.name):
                raise IllegalEvent("a call without id or name")
        elif isinstance(event, Delta):
            if not event.text and not event.logprobs:
                raise IllegalEvent("an empty delta")
            self._texts[event.choice].append(event.text)
        elif isinstance(event, BlockEnd):
            self._blocks[event.choice] = expected + 1
            said = "".join(self._texts[event.choice])
            text = _text_of(event)
            if text is not None and text != said:
                raise IllegalEvent(f"the deltas say {said!r}, the part {text!r}")


def _text_of(event: BlockEnd) -> str | None:
    match event.part:
        case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
            return text
        case ToolCall(arguments=arguments):
            return arguments
        case Audio():
            return None
        case _:
            return None
