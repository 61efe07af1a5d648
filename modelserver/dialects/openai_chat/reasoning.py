"""Reasoning in the Chat dialect, which has no field of its own for it.

In use are `reasoning_details[]` (OpenRouter, and the only one that carries seals), `thinking_blocks[]` (LiteLLM), the
plain texts `reasoning_content` (DeepSeek, llama.cpp, Moonshot, xAI) and `reasoning` (Groq, Ollama, vLLM), and content
chunks of type `thinking` (Mistral). A payload that claims to be an envelope is kept as it is, with no origin: whoever
encodes the request opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Literal

import attrs

from modelserver.dialects.codec import Writing
from modelserver.dialects.names import derived_id
from modelserver.dialects.openai_chat.vocab import DETAILS_FORMAT, ENVELOPE
from modelserver.dialects.reading import Json
from modelserver.ir.parts import DialectName, Origin, Reasoning, Seal

_SEPARATOR: Final = "\n\n"
"""Between the sections of a summary where there is one text only."""

_Kind = Literal["signature", "redacted", "encrypted", "thought"]

# Formats of OpenRouter's reasoning details: who made the payload, and what the two sorts of it are.
_FORMATS: Final[Mapping[str, tuple[DialectName, _Kind, _Kind]]] = {
    "anthropic-claude-v1": ("anthropic", "signature", "redacted"),
    "openai-responses-v1": ("responses", "encrypted", "encrypted"),
    "google-gemini-v1": ("gemini", "thought", "thought"),
}


def decode_history(message: Json) -> Iterator[Reasoning]:
    """The reasoning of an assistant message that a client sends back; the first field that says something counts."""
    details = message.get("reasoning_details")
    if isinstance(details, list) and details:
        found = list(_decode_details(details))
        if found:
            yield from found
            return
    blocks = message.get("thinking_blocks")
    if isinstance(blocks, list) and blocks:
        yield from _decode_blocks(blocks)
        return
    for key in ("reasoning_content", "reasoning"):
        text = message.get(key)
        if isinstance(text, str) and text:
            yield Reasoning(text=text)
            return


def foreign(dialect: DialectName) -> Origin:
    """The origin of a payload of which only the dialect is known."""
    return Origin(dialect=dialect, provider="", account="", model="")


def native_seal(kind: _Kind, payload: str, dialect: DialectName, item_id: str | None = None) -> Seal:
    """The seal for a payload of another dialect that a client sends back: one of that dialect's, or an envelope."""
    if payload.startswith(ENVELOPE):
        return Seal(kind=kind, payload=payload, item_id=item_id)
    return Seal(kind=kind, payload=payload, item_id=item_id, origin=foreign(dialect))


def _decode_details(details: list[Any]) -> Iterator[Reasoning]:
    """One part for each detail; pieces of one text, as a stream hands them out, are joined."""
    pending: dict[str, Any] | None = None
    for detail in details:
        if not isinstance(detail, dict):
            continue
        if pending is not None and continues(pending, detail):
            pending = joined(pending, detail)
            continue
        if pending is not None:
            yield _decode_detail(pending)
        pending = detail
    if pending is not None:
        yield _decode_detail(pending)


def continues(earlier: Json, later: Json) -> bool:
    """Whether a detail is a further piece of the one before it."""
    if later.get("type") != earlier.get("type") or later.get("type") == "reasoning.encrypted":
        return False
    index = later.get("index")
    if index != earlier.get("index") or (later.get("id") or earlier.get("id")) != (
        earlier.get("id") or later.get("id")
    ):
        return False
    # A signature ends a text. Without an index nothing else tells two texts apart.
    return not earlier.get("signature")


def joined(earlier: Json, later: Json) -> dict[str, Any]:
    """Two pieces of one detail."""
    both = {**earlier, **{key: value for key, value in later.items() if value is not None}}
    for key in ("text", "summary"):
        if isinstance(earlier.get(key), str) and isinstance(later.get(key), str):
            both[key] = earlier[key] + later[key]
    return both


def text_of(detail: Json) -> str:
    """The visible text of a detail."""
    text = detail.get("summary") if detail.get("type") == "reasoning.summary" else detail.get("text")
    return text if isinstance(text, str) else ""


def form_of(detail: Json) -> Literal["full", "summary", "hidden"]:
    """What the text of a detail is."""
    match detail.get("type"):
        case "reasoning.encrypted":
            return "hidden"
        case "reasoning.summary":
            return "summary"
        case _:
            return "full"


def _decode_detail(detail: Json) -> Reasoning:
    form, text = form_of(detail), text_of(detail)
    payload = detail.get("data") if form == "hidden" else detail.get("signature")
    seal = _seal(detail, payload, sealed=form == "hidden") if isinstance(payload, str) and payload else None
    return Reasoning(
        text=text,
        form=form,
        sections=_sections(detail, text),
        seal=seal,
        extra={"reasoning_details": detail},
    )


def _seal(detail: Json, payload: str, *, sealed: bool) -> Seal | None:
    id = detail.get("id")
    item_id = id if isinstance(id, str) else None
    if payload.startswith(ENVELOPE):
        return Seal(kind="encrypted" if sealed else "signature", payload=payload, item_id=item_id)
    format = detail.get("format")
    known = _FORMATS.get(format) if isinstance(format, str) else None
    if known is None:
        return None
    dialect, signature, data = known
    return Seal(kind=data if sealed else signature, payload=payload, item_id=item_id, origin=foreign(dialect))


def _sections(detail: Json, text: str) -> tuple[int, ...]:
    offsets = detail.get("sections")
    if detail.get("format") != DETAILS_FORMAT or not isinstance(offsets, list):
        return ()
    if not all(type(offset) is int and 0 <= offset <= len(text) for offset in offsets) or sorted(offsets) != offsets:
        return ()
    return tuple(offsets)


def _decode_blocks(blocks: list[Any]) -> Iterator[Reasoning]:
    """Anthropic's blocks as LiteLLM hands them out."""
    for block in blocks:
        if not isinstance(block, dict):
            continue
        if block.get("type") == "redacted_thinking":
            data = block.get("data")
            if isinstance(data, str) and data:
                yield Reasoning(form="hidden", seal=native_seal("redacted", data, "anthropic"))
            continue
        text, signature = block.get("thinking"), block.get("signature")
        text = text if isinstance(text, str) else ""
        seal = native_seal("signature", signature, "anthropic") if isinstance(signature, str) and signature else None
        if text or seal:
            yield Reasoning(text=text, seal=seal)


def chunk_text(part: Json) -> str:
    """The text of a `thinking` content part: a string, or a list of text parts (Mistral)."""
    said = part.get("thinking")
    if isinstance(said, list):
        texts = (item.get("text") for item in said if isinstance(item, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return said if isinstance(said, str) else ""


def shown_text(part: Reasoning) -> str:
    """The text with its sections set apart."""
    if len(part.sections) < 2:
        return part.text
    bounds = (*part.sections, len(part.text))
    return _SEPARATOR.join(part.text[start:end] for start, end in pairwise(bounds))


SECTION_BREAK: Final = _SEPARATOR


def encode_detail(part: Reasoning, writing: Writing, choice: int, index: int, *, show: bool) -> dict[str, Any] | None:
    """The detail by which a client gives a reasoning part back; None for one that nobody could read again."""
    seal = part.seal
    if seal is None or seal.origin is None:
        return None
    text = part.text if show else ""
    shared = {
        "id": derived_id("rs_", writing.seed, choice, index),
        "format": DETAILS_FORMAT,
        "index": index,
    }
    if not text:
        if not seal.payload:
            return None
        return {"type": "reasoning.encrypted", "data": writing.sealer.wrap(seal, ""), **shared}
    word = "summary" if part.form == "summary" else "text"
    detail = {"type": f"reasoning.{word}", word: text, "signature": writing.sealer.wrap(seal, text), **shared}
    if len(part.sections) > 1:
        detail["sections"] = list(part.sections)
    return detail


def is_shown(writing: Writing) -> bool:
    """Whether the client gets reasoning as text."""
    spec = writing.request.reasoning
    return writing.show_reasoning and (spec is None or spec.show != "omitted")


def without_text(part: Reasoning) -> Reasoning:
    """The part as a client knows it that was not shown the text."""
    return attrs.evolve(part, text="", sections=())
