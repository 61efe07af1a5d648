"""A JSON array whose elements arrive one by one, cut on bytes."""

from __future__ import annotations

import re
from typing import Final

from modelserver.errors import UpstreamFailed

MAX_ELEMENT_BYTES: Final = 16_000_000

_SPACE: Final = b" \t\r\n"
_BETWEEN = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')


class JsonArrayReader:
    """Bytes of one JSON array in, its whole elements out; a value that is no array is the only element.

    Elements are found by brackets outside strings and are not checked otherwise: whether one is JSON is for the caller
    to see. An object or array is given as soon as its last bracket is there, any other value at what follows it.

    Attributes:
        is_complete: The closing bracket of the array, or the end of the only element, has come.
    """

    def __init__(self, max_element_bytes: int = MAX_ELEMENT_BYTES) -> None:
        self.is_complete = False
        self._max_element_bytes = max_element_bytes
        self._opened = False
        self._alone = False
        self._depth = 0
        """Brackets that are open within the element."""
        self._in_string = False
        self._escaped = False
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Elements that are complete now.

        Raises:
            UpstreamFailed: `upstream_too_large`, one element is over the limit; `upstream_invalid_response`, something
                follows the end.
        """
        elements: list[bytes] = []
        at = 0 if self._opened else self._open(data)
        start = at
        while at < len(data):
            if self.is_complete:
                if data[at:].strip(_SPACE):
                    raise UpstreamFailed("The provider sent more after its answer.", code="upstream_invalid_response")
                return elements
            if self._in_string:
                at = self._skip_string(data, at)
                continue
            found = (_INSIDE if self._depth else _BETWEEN).search(data, at)
            if found is None:
                break
            at = found.end()
            start = self._take(found.group(), data, start, at, elements)
        if start < len(data) and not self.is_complete:
            self._keep(data[start:])
        return elements

    def close(self) -> bytes:
        """What came of an element that is not complete; empty when there is none."""
        rest = b"".join(self._parts).strip(_SPACE)
        self._parts.clear()
        return rest

    def _open(self, data: bytes) -> int:
        """Where the content begins in the first bytes that are not blank."""
        rest = data.lstrip(_SPACE)
        if not rest:
            return len(data)
        at = len(data) - len(rest)
        self._opened = True
        if rest.startswith(b"["):
            return at + 1
        self._alone = True
        return at

    def _skip_string(self, data: bytes, at: int) -> int:
        """Where the string ends, or the data."""
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _IN_STRING.search(data, at)
        if found is None:
            return len(data)
        if found.group() == b'"':
            self._in_string = False
        else:
            self._escaped = True
        return found.end()

    def _take(self, token: bytes, data: bytes, start: int, end: int, elements: list[bytes]) -> int:
        """Where the current element begins after one bracket, comma or quote that ends at `end`."""
        if token == b'"':
            self._in_string = True
        elif token in b"{[":
            self._depth += 1
        elif token == b"," or not self._depth:
            self._emit(data[start : end - 1], elements)
            self.is_complete = token != b","
            return end
        else:
            self._depth -= 1
            if not self._depth:
                self._emit(data[start:end], elements)
                self.is_complete = self._alone
                return end
        return start

    def _emit(self, last: bytes, elements: list[bytes]) -> None:
        self._keep(last)
        element = b"".join(self._parts).strip(_SPACE)
        self._parts.clear()
        self._size = 0
        if element:
            elements.append(element)

    def _keep(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > self._max_element_bytes:
            raise UpstreamFailed(
                f"The provider sent an element of more than {self._max_element_bytes:,} bytes.",
                code="upstream_too_large",
            )
