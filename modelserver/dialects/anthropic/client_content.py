"""Content blocks of a client, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from modelserver.dialects.anthropic.answer import CALL_EXTRAS, citations, opaque
from modelserver.dialects.anthropic.content import RAW_CONTENT, RAW_RESULT, RAW_SOURCE
from modelserver.dialects.reading import (
    Json,
    check_object,
    find_bool,
    find_list,
    find_object,
    find_str,
    join,
    want_choice,
    want_list,
    want_name,
    want_object,
    want_str,
    wrong,
)
from modelserver.ir.parts import (
    CacheHint,
    Document,
    FileRef,
    Image,
    Inline,
    Part,
    PlainText,
    Reasoning,
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.wire.json_text import from_object

TTLS: Final[Mapping[str, int]] = {"5m": 300, "1h": 3600}

_SOURCES: Final = frozenset(("base64", "url", "file", "text", "content"))
_EPHEMERAL: Final = frozenset(("ephemeral",))


def decode_content(obj: Json, key: str, path: str) -> tuple[Part, ...]:
    """The parts of a message: its blocks, or one text."""
    value = obj.get(key)
    if isinstance(value, str):
        return (Text(text=value),)
    blocks = want_list(obj, key, path)
    return tuple(decode_block(block, f"{join(path, key)}[{index}]") for index, block in enumerate(blocks))


def decode_block(block: Any, path: str) -> Part:
    """One block; of a type that we don't know it is opaque."""
    check_object(block, path)
    decode = _BLOCKS.get(want_str(block, "type", path))
    return opaque(block) if decode is None else decode(block, path)


def decode_texts(value: Any, path: str) -> tuple[Text, ...]:
    """A text, or a list of text blocks."""
    if isinstance(value, str):
        return (Text(text=value),) if value else ()
    if not isinstance(value, list):
        raise wrong(path, "a string or a list of text blocks", value)
    texts = []
    for index, block in enumerate(value):
        at = f"{path}[{index}]"
        check_object(block, at)
        want_choice(block, "type", frozenset(("text",)), at)
        texts.append(_text(block, at))
    return tuple(texts)


def decode_cache(obj: Json, path: str) -> CacheHint | None:
    """The cache mark of a block or tool."""
    mark = find_object(obj, "cache_control", path)
    if mark is None:
        return None
    at = join(path, "cache_control")
    want_choice(mark, "type", _EPHEMERAL, at)
    ttl = mark.get("ttl")
    return CacheHint(ttl_s=None if ttl is None else TTLS[want_choice(mark, "ttl", TTLS, at)])


def extra(obj: Json, *known: str) -> dict[str, Any]:
    """The members that have no place of their own."""
    return {key: value for key, value in obj.items() if key not in known and key not in ("type", "cache_control")}


def _text(block: Json, path: str) -> Text:
    return Text(
        text=want_str(block, "text", path),
        cache=decode_cache(block, path),
        citations=citations(find_list(block, "citations", path)),
        extra=extra(block, "text", "citations"),
    )


def _image(block: Json, path: str) -> Image:
    return Image(
        source=_source(want_object(block, "source", path), join(path, "source")),
        cache=decode_cache(block, path),
        extra=extra(block, "source"),
    )


def _document(block: Json, path: str) -> Document:
    source = want_object(block, "source", path)
    members = extra(block, "source", "title", "context", "citations")
    if source.get("type") == "content":
        members[RAW_SOURCE] = source
    cited = find_object(block, "citations", path)
    return Document(
        source=_source(source, join(path, "source")),
        title=find_str(block, "title", path),
        context=find_str(block, "context", path),
        citations_enabled=cited is not None and find_bool(cited, "enabled", join(path, "citations")) is True,
        cache=decode_cache(block, path),
        extra=members,
    )


def _search_result(block: Json, path: str) -> Document:
    """What the client found: to others a text with its title and source."""
    texts = decode_texts(want_list(block, "content", path), join(path, "content"))
    said = "\n".join((want_str(block, "source", path), *(text.text for text in texts)))
    raw = {key: value for key, value in block.items() if key != "cache_control"}
    return Document(
        source=PlainText(text=said),
        title=find_str(block, "title", path),
        cache=decode_cache(block, path),
        extra={RAW_RESULT: raw},
    )


def _source(source: Json, path: str) -> Source:
    match want_choice(source, "type", _SOURCES, path):
        case "base64":
            return Inline(media_type=want_name(source, "media_type", path), b64=want_str(source, "data", path))
        case "url":
            return Url(url=want_name(source, "url", path))
        case "file":
            return FileRef(provider="anthropic", id=want_name(source, "file_id", path))
        case "text":
            return PlainText(text=want_str(source, "data", path))
        case _:
            content = source.get("content")
            if isinstance(content, str):
                return PlainText(text=content)
            texts = [
                block["text"]
                for block in want_list(source, "content", path)
                if isinstance(block, dict) and isinstance(block.get("text"), str)
            ]
            return PlainText(text="\n".join(texts))


def _thinking(block: Json, path: str) -> Reasoning:
    payload = find_str(block, "signature", path)
    return Reasoning(
        text=want_str(block, "thinking", path),
        seal=Seal(kind="signature", payload=payload) if payload else None,
        extra=extra(block, "thinking", "signature"),
    )


def _redacted(block: Json, path: str) -> Reasoning:
    return Reasoning(form="hidden", seal=Seal(kind="redacted", payload=want_name(block, "data", path)))


def _tool_use(block: Json, path: str) -> ToolCall:
    return ToolCall(
        id=want_name(block, "id", path),
        name=want_name(block, "name", path),
        arguments=from_object(want_object(block, "input", path)),
        cache=decode_cache(block, path),
        extra={key: block[key] for key in CALL_EXTRAS if block.get(key) is not None},
    )


def _tool_result(block: Json, path: str) -> ToolResult:
    content: list[Text | Image | Document] = []
    members = extra(block, "tool_use_id", "content", "is_error")
    value = block.get("content")
    if isinstance(value, str):
        content.append(Text(text=value))
    elif value is not None:
        for index, each in enumerate(want_list(block, "content", path)):
            part = decode_block(each, f"{path}.content[{index}]")
            if isinstance(part, Text | Image | Document):
                content.append(part)
            else:
                members[RAW_CONTENT] = value  # references to tools, the state of a browser
    return ToolResult(
        call_id=want_name(block, "tool_use_id", path),
        content=tuple(content),
        is_error=find_bool(block, "is_error", path) is True,
        cache=decode_cache(block, path),
        extra=members,
    )


_BLOCKS: Final[Mapping[str, Callable[[Json, str], Part]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
