"""Code on a page: a frame with its language, and a little colour for comments, strings and words of the language."""

from __future__ import annotations

import re
from typing import Final

from modelserver.web.markup import Html, el, join

_DOUBLE: Final = r'"(?:[^"\\\n]|\\.)*"'
_SINGLE: Final = r"'(?:[^'\\\n]|\\.)*'"
_NUMBER: Final = r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.])"


def _pattern(
    *, comment: str = r"(?!)", string: str = r"(?!)", word: str = r"(?!)", key: str = r"(?!)"
) -> re.Pattern[str]:
    return re.compile(rf"(?P<c>{comment})|(?P<n>{key})|(?P<s>{string})|(?P<k>{word})", re.MULTILINE)


_LANGUAGES: Final = {
    "python": _pattern(
        comment=r"#.*$",
        string=rf"f?{_DOUBLE}|f?{_SINGLE}",
        word=r"\b(?:from|import|for|in|if|else|while|def|return|with|as|not|and|or|True|False|None|break)\b",
    ),
    "javascript": _pattern(
        comment=r"(?<!:)//.*$",
        string=rf"{_SINGLE}|{_DOUBLE}",
        word=r"\b(?:import|from|const|let|new|await|async|for|of|if|else|return|true|false|null)\b",
    ),
    "json": _pattern(
        key=rf"{_DOUBLE}(?=\s*:)",
        string=_DOUBLE,
        word=rf"\b(?:true|false|null)\b|{_NUMBER}",
    ),
    "events": _pattern(
        comment=r"^:.*$",
        key=rf"^(?:data|event)(?=:)|{_DOUBLE}(?=\s*:)",
        string=_DOUBLE,
        word=rf"\b(?:true|false|null)\b|\[DONE\]|{_NUMBER}",
    ),
    "bash": _pattern(
        comment=r"(?<!\S)#.*$",
        string=rf"{_DOUBLE}|'[^']*'",
        word=r"(?:^|(?<=\| ))(?:curl|export|claude|gemini|codex)\b|(?<=\s)--?[A-Za-z][\w-]*",
    ),
    "toml": _pattern(
        comment=r"(?<!\S)#.*$", string=_DOUBLE, key=r"^\[[^\]\n]+\]", word=rf"\b(?:true|false)\b|{_NUMBER}"
    ),
    "http": _pattern(word=r"^(?:GET|POST|HEAD)\b", key=r"^[A-Za-z-]+(?=:)"),
    "text": _pattern(),
}
_LABELS: Final = {
    "python": "Python",
    "javascript": "JavaScript",
    "json": "JSON",
    "events": "Server-Sent Events",
    "bash": "Shell",
    "toml": "TOML",
    "http": "HTTP",
    "text": "",
}


def code_block(text: str, language: str, *, label: str | None = None) -> Html:
    """A framed block of code; its label is the language where none is given."""
    shown = _LABELS[language] if label is None else label
    return el(
        "figure",
        el("figcaption", el("span", shown)),
        el("pre", el("code", coloured(text.strip("\n"), language)), tabindex="0"),
        class_="code",
    )


def coloured(text: str, language: str) -> Html:
    """The text, escaped, its tokens in spans: `c` comments, `s` strings, `k` words, `n` names."""
    pieces: list[str | Html] = []
    at = 0
    for found in _LANGUAGES[language].finditer(text):
        if found.lastgroup is not None and found[0]:
            pieces += [text[at : found.start()], el("span", found[0], class_=found.lastgroup)]
            at = found.end()
    return join(pieces, text[at:])
