"""What bytes are, told by their first ones (magic numbers) and not by who sent them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Final

# The signatures are those of the WHATWG MIME Sniffing Standard, 6.1 and 6.2 (read 2026-11-24), and of RFC 9639 (FLAC)
# and the ID3 documents; kinds that a word of plain text could begin with are looked at more closely.
_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"OggS\x00", "audio/ogg"),
    (b"fLaC\x00", "audio/flac"),
    (b"fLaC\x80", "audio/flac"),
)
_CONTAINERS: Final[Mapping[tuple[bytes, bytes], str]] = {
    (b"RIFF", b"WEBP"): "image/webp",
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}
"""By the bytes 0 to 4 and 8 to 12."""
_BRANDS: Final[Mapping[bytes, str]] = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1"), "image/heif"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"M4A ", b"M4B "), "audio/mp4"),
}
"""By the major brand of an ISO base media file."""
_BMP_HEADERS: Final = frozenset((12, 40, 52, 56, 64, 108, 124))
_DECLARED: Final = frozenset(
    ("", "application/octet-stream", "binary/octet-stream", "application/pdf", "application/ogg", "text/plain")
)
"""What object stores say of anything is no contradiction."""
_BINARY: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def may_be_media(declared: str) -> bool:
    """Whether a `Content-Type` leaves it possible that the body is media of a kind that is taken."""
    kind = _essence(declared)
    return kind in _DECLARED or kind.startswith(("image/", "audio/"))


def media_type_of(data: bytes, declared: str) -> str | None:
    """The media type of an image, sound, PDF or plain text; None for everything else.

    Plain text has no magic number: it must be declared, be UTF-8 and hold no control characters.
    """
    return _magic(data) or ("text/plain" if _essence(declared) == "text/plain" and _is_text(data) else None)


def _essence(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def _magic(data: bytes) -> str | None:
    for start, media_type in _PREFIXES:
        if data.startswith(start):
            return media_type
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    if (data[:4], data[8:12]) in _CONTAINERS:
        return _CONTAINERS[data[:4], data[8:12]]
    if data[:2] == b"BM" and data[6:10] == bytes(4) and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    return _mpeg_audio(data)


def _mpeg_audio(data: bytes) -> str | None:
    if data[:3] == b"ID3" and len(data) >= 10 and data[3] in (2, 3, 4) and data[4] != 0xFF:
        return "audio/mpeg"
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    if data[1] & 0xF6 == 0xF0:  # layer 0: ADTS
        return "audio/aac"
    version, layer, rate, frequency = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    return "audio/mpeg" if version != 1 and layer != 0 and 0 < rate < 15 and frequency != 3 else None


def _is_text(data: bytes) -> bool:
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and _BINARY.search(text) is None
