"""Edits to the text of a JSON object that leave every other byte as it was.

All functions take text that a strict parser has accepted already; on other input their results mean nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_SPACE = re.compile(rb"\s*")
_AFTER_KEY = re.compile(rb"\s*:\s*")
# Letters, digits signs and the underscore of ASCII written as escapes: a key may hide behind them.
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")


class Member(NamedTuple):
    """Where a top-level member stands."""

    key: str
    key_start: int
    """Offset of the quote that opens the key."""
    start: int
    """Offset of the first byte of the value."""
    end: int
    """Offset after the last byte of the value."""


class Edit(NamedTuple):
    """Bytes `start` to `end` become `text`."""

    start: int
    end: int
    text: bytes


def members(raw: bytes) -> list[Member]:
    """Every top-level member in order, duplicates included, keys decoded."""
    found: list[Member] = []
    at = raw.index(b"{") + 1
    while True:
        at = _skip(raw, at)
        if raw[at : at + 1] == b"}":
            return found
        key = _match(_STRING, raw, at)
        start = _match(_AFTER_KEY, raw, key.end()).end()
        end = _value_end(raw, start)
        text = key.group()
        name = json.loads(text) if b"\\" in text else text[1:-1].decode()
        found.append(Member(name, at, start, end))
        at = _skip(raw, end)
        if raw[at : at + 1] == b",":
            at += 1


def get_member(raw: bytes, key: str) -> Member:
    """The last top-level member of that name (what parsers keep of duplicates); the object must have it."""
    if not _hides_keys(raw):
        places = _written(key).finditer(raw)
        place = next(places, None)
        if place is not None and next(places, None) is None:
            # The object has the key, unescaped, and this is the only place where it can stand.
            return Member(key, place.start(), place.end(), _value_end(raw, place.end()))
    return next(member for member in reversed(members(raw)) if member.key == key)


def repeated_member(raw: bytes, parsed: Mapping[str, Any], keys: Container[str]) -> str | None:
    """The first of `keys` that stands twice at top level, or None; `parsed` is the same object, parsed."""
    # Text in which each key is written once with a colon behind it can't repeat one; nearly every request is so.
    if not _hides_keys(raw) and not any(_is_written_twice(raw, key) for key in parsed if key in keys):
        return None
    seen: set[str] = set()
    for member in members(raw):
        if member.key in seen:
            return member.key
        if member.key in keys:
            seen.add(member.key)
    return None


def append_member(raw: bytes, key: str, value: bytes) -> Edit:
    """An edit that adds a member at the end of a non-empty object; `value` is JSON text."""
    at = raw.rindex(b"}")
    return Edit(at, at, b',"' + key.encode() + b'":' + value)


def remove_member(raw: bytes, key: str) -> Edit:
    """An edit that takes the member out, with the comma that it leaves behind; the object must have it once."""
    all_members = members(raw)
    at = next(index for index, member in enumerate(all_members) if member.key == key)
    if at > 0:
        return Edit(all_members[at - 1].end, all_members[at].end, b"")
    if len(all_members) > 1:
        return Edit(all_members[0].key_start, all_members[1].key_start, b"")
    return Edit(all_members[0].key_start, all_members[0].end, b"")


def splice(raw: bytes, edits: Sequence[Edit]) -> bytes:
    """The text with the edits made; they may not overlap, and those at one place apply in the order given."""
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += (raw[at : edit.start], edit.text)
        at = edit.end
    pieces.append(raw[at:])
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _written(key: str) -> re.Pattern[bytes]:
    return re.compile(b'"' + re.escape(key.encode()) + rb'"\s*:\s*')


def _is_written_twice(raw: bytes, key: str) -> bool:
    if raw.count(b'"' + key.encode() + b'"') < 2:
        return False
    places = _written(key).finditer(raw)
    next(places, None)
    return next(places, None) is not None


def _hides_keys(raw: bytes) -> bool:
    return b"\\u00" in raw and _ESCAPED_ASCII.search(raw) is not None


def _value_end(raw: bytes, start: int) -> int:
    first = raw[start : start + 1]
    if first == b'"':
        return _match(_STRING, raw, start).end()
    if first not in (b"{", b"["):
        return _match(_SCALAR, raw, start).end()
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw, start):
        bracket = token.group()
        if bracket in (b"{", b"["):
            depth += 1
        elif bracket in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("the text is not complete JSON")


def _skip(raw: bytes, at: int) -> int:
    return _match(_SPACE, raw, at).end()


def _match(pattern: re.Pattern[bytes], raw: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(raw, at)
    if found is None:
        raise ValueError("the text is not JSON")
    return found
