"""Token counts where no provider counts or reports any."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import attrs

from modelserver.ir.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Opaque,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from modelserver.ir.request import CustomTool, FunctionTool, Request, Tool
from modelserver.ir.usage import Usage

CHARS_PER_TOKEN: Final = 4
"""Rule of thumb for English text (OpenAI help centre, "What are tokens", read 2026-11-23); rough for others."""
_BYTES_PER_10_TOKENS: Final = 36
"""Rather few: names, code and other languages are in prompts too, and a count that is too low is what surprises."""
_MESSAGE_TOKENS: Final = 8
"""For the role and what separates turns."""
_IMAGE_TOKENS: Final = 1_100
"""Of a picture of a million pixels at Anthropic and OpenAI, as their pages on vision have it (read 2026-11-23)."""
_DOCUMENT_BYTES_PER_TOKEN: Final = 40
"""Of a PDF, most of which is not text; nobody counts its pages here."""
_DOCUMENT_TOKENS_MAX: Final = 200_000


def estimate_usage(*, prompt_bytes: int, output_chars: int) -> Usage:
    """Usage counted from sizes: the request body's in bytes, the generated text's in characters."""
    return Usage(input=-(-prompt_bytes // CHARS_PER_TOKEN), output=-(-output_chars // CHARS_PER_TOKEN))


def completed(usage: Usage | None, *, prompt_bytes: int, output_chars: int) -> tuple[Usage, bool]:
    """The reported usage with each total that is missing counted from sizes, and whether any was."""
    if usage is not None and usage.input is not None and usage.output is not None:
        return usage, False
    counted = estimate_usage(prompt_bytes=prompt_bytes, output_chars=output_chars)
    if usage is None:
        return counted, True
    return attrs.evolve(
        usage,
        input=counted.input if usage.input is None else usage.input,
        output=counted.output if usage.output is None else usage.output,
    ), True


def estimate_prompt(request: Request) -> int:
    """About how many tokens a request is: its texts, tools and schemas by their size, media by their kind."""
    written = sum(map(_bytes, request.system)) + sum(map(_tool_bytes, request.tools))
    if request.format is not None and request.format.schema is not None:
        written += _json_size(request.format.schema)
    tokens = _MESSAGE_TOKENS * (len(request.messages) + bool(request.system))
    for message in request.messages:
        written += sum(map(_bytes, message.parts))
        tokens += _media_tokens(message.parts)
    return tokens + -(-written * 10 // _BYTES_PER_10_TOKENS)


def _bytes(part: Part) -> int:
    """The UTF-8 of a part's text."""
    match part:
        case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
            return _size(text)
        case ToolCall(name=name, arguments=arguments):
            return _size(name) + _size(arguments)
        case ToolResult(content=content):
            return sum(map(_bytes, content))
        case Document(source=PlainText(text=text)):
            return _size(text)
        case Opaque(raw=raw):
            return _json_size(raw)
        case _:
            return 0


def _media_tokens(parts: Iterable[Part]) -> int:
    tokens = 0
    for part in parts:
        match part:
            case Image():
                tokens += _IMAGE_TOKENS
            case Document(source=Inline(b64=b64)) | Audio(source=Inline(b64=b64)):
                tokens += min(len(b64) * 3 // 4 // _DOCUMENT_BYTES_PER_TOKEN, _DOCUMENT_TOKENS_MAX)
            case ToolResult(content=content):
                tokens += _media_tokens(content)
            case _:
                pass
    return tokens


def _tool_bytes(tool: Tool) -> int:
    match tool:
        case FunctionTool(name=name, description=description, schema=schema):
            return _size(name) + _size(description or "") + (0 if schema is None else _json_size(schema))
        case CustomTool(name=name, description=description, grammar=grammar):
            return _size(name) + _size(description or "") + _size(grammar or "")
        case _:
            return _json_size(tool.raw)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _json_size(value: object) -> int:
    return _size(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
