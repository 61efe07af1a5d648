"""Reasoning that goes back to the upstream that made it, and to nobody else."""

from __future__ import annotations

from typing import Any

from modelserver.ir.parts import Message, Reasoning, Seal, ToolCall
from modelserver.ir.profile import Profile, can_read
from modelserver.ir.request import Request
from modelserver.wire.json_text import loads_lenient


class ReasoningBack:
    """Picks what of a history's reasoning the target can read, and writes it in the field that it wants."""

    def __init__(self, request: Request, profile: Profile) -> None:
        self._profile = profile
        self._own = request.dialect == "chat"
        field, _, when = str(profile.quirks.get("reasoning_back", "none")).partition(":")
        self._field = "" if field == "none" else field
        self._with_calls_only = when == "tools"

    def fields(self, message: Message, *, text: str, has_calls: bool) -> dict[str, Any]:
        """The members of an assistant message that carry its reasoning; empty where the target wants none."""
        if not self._field or (self._with_calls_only and not has_calls):
            return {}
        thoughts = [part for part in message.parts if isinstance(part, Reasoning) and self._is_readable(part)]
        if self._field == "reasoning_details":
            details = [detail for part in thoughts if (detail := self._detail(part)) is not None]
            return {"reasoning_details": details} if details else {}
        said = "".join(part.text for part in thoughts)
        if self._field == "content_chunks":
            return {"content": _chunks(said, text)} if said else {}
        # DeepSeek refuses a message with calls whose reasoning is missing; the text itself isn't compared.
        return {self._field: said} if said or self._with_calls_only else {}

    def signature(self, call: ToolCall) -> str | None:
        """The signature of a call, as its maker gave it."""
        seal = call.seal
        if seal is None:
            return None
        if self._own and not self._is_envelope(seal) and seal.origin is not None and seal.origin.dialect == "gemini":
            return seal.payload  # came in this very place
        opened = self._opened(seal, None)
        return opened.payload or None if opened is not None else None

    def _is_readable(self, part: Reasoning) -> bool:
        seal = part.seal
        if seal is None:
            return True
        return self._opened(seal, part.text) is not None or (self._own and not self._is_envelope(seal))

    def _detail(self, part: Reasoning) -> dict[str, Any] | None:
        """The detail as the target gave it, in which only the text was left out."""
        opened = self._opened(part.seal, part.text) if part.seal is not None else None
        if opened is not None and opened.payload.startswith("{"):
            detail = loads_lenient(opened.payload.encode())
            if part.text:
                detail["summary" if detail.get("type") == "reasoning.summary" else "text"] = part.text
            return dict(detail)
        raw = part.extra.get("reasoning_details")
        if self._own and isinstance(raw, dict):
            return raw
        return {"type": "reasoning.text", "text": part.text} if part.text else None

    def _is_envelope(self, seal: Seal) -> bool:
        return self._profile.sealer.is_envelope(seal.payload)

    def _opened(self, seal: Seal, text: str | None) -> Seal | None:
        """The seal when the target made it."""
        if self._is_envelope(seal):
            opened = self._profile.sealer.open(seal.payload, text)
        else:
            opened = seal if seal.origin is not None else None
        return opened if opened is not None and can_read(self._profile, opened) else None


def _chunks(reasoning: str, text: str) -> list[dict[str, Any]]:
    """Content in Mistral's form."""
    chunks: list[dict[str, Any]] = [{"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}]
    if text:
        chunks.append({"type": "text", "text": text})
    return chunks
