"""The first sections: what this is, where it is, and how to make a first call."""

from __future__ import annotations

from typing import Final

from modelserver.web.markup import Html, el
from modelserver.web.pages.code import code_block
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import Section, code_tabs, note, paragraph, section

_FEATURES: Final = (
    ("models", "#models"),
    ("stream", "#streaming"),
    ("tools", "#tools"),
    ("vision", "#vision"),
)


def intro(context: Context) -> Html:
    """What this is, and that it runs."""
    status = "status.stopping" if context.draining else "status.running"
    badges = el(
        "p",
        el("span", context.t(status), class_=f"badge {'busy' if context.draining else 'live'}"),
        el("span", f"v{context.version}", class_="badge"),
        el("span", context.t("status.compatible"), class_="badge"),
        class_="badges",
    )
    heading = el("h1", context.t("intro.title"))
    lead = el("p", context.p("intro.lead"), class_="lead")
    return el("section", heading, badges, lead, paragraph(context, "intro.text"), id="intro")


def base_url(context: Context) -> Html:
    """The address to give to clients."""
    address = code_block(f"{context.root}/v1", "text", label=context.t("base.title"))
    return section(context, "base-url", "base.title", address, paragraph(context, "base.text"))


def features(context: Context) -> Html:
    """What it can do, each with a link to where it is described."""
    cards = [
        el("li", el("a", context.t(f"features.{name}"), href=target), el("p", context.t(f"features.{name}_text")))
        for name, target in _FEATURES
    ]
    return section(context, "features", "features.title", el("ul", cards, class_="cards"))


def quick_start(context: Context) -> Html:
    """A first call in three languages."""
    key = "quick.none" if context.facts.model is None else "quick.text"
    return section(
        context,
        "quickstart",
        "quick.title",
        paragraph(context, key, model=context.example_model),
        code_tabs(context, "quick", ("curl", "python", "node"), level=3),
        paragraph(context, "quick.install"),
    )


def authentication(context: Context) -> Html:
    """How to send the key, and where not to keep it."""
    return section(
        context,
        "authentication",
        "auth.title",
        paragraph(context, "auth.text"),
        context.sample("auth", "http", label="HTTP"),
        paragraph(context, "auth.others"),
        note(context.t("auth.note_title"), context.p("auth.note"), kind="warning"),
    )


START: Final = (
    Section(anchor="intro", title="intro.title", nav="intro.nav", body=intro),
    Section(anchor="base-url", title="base.title", body=base_url),
    Section(anchor="features", title="features.title", body=features),
    Section(anchor="quickstart", title="quick.title", body=quick_start),
    Section(anchor="authentication", title="auth.title", body=authentication),
)
