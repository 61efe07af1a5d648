"""JSON inside JSON: arguments of calls, texts wrapped in an object, numbers that keep all their digits."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import orjson

RAW_KEY: Final = "_raw"
"""Holds the text of arguments that are no object, where only an object can be sent."""

_MAX_DEPTH: Final = 100
"""Levels that an object of arguments may have; what is deeper stays text. orjson writes about 250."""
_QUOTE_OR_ESCAPE: Final = re.compile(r'["\\]')
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_SPACE: Final = " \t\n\r"
_REPLACEMENT: Final = "\ufffd"


def loads_lenient(text: bytes) -> Any:
    """JSON of an upstream, parsed.

    What orjson refuses is tried with the standard library: it takes a lone surrogate, the half of an emoji that a
    model cut in two. NaN and infinities stay refused.

    Raises:
        ValueError: It is not JSON, or nested too deep to be an answer.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            # Decoded here: given bytes, the standard library guesses at UTF-16 and lets raw surrogates through.
            return json.loads(text.decode(), parse_constant=_refuse)
        except RecursionError as exc:
            raise ValueError("nested too deep") from exc


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def loads_exact(text: bytes | str) -> Any:
    """The value of a JSON text, integers exact whatever their size.

    Raises:
        ValueError: It is not JSON, or has a number past the range of floats or half a surrogate pair.
    """
    value = orjson.loads(text)
    if not _has_huge_float(value):
        return value
    try:
        return json.loads(text)
    except RecursionError:
        return value


def _has_huge_float(value: Any) -> bool:
    """Whether a number may be an integer past 64 bits: orjson reads those as floats."""
    # Over the values, not the text: a search for long numbers takes 15 ms per megabyte, this 0 to 3.
    level = [value]
    while level:
        below: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                below.extend(each.values())
            elif kind is list:
                below.extend(each)
            elif kind is float and not -(2.0**63) < each < 2.0**63:
                return True
        level = below
    return False


def dumps_exact(value: Any) -> bytes:
    """Compact JSON, key order kept, integers exact whatever their size; half a surrogate pair is written escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return orjson.dumps(_in_fragments(value))
    except TypeError:  # deeper than orjson writes, or half a pair in a key
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _in_fragments(value: Any) -> Any:
    """The value with what orjson refuses as finished text."""
    if isinstance(value, dict):
        return {key: _in_fragments(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_in_fragments(member) for member in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return orjson.Fragment(str(value))
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return orjson.Fragment(json.dumps(value))
    return value


def as_object(arguments: str) -> dict[str, Any]:
    """Arguments where the wire wants an object.

    No text is `{}`; a JSON string that holds an object is that object; what is no object, or too deep, is
    `{"_raw": text}`, which `from_object` takes back.
    """
    if not arguments.strip():
        return {}
    value = _parsed(arguments)
    if isinstance(value, str):
        value = _parsed(value)
    return value if isinstance(value, dict) else {RAW_KEY: arguments}


def _parsed(text: str) -> Any:
    try:
        value = loads_exact(text)
    except ValueError:
        return None
    # Brackets bound the depth from above: nearly every text ends here.
    if text.count("{") + text.count("[") > _MAX_DEPTH and not _is_shallow(value):
        return None
    return value


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        if not below:
            return True
        level = below
    return False


def from_object(value: object) -> str:
    """The text of an object of arguments, compact; `{"_raw": text}` with no other key is that text."""
    if isinstance(value, dict) and len(value) == 1:
        raw = value.get(RAW_KEY)
        if isinstance(raw, str):
            return raw
    return dumps_exact(value).decode()


def wrap_string(text: str, key: str = "input") -> str:
    """The JSON object that holds the text under the key alone."""
    return dumps_exact({key: text}).decode()


def unwrap_string(text: str, key: str = "input") -> str:
    """The string that a JSON object holds under the key; the text itself where it is not of that form."""
    unwrapper = StringUnwrapper(key)
    return unwrapper.feed(text) + unwrapper.close()


class StringUnwrapper:
    """JSON text like `{"input":"..."}` in pieces in, the string in pieces out.

    What `feed` and `close` return together is the value. Text that does not begin in that form is itself the value:
    it is returned as it came, once that is certain. Once the string has begun it is the value, whatever follows: a
    broken escape stands for itself, half a surrogate pair for U+FFFD, a cut string ends where it was cut, and what
    comes after its end is not looked at.

    Attributes:
        failed: The text is not of that form, and was returned unchanged.
    """

    def __init__(self, key: str = "input") -> None:
        self.failed = False
        self._tokens = ("{", json.dumps(key, ensure_ascii=False), ":", '"')
        self._token = 0
        self._matched = 0
        """Characters of the current token."""
        self._head = ""
        self._held = ""
        """An escape sequence that is not complete."""
        self._ended = False

    def feed(self, fragment: str) -> str:
        """The part of the string that is certain now."""
        if self.failed:
            return fragment
        if self._ended:
            return ""
        if self._token < len(self._tokens):
            fragment = self._feed_head(fragment)
            if self._token < len(self._tokens):
                return fragment
        return self._feed_string(fragment)

    def close(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        if self.failed or self._ended:
            return ""
        if self._token < len(self._tokens):
            self.failed = bool(self._head)
            return self._head
        # Half a pair whose other half may have been on its way is a character that can't be shown.
        return _REPLACEMENT if _code(held) is not None else ""

    def _feed_head(self, fragment: str) -> str:
        """The rest of the fragment once the string has begun; else what is to be returned."""
        for at, character in enumerate(fragment):
            token = self._tokens[self._token]
            if not self._matched and character in _SPACE:
                continue
            if character != token[self._matched]:
                self.failed = True
                return self._head + fragment
            self._matched += 1
            if self._matched == len(token):
                self._token, self._matched = self._token + 1, 0
                if self._token == len(self._tokens):
                    return fragment[at + 1 :]
        self._head += fragment
        return ""

    def _feed_string(self, fragment: str) -> str:
        text = self._held + fragment
        self._held = ""
        pieces: list[str] = []
        at = 0
        while (found := _QUOTE_OR_ESCAPE.search(text, at)) is not None:
            start = found.start()
            pieces.append(text[at:start])
            if found.group() == '"':
                self._ended = True
                return "".join(pieces)
            character, at = _unescape(text, start)
            if character is None:
                self._held = text[start:]
                return "".join(pieces)
            pieces.append(character)
        pieces.append(text[at:])
        return "".join(pieces)


def _unescape(text: str, start: int) -> tuple[str | None, int]:
    """The character of the escape at `start` and where it ends; None while more text may change it."""
    if start + 1 == len(text):
        return None, start
    letter = text[start + 1]
    if letter != "u":
        return _ESCAPES.get(letter, "\\" + letter), start + 2
    digits = text[start + 2 : start + 6]
    if not _HEX.issuperset(digits):
        return "\\u", start + 2
    if len(digits) < 4:
        return None, start
    code = int(digits, 16)
    end = start + 6
    if not 0xD800 <= code <= 0xDFFF:
        return chr(code), end
    if code >= 0xDC00:
        return _REPLACEMENT, end
    following = text[end : end + 6]
    if len(following) < 6 and ("\\u".startswith(following[:2]) and _HEX.issuperset(following[2:])):
        return None, start
    low = _code(following)
    if low is None or not 0xDC00 <= low <= 0xDFFF:
        return _REPLACEMENT, end
    return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), end + 6


def _code(text: str) -> int | None:
    """The number of a text that begins with a whole `\\uXXXX`."""
    digits = text[2:6]
    return int(digits, 16) if text[:2] == "\\u" and len(digits) == 4 and _HEX.issuperset(digits) else None
