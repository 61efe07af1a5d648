"""A page as a browser reads it: elements that must be nested, anchors, links and texts."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

VOID = frozenset(("area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))


class Page(HTMLParser):
    """What a page holds; reading fails where elements are not nested or an id is given twice."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        """By element, the text directly within it."""
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}"
        if tag in ("p", "h1", "h2", "h3", "h4"):
            assert not {"p", "h1", "h2", "h3", "h4", "pre"} & set(self.open), f"{tag} within {self.open}"
        fields = dict(attrs)
        self.elements.append((tag, fields))
        if "id" in fields:
            self.ids.append(str(fields["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [fields for name, fields in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute."""
        return [str(fields[attribute]) for _, fields in self.elements if attribute in fields]


_MARKS = re.compile(
    r'<section id="(?P<anchor>[^"]+)"|<div class="tab"><h\d>(?P<tab>[^<]*)|'
    r"<figcaption><span>(?P<label>[^<]*)</span></figcaption><pre[^>]*><code>(?P<code>.*?)</code></pre>",
    re.DOTALL,
)


def examples(text: str) -> dict[str, str]:
    """The code that a page shows, by section and by tab or language: `quickstart Python`."""
    found: dict[str, str] = {}
    anchor = name = ""
    for mark in _MARKS.finditer(text):
        if mark["anchor"]:
            anchor, name = mark["anchor"], ""
        elif mark["tab"]:
            name = mark["tab"]
        else:
            key = f"{anchor} {name or mark['label']}"
            assert key not in found, f"two of {key}"
            found[key] = unescape(re.sub("<[^>]+>", "", mark["code"]))
    return found
