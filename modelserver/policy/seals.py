"""Envelopes: how a payload that only its maker can read travels through a client of another dialect.

    text     standard base64, padded, of
    bytes    MAGIC (3)  VERSION (1)  FLAGS (1)  MAC (10)  fields
    fields   kind, dialect, provider, account tag, model, item id, hash of the visible text, payload;
             each with its length before it (base 128, low groups first)

An envelope holds no secret and can't be forged: the MAC is a truncated HMAC-SHA256 with a key of the installation over
version, flags and fields.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast, get_args

from modelserver.ir.parts import DialectName, Origin, Seal

PREFIX: Final = "msE1"
"""Every envelope begins with it; no payload of a provider does."""

_MAGIC: Final = base64.b64decode(PREFIX)
_VERSION: Final = 1
_TEXT, _BASE64, _BASE64_URL = 0, 1, 2
"""Flags: the payload is stored as UTF-8, or decoded from canonical padded base64 of the standard or URL alphabet."""
_MAC_BYTES: Final = 10
_HEAD_BYTES: Final = len(_MAGIC) + 2 + _MAC_BYTES
_HASH_BYTES: Final = 12
_FIELDS: Final = 8
_KINDS: Final = frozenset(("signature", "redacted", "encrypted", "thought"))
_DIALECTS: Final = frozenset(get_args(DialectName))


class EnvelopeSealer:
    """See `ir.profile.Sealer`; the key is the installation's own and must outlive its conversations."""

    def __init__(self, key: bytes) -> None:
        self._key = _subkey(key, "seal")

    def wrap(self, seal: Seal, visible_text: str) -> str:
        """The envelope for a seal with a known origin.

        Raises:
            ValueError: The origin is unknown.
        """
        origin = seal.origin
        if origin is None:
            raise ValueError("a seal of unknown origin has no envelope")
        flags, payload = _packed(seal.payload)
        texts = (seal.kind, origin.dialect, origin.provider, origin.account, origin.model, seal.item_id or "")
        fields = b"".join(_with_length((*map(_bytes, texts), _hash(visible_text), payload)))
        signed = bytes((_VERSION, flags)) + fields
        return base64.b64encode(_MAGIC + signed[:2] + self._mac(signed) + fields).decode()

    def open(self, text: str, visible_text: str | None) -> Seal | None:
        """The seal in an envelope; None when it is none, was forged, or the visible text was edited."""
        raw = _raw(text)
        if raw is None or len(raw) < _HEAD_BYTES:
            return None
        flags = raw[4]
        signed = raw[3:5] + raw[_HEAD_BYTES:]
        if raw[3] != _VERSION or not hmac.compare_digest(raw[5:_HEAD_BYTES], self._mac(signed)):
            return None
        fields = _split(raw, _HEAD_BYTES)
        if fields is None:
            return None
        if visible_text is not None and fields[6] != _hash(visible_text):
            return None
        return _seal(fields, flags)

    def is_envelope(self, text: str) -> bool:
        """Whether the text claims to be one of ours."""
        return text.startswith(PREFIX)

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, "sha256")[:_MAC_BYTES]


def account_tag(secret: str, key: bytes) -> str:
    """A short name for a credential that tells accounts apart and says nothing about the credential."""
    return hmac.digest(_subkey(key, "account"), _bytes(secret), "sha256").hex()[:16]


def pseudonym(key: bytes, tenant: str) -> Callable[[str], str]:
    """Names for a tenant's users, `u_` and 32 hexadecimal digits: the same for the same user, and no way back."""
    salt = hmac.digest(_subkey(key, "user"), _bytes(tenant), "sha256")

    def name(user: str) -> str:
        return "u_" + hmac.digest(salt, _bytes(user), "sha256").hex()[:32]

    return name


def _subkey(key: bytes, purpose: str) -> bytes:
    """A key for one purpose, so that what is shown of one says nothing about another."""
    if not key:
        raise ValueError("the key of the installation is empty")
    return hmac.digest(key, f"modelserver {purpose}".encode(), "sha256")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _hash(visible_text: str) -> bytes:
    return hashlib.sha256(_bytes(visible_text)).digest()[:_HASH_BYTES]


def _packed(payload: str) -> tuple[int, bytes]:
    """How the payload is stored: decoded where encoding it again gives the same text, else as it is."""
    for flag, altchars in ((_BASE64, None), (_BASE64_URL, b"-_")):
        try:
            data = base64.b64decode(payload, altchars, validate=True)
        except ValueError:
            continue
        if base64.b64encode(data, altchars).decode() == payload:
            return flag, data
    return _TEXT, _bytes(payload)


def _unpacked(flags: int, data: bytes) -> str | None:
    match flags:
        case 0:
            return _text(data)
        case 1:
            return base64.b64encode(data).decode()
        case 2:
            return base64.urlsafe_b64encode(data).decode()
        case _:
            return None


def _raw(text: str) -> bytes | None:
    """The bytes of an envelope; None for other text, and for text with bits in it that mean nothing.

    Libraries that decode the field may write the URL alphabet, or leave out the padding; both are taken.
    """
    if not text.startswith(PREFIX):
        return None
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode().rstrip("=") == bare else None


def _with_length(fields: Iterable[bytes]) -> Iterator[bytes]:
    for field in fields:
        length = len(field)
        prefix = bytearray()
        while length >= 0x80:
            prefix.append(length & 0x7F | 0x80)
            length >>= 7
        prefix.append(length)
        yield bytes(prefix)
        yield field


def _split(raw: bytes, at: int) -> list[bytes] | None:
    fields: list[bytes] = []
    while at < len(raw):
        length = shift = 0
        while True:
            if at == len(raw):
                return None
            byte = raw[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if at + length > len(raw):
            return None
        fields.append(raw[at : at + length])
        at += length
    return fields if len(fields) == _FIELDS else None


def _seal(fields: list[bytes], flags: int) -> Seal | None:
    kind, dialect, provider, account, model, item_id = map(_text, fields[:6])
    payload = _unpacked(flags, fields[7])
    if payload is None or kind not in _KINDS or dialect not in _DIALECTS:
        return None
    origin = Origin(dialect=cast(DialectName, dialect), provider=provider, account=account, model=model)
    return Seal(kind=kind, payload=payload, item_id=item_id or None, origin=origin)  # type: ignore[arg-type]
