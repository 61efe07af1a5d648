"""Strings that satisfy a JSON schema: by length, by format, and by patterns of the ordinary kind.

A pattern is never run: those of clients may take exponential time. It is parsed here, and a text is written from it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, assert_never

import attrs

MAX_CHARS: Final = 100_000
"""Longer strings are not made, whatever the schema asks for."""
_MAX_PATTERN_CHARS: Final = 10_000
_MAX_GROUPS: Final = 40
_TRIES: Final = 8

_DIGITS: Final = "1234567890"
_WORD: Final = string.ascii_letters + _DIGITS + "_"
_SPACES: Final = " \t\n\r\f\v"
_ALPHABET: Final = string.ascii_letters + _DIGITS + "_-.~ !#$%&'()*+,/:;<=>?@[]^`{|}\"\\"
"""What a class or a dot is filled from, the preferred ones first."""
_CLASSES: Final[Mapping[str, str]] = {"d": _DIGITS, "w": _WORD, "s": _SPACES}
_CONTROLS: Final[Mapping[str, str]] = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_HEX_ESCAPES: Final[Mapping[str, int]] = {"x": 2, "u": 4}
_NO_TEXT: Final = frozenset("^$")

_FORMATS: Final[Mapping[str, Callable[[int], str]]] = {
    "date": lambda number: f"2026-01-{1 + number % 28:02d}",
    "date-time": lambda number: f"2026-01-{1 + number % 28:02d}T09:00:00Z",
    "time": lambda number: f"09:00:{number % 60:02d}Z",
    "duration": lambda number: f"P{1 + number}D",
    "email": lambda number: f"user{1 + number}@example.org",
    "idn-email": lambda number: f"user{1 + number}@example.org",
    "hostname": lambda number: f"host{1 + number}.example.org",
    "idn-hostname": lambda number: f"host{1 + number}.example.org",
    "ipv4": lambda number: f"192.0.2.{1 + number % 254}",
    "ipv6": lambda number: f"2001:db8::{1 + number % 65535:x}",
    "uri": lambda number: f"https://example.org/{1 + number}",
    "url": lambda number: f"https://example.org/{1 + number}",
    "iri": lambda number: f"https://example.org/{1 + number}",
    "uri-reference": lambda number: f"/{1 + number}",
    "iri-reference": lambda number: f"/{1 + number}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{1 + number:012x}",
    "json-pointer": lambda number: f"/{1 + number}",
    "regex": lambda number: f"a{{{1 + number}}}",
}


def make_texts(
    *, hint: str, variant: int, shortest: int, longest: int | None, form: str | None, pattern: str | None
) -> Iterator[str]:
    """Strings of `shortest` to `longest` characters, the best first; none when no such string is known.

    Other variants give other strings as far as there are others. A pattern that is understood outweighs the format;
    one that is not (look-around, back-references, flags) is passed over.
    """
    longest = MAX_CHARS if longest is None else min(longest, MAX_CHARS)
    if shortest > longest:
        return
    tree = None if pattern is None else _parse(pattern)
    sample = None if form is None else _FORMATS.get(form)
    for number in range(variant, variant + _TRIES):
        if tree is not None:
            text = tree.write(number, shortest)
        elif sample is not None:
            text = _lengthened(sample(number), shortest)
        else:
            text = _plain(hint, number, shortest, longest)
        if text is not None and shortest <= len(text) <= longest:
            yield text
    if tree is None and sample is not None:
        # Lengths are binding, formats are not.
        yield _plain(hint, variant, shortest, longest)


def _plain(hint: str, number: int, shortest: int, longest: int) -> str:
    text = hint if number == 0 else f"{hint} {number + 1}"
    if len(text) > longest:
        text = hint[:longest] if number == 0 else _letters(number, longest)
    return text + "x" * (shortest - len(text))


def _letters(number: int, length: int) -> str:
    """The number in letters, its low digits first so that a short string still tells numbers apart."""
    out = []
    for _ in range(length):
        number, digit = divmod(number, 26)
        out.append(string.ascii_lowercase[digit])
    return "".join(out)


def _lengthened(text: str, shortest: int) -> str:
    missing = "x" * (shortest - len(text))
    return text + missing if "/" in text else missing + text


@attrs.frozen
class _Chars:
    """One character out of these; an empty string for a place that takes none."""

    options: str


@attrs.frozen
class _Repeat:
    node: _Node
    least: int
    most: int | None


@attrs.frozen
class _Row:
    nodes: tuple[_Node, ...]


@attrs.frozen
class _Either:
    options: tuple[_Node, ...]


_Node: TypeAlias = _Chars | _Repeat | _Row | _Either


class _NotUnderstood(Exception):
    """The pattern uses what the parser does not know, or is no pattern."""


@attrs.frozen
class _Pattern:
    node: _Node
    open_end: bool
    """Further characters at the end do no harm."""

    def write(self, number: int, shortest: int) -> str | None:
        """A matching text, of `shortest` characters where the pattern can be stretched; None for one too long."""
        writer = _Writer(number)
        length = writer.length(self.node)
        if length > _MAX_PATTERN_CHARS:
            return None
        writer.missing = min(shortest, _MAX_PATTERN_CHARS) - length
        writer.write(self.node)
        text = "".join(writer.out)
        return text + "x" * (shortest - len(text)) if self.open_end else text


class _Writer:
    """Writes a text from a tree, repeating more often than necessary while characters are missing."""

    def __init__(self, number: int) -> None:
        self.out: list[str] = []
        self.missing = 0
        self._number = number
        self._lengths: dict[int, int] = {}

    def length(self, node: _Node) -> int:
        """Characters of the shortest text that this variant writes."""
        known = self._lengths.get(id(node))
        if known is not None:
            return known
        match node:
            case _Chars(options=options):
                length = min(1, len(options))
            case _Repeat(node=inner, least=least):
                length = least * self.length(inner)
            case _Row(nodes=nodes):
                length = sum(map(self.length, nodes))
            case _Either(options=options):
                length = self.length(options[self._number % len(options)])
            case _:
                assert_never(node)
        self._lengths[id(node)] = length
        return length

    def write(self, node: _Node) -> None:
        """Add the node's text to `out`."""
        match node:
            case _Chars(options=options):
                if options:
                    self.out.append(options[self._number % len(options)])
            case _Repeat(node=inner):
                for _ in range(self._times(node)):
                    written = len(self.out)
                    self.write(inner)
                    if len(self.out) == written:
                        break
            case _Row(nodes=nodes):
                for each in nodes:
                    self.write(each)
            case _Either(options=options):
                self.write(options[self._number % len(options)])
            case _:
                assert_never(node)

    def _times(self, repeat: _Repeat) -> int:
        unit = self.length(repeat.node)
        if unit == 0:  # a million times nothing is nothing; what it may be stretched to is seen on the way
            return max(0, self.missing if repeat.most is None else min(self.missing, repeat.most))
        if self.missing <= 0:
            return repeat.least
        more = -(-self.missing // unit)
        if repeat.most is not None:
            more = min(more, repeat.most - repeat.least)
        self.missing -= more * unit
        return repeat.least + more


def _parse(pattern: str) -> _Pattern | None:
    """The pattern as a tree, None for one that is not understood."""
    parser = _Parser(pattern)
    try:
        node = parser.either()
        parser.end()
    except _NotUnderstood:
        return None
    return _Pattern(node, open_end=not parser.anchored)


class _Parser:
    """Recursive descent over the common part of ECMA 262 and Python patterns."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._groups = 0
        self.anchored = False

    def end(self) -> None:
        """Check that everything was read."""
        if self._at < len(self._text):
            raise _NotUnderstood

    def either(self) -> _Node:
        """Alternatives, up to the closing parenthesis or the end."""
        options = [self._row()]
        while self._take("|"):
            options.append(self._row())
        return options[0] if len(options) == 1 else _Either(tuple(options))

    def _row(self) -> _Node:
        nodes: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            nodes.append(self._counted(self._atom()))
        return nodes[0] if len(nodes) == 1 else _Row(tuple(nodes))

    def _atom(self) -> _Node:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return _Chars(self._set())
        if char == ".":
            return _Chars(_ALPHABET)
        if char == "\\":
            return _Chars(self._escape())
        if char in _NO_TEXT:
            self.anchored = self.anchored or char == "$"
            return _Chars("")
        if char in "*+?":
            raise _NotUnderstood
        return _Chars(char)

    def _group(self) -> _Node:
        self._groups += 1
        if self._groups > _MAX_GROUPS:
            raise _NotUnderstood
        if self._take("?") and not self._take(":"):
            self._take("P")
            if not self._take("<") or self._peek() in ("=", "!"):
                raise _NotUnderstood
            while self._next() != ">":
                pass
        node = self.either()
        if not self._take(")"):
            raise _NotUnderstood
        return node

    def _set(self) -> str:
        negated = self._take("^")
        chosen: list[str] = []
        while (char := self._next()) != "]" or not chosen:
            low = self._escape() if char == "\\" else char
            if len(low) == 1 and self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._next()
                char = self._next()
                high = self._escape() if char == "\\" else char
                if len(high) != 1 or high < low:
                    raise _NotUnderstood
                chosen.append("".join(each for each in _ALPHABET if low <= each <= high) or low)
            else:
                chosen.append(low)
        members = "".join(chosen)
        if negated:
            options = "".join(each for each in _ALPHABET if each not in members)
        else:
            # In the alphabet's order, so that a class of letters and digits begins with a letter.
            options = "".join(each for each in _ALPHABET if each in members)
            options += "".join(each for each in members if each not in _ALPHABET)
        if not options:
            raise _NotUnderstood
        return options

    def _escape(self) -> str:
        """The characters that an escape may stand for."""
        char = self._next()
        if char in _CLASSES:
            return _CLASSES[char]
        if char.lower() in _CLASSES:
            return "".join(each for each in _ALPHABET if each not in _CLASSES[char.lower()])
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in _HEX_ESCAPES:
            digits = self._text[self._at : self._at + _HEX_ESCAPES[char]]
            self._at += len(digits)
            if len(digits) < _HEX_ESCAPES[char] or not all(each in string.hexdigits for each in digits):
                raise _NotUnderstood
            return chr(int(digits, 16))
        if char.isalnum():
            raise _NotUnderstood
        return char

    def _counted(self, node: _Node) -> _Node:
        """The node with the quantifier that follows it, if one does."""
        counts = self._counts()
        if counts is None:
            return node
        if not self._take("?"):  # lazy and possessive ones repeat the same
            self._take("+")
        least, most = counts
        if most is not None and most < least:
            raise _NotUnderstood
        return _Repeat(node, least, most)

    def _counts(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        end = self._text.find("}", self._at)
        if self._peek() != "{" or end < 0:
            return None
        least, comma, most = self._text[self._at + 1 : end].partition(",")
        if not _is_count(least) or (most and not _is_count(most)):
            return None
        self._at = end + 1
        if comma:
            return int(least), int(most) if most else None
        return int(least), int(least)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        if not char:
            raise _NotUnderstood
        self._at += 1
        return char

    def _take(self, char: str) -> bool:
        if self._peek() != char:
            return False
        self._at += 1
        return True


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6
