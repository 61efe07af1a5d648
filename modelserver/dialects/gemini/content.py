"""A conversation as `contents`, for an upstream."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import attrs

from modelserver.dialects.gemini.media import encode_media
from modelserver.dialects.gemini.vocab import SKIP_SIGNATURE
from modelserver.dialects.names import NameMap, fit_id
from modelserver.ir.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from modelserver.ir.profile import Profile, can_read
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import RAW_KEY, as_object

_RESULT_MEDIA: Final = frozenset(("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"))
"""What a result holds from the third generation on (pydantic-ai, August 2026)."""


def readable(request: Request, profile: Profile, losses: list[Loss], *, path: str) -> tuple[Message, ...]:
    """The conversation with the parts and seals that the target can read; seals are the native ones.

    Reasoning of another maker goes with its seal, and is never turned into text.

    Raises:
        Unsupported: A part can't be sent to this model.
    """
    opened = _Opening(request, profile)
    messages: list[Message] = []
    # Paths are said here, where messages are still those of the client.
    offset = len(request.system) if request.dialect == "chat" else 0
    for index, message in enumerate(request.messages, offset):
        _check_media(message, profile, request, f"{path}[{index}]")
        parts = opened.parts(message)
        if parts != message.parts:
            message = attrs.evolve(message, parts=parts)
        messages.append(message)
    if opened.dropped:
        losses.append(Loss(path=path, code="seal_dropped"))
    if opened.silenced:
        losses.append(Loss(path=path, code="reasoning_dropped"))
    return tuple(messages)


def _check_media(message: Message, profile: Profile, request: Request, path: str) -> None:
    inner = "parts" if request.dialect == "gemini" else "content"
    for index, part in enumerate(message.parts):
        for each in part.content if isinstance(part, ToolResult) else (part,):
            if isinstance(each, Image | Audio | Document) and not _is_said(each):
                encode_media(each, profile.card, f"{path}.{inner}[{index}]", request.dialect)


def _is_said(part: Image | Audio | Document) -> bool:
    """Whether the part is only text here: a plain document, an earlier answer's transcript."""
    return part.source is None or isinstance(part.source, PlainText)


class _Opening:
    """Takes seals out of their envelopes; those that the target did not make are dropped."""

    def __init__(self, request: Request, profile: Profile) -> None:
        self.dropped = False
        self.silenced = False
        self._native = request.dialect == "gemini"
        self._profile = profile

    def parts(self, message: Message) -> tuple[Part, ...]:
        parts: list[Part] = []
        waiting: Seal | None = None
        for part in message.parts:
            read = self._part(part)
            if isinstance(read, Reasoning) and not read.text and read.seal is not None and not self._native:
                waiting = read.seal  # Google reads it on the part that follows
                continue
            if waiting is not None and isinstance(read, Text | ToolCall):
                if read.seal is None:
                    read = attrs.evolve(read, seal=waiting)
                waiting = None
            if read is not None:
                parts.append(read)
        if waiting is not None:
            parts.append(Text(text="", seal=waiting))
        return tuple(parts)

    def _part(self, part: Part) -> Part | None:
        match part:
            case Reasoning(seal=None):
                if self._native:
                    return part
                self.silenced = True
                return None
            case Reasoning(text=text, seal=seal) if seal is not None:
                native = self._open(seal, text)
                return None if native is None else attrs.evolve(part, seal=native)
            case Text(text=text, seal=seal) if seal is not None:
                return attrs.evolve(part, seal=self._open(seal, text))
            case ToolCall(seal=seal) if seal is not None:
                return attrs.evolve(part, seal=self._open(seal, None))
            case Opaque(dialect=dialect, fallback=fallback):
                if dialect == "gemini":
                    return part
                return Text(text=fallback) if fallback else None
            case Refusal(text=text):
                return Text(text=text)
            case Audio(source=None, transcript=transcript):
                return Text(text=transcript) if transcript else None
            case _:
                return part

    def _open(self, seal: Seal, visible_text: str | None) -> Seal | None:
        sealer = self._profile.sealer
        opened: Seal | None = seal
        if sealer.is_envelope(seal.payload):
            opened = sealer.open(seal.payload, visible_text)
        if opened is not None and opened.kind == "thought" and opened.payload and can_read(self._profile, opened):
            return opened
        self.dropped = self.dropped or (opened is None or bool(opened.payload))
        return None


class ContentWriter:
    """Writes the messages of a shaped conversation, user and model in turn."""

    def __init__(self, request: Request, profile: Profile, names: NameMap, losses: list[Loss], path: str) -> None:
        self._request = request
        self._profile = profile
        self._names = names
        self._losses = losses
        self._path = path
        self._wires: dict[str, str] = {}
        """Names of the calls so far, by id."""
        self._seal_missing = False

    def contents(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The entries."""
        entries: list[dict[str, Any]] = []
        for message in messages:
            if message.role == "assistant":
                parts = self._model_parts(message)
                if parts:
                    entries.append({"role": "model", "parts": parts})
            else:
                entries.extend(self._user_entries(message))
        if self._seal_missing:
            self._losses.append(Loss(path=self._path, code="seal_missing"))
        return entries

    def _model_parts(self, message: Message) -> list[dict[str, Any]]:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        unsigned = self._profile.card.seal_required and bool(calls) and all(call.seal is None for call in calls)
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                wire = self._call(part)
                if unsigned and part is calls[0]:
                    # In every turn and not only the current one: what was sent once must not change later.
                    wire["thoughtSignature"] = SKIP_SIGNATURE
                    self._seal_missing = True
                parts.append(wire)
            else:
                parts.extend(self._plain(part))
        return parts

    def _user_entries(self, message: Message) -> list[dict[str, Any]]:
        """Results stand in an entry of their own: what follows them there is misread as the model's."""
        results: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                results.append(self._result(part, rest))
            else:
                rest.extend(self._plain(part))
        return [{"role": "user", "parts": parts} for parts in (results, rest) if parts]

    def _call(self, part: ToolCall) -> dict[str, Any]:
        name = self._names.wire(part.name, part.namespace)
        self._wires[part.id] = name
        arguments = {"input": part.arguments} if part.kind == "custom" else as_object(part.arguments)
        wire: dict[str, Any] = {"functionCall": {**self._id(part.id), "name": name, "args": arguments}}
        return self._finished(wire, part)

    def _id(self, id: str) -> dict[str, str]:
        card = self._profile.card
        if card.ids == "none":  # the cloud variant pairs by position
            return {}
        return {"id": fit_id(id, pattern=card.id_pattern, maximum=card.id_max)}

    def _result(self, part: ToolResult, rest: list[dict[str, Any]]) -> dict[str, Any]:
        said = "\n".join(each.text for each in part.content if isinstance(each, Text))
        name = self._wires.get(part.call_id) or self._names.wire(part.name or "unknown")
        response: dict[str, Any] = {"error": said} if part.is_error else {"output": said}
        if not part.is_error and self._profile.quirks.get("json_results") and said.lstrip().startswith("{"):
            value = as_object(said)
            response = response if RAW_KEY in value else value
        wire: dict[str, Any] = {**self._id(part.call_id), "name": name, "response": response}
        media = [each for each in part.content if not isinstance(each, Text)]
        inside: list[dict[str, Any]] = []
        after: list[dict[str, Any]] = []
        for each in media:
            encoded = self._media(each)
            data = encoded.get("inlineData")
            if self._profile.card.result_media and data is not None and data["mimeType"] in _RESULT_MEDIA:
                inside.append({"inlineData": data})
            else:
                after.append(encoded)
        if inside:
            wire["parts"] = inside
        if after:
            rest.append({"text": f"Media from call {part.call_id} ({name}):"})
            rest.extend(after)
        return {"functionResponse": wire}

    def _plain(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text(text=text):
                return [self._finished({"text": text}, part)]
            case Reasoning(text=text):
                return [self._finished({"text": text, "thought": True}, part)]
            case Image() | Audio() | Document():
                return [self._media(part)]
            case Opaque(raw=raw):
                return [dict(raw)]
            case _:
                return []

    def _media(self, part: Image | Audio | Document) -> dict[str, Any]:
        if isinstance(part, Document) and isinstance(part.source, PlainText):
            data = base64.b64encode(part.source.text.encode("utf-8", "replace")).decode()
            part = attrs.evolve(part, source=Inline(media_type="text/plain", b64=data))
        return self._finished(encode_media(part, self._profile.card, self._path, self._request.dialect), part)

    def _finished(self, wire: dict[str, Any], part: Part) -> dict[str, Any]:
        seal = getattr(part, "seal", None)
        if seal is not None:
            wire["thoughtSignature"] = seal.payload
        if self._request.dialect == "gemini":
            wire.update(getattr(part, "extra", {}))
        return wire
