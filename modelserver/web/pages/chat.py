"""Chat completions: parameters, streams, tools, images, and a whole conversation."""

from __future__ import annotations

from typing import Final

from modelserver.web.markup import Child, Html
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import Section, code_tabs, endpoint, named, note, paragraph, part, section, table

PARAMETERS: Final = (
    ("model", "string", True),
    ("messages", "array", True),
    ("temperature", "number", False),
    ("top_p", "number", False),
    ("max_tokens", "integer", False),
    ("stream", "boolean", False),
    ("stream_options", "object", False),
    ("stop", "string | array", False),
    ("tools", "array", False),
    ("tool_choice", "string | object", False),
    ("response_format", "object", False),
    ("reasoning_effort", "string", False),
)
"""Name, type, and whether it is required."""


def chat(context: Context) -> Html:
    """The endpoint, what it takes and what it gives."""
    return section(
        context,
        "chat",
        "chat.title",
        endpoint("POST", "/v1/chat/completions"),
        paragraph(context, "chat.text"),
        part(context, "chat-parameters", "chat.parameters", _parameters(context), paragraph(context, "chat.passed")),
        part(
            context,
            "chat-response",
            "chat.response",
            context.sample("chat.response", "json"),
            paragraph(context, "chat.response_text"),
        ),
    )


def streaming(context: Context) -> Html:
    """Streams: what comes, and how to read it."""
    return section(
        context,
        "streaming",
        "stream.title",
        paragraph(context, "stream.text"),
        part(
            context,
            "stream-chunks",
            "stream.chunks",
            context.sample("stream.chunks", "events"),
            paragraph(context, "stream.chunks_text"),
            paragraph(context, "stream.broken"),
        ),
        part(
            context,
            "stream-reading",
            "stream.read",
            paragraph(context, "stream.read_text"),
            code_tabs(context, "stream", ("python", "node", "curl")),
        ),
    )


def tools(context: Context) -> Html:
    """Tools: offering them, the model's call, and the result."""
    return section(
        context,
        "tools",
        "tools.title",
        paragraph(context, "tools.text"),
        part(context, "tools-define", "tools.define", context.sample("tools.define", "json")),
        part(
            context,
            "tools-answer",
            "tools.answer",
            context.sample("tools.answer", "json"),
            paragraph(context, "tools.answer_text"),
        ),
        part(
            context,
            "tools-result",
            "tools.result",
            paragraph(context, "tools.result_text"),
            context.sample("tools.result", "json"),
        ),
    )


def vision(context: Context) -> Html:
    """Images in messages."""
    return section(
        context,
        "vision",
        "vision.title",
        paragraph(context, "vision.text"),
        part(context, "vision-url", "vision.url", context.sample("vision.url", "json")),
        part(context, "vision-data", "vision.data", context.sample("vision.data", "python")),
        note(context.t("vision.note_title"), context.p("vision.note"), kind="hint"),
    )


def conversation(context: Context) -> Html:
    """Several turns, in Python."""
    sample = context.sample("example", "python")
    return section(context, "conversation", "example.title", paragraph(context, "example.text"), sample)


def _parameters(context: Context) -> Html:
    rows: list[list[Child]] = [
        [named(name, kind, context.t("table.required") if is_required else ""), context.p(f"param.{name}")]
        for name, kind, is_required in PARAMETERS
    ]
    headings = [context.t(f"table.{word}") for word in ("parameter", "meaning")]
    return table(context.t("chat.parameters"), headings, rows)


CHAT: Final = (
    Section(
        anchor="chat",
        title="chat.title",
        body=chat,
        below=(("chat-parameters", "chat.parameters"), ("chat-response", "chat.response")),
    ),
    Section(
        anchor="streaming",
        title="stream.title",
        body=streaming,
        below=(("stream-chunks", "stream.chunks"), ("stream-reading", "stream.read")),
    ),
    Section(
        anchor="tools",
        title="tools.title",
        body=tools,
        below=(("tools-define", "tools.define"), ("tools-answer", "tools.answer"), ("tools-result", "tools.result")),
    ),
    Section(
        anchor="vision",
        title="vision.title",
        body=vision,
        below=(("vision-url", "vision.url"), ("vision-data", "vision.data")),
    ),
    Section(anchor="conversation", title="example.title", body=conversation),
)
