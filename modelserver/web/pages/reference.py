"""Errors and health."""

from __future__ import annotations

from typing import Final

from modelserver.web.markup import Child, Html
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import Section, endpoint, explained, named, paragraph, part, section, table

ERRORS: Final = (
    (
        400,
        "invalid_request_error",
        ("unsupported_value", "unsupported_parameter", "context_length_exceeded", "content_policy_violation"),
    ),
    (401, "authentication_error", ("authentication_error",)),
    (403, "permission_error", ("permission_denied",)),
    (404, "invalid_request_error", ("model_not_found", "not_found")),
    (405, "invalid_request_error", ("method_not_allowed",)),
    (408, "invalid_request_error", ("request_timeout",)),
    (413, "invalid_request_error", ("request_too_large",)),
    (415, "invalid_request_error", ("unsupported_encoding",)),
    (429, "rate_limit_error", ("rate_limit_exceeded",)),
    (499, "invalid_request_error", ("client_closed_request",)),
    (500, "server_error", ("server_error",)),
    (
        502,
        "server_error",
        (
            "upstream_error",
            "upstream_unreachable",
            "upstream_invalid_response",
            "upstream_too_large",
            "upstream_auth_error",
            "upstream_quota",
        ),
    ),
    (503, "server_error", ("no_provider_key", "queue_full", "draining", "overloaded")),
    (504, "server_error", ("upstream_timeout",)),
)
"""Status, type and codes, as the errors of the OpenAI APIs have them."""


def errors(context: Context) -> Html:
    """The shape of errors, and what there is."""
    rows: list[list[Child]] = [
        [named(str(status), kind), explained(context.p(f"errors.{status}"), words)] for status, kind, words in ERRORS
    ]
    headings = [context.t(f"errors.{word}") for word in ("status", "when")]
    return section(
        context,
        "errors",
        "errors.title",
        paragraph(context, "errors.text"),
        context.sample("errors", "json"),
        part(
            context,
            "errors-table",
            "errors.table",
            table(context.t("errors.table"), headings, rows),
            paragraph(context, "errors.retry"),
        ),
    )


def health(context: Context) -> Html:
    """Whether the server lives, and whether it takes calls."""
    return section(
        context,
        "health",
        "health.title",
        paragraph(context, "health.text"),
        endpoint("GET", "/health"),
        paragraph(context, "health.live"),
        context.sample("health", "bash", label="curl"),
        context.sample("health.response", "json"),
        endpoint("GET", "/health/ready"),
        paragraph(context, "health.ready"),
    )


REFERENCE: Final = (
    Section(anchor="errors", title="errors.title", body=errors),
    Section(anchor="health", title="health.title", body=health),
)
