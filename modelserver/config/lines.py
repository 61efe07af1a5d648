"""Where in a TOML text a path such as `models[3].pricing.input` stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import attrs
import tomli

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_TOKEN = re.compile(
    r'''
    (?P<skip>[ \t\r]+|\#[^\n]*)
  | (?P<newline>\n)
  | (?P<string>"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^']|'(?!''))*'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,.\#"']+)
  | (?P<other>.)
    ''',
    re.VERBOSE | re.DOTALL,
)


def join_path(path: str, key: str) -> str:
    """The path of `key` in the table at `path`, quoted where TOML would quote it."""
    name = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{name}" if path else name


def locate(text: str, path: str) -> int | None:
    """The line, from 1, on which `path` or else the nearest thing around it is written; None when nothing is."""
    return find_line(index_lines(text), path)


def find_line(lines: Mapping[str, int], path: str) -> int | None:
    """The line of `path` in an index of `index_lines`, or of the nearest thing around it."""
    while path:
        line = lines.get(path)
        if line is not None:
            return line
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return None


def index_lines(text: str) -> Mapping[str, int]:
    """The line of every table, key and list item of a well-formed TOML text."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


@attrs.frozen
class _Token:
    kind: str
    text: str
    line: int


_END = _Token("end", "", 0)


class _Scan:
    """One walk over a text that the TOML parser has accepted already; it looks for keys and judges nothing."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._last_index: dict[str, int] = {}
        self._tokens = _tokens(text)
        self._next = next(self._tokens, _END)

    def document(self) -> None:
        table = ""
        while self._next.kind != "end":
            if self._next.kind == "newline":
                self._take()
            elif self._next.text == "[":
                table = self._header()
            else:
                self._pair(table)

    def _take(self) -> _Token:
        token = self._next
        self._next = next(self._tokens, _END)
        return token

    def _header(self) -> str:
        line = self._take().line
        is_array = self._next.text == "["
        if is_array:
            self._take()
        keys = self._keys()
        while self._next.text == "]":
            self._take()
        path = ""
        for position, key in enumerate(keys, start=1):
            path = join_path(path, key)
            self.lines.setdefault(path, line)
            if is_array and position == len(keys):
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path = f"{path}[{self._last_index[path]}]"
                self.lines.setdefault(path, line)
        return path

    def _pair(self, table: str) -> None:
        path, line = table, self._next.line
        keys = self._keys()
        for key in keys:
            path = join_path(path, key)
            self.lines.setdefault(path, line)
        if self._next.text == "=":
            self._take()
            self._value(path)
        elif not keys:
            self._take()

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            if self._next.kind == "bare":
                keys.append(self._take().text)
            elif self._next.kind == "string":
                keys.append(_unquoted(self._take().text))
            elif self._next.text == ".":
                self._take()
            else:
                return keys

    def _value(self, path: str) -> None:
        if self._next.text == "[":
            self._list(path)
        elif self._next.text == "{":
            self._inline_table(path)
        else:
            while self._next.kind in ("bare", "string", "other") or self._next.text == ".":
                self._take()

    def _list(self, path: str) -> None:
        self._take()
        index = 0
        while self._next.text != "]" and self._next.kind != "end":
            if self._next.kind == "newline" or self._next.text in (",", "=", "}"):
                self._take()
                continue
            item = f"{path}[{index}]"
            self.lines.setdefault(item, self._next.line)
            self._value(item)
            index += 1
        self._take()

    def _inline_table(self, path: str) -> None:
        self._take()
        while self._next.text != "}" and self._next.kind != "end":
            if self._next.kind == "newline" or self._next.text == ",":
                self._take()
            else:
                self._pair(path)
        self._take()


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind != "skip":
            yield _Token(kind, match.group(), line)
        if kind == "newline":
            line += 1
        elif kind == "string":
            line += match.group().count("\n")


def _unquoted(token: str) -> str:
    try:
        return str(tomli.loads(f"key = {token}")["key"])
    except tomli.TOMLDecodeError:
        return token
