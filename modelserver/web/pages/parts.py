"""What sections are built from: headings, tables, tabs and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from modelserver.web.markup import Child, Html, el, join
from modelserver.web.pages.context import Context

Body: TypeAlias = Callable[[Context], Html]


@attrs.frozen(kw_only=True)
class Section:
    """A part of the page with an anchor, and what of it stands in the contents."""

    anchor: str
    title: str
    """The key of its message."""
    body: Body
    nav: str | None = None
    """The key of its message in the contents, where that is another."""
    below: Sequence[tuple[str, str]] = ()
    """Anchors and message keys of its parts, in order."""


def section(context: Context, anchor: str, title: str, *children: Child) -> Html:
    """A section with its heading, which is a link to itself."""
    heading = el("h2", el("a", context.t(title), href=f"#{anchor}"))
    return el("section", heading, children, id=anchor)


def part(context: Context, anchor: str, title: str, *children: Child) -> Html:
    """A part of a section."""
    return el("section", el("h3", el("a", context.t(title), href=f"#{anchor}")), children, id=anchor)


def paragraph(context: Context, key: str, **values: str) -> Html:
    """A message as a paragraph."""
    return el("p", context.p(key, **values))


def table(label: str, headings: Sequence[Child], rows: Sequence[Sequence[Child]], *, kind: str = "plain") -> Html:
    """A table that scrolls inside itself; the first cell of a row is its heading."""
    head = el("tr", [el("th", heading, scope="col") for heading in headings])
    body = [el("tr", el("th", row[0], scope="row"), [el("td", cell) for cell in row[1:]]) for row in rows]
    inner = el("table", el("thead", head), el("tbody", body), class_=kind)
    return el("div", inner, class_="scroll", role="region", aria_label=label, tabindex="0")


def tabs(group: str, variants: Sequence[tuple[str, Child]], *, level: int = 4) -> Html:
    """Variants of the same, each under its heading; the script makes tabs of them.

    What is chosen in one place is chosen in all of its group.
    """
    panels = [el("div", el(f"h{level}", name), body, class_="tab") for name, body in variants]
    return el("div", panels, class_="tabs", data_group=group)


def code_tabs(context: Context, prefix: str, languages: Sequence[str], *, level: int = 4) -> Html:
    """The same example in several languages; `prefix` and a language make the name of a sample."""
    shown = {"curl": ("curl", "bash"), "python": ("Python", "python"), "node": ("Node", "javascript")}
    variants = [
        (shown[each][0], context.sample(f"{prefix}.{each}", shown[each][1], label=shown[each][0])) for each in languages
    ]
    return tabs("language", variants, level=level)


def note(title: str, text: Html, *, kind: str) -> Html:
    """Something to keep in mind; `kind` is `warning` or `hint`."""
    return el("aside", el("p", el("strong", title)), el("p", text), class_=f"note {kind}")


def endpoint(method: str, path: str) -> Html:
    """A method and a path."""
    return el("p", el("span", method, class_=f"method {method.lower()}"), " ", el("code", path), class_="endpoint")


def named(name: str, *about: str) -> Html:
    """A name, and what kind of thing it is in small letters below; what is empty is left out."""
    return join(code(name), el("span", " · ".join(filter(None, about)), class_="kind"))


def explained(text: Html, words: Sequence[str]) -> Html:
    """An explanation, and below it the words that it is about."""
    below: list[Child] = [[" ", code(word)] for word in words]
    return join(text, el("span", below, class_="words") if words else None)


def code(text: str) -> Html:
    """A word of code."""
    return el("code", text)
