"""Content parts of messages and of tool results, written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from modelserver.errors import Unsupported
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    Document,
    FileRef,
    Image,
    Inline,
    Opaque,
    Part,
    PlainText,
    Source,
    Text,
    Url,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss

_LONG_S: Final = 12 * 3600
"""A cache hint of this life time or more asks for the longer of the two that OpenAI offers."""
_OPENAI: Final = frozenset(("responses", "chat"))
_AUDIO: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}


class ContentWriter:
    """Writes parts for one target."""

    def __init__(self, profile: Profile, losses: list[Loss]) -> None:
        self._card = profile.card
        self._losses = losses
        self.breakpoints = profile.card.cache == "explicit_openai"

    def parts(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """What a user or developer says; parts that belong elsewhere are left out."""
        return [written for part in parts if (written := self.part(part)) is not None]

    def part(self, part: Part) -> dict[str, Any] | None:
        """One part; None when it has no place here."""
        match part:
            case Text(text=text, cache=cache):
                return self._hinted({"type": "input_text", "text": text}, cache)
            case Image(source=source, detail=detail, cache=cache):
                return self._hinted({"type": "input_image", **_image(source), "detail": detail or "auto"}, cache)
            case Document():
                return self._hinted(self._document(part), part.cache)
            case Audio():
                return self._audio(part)
            case Opaque(dialect=dialect, fallback=fallback):
                if dialect == "responses":
                    return dict(part.raw)
                return None if not fallback else {"type": "input_text", "text": fallback}
            case _:
                return None

    def _hinted(self, written: dict[str, Any], hint: CacheHint | None) -> dict[str, Any]:
        if hint is not None and self.breakpoints:
            mark = {"mode": "explicit"}
            if hint.ttl_s is not None and hint.ttl_s >= _LONG_S:
                mark["ttl"] = "12h"
            written["prompt_cache_breakpoint"] = mark
        return written

    def _document(self, part: Document) -> dict[str, Any]:
        source = part.source
        if part.citations_enabled:
            self._losses.append(Loss(path="citations", code="field_dropped:citations"))
        if isinstance(source, PlainText):
            lines = (part.title, part.context, source.text)
            return {"type": "input_text", "text": "\n".join(line for line in lines if line)}
        if part.context:
            self._losses.append(Loss(path="context", code="field_dropped:context"))
        media_type = source.media_type
        if not self._card.pdf and media_type in (None, "application/pdf"):
            raise Unsupported("Documents are not supported by this model.")
        written: dict[str, Any] = {"type": "input_file"}
        match source:
            case Inline():
                written["filename"] = part.title or _filename(source.media_type)
                written["file_data"] = _data_url(source)
            case Url():
                written["file_url"] = source.url
            case FileRef():
                written["file_id"] = _file_id(source)
        if part.detail in ("low", "high"):
            written["detail"] = part.detail
        return written

    def _audio(self, part: Audio) -> dict[str, Any] | None:
        if part.source is None:
            return None if not part.transcript else {"type": "input_text", "text": part.transcript}
        if not self._card.audio_in:
            raise Unsupported("Audio input is not supported by this model.")
        format = part.format
        if format is None and isinstance(part.source, Inline):
            format = _AUDIO.get(part.source.media_type)
        if not isinstance(part.source, Inline) or format not in ("wav", "mp3"):
            raise Unsupported("Audio must be inline wav or mp3 for this model.")
        return {"type": "input_audio", "input_audio": {"data": part.source.b64, "format": format}}


def joined(parts: Iterable[Text], separator: Literal["\n", "\n\n"]) -> str:
    """The texts as one."""
    return separator.join(part.text for part in parts)


def _image(source: Source) -> dict[str, Any]:
    match source:
        case Inline():
            return {"image_url": _data_url(source)}
        case Url(url=url):
            return {"image_url": url}
        case FileRef():
            return {"file_id": _file_id(source)}
        case PlainText():
            raise Unsupported("An image can't be plain text.")


def _data_url(source: Inline) -> str:
    media_type = "image/jpeg" if source.media_type == "image/jpg" else source.media_type
    return f"data:{media_type};base64,{source.b64}"


def _file_id(source: FileRef) -> str:
    if source.provider not in _OPENAI:
        raise Unsupported("A file that is kept by another provider can't be used with this model; send its content.")
    return source.id


def _filename(media_type: str) -> str:
    return f"document.{media_type.rpartition('/')[2]}" if media_type.isascii() and "/" in media_type else "document.pdf"
