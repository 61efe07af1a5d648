"""Reading `.env` files."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?')
_SINGLE = re.compile(r"'([^']*)'[ \t]*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env(text: str) -> tuple[Mapping[str, str], tuple[int, ...]]:
    r"""The variables of a text of `NAME=value` lines, and the numbers of the lines that are none.

    `export` before a name, empty lines and comments are allowed. In double quotes `\n`, `\"` and the like are escapes,
    in single quotes nothing is; a bare value ends before a blank and `#`. Nothing is expanded. The last of two equal
    names wins.
    """
    found: dict[str, str] = {}
    bad: list[int] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _NAME.fullmatch(stripped)
        value = None if match is None else _value(match[2])
        if match is None or value is None:
            bad.append(number)
        else:
            found[match[1]] = value
    return found, tuple(bad)


def _value(text: str) -> str | None:
    if text.startswith('"'):
        match = _DOUBLE.fullmatch(text)
        return None if match is None else _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), match[1])
    if text.startswith("'"):
        match = _SINGLE.fullmatch(text)
        return None if match is None else match[1]
    return _COMMENT.sub("", text).rstrip()
