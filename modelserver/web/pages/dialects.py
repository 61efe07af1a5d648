"""The other APIs that the server speaks, and the programs that speak them."""

from __future__ import annotations

from typing import Final

from modelserver.web.markup import Html, join
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import Section, code, paragraph, part, section, table, tabs

_APIS: Final = (
    ("OpenAI Chat Completions", "/v1", "POST /v1/chat/completions"),
    ("OpenAI Responses", "/v1", "POST /v1/responses"),
    ("Anthropic Messages", "", "POST /v1/messages"),
    ("Google Gemini", "", "POST /v1beta/models/{model}:generateContent"),
)
"""Name, what its SDK wants behind the server's address, and path."""
_CLIENTS: Final = (
    ("Codex CLI", "codex", "toml"),
    ("Claude Code", "claude", "bash"),
    ("Gemini CLI", "gemini", "bash"),
    ("opencode", "opencode", "json"),
)


def dialects(context: Context) -> Html:
    """The APIs, their addresses, and a call by each."""
    rows = [[name, code(f"{context.root}{version}"), code(path)] for name, version, path in _APIS]
    headings = [context.t(f"dialects.{word}") for word in ("api", "base", "path")]
    names = (("Responses", "responses"), ("Messages", "messages"), ("Gemini", "gemini"))
    examples = [(name, context.sample(f"dialects.{sample}", "bash", label="curl")) for name, sample in names]
    return section(
        context,
        "dialects",
        "dialects.title",
        paragraph(context, "dialects.text"),
        table(context.t("dialects.title"), headings, rows, kind="apis"),
        paragraph(context, "dialects.dropped"),
        part(context, "dialects-examples", "dialects.examples", tabs("dialect", examples)),
    )


def clients(context: Context) -> Html:
    """Settings of coding agents."""
    variants = [
        (name, join(paragraph(context, f"clients.{key}"), context.sample(f"clients.{key}", language)))
        for name, key, language in _CLIENTS
    ]
    return section(
        context, "clients", "clients.title", paragraph(context, "clients.text"), tabs("client", variants, level=3)
    )


DIALECTS: Final = (
    Section(anchor="dialects", title="dialects.title", body=dialects),
    Section(anchor="clients", title="clients.title", body=clients),
)
