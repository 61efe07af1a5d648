"""Output items of an upstream, read into blocks: one reader for each item, fed with its events and then with the item.

What events left out is taken from the finished item, and what the item contradicts was shown already: so an item that
never streamed, one that streamed in full and one of which a server sent only the ends all come out alike.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from modelserver.dialects.openai_responses.blocks import Blocks, Event, Out, Reader, missing
from modelserver.dialects.openai_responses.calls import CallReader, WholeReader
from modelserver.ir.events import BlockStart, Cite, Delta, SealEvent, Section
from modelserver.ir.parts import Citation, Reasoning, Refusal, Seal, Text, TokenLogprob

_NO_PART: Final = -1


def open_reader(blocks: Blocks, index: int, item: Event, out: Out) -> Reader:
    """A reader for an item that begins as `item`."""
    kind = item.get("type")
    match kind:
        case "message":
            return MessageReader(blocks, index, item)
        case "reasoning":
            return ReasoningReader(blocks, index)
        case "function_call" | "custom_tool_call":
            return CallReader(blocks, index, item, out)
        case _:
            return WholeReader(blocks, index, kind if isinstance(kind, str) else "")


class MessageReader:
    """Text and refusals; each content part is a block."""

    __slots__ = ("_blocks", "_cites", "_ended", "_logprobs", "_part", "_refusal", "_said", "_started", "index", "phase")
    type = "message"

    def __init__(self, blocks: Blocks, index: int, item: Event) -> None:
        self.index = index
        self.phase = item.get("phase")
        self._blocks = blocks
        self._part = _NO_PART
        self._refusal = False
        self._started = False
        self._said: list[str] = []
        self._cites: list[Citation] = []
        self._logprobs = False
        self._ended: set[int] = set()

    def feed(self, kind: str, event: Event, out: Out) -> None:
        """An event of the item."""
        if kind == "response.output_text.delta":
            delta = event.get("delta")
            if self._select(event.get("content_index"), False, out) and type(delta) is str:
                self._say(delta, event.get("logprobs"), out)
        elif kind == "response.refusal.delta":
            delta = event.get("delta")
            if self._select(event.get("content_index"), True, out) and type(delta) is str:
                self._say(delta, None, out)
        elif kind == "response.output_text.done":
            if self._select(event.get("content_index"), False, out):
                self._fill(event.get("text"), event.get("logprobs"), out)
        elif kind == "response.refusal.done":
            if self._select(event.get("content_index"), True, out):
                self._fill(event.get("refusal"), None, out)
        elif kind == "response.output_text.annotation.added":
            annotation = event.get("annotation")
            if self._select(event.get("content_index"), False, out) and isinstance(annotation, dict):
                self._cite(annotation, out)
        elif kind == "response.content_part.done":
            self._part_done(event.get("content_index"), event.get("part"), out)

    def end(self, item: Event, out: Out) -> None:
        """The item is over."""
        content = item.get("content")
        if isinstance(content, str):  # seen at no provider of renown, but the short form is so near
            content = [{"type": "output_text", "text": content}]
        parts = content if isinstance(content, list) else []
        # By count, not by index: Bedrock counts a message's parts from 1 in its events (recorded, 2026-08).
        if self._part != _NO_PART and len(self._ended) < len(parts):
            self._part_done(self._part, parts[len(self._ended)], out)
        self._close(out)
        for part in parts[len(self._ended) :]:
            self._part_done(max(self._ended, default=-1) + 1, part, out)
        self._close(out)

    def _part_done(self, index: object, part: object, out: Out) -> None:
        if not isinstance(part, dict):
            if index == self._part:
                self._close(out)
            return
        kind = part.get("type")
        if kind not in ("output_text", "text", "refusal") or not self._select(index, kind == "refusal", out):
            return
        if kind == "refusal":
            self._fill(part.get("refusal"), None, out)
        else:
            self._fill(part.get("text"), part.get("logprobs"), out)
            annotations = part.get("annotations")
            if isinstance(annotations, list):
                for annotation in annotations[len(self._cites) :]:
                    if isinstance(annotation, dict):
                        self._cite(annotation, out)
        self._close(out)

    def _select(self, index: object, refusal: bool, out: Out) -> bool:
        """Make the part the current one; False for one that has ended."""
        if index == self._part:
            return True
        number = index if type(index) is int and index >= 0 else 0
        if number == self._part:
            return True
        if number in self._ended:
            return False
        self._close(out)
        self._part = number
        self._refusal = refusal
        return True

    def _open(self, out: Out) -> None:
        if not self._started:
            self._started = True
            out.append(BlockStart(0, self._blocks.count, self._as_part("")))

    def _say(self, text: str, logprobs: object, out: Out) -> None:
        tokens = read_logprobs(logprobs) if logprobs else ()
        if text or tokens:
            self._open(out)
            self._said.append(text)
            self._logprobs = self._logprobs or bool(tokens)
            out.append(Delta(0, self._blocks.count, text, tokens))

    def _fill(self, full: object, logprobs: object, out: Out) -> None:
        rest = missing("".join(self._said), full)
        self._say(rest, None if self._logprobs else logprobs, out)

    def _cite(self, annotation: dict[str, Any], out: Out) -> None:
        self._open(out)
        citation = read_citation(annotation)
        self._cites.append(citation)
        out.append(Cite(0, self._blocks.count, citation))

    def _close(self, out: Out) -> None:
        if self._part == _NO_PART:
            return
        if self._started:
            self._blocks.refused = self._blocks.refused or self._refusal
            self._blocks.end(self._as_part("".join(self._said)), out)
        self._ended.add(self._part)
        self._part = _NO_PART
        self._started = self._logprobs = False
        self._said.clear()
        self._cites.clear()

    def _as_part(self, text: str) -> Text | Refusal:
        if self._refusal:
            return Refusal(text=text)
        extra = {"phase": self.phase} if isinstance(self.phase, str) else {}
        return Text(text=text, citations=tuple(self._cites) if text else (), extra=extra)


class ReasoningReader:
    """One reasoning item is one block; it opens with its first text, or at the end with its ciphertext alone."""

    __slots__ = ("_blocks", "_form", "_length", "_pieces", "_said", "_section", "_sections", "index")
    type = "reasoning"

    def __init__(self, blocks: Blocks, index: int) -> None:
        self.index = index
        self._blocks = blocks
        self._form: Literal["summary", "full"] | None = None
        self._said: list[str] = []
        self._length = 0
        self._section = _NO_PART
        self._sections: list[int] = []
        self._pieces: list[str] = []
        """Texts of the current section."""

    def feed(self, kind: str, event: Event, out: Out) -> None:
        """An event of the item."""
        if kind == "response.reasoning_summary_text.delta":
            self._say("summary", event.get("summary_index"), event.get("delta"), out)
        elif kind == "response.reasoning_text.delta":
            self._say("full", event.get("content_index"), event.get("delta"), out)
        elif kind == "response.reasoning_summary_text.done":
            self._fill("summary", event.get("summary_index"), event.get("text"), out)
        elif kind == "response.reasoning_text.done":
            self._fill("full", event.get("content_index"), event.get("text"), out)

    def end(self, item: Event, out: Out) -> None:
        """The item is over; only now its ciphertext counts (that of `output_item.added` is an earlier, shorter one)."""
        content, summary = item.get("content"), item.get("summary")
        if isinstance(content, list):
            for index, part in enumerate(content):
                self._fill("full", index, part.get("text") if isinstance(part, dict) else None, out)
        if isinstance(summary, list):
            for index, part in enumerate(summary):
                self._fill("summary", index, part.get("text") if isinstance(part, dict) else None, out)
        seal = self._seal(item)
        if self._form is None and seal is None:
            return
        form: Literal["summary", "full", "hidden"] = self._form or "hidden"
        if self._form is None:
            out.append(BlockStart(0, self._blocks.count, Reasoning(form=form)))
        if seal is not None:
            out.append(SealEvent(0, self._blocks.count, seal))
        sections = tuple(self._sections) if len(self._sections) > 1 else ()
        self._blocks.end(Reasoning(text="".join(self._said), form=form, sections=sections, seal=seal), out)

    def _seal(self, item: Event) -> Seal | None:
        payload, id = item.get("encrypted_content"), item.get("id")
        if not isinstance(payload, str):
            payload = ""
        if not payload and self._form is None:
            return None
        return Seal(
            kind="encrypted",
            payload=payload,
            item_id=id if isinstance(id, str) and id else None,
            origin=self._blocks.reading.profile.origin,
        )

    def _say(self, form: Literal["summary", "full"], index: object, text: object, out: Out) -> None:
        if type(text) is not str or not text:
            return
        section = index if type(index) is int else 0
        if self._form is None:
            self._form = form
            out.append(BlockStart(0, self._blocks.count, Reasoning(form=form)))
        if form != self._form or section < self._section:
            return
        if section > self._section:
            if self._section != _NO_PART:
                out.append(Section(0, self._blocks.count))
            self._section = section
            self._sections.append(self._length)
            self._pieces.clear()
        self._pieces.append(text)
        self._said.append(text)
        self._length += len(text)
        out.append(Delta(0, self._blocks.count, text))

    def _fill(self, form: Literal["summary", "full"], index: object, full: object, out: Out) -> None:
        said = "".join(self._pieces) if index == self._section else ""
        self._say(form, index, missing(said, full), out)


def read_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    """Log probabilities of tokens; entries that are none are left out."""
    if not isinstance(value, list):
        return ()
    return tuple(token for entry in value if (token := _token(entry)) is not None)


def _token(entry: object) -> TokenLogprob | None:
    if not isinstance(entry, dict):
        return None
    token, logprob, data = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if type(token) is not str or type(logprob) not in (float, int):
        return None
    is_bytes = isinstance(data, list) and all(type(byte) is int for byte in data)
    return TokenLogprob(
        token=token,
        logprob=logprob,  # type: ignore[arg-type]
        bytes=tuple(data) if is_bytes else None,  # type: ignore[arg-type]
        top=read_logprobs(entry.get("top_logprobs")),
    )


def read_citation(annotation: dict[str, Any]) -> Citation:
    """An annotation; its offsets count characters of its text part, the end exclusive as observed."""
    kind = annotation.get("type")
    start, end = annotation.get("start_index"), annotation.get("end_index")
    title = annotation.get("title", annotation.get("filename"))
    url = annotation.get("url")
    return Citation(
        kind="url" if kind == "url_citation" else "document" if isinstance(title, str) else "other",
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        start=start if type(start) is int else None,
        end=end if type(end) is int else None,
        raw=annotation,
    )
