"""Messages and their parts, written as content blocks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.anthropic.answer import CALL_EXTRAS
from modelserver.dialects.anthropic.caching import Marks, Section
from modelserver.dialects.anthropic.vocab import BETA_FILES, NATIVE_CITATIONS
from modelserver.dialects.names import NameMap, fit_id
from modelserver.errors import Unsupported
from modelserver.ir.parts import (
    Audio,
    Citation,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import as_object

Block = dict[str, Any]

RAW_CONTENT: Final = "content"
"""Extra of a result: its content as this API's client wrote it, where the neutral parts leave something out."""
RAW_SOURCE: Final = "source"
"""Extra of a document: a source that is a list of blocks."""
RAW_RESULT: Final = "search_result"
"""Extra of a document: the `search_result` block that it was."""

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)


class Writer:
    """Writes the conversation of one request; what it meets on the way (betas, marks, losses) it collects."""

    def __init__(self, request: Request, profile: Profile, names: NameMap, marks: Marks, losses: list[Loss]) -> None:
        self.betas: set[str] = set()
        self._native = request.dialect == "anthropic"
        self._card = profile.card
        self._names = names
        self._marks = marks
        self._losses = losses

    def messages(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        """The messages of a conversation of strict turns."""
        wire = []
        for message in messages:
            written = {"role": message.role, "content": self._blocks(message)}
            self._add_extra(written, message.extra)
            wire.append(written)
        return wire

    def system(self, parts: tuple[Text, ...]) -> list[Block]:
        """The leading instructions."""
        return [self._text(part, "system") for part in parts]

    def _blocks(self, message: Message) -> list[Block]:
        parts = message.parts
        if message.role == "user" and not isinstance(parts[0], ToolResult):
            # Results before anything else (Anthropic, "Tool use", read 2026-11-23).
            parts = tuple(sorted(parts, key=lambda part: not isinstance(part, ToolResult)))
        return [self._block(part) for part in parts]

    def _block(self, part: Part) -> Block:
        match part:
            case Text():
                return self._text(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return _reasoning(part)
            case Refusal(text=text):
                return {"type": "text", "text": text}
            case Opaque(raw=raw):
                return dict(raw)
            case Audio():
                raise Unsupported("Audio is not supported by this model.", param="messages", code="unsupported_value")

    def _finished(self, block: Block, part: Text | Image | Document | ToolCall | ToolResult, section: Section) -> Block:
        self._marks.add(section, block, part.cache)
        return block

    def _text(self, part: Text, section: Section = "messages") -> Block:
        block: Block = {"type": "text", "text": part.text}
        cited = native_citations(part.citations)
        if len(cited) < len(part.citations):
            self._losses.append(Loss(path="messages", code="citations_dropped"))
        if cited:
            block["citations"] = cited
        self._add_extra(block, part.extra)
        return self._finished(block, part, section)

    def _image(self, part: Image) -> Block:
        if not self._card.vision:
            raise _unsupported("Images are")
        block: Block = {"type": "image", "source": self._source(part.source)}
        self._add_extra(block, part.extra)
        return self._finished(block, part, "messages")

    def _document(self, part: Document) -> Block:
        source = part.source
        if isinstance(source, Inline) and source.media_type.startswith("image/"):
            return self._image(Image(source=source, cache=part.cache))
        raw = part.extra.get(RAW_RESULT) if self._native else None
        if isinstance(raw, Mapping):
            return self._finished(dict(raw), part, "messages")
        is_text = isinstance(source, PlainText) or (
            isinstance(source, Inline) and source.media_type.startswith("text/")
        )
        if not self._card.pdf and not is_text:
            raise _unsupported("PDF documents are")
        raw_source = part.extra.get(RAW_SOURCE) if self._native else None
        block: Block = {"type": "document", "source": self._source(source) if raw_source is None else raw_source}
        if part.title is not None:
            block["title"] = part.title
        if part.context is not None:
            block["context"] = part.context
        if part.citations_enabled:
            block["citations"] = {"enabled": True}
        self._add_extra(block, part.extra)
        return self._finished(block, part, "messages")

    def _source(self, source: Source) -> Block:
        match source:
            case Inline(media_type=media_type, b64=b64):
                return _inline(media_type, b64)
            case Url(url=url):
                if not self._card.url_sources:
                    raise Unsupported("Media by URL are not supported by this model.", param="messages")
                return {"type": "url", "url": url}
            case PlainText(text=text):
                return {"type": "text", "media_type": "text/plain", "data": text}
            case FileRef(provider="anthropic", id=id):
                self.betas.add(BETA_FILES)
                return {"type": "file", "file_id": id}
            case FileRef():
                raise Unsupported(
                    "A file kept by another provider can't be used with this model; send its content.",
                    param="messages",
                    code="unsupported_value",
                )

    def _call(self, part: ToolCall) -> Block:
        arguments: dict[str, Any] = {"input": part.arguments} if part.kind == "custom" else as_object(part.arguments)
        block: Block = {
            "type": "tool_use",
            "id": self._id(part.id),
            "name": self._names.wire(part.name, part.namespace),
            "input": arguments,
        }
        if self._native:
            block.update((key, part.extra[key]) for key in CALL_EXTRAS if key in part.extra)
        return self._finished(block, part, "messages")

    def _result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._id(part.call_id)}
        raw = part.extra.get(RAW_CONTENT) if self._native else None
        hint = part.cache
        if raw is not None:
            block["content"] = raw
        elif part.content:
            block["content"] = self._result_content(part.content)
            hint = hint or next((each.cache for each in reversed(part.content) if each.cache), None)
        if part.is_error:
            block["is_error"] = True
        self._marks.add("messages", block, hint)
        return block

    def _result_content(self, content: tuple[Text | Image | Document, ...]) -> str | list[Block]:
        first = content[0]
        if len(content) == 1 and isinstance(first, Text) and not first.citations and not first.extra:
            return first.text
        outer, self._marks = self._marks, Marks(wanted=False)  # the result as a whole is marked
        try:
            return [self._block(part) for part in content]
        finally:
            self._marks = outer

    def _id(self, id: str) -> str:
        return fit_id(id, pattern=self._card.id_pattern, maximum=self._card.id_max)

    def _add_extra(self, block: Block, extra: Mapping[str, Any]) -> None:
        if self._native:
            for key, value in extra.items():
                if key not in (RAW_SOURCE, RAW_RESULT, RAW_CONTENT):
                    block.setdefault(key, value)


def native_citations(citations: tuple[Citation, ...]) -> list[dict[str, Any]]:
    """Those citations that this API wrote itself; it takes no others (`encrypted_index` can't be made up)."""
    return [dict(each.raw) for each in citations if str(each.raw.get("type")) in NATIVE_CITATIONS]


def _reasoning(part: Reasoning) -> Block:
    seal = part.seal
    if seal is not None and seal.kind == "redacted":
        return {"type": "redacted_thinking", "data": seal.payload}
    return {"type": "thinking", "thinking": part.text, "signature": "" if seal is None else seal.payload}


def _inline(media_type: str, b64: str) -> Block:
    kind = media_type.partition(";")[0].strip().lower()
    if kind.startswith("text/"):
        try:
            text = base64.b64decode(b64, validate=True).decode()
        except (binascii.Error, ValueError):
            raise Unsupported("A text document is not base64 of UTF-8.", param="messages") from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    if kind != "application/pdf":
        kind = _image_type(b64) or ("image/jpeg" if kind == "image/jpg" else kind)
        if not kind.startswith("image/"):
            raise Unsupported(
                f"Documents of type {kind or 'unknown'} are not supported by this model.",
                param="messages",
                code="unsupported_value",
            )
    return {"type": "base64", "media_type": kind, "data": b64}


def _image_type(b64: str) -> str | None:
    """The type that the first bytes show, since clients often name a wrong one."""
    try:
        head = base64.b64decode(b64[:16])
    except (binascii.Error, ValueError):
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _unsupported(what: str) -> Unsupported:
    return Unsupported(f"{what} not supported by this model.", param="messages", code="unsupported_value")
