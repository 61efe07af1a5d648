"""Pictures, sound and documents, for an upstream."""

from __future__ import annotations

import re
from typing import Any, Final

from modelserver.errors import Unsupported
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import Audio, DialectName, Document, FileRef, Image, Inline, Url

_LEVELS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_HIGH"}
_ALIASES: Final = {"image/jpg": "image/jpeg", "audio/mpeg": "audio/mp3", "audio/x-wav": "audio/wav"}
_AUDIO: Final = {"wav": "audio/wav", "mp3": "audio/mp3", "pcm16": "audio/pcm"}
_TEXTS: Final = frozenset(("application/json", "application/xml", "application/x-javascript", "application/x-python"))
_GOOGLE_FILE = re.compile(r"https://generativelanguage\.googleapis\.com/\S+|gs://\S+")
_YOUTUBE = re.compile(r"https?://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)/\S*")


def encode_media(part: Image | Audio | Document, card: ModelCard, path: str, client: DialectName) -> dict[str, Any]:
    """The part of the wire.

    Raises:
        Unsupported: The model does not take it, or it stands where Google can't fetch it.
    """
    _check_card(part, card, path)
    source = part.source
    match source:
        case Inline(media_type=media_type, b64=b64):
            kind = _media_type(part, media_type, path)
            wire: dict[str, Any] = {"inlineData": {"mimeType": kind, "data": b64}}
        case FileRef(provider="gemini", id=id, media_type=file_type):
            wire = _file(id, file_type)
        case Url(url=url, media_type=url_type) if card.url_sources or client == "gemini" or _is_googles(url):
            # A client of this dialect knows what Google fetches: more than is documented (recorded).
            wire = _file(url, url_type)
        case Url():
            raise unsupported(path, "this model takes media only inline, not by URL")
        case FileRef():
            raise unsupported(path, "a file that another provider keeps can't be sent to this model")
        case _:
            raise unsupported(path, "this kind of content is not supported by this model")
    # A resolution for one part exists from the third generation on; a client of this dialect names its own.
    if isinstance(part, Image) and part.detail in _LEVELS and card.seal_required and client != "gemini":
        wire["mediaResolution"] = {"level": _LEVELS[part.detail]}
    return wire


def _check_card(part: Image | Audio | Document, card: ModelCard, path: str) -> None:
    if isinstance(part, Image) and not card.vision:
        raise unsupported(path, "image input is not supported by this model")
    if isinstance(part, Audio) and not card.audio_in:
        raise unsupported(path, "audio input is not supported by this model")
    if isinstance(part, Document) and isinstance(part.source, Inline):
        _check_document(part.source.media_type.lower().partition(";")[0], card, path)


def _media_type(part: Image | Audio | Document, named: str, path: str) -> str:
    kind = named.lower()
    if isinstance(part, Audio) and not kind.startswith("audio/"):
        kind = _AUDIO.get(part.format or "", f"audio/{part.format or 'wav'}")
    kind = _ALIASES.get(kind, kind)
    if kind == "image/gif":
        raise unsupported(path, "GIF images are not supported by this model; send PNG, JPEG or WebP")
    return kind


def _check_document(kind: str, card: ModelCard, path: str) -> None:
    if kind == "application/pdf":
        if not card.pdf:
            raise unsupported(path, "PDF input is not supported by this model")
    elif not kind.startswith("text/") and kind not in _TEXTS:
        raise unsupported(path, f"documents of the type {kind} are not supported by this model")


def _is_googles(url: str) -> bool:
    return _GOOGLE_FILE.fullmatch(url) is not None or _YOUTUBE.fullmatch(url) is not None


def _file(uri: str, media_type: str | None) -> dict[str, Any]:
    return {"fileData": {**({"mimeType": media_type} if media_type else {}), "fileUri": uri}}


def unsupported(path: str, why: str) -> Unsupported:
    """The refusal of a part."""
    return Unsupported(f"{path}: {why}.", param=path, code="unsupported_value")
