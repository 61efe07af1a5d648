"""The whole page: its head, its contents, and the sections in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelserver.web.markup import Html, el, join
from modelserver.web.pages.chat import CHAT
from modelserver.web.pages.context import Context
from modelserver.web.pages.dialects import DIALECTS
from modelserver.web.pages.manage import MANAGE
from modelserver.web.pages.models import MODELS
from modelserver.web.pages.parts import Section
from modelserver.web.pages.reference import REFERENCE
from modelserver.web.pages.start import START
from modelserver.web.pages.text import LANGUAGES, NAMES, TAGS

CHAPTERS: Final[Sequence[tuple[str, Sequence[Section]]]] = (
    ("nav.start", (*START, *MODELS)),
    ("nav.chat", CHAT),
    ("nav.more", DIALECTS),
    ("nav.manage", MANAGE),
    ("nav.reference", REFERENCE),
)
"""The message of a chapter's name in the contents, and its sections."""


def document(context: Context) -> bytes:
    """The page as UTF-8."""
    sections = [each.body(context) for _, chapter in CHAPTERS for each in chapter]
    machine = el("a", "openapi.json", href=f"{context.here}openapi.json")
    footer = el(
        "footer",
        el("p", context.p("page.footer", version=context.version), " ", context.t("page.machine"), machine),
    )
    body = el(
        "body",
        el("a", context.t("page.skip"), href="#main", class_="skip"),
        _header(context),
        el(
            "div",
            el("nav", contents(context), class_="side", aria_label=context.t("page.contents")),
            el("main", sections, footer, id="main", tabindex="-1"),
            class_="frame",
        ),
        data_copy=context.t("page.copy"),
        data_copied=context.t("page.copied"),
        data_failed=context.t("page.copy_failed"),
    )
    whole = el("html", _head(context), body, lang=TAGS[context.language])
    return f"<!doctype html>\n{whole}\n".encode()


def contents(context: Context) -> Html:
    """Links to every section and its parts, by chapter."""
    return join([_chapter(context, name, chapter) for name, chapter in CHAPTERS])


def _chapter(context: Context, name: str, chapter: Sequence[Section]) -> Html:
    items = [el("li", _link(context, each.anchor, each.nav or each.title), _below(context, each)) for each in chapter]
    return join(el("p", context.t(name), class_="chapter"), el("ul", items))


def _below(context: Context, of: Section) -> Html | None:
    return el("ul", [el("li", _link(context, *entry)) for entry in of.below]) if of.below else None


def _link(context: Context, anchor: str, title: str) -> Html:
    return el("a", context.t(title), href=f"#{anchor}")


def _head(context: Context) -> Html:
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="description", content=context.t("page.description")),
        el("title", context.t("page.title")),
        el("link", rel="icon", type="image/svg+xml", href=f"{context.here}assets/{context.icon}"),
        el("link", rel="stylesheet", href=f"{context.here}assets/{context.style}"),
        [el("link", rel="alternate", hreflang=TAGS[each], href=f"?lang={each}") for each in LANGUAGES],
        el("script", src=f"{context.here}assets/{context.script}", defer=True),
    )


def _header(context: Context) -> Html:
    mark = el("img", src=f"{context.here}assets/{context.icon}", alt="", width=26, height=26)
    return el(
        "header",
        el("a", mark, el("span", "ModelServer"), href="#intro", class_="brand"),
        el("a", context.t("page.openapi"), href=f"{context.here}openapi.json", class_="openapi"),
        _languages(context),
        el(
            "details",
            el("summary", context.t("page.contents")),
            el("nav", contents(context), aria_label=context.t("page.contents")),
            class_="menu",
        ),
        class_="top",
    )


def _languages(context: Context) -> Html:
    links = [
        el(
            "a",
            NAMES[each],
            href=f"?lang={each}",
            lang=TAGS[each],
            hreflang=TAGS[each],
            aria_current="true" if each == context.language else None,
        )
        for each in LANGUAGES
    ]
    return el("nav", links, class_="languages", aria_label=context.t("page.language"))
