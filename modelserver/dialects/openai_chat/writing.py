"""Whole answers for clients of the Chat API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from modelserver.dialects.codec import Writing
from modelserver.dialects.names import derived_id
from modelserver.dialects.openai_chat.reasoning import encode_detail, is_shown, shown_text
from modelserver.dialects.openai_chat.usage import encode_usage
from modelserver.dialects.openai_chat.vocab import SERVICE_TIERS, finish_word
from modelserver.errors import UpstreamFailed
from modelserver.ir.parts import (
    Audio,
    Choice,
    Citation,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    TokenLogprob,
    ToolCall,
    Url,
)
from modelserver.ir.request import CustomTool
from modelserver.wire.json_text import dumps_exact, wrap_string


def encode_response(response: Response, writing: Writing) -> bytes:
    """The body that says the answer.

    Raises:
        UpstreamFailed: A choice ended in an error.
    """
    body: dict[str, Any] = {
        "id": answer_id(writing),
        "object": "chat.completion",
        "created": writing.created,
        "model": writing.request.model,
        "choices": [_encode_choice(choice, writing) for choice in response.choices],
    }
    usage = encode_usage(response.usage) if response.usage is not None else None
    if usage is not None:
        body["usage"] = usage
    tier = SERVICE_TIERS.get(response.service_tier or "")
    if tier is not None:
        body["service_tier"] = tier
    if response.fingerprint is not None:
        body["system_fingerprint"] = response.fingerprint
    try:
        return orjson.dumps(body)
    except TypeError:  # half a surrogate pair, as a model may cut an emoji
        return dumps_exact(body)


def answer_id(writing: Writing) -> str:
    """The id of the answer; the same whole and streamed."""
    return derived_id("chatcmpl-", writing.seed, length=29)


def broken_off() -> UpstreamFailed:
    """The error for an answer whose provider says that it failed while generating."""
    return UpstreamFailed("The provider broke the answer off.", code="upstream_error")


def _encode_choice(choice: Choice, writing: Writing) -> dict[str, Any]:
    if choice.finish.reason is FinishReason.ERROR:
        raise broken_off()
    legacy = writing.request.legacy_functions
    message = _encode_message(choice, writing)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None if choice.logprobs is None else encode_logprobs(choice.logprobs),
        "finish_reason": finish_word(choice.finish.reason, refused=bool(message["refusal"]), legacy=legacy),
    }


def _encode_message(choice: Choice, writing: Writing) -> dict[str, Any]:
    parts = choice.parts
    texts = [text for part in parts if (text := visible_text(part))]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    filtered = choice.finish.reason in (FinishReason.CONTENT_FILTER, FinishReason.REFUSAL)
    nothing = None if calls or refusal or filtered or _has_media(parts) else ""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else nothing,
        "refusal": refusal or None,
    }
    annotations = list(_annotations(parts))
    if annotations:
        message["annotations"] = annotations
    message.update(_encode_reasoning(choice, writing))
    images = [encode_image(part) for part in parts if isinstance(part, Image)]
    if images:
        message["images"] = [{**image, "index": index} for index, image in enumerate(images)]
    for part in parts:
        if isinstance(part, Audio):
            message["audio"] = encode_audio(part, writing, choice.index)
    if calls and writing.request.legacy_functions:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [encode_call(call, writing) for call in calls]
    return message


def _has_media(parts: Sequence[Part]) -> bool:
    return any(isinstance(part, Image | Audio) for part in parts)


def visible_text(part: Part) -> str:
    """What a part adds to the content of a message."""
    match part:
        case Text(text=text):
            return text
        case Opaque(fallback=fallback):
            return fallback or ""
        case _:
            return ""


def _annotations(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    offset = 0
    for part in parts:
        text = visible_text(part)
        if isinstance(part, Text):
            yield from encode_citations(part.citations, offset, len(text))
        offset += len(text)


def encode_citations(citations: Sequence[Citation], offset: int, length: int) -> Iterator[dict[str, Any]]:
    """Annotations for the citations of a text of `length` that begins at `offset` in the message.

    Only addresses can be said; a citation without a place stands for the whole text.
    """
    for citation in citations:
        if citation.kind == "url" and citation.url is not None:
            start = 0 if citation.start is None else citation.start
            end = length if citation.end is None else citation.end
            yield {
                "type": "url_citation",
                "url_citation": {
                    "start_index": offset + start,
                    "end_index": offset + end,
                    "url": citation.url,
                    "title": citation.title or "",
                },
            }


def _encode_reasoning(choice: Choice, writing: Writing) -> dict[str, Any]:
    show = is_shown(writing)
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    encoded: dict[str, Any] = {}
    if show:
        text = "".join(shown_text(part) for part in thoughts)
        if text:
            encoded["reasoning_content"] = encoded["reasoning"] = text
    details: list[dict[str, Any]] = []
    for part in thoughts:
        detail = encode_detail(part, writing, choice.index, len(details), show=show)
        if detail is not None:
            details.append(detail)
    if details:
        encoded["reasoning_details"] = details
    return encoded


def encode_call(call: ToolCall, writing: Writing) -> dict[str, Any]:
    """A call as a client gets it; a form that the client did not declare is never used."""
    if call.kind == "custom" and takes_custom(writing):
        encoded: dict[str, Any] = {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }
    else:
        arguments = wrap_string(call.arguments) if call.kind == "custom" else call.arguments
        encoded = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
    seal = encode_seal(call, writing)
    if seal is not None:
        encoded["extra_content"] = seal
    return encoded


def takes_custom(writing: Writing) -> bool:
    """Whether the client declared a custom tool; the official client's stream helper fails on calls of them."""
    return any(isinstance(tool, CustomTool) for tool in writing.request.tools)


def encode_seal(call: ToolCall, writing: Writing) -> dict[str, Any] | None:
    """The place of a call's own seal, which is that of Gemini's OpenAI endpoint; None where it has none."""
    seal = call.seal
    if seal is None or seal.origin is None:
        return None
    return {"google": {"thought_signature": writing.sealer.wrap(seal, "")}}


def encode_image(image: Image) -> dict[str, Any]:
    """A generated picture, in the form that OpenRouter made common."""
    match image.source:
        case Inline(media_type=media_type, b64=b64):
            url = f"data:{media_type};base64,{b64}"
        case Url(url=address):
            url = address
        case _:
            url = ""
    return {"type": "image_url", "image_url": {"url": url}}


def encode_audio(audio: Audio, writing: Writing, choice: int) -> dict[str, Any]:
    """A spoken answer. It can't be referred to later: nothing is kept, so that it expires at once."""
    return {
        "id": audio_id(writing, choice),
        "data": audio.source.b64 if isinstance(audio.source, Inline) else "",
        "transcript": audio.transcript or "",
        "expires_at": writing.created,
    }


def audio_id(writing: Writing, choice: int) -> str:
    """The id of a choice's spoken answer."""
    return derived_id("audio_", writing.seed, choice)


def encode_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The log probabilities of content."""
    return {
        "content": [{**_encode_token(token), "top_logprobs": list(map(_encode_token, token.top))} for token in tokens],
        "refusal": None,
    }


def _encode_token(token: TokenLogprob) -> dict[str, Any]:
    octets = list(token.bytes) if token.bytes is not None else None
    return {"token": token.token, "logprob": token.logprob, "bytes": octets}
