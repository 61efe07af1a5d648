"""One choice of an answer: what deltas say becomes blocks, one open at a time.

Servers may interleave the calls of a choice, and blocks must not. The open call stays open while its arguments are no
complete JSON; fragments of other calls, and text, wait in order of appearance until it can be ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelserver.dialects.codec import Reading, WireTool
from modelserver.dialects.names import mint_id
from modelserver.dialects.openai_chat.blocks import (
    EMPTY,
    Block,
    CallBlock,
    Kind,
    read_fragment,
    read_signature,
)
from modelserver.dialects.openai_chat.reasoning import continues, form_of, joined, text_of
from modelserver.errors import UpstreamFailed
from modelserver.ir.events import BlockEnd, BlockStart, Cite, Delta, SealEvent, StreamEvent
from modelserver.ir.parts import (
    Audio,
    Citation,
    Image,
    Inline,
    Part,
    Reasoning,
    Refusal,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.wire.json_text import StringUnwrapper, dumps_exact


class ChoiceReader:
    """Deltas of one choice in, events of one choice out."""

    def __init__(self, index: int, reading: Reading, response_id: str) -> None:
        self.index = index
        self.has_calls = False
        self.refused = False
        self.has_said = False
        """Something was generated."""
        self.finish_word: str | None = None
        self.stop_reason: object = None
        self.has_sources = False
        self.sources: list[Citation] = []
        """What the answer as a whole is based on, for the first text that ends without citations of its own."""
        self._reading = reading
        self._response_id = response_id
        self._open: Block | None = None
        self._waiting: list[Block] = []
        self._number = 0
        self._length = 0
        self._by_index: dict[int, CallBlock] = {}
        self._by_id: dict[str, CallBlock] = {}
        self._call: CallBlock | None = None
        self._ordinal = 0
        self._tokens: tuple[TokenLogprob, ...] = ()
        self._citations: list[Citation] = []

    def text(self, text: str, tokens: tuple[TokenLogprob, ...], events: list[StreamEvent]) -> None:
        """Take content; it may be empty where only log probabilities came."""
        if self._tokens:
            tokens, self._tokens = self._tokens + tokens, ()
        if not text:
            self._tokens = tokens  # they belong to the next text
            return
        block = self._open
        if block is not None and block.kind == Kind.TEXT:
            block.said.append(text)
            events.append(Delta(self.index, block.number, text, tokens))
            return
        self._put(Kind.TEXT, text, events, tokens)

    def refusal(self, text: str, events: list[StreamEvent]) -> None:
        """Take text by which the model declines."""
        self.refused = True
        self._put(Kind.REFUSAL, text, events)

    def reasoning(self, text: str, events: list[StreamEvent]) -> None:
        """Take reasoning of which only the text is known."""
        self._put(Kind.REASONING, text, events)

    def detail(self, detail: dict[str, Any], events: list[StreamEvent]) -> None:
        """Take an entry of `reasoning_details`."""
        text = text_of(detail)
        target = self._waiting[-1] if self._waiting else self._open
        if target is not None and target.kind == Kind.REASONING:
            earlier = target.detail
            if earlier is None and form_of(detail) != "hidden" and text in ("", target.told()):
                target.detail = detail  # the signature of what came as plain text
                return
            if earlier is not None and continues(earlier, detail):
                target.detail = joined(earlier, detail)
                self._add(target, text, events)
                return
        block = Block(Kind.REASONING)
        block.detail = detail
        self._waiting.append(block)
        self._add(block, text, events)

    def audio(self, audio: Mapping[str, Any], events: list[StreamEvent]) -> None:
        """Take a piece of a spoken answer."""
        id, data, transcript = audio.get("id"), audio.get("data"), audio.get("transcript")
        if not (data or transcript):
            return
        block = self._target(Kind.AUDIO)
        if type(id) is str and id:
            block.ref = id
        if type(transcript) is str:
            block.transcript += transcript
        self._add(block, data if type(data) is str else "", events)

    def image(self, image: Image, events: list[StreamEvent]) -> None:
        """Take a picture, which is whole."""
        block = Block(Kind.IMAGE)
        block.image = image
        self._waiting.append(block)
        self._advance(events)

    def cite(self, citation: Citation, events: list[StreamEvent]) -> None:
        """Take a citation, whose offsets count in the whole message."""
        block = self._open
        if block is None or block.kind != Kind.TEXT:
            self._citations.append(citation)
            return
        local = _shifted(citation, block.start)
        block.citations.append(local)
        events.append(Cite(self.index, block.number, local))

    def fragment(self, fragment: Mapping[str, Any], seen: list[CallBlock], events: list[StreamEvent]) -> None:
        """Take a piece of a call; `seen` are the calls that the same delta has had pieces of already."""
        id, name, arguments, custom = read_fragment(fragment)
        index = fragment.get("index")
        call = self._find_call(index if type(index) is int else None, id, name, arguments, seen)
        if call is None:
            return
        seen.append(call)
        call.custom = call.custom or custom
        if id and not call.id:
            call.id = id
            self._by_id[id] = call
        if name and (not call.name or (call.pieces and not call.named)):
            call.name += name
        signature = read_signature(fragment)
        if signature:
            call.seal = Seal(kind="thought", payload=signature, origin=self._reading.profile.origin)
        if arguments:
            call.named = True
            call.raw.append(arguments)
        self._add(call, arguments, events)

    def _find_call(
        self, index: int | None, id: str, name: str, arguments: str, seen: list[CallBlock]
    ) -> CallBlock | None:
        """The call that a fragment belongs to, a new one where it is the first of its call."""
        if index is not None:
            call = self._by_index.get(index)
            if call is not None and id and call.id and id != call.id:
                call.over = True
                call = None
        elif id:
            call = self._by_id.get(id)
            if call is None and self._call is not None:
                if self._call.id:
                    self._call.over = True
                else:
                    call = self._call
        else:
            call = self._call
        if call is not None and name and (call in seen or (arguments and call.is_complete())):
            # Whole calls, one after the other, that nothing but their place tells apart (Gemini's endpoint, Ollama).
            call.over = True
            call = None
        if call is None:
            if not (id or name or arguments):
                return None
            call = CallBlock(pieces=bool(self._reading.profile.quirks.get("name_fragments")))
            if self._call is not None and self._call.custom:
                self._call.over = True
            self._call = call
            self._waiting.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def flush(self, events: list[StreamEvent]) -> None:
        """End everything that has begun: the choice is finished, or nothing more will come.

        Raises:
            UpstreamFailed: A call has no name.
        """
        while True:
            self._end_open(events)
            if not self._waiting:
                return
            block = self._waiting.pop(0)
            if not block.is_ready(closing=True):
                if isinstance(block, CallBlock) and not block.raw:
                    continue  # nothing but an id
                raise UpstreamFailed("The provider called a tool without its name.", code="upstream_invalid_response")
            self._begin(block, events)

    def _put(self, kind: Kind, text: str, events: list[StreamEvent], tokens: tuple[TokenLogprob, ...] = ()) -> None:
        self._add(self._target(kind), text, events, tokens)

    def _target(self, kind: Kind) -> Block:
        """The block that takes more of a kind: the last one begun if it is of it, else a new one."""
        last = self._waiting[-1] if self._waiting else self._open
        if last is not None and last.kind == kind:
            return last
        block = Block(kind)
        self._waiting.append(block)
        return block

    def _add(self, block: Block, text: str, events: list[StreamEvent], tokens: tuple[TokenLogprob, ...] = ()) -> None:
        if block is self._open:
            self._tell(block, text, tokens, events)
            return
        if text:
            block.held.append((text, tokens))
        self._advance(events)

    def _advance(self, events: list[StreamEvent]) -> None:
        """Begin what waits, as far as what is open can be ended."""
        while self._waiting:
            block = self._waiting[0]
            if not block.is_ready(closing=False) or (self._open is not None and not self._open.is_over()):
                return
            self._end_open(events)
            del self._waiting[0]
            self._begin(block, events)

    def _begin(self, block: Block, events: list[StreamEvent]) -> None:
        block.number = self._number
        block.start = self._length
        self._open = block
        self.has_said = True
        if isinstance(block, CallBlock):
            part: Part = self._begun_call(block)
        elif block.image is not None:
            part = block.image
        elif block.kind == Kind.REASONING and block.detail is not None:
            part = Reasoning(form=form_of(block.detail))
        else:
            part = EMPTY[block.kind]
        events.append(BlockStart(self.index, block.number, part))
        held, block.held = block.held, []
        for text, tokens in held:
            self._tell(block, text, tokens, events)
        if block.image is not None:
            self._end_open(events)

    def _begun_call(self, call: CallBlock) -> ToolCall:
        self.has_calls = True
        id = call.id or mint_id(self._response_id, self.index, self._ordinal)
        self._ordinal += 1
        tool = self._reading.tools.get(call.name) or WireTool(name=call.name)
        kind = tool.kind
        if call.custom:
            kind = "custom"
        elif kind == "custom":
            call.unwrapper = StringUnwrapper()
        call.part = ToolCall(id=id, name=tool.name, arguments="", namespace=tool.namespace, kind=kind)
        return call.part

    def _tell(self, block: Block, text: str, tokens: tuple[TokenLogprob, ...], events: list[StreamEvent]) -> None:
        if isinstance(block, CallBlock) and block.unwrapper is not None:
            text = block.unwrapper.feed(text)
        if text:
            block.said.append(text)
            events.append(Delta(self.index, block.number, text, tokens))

    def _end_open(self, events: list[StreamEvent]) -> None:
        block, self._open = self._open, None
        if block is None:
            return
        self._number += 1
        index, number = self.index, block.number
        if isinstance(block, CallBlock):
            events += self._ended_call(block)
            return
        text = "".join(block.said)
        part: Part
        if block.kind == Kind.TEXT:
            self._length += len(text)
            pending, self._citations = self._citations, []
            late = [_shifted(citation, block.start) for citation in pending]
            if not block.citations and not late:
                late, self.sources = self.sources, []
            events += [Cite(index, number, citation) for citation in late]
            part = Text(text=text, citations=(*block.citations, *late))
        elif block.kind == Kind.REASONING:
            seal = self._seal(block)
            form = "full" if block.detail is None else form_of(block.detail)
            part = Reasoning(text=text, form=form, seal=seal)
            events.append(SealEvent(index, number, seal))
        elif block.kind == Kind.REFUSAL:
            part = Refusal(text=text)
        elif block.image is not None:
            part = block.image
        else:
            part = self._ended_audio(block)
        events.append(BlockEnd(index, number, part))

    def _ended_call(self, call: CallBlock) -> list[StreamEvent]:
        assert call.part is not None
        events: list[StreamEvent] = []
        if call.unwrapper is not None and (rest := call.unwrapper.close()):
            call.said.append(rest)
            events.append(Delta(self.index, call.number, rest))
        if call.seal is not None:
            events.append(SealEvent(self.index, call.number, call.seal))
        begun = call.part
        part = ToolCall(
            id=begun.id,
            name=begun.name,
            arguments="".join(call.said),
            namespace=begun.namespace,
            kind=begun.kind,
            seal=call.seal,
        )
        events.append(BlockEnd(self.index, call.number, part))
        return events

    def _ended_audio(self, block: Block) -> Audio:
        spec = self._reading.request.audio_out
        format = (spec.format if spec is not None else None) or "wav"
        source = Inline(media_type=f"audio/{format}", b64="".join(block.said)) if block.said else None
        return Audio(source=source, format=format, transcript=block.transcript or None, ref=block.ref)

    def _seal(self, block: Block) -> Seal:
        """The seal of a thought: what its maker wants back beside the text, and in any case who made it."""
        payload, kind = "", "signature"
        if block.detail is not None:
            rest = {key: value for key, value in block.detail.items() if key not in ("text", "summary")}
            payload = dumps_exact(rest).decode()
            kind = "encrypted" if form_of(block.detail) == "hidden" else kind
        return Seal(kind=kind, payload=payload, origin=self._reading.profile.origin)  # type: ignore[arg-type]


def _shifted(citation: Citation, start: int) -> Citation:
    """The citation with offsets in a text that begins at `start`; none where they point elsewhere."""
    first, end = citation.start, citation.end
    inside = first is not None and end is not None and first >= start
    return Citation(
        kind=citation.kind,
        url=citation.url,
        title=citation.title,
        cited_text=citation.cited_text,
        start=first - start if inside and first is not None else None,
        end=end - start if inside and end is not None else None,
    )
