"""Answers of Chat upstreams as neutral ones: streams as events, whole bodies by the same reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from modelserver.dialects.codec import Reading, StreamDecoder
from modelserver.dialects.openai_chat.blocks import CallBlock
from modelserver.dialects.openai_chat.choice import ChoiceReader
from modelserver.dialects.openai_chat.client_content import decode_url
from modelserver.dialects.openai_chat.reasoning import chunk_text, text_of
from modelserver.dialects.openai_chat.response import read_answer, read_complaint
from modelserver.dialects.openai_chat.think_tags import ThinkTags
from modelserver.dialects.openai_chat.upstream_request import enforced_stops
from modelserver.dialects.openai_chat.usage import UsageReports
from modelserver.dialects.openai_chat.vocab import FINISHES
from modelserver.dialects.stops import StopFilter, StoppingDecoder
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.events import End, Fail, FinishEvent, Ping, Start, StreamEvent, UsageUpdate
from modelserver.ir.fold import fold
from modelserver.ir.parts import (
    Citation,
    Finish,
    FinishReason,
    Image,
    Response,
    TokenLogprob,
    ToolCall,
    finished_with_calls,
)
from modelserver.ir.types import Complaint
from modelserver.wire.json_text import loads_lenient
from modelserver.wire.sse import DONE, Frame, SseFramer, is_whole

_A_CALL: Final = (ToolCall(id="", name="", arguments=""),)
_PLAIN: Final = ("reasoning_content", "reasoning")
_OVERLOADED: Final = frozenset(("insufficient_system_resource",))


def stream_decoder(reading: Reading) -> StreamDecoder:
    """A decoder for one stream; it looks for stop strings itself where the target takes none."""
    stops = enforced_stops(reading)
    decoder = ChatStreamDecoder(reading)
    return StoppingDecoder(decoder, stops) if stops else decoder


def decode_response(body: bytes, reading: Reading) -> Response | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no chat completion.
    """
    answer = read_answer(body)
    if isinstance(answer, Complaint):
        return answer
    parsed = answer.parsed
    decoder = ChatStreamDecoder(reading)
    events = decoder.read_whole(parsed)
    stops = enforced_stops(reading)
    if stops:
        events = StopFilter(stops).feed(events)
    folded = fold(events)
    if isinstance(folded, GatewayError):
        raise folded
    if folded is None:
        raise UpstreamFailed("The provider's answer has no choices.", code="upstream_invalid_response")
    if isinstance(folded, Complaint):
        return folded
    return attrs.evolve(
        folded,
        usage=folded.usage or decoder.usage.usage(),
        service_tier=_word(parsed, "service_tier"),
        fingerprint=_word(parsed, "system_fingerprint"),
    )


class ChatStreamDecoder:
    """Bytes of a Chat stream in, neutral events out.

    Attributes:
        usage: The reports so far.
    """

    def __init__(self, reading: Reading) -> None:
        quirks = reading.profile.quirks
        self.usage = UsageReports(quirks.get("reasoning_tokens"))
        self._reading = reading
        self._framer = SseFramer()
        self._choices: dict[int, ChoiceReader] = {}
        self._started = False
        self._ended = False
        self._id = ""
        self._eof_is_stop = bool(quirks.get("eof_is_stop"))
        self._fields = quirks.get("reasoning_in", "auto")
        tags = isinstance(self._fields, list | tuple) and "think_tags" in self._fields
        self._tags: Callable[[], ThinkTags] | None = ThinkTags if tags else None
        self._thinking: dict[int, ThinkTags] = {}

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        events: list[StreamEvent] = []
        if self._ended:
            return events
        try:
            for frame in self._framer.feed(data):
                if not self._read_frame(frame, events):
                    break
        except GatewayError as error:
            self._fail(error, events)
        return events

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means."""
        events: list[StreamEvent] = []
        if self._ended:
            return events
        try:
            rest = self._framer.close()
            if rest is not None and rest.data is not None and not rest.malformed and is_whole(rest.data):
                self._read_frame(rest, events)
            self._end(events, lenient=self._eof_is_stop)
        except GatewayError as error:
            self._fail(error, events)
        return events

    def read_whole(self, parsed: Mapping[str, Any]) -> list[StreamEvent]:
        """The events of a whole answer, as a stream of one delta would give them."""
        events: list[StreamEvent] = []
        choices = []
        for position, choice in enumerate(parsed.get("choices") or ()):
            if not isinstance(choice, dict):
                continue
            message = choice.get("message")
            message = dict(message) if isinstance(message, dict) else {}
            calls = message.get("tool_calls")
            if isinstance(calls, list):
                # Each is a call of its own, whatever its id says.
                message["tool_calls"] = [
                    {**call, "index": place} for place, call in enumerate(calls) if isinstance(call, dict)
                ]
            choices.append({"index": position, **choice, "delta": message})
        try:
            self._read_chunk({**parsed, "choices": choices}, events)
            self._end(events, lenient=True)  # complete by its framing
        except GatewayError as error:
            self._fail(error, events)
        return events

    def _read_frame(self, frame: Frame, events: list[StreamEvent]) -> bool:
        """Whether the stream goes on after this frame."""
        data = frame.data
        if frame.malformed:
            raise _invalid("a line that is no event")
        if data is None:
            if frame.raw.lstrip().startswith(b":"):
                events.append(Ping())
        elif data == DONE or data.strip() == DONE:
            self._end(events, lenient=self._eof_is_stop)
        elif data:
            try:
                chunk = loads_lenient(data)
            except ValueError:
                raise _invalid("an event that is not JSON") from None
            if type(chunk) is not dict:
                raise _invalid("an event that is not a JSON object")
            self._read_chunk(chunk, events)
        return not self._ended

    def _read_chunk(self, chunk: Mapping[str, Any], events: list[StreamEvent]) -> None:
        choices = chunk.get("choices")
        reported = ("usage" in chunk or "x_groq" in chunk or "service_tier" in chunk) and self.usage.read(chunk)
        if not self._started and (choices or reported):
            self._start(chunk, events)
        if reported and (usage := self.usage.usage()) is not None:
            events.append(UsageUpdate(usage))
        if chunk.get("error"):
            self._fail(read_complaint(200, chunk), events)
            return
        if type(choices) is not list:
            return
        for choice in choices:
            if type(choice) is dict:
                self._read_choice(choice, events)
        if "citations" in chunk or "search_results" in chunk:
            self._read_sources(chunk)

    def _start(self, chunk: Mapping[str, Any], events: list[StreamEvent]) -> None:
        self._started = True
        self._id = _word(chunk, "id") or ""
        created = chunk.get("created")
        events.append(Start(self._id, _word(chunk, "model") or "", created if type(created) is int else 0))

    def _read_choice(self, choice: Mapping[str, Any], events: list[StreamEvent]) -> None:
        index = choice.get("index", 0)
        if type(index) is not int:
            index = 0
        reader = self._choices.get(index)
        if reader is None:
            reader = self._choices[index] = ChoiceReader(index, self._reading, self._id)
        delta = choice.get("delta")
        if type(delta) is dict and delta:
            logprobs = choice.get("logprobs")
            self._read_delta(reader, delta, _tokens(logprobs) if logprobs else (), events)
        word = choice.get("finish_reason")
        if type(word) is str and word and reader.finish_word is None:
            reader.finish_word = word
            reader.stop_reason = choice.get("stop_reason")
            self._flush(reader, events)

    def _read_delta(
        self,
        reader: ChoiceReader,
        delta: Mapping[str, Any],
        tokens: tuple[TokenLogprob, ...],
        events: list[StreamEvent],
    ) -> None:
        content = delta.get("content")
        if len(delta) > 1 or content is None:
            self._read_reasoning(reader, delta, events)
        if type(content) is str:
            if content or tokens:
                self._read_text(reader, content, tokens, events)
        elif type(content) is list:
            self._read_parts(reader, content, events)
        if len(delta) == 1 and content is not None:
            return
        refusal = delta.get("refusal")
        if refusal and type(refusal) is str:
            reader.refusal(refusal, events)
        audio = delta.get("audio")
        if type(audio) is dict:
            reader.audio(audio, events)
        images = delta.get("images")
        if type(images) is list:
            for image in images:
                if (picture := _image(image)) is not None:
                    reader.image(picture, events)
        self._read_calls(reader, delta, events)
        annotations = delta.get("annotations")
        if type(annotations) is list:
            for annotation in annotations:
                if (citation := _citation(annotation)) is not None:
                    reader.cite(citation, events)

    def _read_text(
        self, reader: ChoiceReader, text: str, tokens: tuple[TokenLogprob, ...], events: list[StreamEvent]
    ) -> None:
        if self._tags is None:
            reader.text(text, tokens, events)
            return
        tags = self._thinking.get(reader.index)
        if tags is None:
            tags = self._thinking[reader.index] = self._tags()
        self._tell_tagged(reader, tags.feed(text), events)

    def _tell_tagged(self, reader: ChoiceReader, pieces: list[tuple[bool, str]], events: list[StreamEvent]) -> None:
        for is_thought, piece in pieces:
            if is_thought:
                reader.reasoning(piece, events)
            else:
                reader.text(piece, (), events)

    def _read_parts(self, reader: ChoiceReader, parts: list[Any], events: list[StreamEvent]) -> None:
        """Content as a list of parts (Mistral)."""
        for part in parts:
            if type(part) is not dict:
                continue
            if part.get("type") == "thinking":
                thought = chunk_text(part)
                if thought:
                    reader.reasoning(thought, events)
            elif type(part.get("text")) is str:
                reader.text(part["text"], (), events)

    def _read_reasoning(self, reader: ChoiceReader, delta: Mapping[str, Any], events: list[StreamEvent]) -> None:
        fields = self._fields
        names = _PLAIN if fields == "auto" else [name for name in fields if name in _PLAIN]
        text = next((said for name in names if type(said := delta.get(name)) is str and said), "")
        details = delta.get("reasoning_details")
        if type(details) is not list or not details or (fields != "auto" and "reasoning_details" not in fields):
            if text:
                reader.reasoning(text, events)
            return
        entries = [entry for entry in details if type(entry) is dict]
        # The same text stands in both fields at most servers; the entries have the signatures too.
        if text and not any(map(text_of, entries)):
            reader.reasoning(text, events)
        for entry in entries:
            reader.detail(entry, events)

    def _read_calls(self, reader: ChoiceReader, delta: Mapping[str, Any], events: list[StreamEvent]) -> None:
        calls = delta.get("tool_calls")
        if type(calls) is list:
            seen: list[CallBlock] = []
            for call in calls:
                if type(call) is dict:
                    reader.fragment(call, seen, events)
        legacy = delta.get("function_call")
        if type(legacy) is dict and (legacy.get("name") or legacy.get("arguments")):
            reader.fragment({"index": -1, "function": legacy}, [], events)

    def _read_sources(self, chunk: Mapping[str, Any]) -> None:
        """Addresses that the whole answer is based on (Perplexity, xAI); every chunk repeats them."""
        found = chunk.get("search_results") or chunk.get("citations")
        reader = self._choices.get(0)
        if type(found) is list and found and reader is not None and not reader.has_sources:
            reader.has_sources = True
            reader.sources = [source for each in found if (source := _source(each)) is not None]

    def _flush(self, reader: ChoiceReader, events: list[StreamEvent]) -> None:
        tags = self._thinking.pop(reader.index, None)
        if tags is not None:
            self._tell_tagged(reader, tags.close(), events)
        reader.flush(events)

    def _end(self, events: list[StreamEvent], *, lenient: bool) -> None:
        """The end of the answer; `lenient` forgives choices that do not say how they ended."""
        if self._ended:
            return
        if not self._choices:
            raise _cut()
        for reader in self._choices.values():
            self._flush(reader, events)
            # Snowflake leaves the reason out and says `[DONE]` (recorded), but so do servers that break off.
            if reader.finish_word is None and not (lenient and reader.has_said):
                raise _cut()
        finishes = [(index, self._finish(reader)) for index, reader in sorted(self._choices.items())]
        for index, finish in finishes:
            if finish.reason is FinishReason.ERROR:
                status = 503 if finish.raw in _OVERLOADED else 502
                self._fail(Complaint(status=status, code=finish.raw, in_json=True), events)
                return
            events.append(FinishEvent(index, finish))
        usage = self.usage.usage()
        if usage is not None:
            events.append(UsageUpdate(usage, final=True))
        events.append(End())
        self._ended = True

    def _finish(self, reader: ChoiceReader) -> Finish:
        word = reader.finish_word
        own = self._reading.profile.quirks.get("finish_map") or {}
        if word is None:
            reason = FinishReason.STOP
        elif word in own:
            reason = next((each for each in FinishReason if each.value == own[word]), FinishReason.OTHER)
        else:
            reason = FINISHES.get(word, FinishReason.OTHER)
        stop = reader.stop_reason
        if reason is FinishReason.STOP and type(stop) is str and stop:  # vLLM
            return Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence=stop, raw=word)
        if reason is FinishReason.STOP and reader.refused and not reader.has_calls:
            return Finish(reason=FinishReason.REFUSAL, raw=word)
        finish = Finish(reason=reason, raw=word)
        return finished_with_calls(_A_CALL, finish) if reader.has_calls else finish

    def _fail(self, error: GatewayError | Complaint, events: list[StreamEvent]) -> None:
        events.append(Fail(error))
        self._ended = True


def _word(obj: Mapping[str, Any], key: str) -> str | None:
    value = obj.get(key)
    return value if type(value) is str and value else None


def _tokens(logprobs: object) -> tuple[TokenLogprob, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return ()
    return tuple(_token(token) for token in content if isinstance(token, dict))


def _token(token: Mapping[str, Any]) -> TokenLogprob:
    octets, top, logprob = token.get("bytes"), token.get("top_logprobs"), token.get("logprob")
    return TokenLogprob(
        token=str(token.get("token", "")),
        logprob=float(logprob) if isinstance(logprob, int | float) else 0.0,
        bytes=tuple(octets) if isinstance(octets, list) else None,
        top=tuple(_token(each) for each in top if isinstance(each, dict)) if isinstance(top, list) else (),
    )


def _image(image: object) -> Image | None:
    url = image.get("image_url") if isinstance(image, dict) else None
    url = url.get("url") if isinstance(url, dict) else url
    return Image(source=decode_url(url)) if isinstance(url, str) and url else None


def _citation(annotation: object) -> Citation | None:
    fields = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(fields, dict) or not isinstance(fields.get("url"), str):
        return None
    start, end = fields.get("start_index"), fields.get("end_index")
    # OpenRouter writes 0 and 0 for an unknown place.
    placed = type(start) is int and type(end) is int and 0 <= start < end
    return Citation(
        kind="url",
        url=fields["url"],
        title=_word(fields, "title"),
        cited_text=_word(fields, "content"),
        start=start if placed else None,
        end=end if placed else None,
    )


def _source(source: object) -> Citation | None:
    if isinstance(source, str):
        return Citation(kind="url", url=source)
    url = _word(source, "url") if isinstance(source, dict) else None
    return Citation(kind="url", url=url, title=_word(source, "title")) if url and isinstance(source, dict) else None


def _cut() -> UpstreamFailed:
    return UpstreamFailed("The provider closed the stream before the answer was complete.", code="upstream_error")


def _invalid(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's stream holds {what}.", code="upstream_invalid_response")
