"""The model management API: the catalogue, and the older lists."""

from __future__ import annotations

from typing import Final

from modelserver.catalog.query import SORTS
from modelserver.config.types import FEATURES, MODALITIES, MODEL_TYPES, OLD_MODEL_TYPES
from modelserver.web.markup import Child, Html
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import (
    Section,
    code,
    code_tabs,
    endpoint,
    explained,
    named,
    paragraph,
    part,
    section,
    table,
)

_FIELDS: Final = (
    ("model_id", "string"),
    ("desc", "string"),
    ("pricing.input", "number"),
    ("pricing.output", "number"),
    ("pricing.cache_read", "number"),
    ("pricing.cache_write", "number"),
    ("types", "string"),
    ("features", "string"),
    ("input_modalities", "string"),
    ("max_output", "integer"),
    ("context_length", "integer"),
)
_QUERY: Final = (
    ("type", MODEL_TYPES),
    ("modalities", MODALITIES),
    ("features", FEATURES),
    ("model", ()),
    ("sort_by", SORTS),
    ("sort_order", ()),
)
_LIST_FIELDS: Final = (
    ("id", "string"),
    ("object", "string"),
    ("created", "integer"),
    ("owned_by", "string"),
    ("permission", "array"),
    ("root", "string"),
    ("parent", "null"),
)


def catalogue(context: Context) -> Html:
    """`GET /api/v1/models` in all its parts."""
    return section(
        context,
        "catalogue",
        "catalogue.title",
        endpoint("GET", "/api/v1/models"),
        paragraph(context, "catalogue.text"),
        paragraph(context, f"catalogue.access_{context.facts.catalogue}"),
        part(
            context,
            "catalogue-request",
            "catalogue.request",
            code_tabs(context, "catalogue", ("curl", "python", "node")),
        ),
        part(context, "catalogue-response", "catalogue.response", context.sample("catalogue.response", "json")),
        _fields(context),
        _parameters(context),
        _sorting(context),
        _caching(context),
        _old_names(context),
        part(
            context,
            "catalogue-errors",
            "catalogue.errors",
            paragraph(context, "catalogue.errors_text"),
            context.sample("catalogue.error", "json"),
        ),
    )


def lists(context: Context) -> Html:
    """`GET /v1/models` and one of it."""
    rows: list[list[Child]] = [[named(name, kind), context.p(f"list.{name}")] for name, kind in _LIST_FIELDS]
    headings = [context.t(f"table.{word}") for word in ("field", "meaning")]
    return section(
        context,
        "lists",
        "lists.title",
        paragraph(context, "lists.text"),
        part(
            context,
            "lists-all",
            "lists.all",
            endpoint("GET", "/v1/models"),
            context.sample("lists.curl", "bash", label="curl"),
            context.sample("lists.response", "json"),
        ),
        part(context, "lists-fields", "lists.fields", table(context.t("lists.fields"), headings, rows)),
        part(
            context,
            "lists-one",
            "lists.one",
            endpoint("GET", "/v1/models/{model}"),
            paragraph(context, "lists.one_text"),
            context.sample("lists.one", "bash", label="curl"),
        ),
    )


def _fields(context: Context) -> Html:
    rows: list[list[Child]] = [
        [named(name, kind), context.p(f"field.{name.replace('.', '_')}")] for name, kind in _FIELDS
    ]
    headings = [context.t(f"table.{word}") for word in ("field", "meaning")]
    return part(
        context,
        "catalogue-fields",
        "catalogue.fields",
        table(context.t("catalogue.fields"), headings, rows),
        paragraph(context, "catalogue.fields_text"),
    )


def _parameters(context: Context) -> Html:
    rows: list[list[Child]] = [[code(name), explained(context.p(f"query.{name}"), values)] for name, values in _QUERY]
    headings = [context.t(f"table.{word}") for word in ("parameter", "meaning")]
    return part(
        context,
        "catalogue-parameters",
        "catalogue.parameters",
        table(context.t("catalogue.parameters"), headings, rows),
        paragraph(context, "catalogue.parameters_text"),
    )


def _sorting(context: Context) -> Html:
    rows: list[list[Child]] = [[code(name), context.p(f"sort.{name}")] for name in SORTS]
    headings = [code("sort_by"), context.t("table.meaning")]
    return part(
        context,
        "catalogue-sorting",
        "catalogue.sorting",
        table(context.t("catalogue.sorting"), headings, rows),
        paragraph(context, "catalogue.sorting_text"),
    )


def _caching(context: Context) -> Html:
    return part(
        context,
        "catalogue-caching",
        "catalogue.caching",
        context.sample("catalogue.headers", "http", label="HTTP"),
        paragraph(context, "catalogue.caching_text"),
        context.sample("catalogue.etag", "bash"),
    )


def _old_names(context: Context) -> Html:
    rows: list[list[Child]] = [[code(old), code(new)] for old, new in OLD_MODEL_TYPES.items()]
    headings = [context.t("catalogue.old"), context.t("catalogue.new")]
    return part(
        context,
        "catalogue-old-names",
        "catalogue.old_names",
        paragraph(context, "catalogue.old_names_text"),
        table(context.t("catalogue.old_names"), headings, rows),
    )


MANAGE: Final = (
    Section(
        anchor="catalogue",
        title="catalogue.title",
        body=catalogue,
        below=(
            ("catalogue-request", "catalogue.request"),
            ("catalogue-response", "catalogue.response"),
            ("catalogue-fields", "catalogue.fields"),
            ("catalogue-parameters", "catalogue.parameters"),
            ("catalogue-sorting", "catalogue.sorting"),
            ("catalogue-caching", "catalogue.caching"),
            ("catalogue-old-names", "catalogue.old_names"),
            ("catalogue-errors", "catalogue.errors"),
        ),
    ),
    Section(
        anchor="lists",
        title="lists.title",
        body=lists,
        below=(("lists-all", "lists.all"), ("lists-fields", "lists.fields"), ("lists-one", "lists.one")),
    ),
)
