"""Answers for Gemini clients, whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelserver.dialects.codec import Writing
from modelserver.dialects.gemini.citations import GroundingWriter
from modelserver.dialects.gemini.errors import error_object
from modelserver.dialects.gemini.usage import write_usage
from modelserver.dialects.gemini.vocab import FINISH_WORDS
from modelserver.dialects.names import derived_id
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    Fail,
    FinishEvent,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import (
    Audio,
    Document,
    Finish,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.usage import Usage, merge_usage
from modelserver.wire.json_text import as_object, dumps_exact

Wire = dict[str, Any]


def encode_response(response: Response, writing: Writing) -> bytes:
    """The body of a whole answer."""
    candidates: list[Wire] = []
    for choice in response.choices:
        grounding = GroundingWriter()
        parts: list[Wire] = []
        for part in choice.parts:
            if isinstance(part, Text):
                grounding.add(part.text, part.citations, part_index=len(parts))
            parts.extend(write_part(part, writing))
        candidate: Wire = {"content": {"role": "model", "parts": parts}} if parts else {"content": {"role": "model"}}
        _end(candidate, choice.index, choice.finish, grounding, choice.logprobs)
        candidates.append(candidate)
    body: Wire = {"candidates": candidates}
    if response.usage is not None:
        body["usageMetadata"] = write_usage(response.usage)
    body.update(_names(writing, response.model))
    return dumps_exact(body)


def write_part(part: Part, writing: Writing) -> list[Wire]:
    """The parts of the wire that say a part; none for what clients of this dialect can't be told."""
    match part:
        case Text(text=text, seal=seal):
            return _signed({"text": text}, seal, text, writing) if text or seal is not None else []
        case Reasoning(text=text, seal=seal):
            shown = text if writing.show_reasoning else ""
            if not shown and seal is None:
                return []
            return _signed({"text": shown, "thought": True}, seal, shown, writing)
        case Refusal(text=text):
            return [{"text": text}] if text else []
        case ToolCall(id=id, name=name, arguments=arguments, kind=kind, seal=seal):
            args = {"input": arguments} if kind == "custom" else as_object(arguments)
            return _signed({"functionCall": {"id": id, "name": name, "args": args}}, seal, "", writing)
        case Image(source=Inline() as source) | Document(source=Inline() as source) | Audio(source=Inline() as source):
            return [{"inlineData": {"mimeType": source.media_type, "data": source.b64}}]
        case Audio(transcript=transcript):
            return [{"text": transcript}] if transcript else []
        case Opaque(dialect=dialect, raw=raw, fallback=fallback):
            if dialect == "gemini":
                return [dict(raw)]
            return [{"text": fallback}] if fallback else []
        case _:
            return []


def _signed(wire: Wire, seal: Seal | None, visible_text: str, writing: Writing) -> list[Wire]:
    """The part with its seal in an envelope, bound to the text that the client sees."""
    if seal is not None:
        if seal.origin is not None:
            wire["thoughtSignature"] = writing.sealer.wrap(seal, visible_text)
        elif seal.kind == "thought" and seal.payload:
            wire["thoughtSignature"] = seal.payload
    return [wire]


def _end(
    candidate: Wire,
    index: int,
    finish: Finish,
    grounding: GroundingWriter,
    logprobs: Sequence[TokenLogprob] | None,
) -> None:
    """What is said of a candidate at its end."""
    candidate["finishReason"] = FINISH_WORDS[finish.reason]
    candidate["index"] = index
    if finish.detail and finish.reason is not FinishReason.CONTINUATION:
        candidate["finishMessage"] = finish.detail
    metadata = grounding.metadata()
    if metadata is not None:
        candidate["groundingMetadata"] = metadata
    if logprobs:
        candidate["logprobsResult"] = _write_logprobs(logprobs)


def _write_logprobs(tokens: Sequence[TokenLogprob]) -> Wire:
    result: Wire = {"chosenCandidates": [_token(token) for token in tokens]}
    if any(token.top for token in tokens):
        result["topCandidates"] = [{"candidates": [_token(top) for top in token.top]} for token in tokens]
    return result


def _token(token: TokenLogprob) -> Wire:
    return {"token": token.token, "logProbability": token.logprob}


def _names(writing: Writing, model: str) -> Wire:
    return {
        "modelVersion": writing.request.model or model,
        "responseId": derived_id("", writing.seed, length=22),
    }


class GeminiStreamEncoder:
    """Events in, chunks out: SSE frames, or the elements of one JSON array.

    Text goes out as it comes, a call when it is whole; the last chunk has the reasons and the usage. Where something
    was said it has an empty text too, as Google's own have (recorded): a chat of the official client forgets a turn of
    which any chunk has no parts (google-genai 3.6.1, `chats._validate_response`, read 2026-11-25).
    """

    def __init__(self, writing: Writing, *, array: bool = False) -> None:
        self._writing = writing
        self._array = array
        self._begun = False
        self._names: Mapping[str, Any] = {}
        self._said: dict[int, int] = {}
        """Bytes of the visible text before the open block."""
        self._begun_choices: set[int] = set()
        """Those of which parts have left."""
        self._groundings: dict[int, GroundingWriter] = {}
        self._logprobs: dict[int, list[TokenLogprob]] = {}
        self._open: dict[int, Part] = {}
        self._finishes: dict[int, Finish] = {}
        self._usage: Usage | None = None

    def feed(self, event: StreamEvent) -> bytes:
        """What the client gets now; often nothing."""
        match event:
            case Delta(choice=choice, text=text, logprobs=logprobs):
                return self._delta(choice, text, logprobs)
            case BlockStart(choice=choice, part=part):
                self._open[choice] = part
            case BlockEnd(choice=choice, part=part):
                return self._block_end(choice, part)
            case Start(model=model, usage=usage):
                self._names = _names(self._writing, model)
                self._usage = usage
            case UsageUpdate(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case FinishEvent(choice=choice, finish=finish):
                self._finishes[choice] = finish
            case End():
                return self._last()
            case Fail(error=error):
                return self._failed(error)
            case _:  # a ping is the connection's business; seals and citations are on the part when it ends
                pass
        return b""

    def _delta(self, choice: int, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        if logprobs:
            self._logprobs.setdefault(choice, []).extend(logprobs)
        if not text:
            return b""
        match self._open.get(choice):
            case Text() | Refusal():
                return self._parts(choice, [{"text": text}])
            case Reasoning() if self._writing.show_reasoning:
                return self._parts(choice, [{"text": text, "thought": True}])
            case _:
                return b""

    def _block_end(self, choice: int, part: Part) -> bytes:
        match part:
            case Text(text=text, citations=citations, seal=seal):
                before = self._said.get(choice, 0)
                if citations:
                    self._groundings.setdefault(choice, GroundingWriter()).add(text, citations, before=before)
                self._said[choice] = before + len(text.encode("utf-8", "surrogatepass"))
                return b"" if seal is None else self._parts(choice, _signed({"text": ""}, seal, "", self._writing))
            case Reasoning(text=text, seal=seal):
                if seal is None:
                    return b""
                shown = text if self._writing.show_reasoning else ""
                return self._parts(choice, _signed({"text": "", "thought": True}, seal, shown, self._writing))
            case Refusal():
                return b""
            case _:
                return self._parts(choice, write_part(part, self._writing))

    def _parts(self, choice: int, parts: list[Wire]) -> bytes:
        if not parts:
            return b""
        self._begun_choices.add(choice)
        return self._chunk({"candidates": [{"content": {"role": "model", "parts": parts}, "index": choice}]})

    def _last(self) -> bytes:
        candidates: list[Wire] = []
        for choice, finish in sorted(self._finishes.items()):
            content: Wire = {"role": "model"}
            if choice in self._begun_choices:
                content["parts"] = [{"text": ""}]
            candidate: Wire = {"content": content}
            grounding = self._groundings.get(choice) or GroundingWriter()
            _end(candidate, choice, finish, grounding, self._logprobs.get(choice))
            candidates.append(candidate)
        body: Wire = {"candidates": candidates}
        if self._usage is not None:
            body["usageMetadata"] = write_usage(self._usage)
        return self._chunk(body) + (b"]" if self._array else b"")

    def _failed(self, error: GatewayError | object) -> bytes:
        if not isinstance(error, GatewayError):  # an upstream's own words are not for clients
            error = UpstreamFailed("The provider failed while it answered.", code="upstream_error")
        return self._frame(dumps_exact({"error": error_object(error)})) + (b"]" if self._array else b"")

    def _chunk(self, body: Wire) -> bytes:
        body.update(self._names)
        return self._frame(dumps_exact(body))

    def _frame(self, text: bytes) -> bytes:
        if not self._array:
            return b"data: " + text + b"\r\n\r\n"
        lead, self._begun = (b",\r\n" if self._begun else b"["), True
        return lead + text
