"""Content parts as a client sends them."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from modelserver.dialects.openai_responses.output import read_citation
from modelserver.dialects.reading import (
    check_object,
    find_list,
    find_object,
    find_str,
    join,
    missing,
    out_of_range,
    want_name,
    want_object,
    want_str,
    wrong,
)
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    Document,
    FileRef,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Source,
    Text,
    Url,
)

_TEXTS: Final = frozenset(("input_text", "output_text", "text"))
_DETAILS: Final = frozenset(("auto", "low", "high", "original"))
_TTLS: Final = {"30m": 1800, "12h": 12 * 3600}
_MAGIC: Final = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
)
_HEAD: Final = 24
"""Base-64 digits that hold the first bytes."""
_DEFAULT_TYPE: Final = "application/octet-stream"


def decode_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a message or of a tool's output."""
    if isinstance(value, str):
        return (Text(text=value),) if value else ()
    if value is None:
        return ()
    if not isinstance(value, list):
        raise wrong(path, "a string or a list", value)
    return tuple(_decode_part(part, f"{path}[{index}]") for index, part in enumerate(value))


def _decode_part(part: Any, at: str) -> Part:
    check_object(part, at)
    kind = want_name(part, "type", at)
    if kind in _TEXTS:
        annotations = find_list(part, "annotations", at) or []
        citations = tuple(read_citation(one) for one in annotations if isinstance(one, dict))
        return Text(text=want_str(part, "text", at), cache=_hint(part, at), citations=citations)
    if kind == "input_image":
        return _image(part, at)
    if kind == "input_file":
        return _file(part, at)
    if kind == "input_audio":
        audio = want_object(part, "input_audio", at)
        format = want_name(audio, "format", join(at, "input_audio"))
        data = want_name(audio, "data", join(at, "input_audio"))
        return Audio(source=Inline(media_type=f"audio/{format}", b64=data), format=format)
    if kind == "refusal":
        return Refusal(text=want_str(part, "refusal", at))
    return Opaque(dialect="responses", type=kind, raw=part)


def _image(part: dict[str, Any], at: str) -> Image:
    detail = find_str(part, "detail", at)
    if detail is not None and detail not in _DETAILS:
        raise out_of_range(join(at, "detail"), f"one of {', '.join(sorted(_DETAILS))}")
    url, id = find_str(part, "image_url", at), find_str(part, "file_id", at)
    if url:
        source: Source = read_url(url, join(at, "image_url"))
    elif id:
        source = FileRef(provider="responses", id=id)
    else:
        raise missing(join(at, "image_url"))
    return Image(source=source, detail=detail, cache=_hint(part, at))  # type: ignore[arg-type]


def _file(part: dict[str, Any], at: str) -> Document:
    data, url, id = (find_str(part, key, at) for key in ("file_data", "file_url", "file_id"))
    name = find_str(part, "filename", at)
    if data:
        source = read_url(data, join(at, "file_data"), bare=True)
        if isinstance(source, Inline) and source.media_type == _DEFAULT_TYPE and (name or ".pdf").endswith(".pdf"):
            source = Inline(media_type="application/pdf", b64=source.b64)
    elif url:
        source = read_url(url, join(at, "file_url"))
    elif id:
        source = FileRef(provider="responses", id=id)
    else:
        raise missing(join(at, "file_data"))
    return Document(source=source, title=name, detail=find_str(part, "detail", at), cache=_hint(part, at))


def read_url(text: str, path: str, *, bare: bool = False) -> Source:
    """Media at a URL, or in a data URL, whose base64 text is not touched; `bare`: base64 alone is taken too."""
    head, comma, data = text[:200].partition(",")
    if text[:5].lower() == "data:":
        if not comma or not head.lower().endswith(";base64"):
            raise out_of_range(path, "a data URL with base64 content")
        media_type = head[5:].partition(";")[0].lower() or _DEFAULT_TYPE
        data = text[len(head) + 1 :]
    elif bare:
        media_type, data = _DEFAULT_TYPE, text
    else:
        return Url(url=text)
    return Inline(media_type=_corrected(media_type, data), b64=data)


def _corrected(media_type: str, data: str) -> str:
    """The media type by the first bytes, where those are known; clients get it wrong."""
    try:
        first = base64.b64decode(data[:_HEAD], validate=True)
    except (binascii.Error, ValueError):
        first = b""
    for magic, found in _MAGIC:
        if first.startswith(magic):
            return found
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "image/webp"
    return "image/jpeg" if media_type == "image/jpg" else media_type


def _hint(part: dict[str, Any], at: str) -> CacheHint | None:
    mark = find_object(part, "prompt_cache_breakpoint", at)
    return None if mark is None else CacheHint(ttl_s=ttl_s(mark.get("ttl")))


def ttl_s(value: object) -> int | None:
    """The seconds of a life time of the cache; None where it is not stated."""
    return _TTLS.get(value) if isinstance(value, str) else None
