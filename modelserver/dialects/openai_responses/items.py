"""A conversation as input items.

The encoding of a conversation is the beginning of the encoding of its continuation: every item depends on what stands
before it and, for results, on the user-side messages of the same turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from modelserver.dialects.names import NameMap, fit_id, unique_ids
from modelserver.dialects.openai_responses.answer import BUILTIN_ITEMS
from modelserver.dialects.openai_responses.content import ContentWriter, joined
from modelserver.dialects.shaping import names_as_prefix, pair_results
from modelserver.ir.parts import (
    Audio,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from modelserver.ir.profile import Profile, can_read
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import as_object, wrap_string

_ID_MAX: Final = 64
"""Of `call_id`; above it the service answers `string_above_max_length`, as the dialect reference has it (H5)."""


class ItemWriter:
    """Writes the items of one request."""

    def __init__(self, request: Request, profile: Profile, names: NameMap, losses: list[Loss]) -> None:
        self._request = request
        self._profile = profile
        self._names = names
        self._losses = losses
        self._content = ContentWriter(profile, losses)
        self._same = request.dialect == "responses"
        self._calls: dict[str, ToolCall] = {}
        self._pattern = profile.quirks.get("id_pattern") or r"(?s:.)+"
        self._id_max = profile.quirks.get("id_max") or _ID_MAX
        developer = profile.card.developer_role and profile.quirks.get("developer_role", True)
        self._instructing = "developer" if developer else "system"

    def system(self, parts: Sequence[Text]) -> tuple[str | None, list[dict[str, Any]]]:
        """The leading instructions: as `instructions`, or as items where cache hints must be kept."""
        if not parts:
            return None, []
        if self._content.breakpoints and any(part.cache for part in parts):
            return None, [{"role": self._instructing, "content": self._content.parts(parts)}]
        return joined(parts, "\n\n"), []

    def items(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The conversation after the leading instructions."""
        items: list[dict[str, Any]] = []
        shaped = names_as_prefix(unique_ids(messages))
        state = self._request.state
        # What the provider remembers holds the calls of results that look like orphans here.
        remembered = state is not None and (state.previous_response_id or state.conversation or state.item_references)
        if not (self._same and remembered):
            shaped = pair_results(shaped, self._losses)
        for message in shaped:
            if message.role == "assistant":
                self._assistant(message, items)
            else:
                self._user(message, items)
        return items

    def _user(self, message: Message, items: list[dict[str, Any]]) -> None:
        role = self._instructing if message.role == "system" else "user"
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult) or (isinstance(part, Opaque) and part.dialect == "responses"):
                _add(role, content, items)
                content = []
                items.append(self._result(part) if isinstance(part, ToolResult) else dict(part.raw))
            elif self._same and isinstance(part, Image) and part.extra.get("generated"):
                continue  # it stands in the item that made it
            elif (written := self._content.part(part)) is not None:
                content.append(written)
        _add(role, content, items)

    def _assistant(self, message: Message, items: list[dict[str, Any]]) -> None:
        said: dict[str, Any] | None = None
        of: object = None
        for part in message.parts:
            text = _said(part)
            if text is not None:
                extra = getattr(part, "extra", {})
                if said is None or extra.get("item_id") != of:
                    of = extra.get("item_id")
                    said = {"role": "assistant", "content": []}
                    phase = extra.get("phase", message.phase)
                    if self._same and phase is not None:
                        said["phase"] = phase
                    items.append(said)
                said["content"].append(text)
                continue
            written = self._assistant_item(part)
            if written is not None:
                said = None
                items.append(written)

    def _assistant_item(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                return self._call(part)
            case Opaque(dialect="responses", raw=raw):
                return dict(raw)
            case Image():
                # No assistant item holds a picture; what the model drew is shown to it as it would be by a user.
                return {"role": "user", "content": self._content.parts((part,))} if self._profile.card.vision else None
            case _:
                return None

    def _reasoning(self, part: Reasoning) -> dict[str, Any] | None:
        seal = self._readable(part.seal, part.text)
        if seal is None:
            self._losses.append(Loss(path="messages", code="seal_dropped" if part.seal else "reasoning_dropped"))
            return None
        if not seal.payload:
            return None
        item: dict[str, Any] = {"type": "reasoning"}
        if seal.item_id is not None:
            item["id"] = seal.item_id
        # Always as a summary, whatever form the text had: OpenAI is said to refuse `content` here. Not confirmed.
        item["summary"] = [{"type": "summary_text", "text": text} for text in _sections(part)]
        item["encrypted_content"] = seal.payload
        return item

    def _readable(self, seal: Seal | None, text: str) -> Seal | None:
        """The seal as the target made it; None for one that it did not make, or whose text was edited."""
        if seal is None:
            return None
        sealer = self._profile.sealer
        if sealer.is_envelope(seal.payload):
            opened = sealer.open(seal.payload, text)
            return opened if opened is not None and can_read(self._profile, opened) else None
        return seal if seal.kind == "encrypted" and can_read(self._profile, seal) else None

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._calls[call.id] = call
        id = self._fit(call.id)
        extra = {key: value for key, value in call.extra.items() if key != "item_id"} if self._same else {}
        if call.kind == "client_builtin" and self._same and call.name in BUILTIN_ITEMS:
            type_, member = BUILTIN_ITEMS[call.name]
            return {"type": type_, "call_id": id, member: as_object(call.arguments), "status": "completed"}
        name = self._names.wire(call.name, call.namespace)
        if call.kind == "custom":
            if self._profile.card.custom_tools:
                return {"type": "custom_tool_call", "call_id": id, "name": name, "input": call.arguments, **extra}
            wrapped = wrap_string(call.arguments)
            return {"type": "function_call", "call_id": id, "name": name, "arguments": wrapped}
        return {"type": "function_call", "call_id": id, "name": name, "arguments": call.arguments, **extra}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        call = self._calls.get(result.call_id)
        raw = result.extra.get("raw")
        if self._same and raw is not None:
            return {**raw, "call_id": self._fit(result.call_id)}
        custom = call is not None and call.kind == "custom" and self._profile.card.custom_tools
        return {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": self._fit(result.call_id),
            "output": self._output(result),
        }

    def _output(self, result: ToolResult) -> str | list[dict[str, Any]]:
        texts = [part for part in result.content if isinstance(part, Text)]
        marked = self._content.breakpoints and (result.cache or any(part.cache for part in result.content))
        if len(texts) == len(result.content) and not marked:
            return _as_error(joined(texts, "\n"), result.is_error)
        content = self._content.parts(result.content)
        if result.is_error:
            first = next((part for part in content if part["type"] == "input_text"), None)
            if first is None:
                content.insert(0, {"type": "input_text", "text": "Error:"})
            else:
                first["text"] = _as_error(first["text"], True)
        if result.cache is not None and content and self._content.breakpoints:
            content[-1].setdefault("prompt_cache_breakpoint", {"mode": "explicit"})
        return content or _as_error("", result.is_error)

    def _fit(self, id: str) -> str:
        return fit_id(id, pattern=self._pattern, maximum=self._id_max)


def _add(role: str, content: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    if content:
        items.append({"role": role, "content": content})


def _said(part: Part) -> dict[str, Any] | None:
    """What the assistant said, as a content part."""
    match part:
        case Text(text=text) if text:
            return {"type": "output_text", "text": text}
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case Audio(transcript=str() as transcript):
            return {"type": "output_text", "text": transcript}
        case Opaque(dialect=dialect, fallback=str() as fallback) if dialect != "responses":
            return {"type": "output_text", "text": fallback}
        case _:
            return None


def _sections(part: Reasoning) -> list[str]:
    if not part.text:
        return []
    bounds = sorted({0, *(at for at in part.sections if 0 < at < len(part.text)), len(part.text)})
    return [part.text[start:end] for start, end in pairwise(bounds)]


def _as_error(text: str, is_error: bool) -> str:
    return text if not is_error or text.lower().startswith("error") else f"Error: {text}"
