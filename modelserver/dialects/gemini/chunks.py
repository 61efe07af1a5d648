"""GenerateContentResponse objects in, events out: the one reader of whole and of streamed answers.

A whole answer is a stream of one chunk, so both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from modelserver.dialects.codec import Reading
from modelserver.dialects.gemini.citations import read_citations
from modelserver.dialects.gemini.partial import PartialArguments
from modelserver.dialects.gemini.pieces import (
    media_part,
    read_block,
    read_finish,
    read_logprobs,
    seconds,
    shown,
    signed,
)
from modelserver.dialects.gemini.usage import READ, count_searches, read_usage
from modelserver.dialects.gemini.vocab import HOSTED_PARTS
from modelserver.dialects.names import derived_id, mint_id
from modelserver.errors import UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    FinishEvent,
    SealEvent,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import (
    Audio,
    Citation,
    Finish,
    FinishReason,
    Inline,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
    finished_with_calls,
)
from modelserver.ir.usage import clamped, merge_report
from modelserver.wire.json_text import from_object, unwrap_string

KNOWN: Final = frozenset(("candidates", "promptFeedback", "usageMetadata", "responseId", "modelVersion"))
"""An object with none of these is no chunk."""


class ChunkReader:
    """Chunks of one answer in, events out; `finish` ends it.

    Chunks hold new parts only. A candidate ends with the answer and not with its finish reason, since some streams say
    `STOP` on every chunk and something worse later (recorded).
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._started = False
        self._candidates: dict[int, _Candidate] = {}
        self._usage: dict[str, Any] = {}
        self._blocked: Finish | None = None
        self._id = ""

    def read(self, chunk: Mapping[str, Any], events: list[StreamEvent]) -> None:
        """Take a chunk.

        Raises:
            UpstreamFailed: `upstream_invalid_response`, a call has no name.
        """
        if not self._started:
            self._start(chunk, events)
        candidates = chunk.get("candidates")
        if isinstance(candidates, list):
            for position, wire in enumerate(candidates):
                if isinstance(wire, dict):
                    self._candidate(wire.get("index", position)).read(wire, events)
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = read_block(feedback)
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            merge_report(self._usage, usage, READ)
            events.append(UsageUpdate(read_usage(self._usage, self._server_calls())))

    @property
    def has_answer(self) -> bool:
        """There is a candidate, or the reason why there is none."""
        return bool(self._candidates) or self._blocked is not None

    def can_finish(self) -> bool:
        """Whether every candidate has said why it ended, and there is one."""
        if self._reading.profile.quirks.get("eof_is_stop") and self._candidates:
            return True
        if not self._candidates:
            return self._blocked is not None
        return all(candidate.finish is not None for candidate in self._candidates.values())

    def finish(self, events: list[StreamEvent]) -> None:
        """The end of the answer."""
        for candidate in self._candidates.values():
            candidate.close(events)
        if self._usage:
            events.append(UsageUpdate(clamped(read_usage(self._usage, self._server_calls())), final=True))
        if not self._candidates and self._blocked is not None:
            events.append(FinishEvent(0, self._blocked))
        for index, candidate in sorted(self._candidates.items()):
            events.append(FinishEvent(index, candidate.finished()))
        events.append(End())

    def _start(self, chunk: Mapping[str, Any], events: list[StreamEvent]) -> None:
        self._started = True
        id, model = chunk.get("responseId"), chunk.get("modelVersion")
        self._id = id if isinstance(id, str) else ""
        named = model if isinstance(model, str) and model else self._reading.profile.model
        events.append(Start(self._id, named, seconds(chunk.get("createTime"))))

    def _candidate(self, index: object) -> _Candidate:
        number = index if type(index) is int and index >= 0 else 0
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = _Candidate(number, self._id, self._reading)
        return candidate

    def _server_calls(self) -> Mapping[str, int] | None:
        searches = sum(candidate.searches for candidate in self._candidates.values())
        return {"web_search": searches} if searches else None


class _Candidate:
    """One answer of the stream: its open block, and what is known of its end."""

    def __init__(self, index: int, response_id: str, reading: Reading) -> None:
        self.finish: Finish | None = None
        self._resume: str | None = None
        """The latest token that goes on with the answer."""
        self.searches = 0
        """Queries of the hosted search."""
        self._index = index
        self._id = response_id
        self._origin: Origin = reading.profile.origin
        self._reading = reading
        self._block = 0
        self._kind: type[Text] | type[Reasoning] | None = None
        """Of the open block of text."""
        self._pieces: list[str] = []
        self._texts: list[str] = []
        """Visible text of the blocks before."""
        self._citations: list[Citation] = []
        self._is_last_text = True
        """No further text comes in this chunk, so that what has no place is cited here."""
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._calls = 0
        self._call: ToolCall | None = None
        """A call whose arguments arrive in pieces."""
        self._arguments = PartialArguments()
        self._last_call: ToolCall | None = None

    def read(self, wire: Mapping[str, Any], events: list[StreamEvent]) -> None:
        content = wire.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        logprobs = wire.get("logprobsResult")
        if isinstance(logprobs, dict):
            self._logprobs = read_logprobs(logprobs)
        cited = wire if "groundingMetadata" in wire or "citationMetadata" in wire else None
        if isinstance(parts, list):
            last_text = _last_text(parts) if cited is not None else 0
            for position, part in enumerate(parts):
                self._is_last_text = position >= last_text
                if isinstance(part, dict):
                    self._part(part, cited, events)
        self._is_last_text = True
        if self._kind is Text:
            if self._logprobs:
                events.append(Delta(self._index, self._block, "", self._logprobs))
                self._logprobs = ()
            if cited is not None:
                self._cite(cited, events)
        if cited is not None:
            self.searches = max(self.searches, count_searches(cited))
        reason = wire.get("finishReason")
        if reason is not None and reason != 0:
            self.finish = read_finish(reason, wire.get("finishMessage"))
        token = wire.get("continuationToken")
        if isinstance(token, str) and token:
            self._resume = token

    def _part(self, part: Mapping[str, Any], cited: Mapping[str, Any] | None, events: list[StreamEvent]) -> None:
        signature = part.get("thoughtSignature")
        seal = None
        if isinstance(signature, str) and signature:
            seal = Seal(kind="thought", payload=signature, origin=self._origin)
        text = part.get("text")
        if isinstance(text, str):
            self._text(text, Reasoning if part.get("thought") is True else Text, seal, cited, events)
            return
        call = part.get("functionCall")
        if isinstance(call, dict):
            self._function_call(call, seal, cited, events)
            return
        for key in HOSTED_PARTS:
            if key in part:
                self._whole(Opaque(dialect="gemini", type=key, raw=part, fallback=shown(key, part)), cited, events)
                return
        data = part.get("inlineData")
        if isinstance(data, dict):
            self._media(data, part, cited, events)
        elif part.keys() - {"thoughtSignature", "thought"}:
            self._whole(Opaque(dialect="gemini", type=next(iter(part)), raw=part), cited, events)
        elif seal is not None:
            self._text("", Reasoning if part.get("thought") is True else Text, seal, cited, events)

    def _text(
        self,
        text: str,
        kind: type[Text] | type[Reasoning],
        seal: Seal | None,
        cited: Mapping[str, Any] | None,
        events: list[StreamEvent],
    ) -> None:
        """More text. A signature closes a block, and signed text is never joined to unsigned text before it."""
        if not text and seal is None:
            return
        if self._kind is not None and (self._kind is not kind or (seal is not None and kind is Text)):
            self._end_text(None, cited, events)
        if self._kind is None:
            self._end_call(events)
            events.append(BlockStart(self._index, self._block, kind(text="") if kind is Text else _THOUGHT))
            self._kind = kind
        if text:
            logprobs: tuple[TokenLogprob, ...] = ()
            if self._logprobs and kind is Text:
                logprobs, self._logprobs = self._logprobs, ()
            events.append(Delta(self._index, self._block, text, logprobs))
            self._pieces.append(text)
        if seal is not None:
            self._end_text(seal, cited, events)

    def _end_text(self, seal: Seal | None, cited: Mapping[str, Any] | None, events: list[StreamEvent]) -> None:
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._pieces)
        part: Part
        if kind is Text:
            if cited is not None:
                self._cite(cited, events)
            part = Text(text=text, citations=tuple(self._citations), seal=seal)
            self._texts.append(text)
            self._citations.clear()
        else:
            if seal is None:
                # Most thoughts are not signed; whose they are must be known when a client sends them back.
                seal = Seal(kind="thought", payload="", origin=self._origin)
            part = Reasoning(text=text, form="summary", seal=seal)
        if seal is not None:
            events.append(SealEvent(self._index, self._block, seal))
        events.append(BlockEnd(self._index, self._block, part))
        self._block += 1
        self._kind = None
        self._pieces.clear()

    def _cite(self, cited: Mapping[str, Any], events: list[StreamEvent]) -> None:
        if not self._pieces:
            return
        texts = [*self._texts, "".join(self._pieces)]
        for citation in read_citations(cited, texts, last=self._is_last_text):
            if citation not in self._citations:
                self._citations.append(citation)
                events.append(Cite(self._index, self._block, citation))

    def _function_call(
        self,
        wire: Mapping[str, Any],
        seal: Seal | None,
        cited: Mapping[str, Any] | None,
        events: list[StreamEvent],
    ) -> None:
        name, arguments = wire.get("name"), wire.get("args")
        if not name and self._call is not None:
            self._arguments.add(wire.get("partialArgs"))
            if wire.get("willContinue") is not True:
                self._end_call(events)
            return
        if not isinstance(name, str) or not name:
            raise UpstreamFailed("The provider called a tool without naming it.", code="upstream_invalid_response")
        self._end_text(None, cited, events)
        self._end_call(events)
        given = arguments if isinstance(arguments, dict) else {}
        call = self._new_call(wire.get("id"), name, given, seal)
        events.append(BlockStart(self._index, self._block, attrs.evolve(call, seal=None)))
        if seal is not None:
            events.append(SealEvent(self._index, self._block, seal))
        self._call = call
        self._arguments = PartialArguments(given)
        self._arguments.add(wire.get("partialArgs"))
        if wire.get("willContinue") is not True:
            self._end_call(events)

    def _new_call(self, id: object, name: str, given: Mapping[str, Any], seal: Seal | None) -> ToolCall:
        if not isinstance(id, str) or not id:
            # Without an id of the response only the call itself can tell it from one of another response.
            id = mint_id(self._id or derived_id("", name, from_object(given)), self._index, self._calls)
        self._calls += 1
        tool = self._reading.tools.get(name)
        if tool is None:
            return ToolCall(id=id, name=name, arguments="", seal=seal)
        return ToolCall(id=id, name=tool.name, arguments="", namespace=tool.namespace, kind=tool.kind, seal=seal)

    def _end_call(self, events: list[StreamEvent]) -> None:
        call = self._call
        if call is None:
            return
        arguments = from_object(self._arguments.value)
        if call.kind == "custom":
            arguments = unwrap_string(arguments)
        call = attrs.evolve(call, arguments=arguments)
        if arguments:
            events.append(Delta(self._index, self._block, arguments))
        events.append(BlockEnd(self._index, self._block, call))
        self._block += 1
        self._call = None
        self._last_call = call

    def _media(
        self,
        data: Mapping[str, Any],
        wire: Mapping[str, Any],
        cited: Mapping[str, Any] | None,
        events: list[StreamEvent],
    ) -> None:
        b64, media_type = data.get("data"), data.get("mimeType")
        if not isinstance(b64, str) or not isinstance(media_type, str):
            return
        media = media_part(Inline(media_type=media_type, b64=b64))
        part: Part = Opaque(dialect="gemini", type="inlineData", raw=wire) if media is None else media
        if media is not None and "thoughtSignature" in wire:
            part = signed(media, wire)
        if isinstance(part, Audio):
            self._end_text(None, cited, events)
            self._end_call(events)
            events.append(BlockStart(self._index, self._block, attrs.evolve(part, source=None)))
            events.append(Delta(self._index, self._block, b64))
            events.append(BlockEnd(self._index, self._block, part))
            self._block += 1
        else:
            self._whole(part, cited, events)

    def _whole(self, part: Part, cited: Mapping[str, Any] | None, events: list[StreamEvent]) -> None:
        self._end_text(None, cited, events)
        self._end_call(events)
        events.append(BlockStart(self._index, self._block, part))
        events.append(BlockEnd(self._index, self._block, part))
        self._block += 1

    def close(self, events: list[StreamEvent]) -> None:
        """End what is open."""
        self._end_text(None, None, events)
        self._end_call(events)

    def finished(self) -> Finish:
        """Why the candidate ended."""
        calls: tuple[Part, ...] = () if self._last_call is None else (self._last_call,)
        finish = finished_with_calls(calls, self.finish or Finish(reason=FinishReason.STOP))
        if finish.reason is FinishReason.CONTINUATION and self._resume is not None:
            return attrs.evolve(finish, resume=self._resume)
        return finish


_THOUGHT: Final = Reasoning(form="summary")


def _last_text(parts: list[Any]) -> int:
    """Where the last visible text of a chunk stands."""
    return max(
        (
            at
            for at, part in enumerate(parts)
            if isinstance(part, dict) and part.get("text") and not part.get("thought")
        ),
        default=0,
    )
