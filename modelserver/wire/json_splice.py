"""Edits to the text of a JSON object that leave every other byte as it was.

All functions take text that a strict parser has accepted already; on other input their results mean nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

# Possessive: what may be given back costs a hundred bytes for every escape, and millions of them fit into a body.
STRING: Final = rb'"[^"\\]*+(?:(?:\\.)++[^"\\]*+)*+"'
"""The text of a JSON string, quotes included, as a regular expression (with `re.DOTALL`)."""
_STRING = re.compile(STRING, re.DOTALL)
_STRING_OR_BRACKET = re.compile(STRING + rb"|[\[\]{}]", re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_SPACE = re.compile(rb"\s*")
_AFTER_KEY = re.compile(rb"\s*:\s*")
# Keys are mostly plain names, which hide nowhere but behind an escape of one of their own characters. What Go escapes
# in every text (& < >) is none of them.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")  # a slash may hide behind `\/` too
_ESCAPED_NAME = re.compile(rb"\\u00(?:2[d-fD-F]|3[0-9]|[4-7][0-9a-fA-F])")
_FEW_QUOTES: Final = 1000
_MAX_REPEATS: Final = 1000


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
    return list(_walk(raw))


def _walk(raw: bytes) -> Iterator[Member]:
    at = raw.index(b"{") + 1
    while True:
        at = _skip(raw, at)
        if raw[at : at + 1] == b"}":
            return
        key = _match(_STRING, raw, at)
        start = _match(_AFTER_KEY, raw, key.end()).end()
        end = _value_end(raw, start)
        text = key.group()
        name = json.loads(text) if b"\\" in text else text[1:-1].decode()
        yield Member(name, at, start, end)
        at = _skip(raw, end)
        if raw[at : at + 1] == b",":
            at += 1


def elements(raw: bytes) -> list[tuple[int, int]]:
    """Where each element of an array stands: offset of its first byte, and after its last one."""
    found: list[tuple[int, int]] = []
    at = raw.index(b"[") + 1
    while True:
        at = _skip(raw, at)
        if raw[at : at + 1] == b"]":
            return found
        end = _value_end(raw, at)
        found.append((at, end))
        at = _skip(raw, end)
        if raw[at : at + 1] == b",":
            at += 1


def get_member(raw: bytes, key: str) -> Member:
    """The last top-level member of that name (what parsers keep of duplicates); the object must have it."""
    if _is_plain(key) and not hides_keys(raw):
        # The object has the key, unescaped: the only place where it can stand is where it does.
        quoted = b'"' + key.encode() + b'"'
        at = raw.find(quoted)
        if raw.find(quoted, at + 1) < 0:
            start = _match(_AFTER_KEY, raw, at + len(quoted)).end()
            return Member(key, at, start, _value_end(raw, start))
        places = list(islice(_written(key).finditer(raw), 2))
        if len(places) == 1:
            at, start = places[0].span()
            return Member(key, at, start, _value_end(raw, start))
    return next(member for member in reversed(members(raw)) if member.key == key)


def repeated_member(raw: bytes, parsed: Mapping[str, Any], keys: frozenset[str]) -> str | None:
    """The first of `keys` that stands twice at top level, or None; `parsed` is the same object, parsed.

    Other keys may repeat too, a thousand times in all: the next of them is returned like one of `keys`.
    """
    if not hides_keys(raw) and not _may_repeat(raw, parsed, keys):
        return None
    seen: set[str] = set()
    looked_at = len(parsed) + _MAX_REPEATS
    for count, member in enumerate(_walk(raw)):
        if member.key in seen or count >= looked_at:
            return member.key
        if member.key in keys:
            seen.add(member.key)
    return None


def append_member(raw: bytes, key: str, value: bytes) -> Edit:
    """An edit that adds a member at the end of a non-empty object; `value` is JSON text."""
    at = raw.rindex(b"}")
    return Edit(at, at, b"," + json.dumps(key).encode() + b":" + value)


def remove_member(raw: bytes, key: str) -> Edit:
    """An edit that takes the member out, with the comma that it leaves behind; the object must have it once."""
    all_members = members(raw)
    at = next(index for index, member in enumerate(all_members) if member.key == key)
    if at > 0:
        return Edit(all_members[at - 1].end, all_members[at].end, b"")
    if len(all_members) > 1:
        return Edit(all_members[0].key_start, all_members[1].key_start, b"")
    return Edit(all_members[0].key_start, all_members[0].end, b"")


def remove_members(raw: bytes, keys: Container[str]) -> list[Edit]:
    """Edits that take out every member of these names, repeated ones included, with the commas that they leave."""
    edits: list[Edit] = []
    kept: Member | None = None
    first: int | None = None
    last = 0
    for member in _walk(raw):
        if member.key in keys:
            if kept is not None:
                edits.append(Edit(last, member.end, b""))
            elif first is None:
                first = member.key_start
        else:
            if kept is None and first is not None:
                edits.append(Edit(first, member.key_start, b""))
            kept = member
        last = member.end
    if kept is None and first is not None:
        edits.append(Edit(first, last, b""))
    return edits


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


@lru_cache(maxsize=256)
def _is_plain(key: str) -> bool:
    return _PLAIN_NAME.fullmatch(key) is not None


def _may_repeat(raw: bytes, parsed: Mapping[str, Any], keys: frozenset[str]) -> bool:
    """Whether one of the keys is written twice with a colon behind it, at any depth. Nearly every request says no."""
    names = _names(keys)
    if names is None:
        return True
    if raw.count(b'"') <= _FEW_QUOTES:
        # Long texts in few strings: to look for quotes is ten times faster than to look for each of the keys.
        found = [string for string in raw.split(b'"') if string in names]
        if len(found) == len(set(found)):
            return False
        twice = [names[string] for string in set(found) if found.count(string) > 1 and names[string] in parsed]
    else:
        twice = [key for key in parsed if key in keys and raw.count(b'"' + key.encode() + b'"') > 1]
    return any(len(list(islice(_written(key).finditer(raw), 2))) > 1 for key in twice)


@lru_cache(maxsize=16)
def _names(keys: frozenset[str]) -> dict[bytes, str] | None:
    """The keys as they are written; None where one may be written in several ways."""
    return {key.encode(): key for key in keys} if all(map(_is_plain, keys)) else None


def hides_keys(raw: bytes) -> bool:
    """Whether a text may hold a key with an escape of a character that plain names have."""
    return b"\\" in raw and b"\\u00" in raw and _ESCAPED_NAME.search(raw) is not None


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
