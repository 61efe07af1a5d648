"""What each route does, in words and schemas: a row here for every row of the table of routes."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

import attrs

from modelserver.catalog.query import SORT_ORDERS, SORTS
from modelserver.config.types import FEATURES, MODALITIES, MODEL_TYPES, OLD_MODEL_TYPES
from modelserver.errors import ErrorKind
from modelserver.web.openapi_errors import ANTHROPIC, CATALOGUE, GEMINI, GEMINI_ARRAY, OF_CALLS, OPENAI, ErrorShape

Json = Mapping[str, Any]
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

_LISTED: Final = "What the caller can call now; without a key, what the group `default` can."
_PASSED: Final = "Fields that are not described here are passed on to a provider of the same API."
_ANY_MODEL: Final = "Any model can be asked for, whatever API its provider has. "
_PAGES: Final = (1, 1000)


@attrs.frozen(kw_only=True)
class Operation:
    """One operation of a path, without what the row of the route says: who may call it, and whether it is limited."""

    id: str
    summary: str
    tag: str
    description: str = ""
    suffix: str = ""
    """Stands behind the path's parameter."""
    parameters: tuple[Json, ...] = ()
    body: str = ""
    """The schema of the request; empty for none."""
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Media types of the status 200, each with the schemas of which its content (of events, the data of each) has one;
    without a schema it is text or bytes."""
    headers: tuple[str, ...] = ()
    """Of the status 200, beside those that all answers have."""
    more: Mapping[str, Json] = attrs.field(factory=dict)
    """Answers of other statuses that are no errors by the dialects' tables."""
    errors: tuple[ErrorShape, ...] = (OPENAI,)
    kinds: Set[ErrorKind] = frozenset()
    """Of errors, beside those that follow from the access."""


def _in_query(name: str, schema: Json, description: str, **more: Any) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _in_header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _listed(words: tuple[str, ...]) -> Json:
    return {"type": "array", "items": {"type": "string", "enum": list(words)}}


def _size(name: str, description: str) -> Json:
    return _in_query(name, {"type": "integer", "minimum": _PAGES[0], "maximum": _PAGES[1]}, description)


def _in_path(name: str, description: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


MODEL: Final = _in_path("model", "The id of a model, or below `tunedModels/` what follows there; it may hold slashes.")
_NAME: Final = _in_path("name", "As the page names it.")
IF_NONE_MATCH: Final = _in_header("If-None-Match", "The `ETag` of an answer that is at hand.")
_VERSION: Final = _in_header("anthropic-version", "Passed on to a provider of the same API.")
_BETA: Final = _in_header("anthropic-beta", "Passed on to a provider of the same API.")
_SHAPE: Final = _in_header("anthropic-version", "Any value asks for the shape of Anthropic's API.")
_GEMINI_PAGES: Final = (
    _size("pageSize", "Models on a page of the list in Gemini's shape; all, where it is absent."),
    _in_query("pageToken", {"type": "string"}, "The `nextPageToken` of the page before."),
)
_ANTHROPIC_PAGES: Final = (
    _size("limit", "Models on a page of the list in Anthropic's shape."),
    _in_query("after_id", {"type": "string"}, "The id before the page, in Anthropic's shape."),
    _in_query("before_id", {"type": "string"}, "The id behind the page, in Anthropic's shape."),
)
_ALTERNATIVE: Final = _in_query(
    "alt", {"type": "string", "enum": ["sse"]}, "`sse` gives an event stream in place of one JSON array."
)
_AND: Final = "; a model must have all of them."
CATALOGUE_PARAMETERS: Final = (
    _in_query(
        "type",
        {"type": "string", "enum": [*MODEL_TYPES, *OLD_MODEL_TYPES]},
        f"{', '.join(f'`{old}`' for old in OLD_MODEL_TYPES)} are older names.",
    ),
    _in_query("modalities", _listed(MODALITIES), f"Kinds of input{_AND}", style="form", explode=False),
    _in_query("features", _listed(FEATURES), f"Features{_AND}", style="form", explode=False),
    _in_query("model", {"type": "string"}, "A part of the id, in any case."),
    _in_query(
        "sort_by",
        {"type": "string", "enum": list(SORTS), "default": SORTS[0]},
        "`order` is that of the configuration, `model_ratio` has the cheapest first, `coding` models for coding.",
    ),
    _in_query(
        "sort_order",
        {"type": "string", "enum": list(SORT_ORDERS), "default": SORT_ORDERS[0]},
        "What has no value stands last in both; of no effect on `coding`.",
    ),
)

_OF_CALLS: Final = ("x-modelserver-provider", "x-modelserver-attempts", "x-modelserver-dropped", "openai-processing-ms")
_OF_COUNTS: Final = (*_OF_CALLS, "x-modelserver-estimated")
_NOT_CHANGED: Final[Mapping[str, Json]] = {"304": {"description": "It is as the `ETag` in `If-None-Match` says."}}
_CACHED: Final = ("etag", "cache-control")


def _call(
    id: str,
    summary: str,
    tag: str,
    body: str,
    answer: str,
    event: str = "",
    *,
    counts: bool = False,
    errors: tuple[ErrorShape, ...] = (OPENAI,),
    parameters: tuple[Json, ...] = (),
    suffix: str = "",
) -> Operation:
    return Operation(
        id=id,
        summary=summary,
        tag=tag,
        description=_ANY_MODEL + _PASSED,
        body=body,
        answers=((JSON, (answer,)), *(((EVENTS, (event,)),) if event else ())),
        headers=_OF_COUNTS if counts else _OF_CALLS,
        errors=errors,
        kinds=OF_CALLS,
        parameters=parameters,
        suffix=suffix,
    )


def _gemini(version: str, kind: str) -> tuple[Operation, ...]:
    place = f"{version.capitalize()}{'Tuned' if kind == 'tunedModels' else ''}"
    tuned = ", of a tuned model" if kind == "tunedModels" else ""
    answer = "GenerateContentResponse"
    return (
        _call(
            f"generateContent{place}",
            f"Generate an answer{tuned}",
            "Gemini",
            "GenerateContentRequest",
            answer,
            errors=(GEMINI,),
            suffix=":generateContent",
        ),
        _call(
            f"streamGenerateContent{place}",
            f"Generate an answer as a stream{tuned}",
            "Gemini",
            "GenerateContentRequest",
            "GenerateContentStream",
            answer,
            errors=(GEMINI, GEMINI_ARRAY),
            parameters=(_ALTERNATIVE,),
            suffix=":streamGenerateContent",
        ),
        _call(
            f"countTokens{place}",
            f"Count the tokens of a request{tuned}",
            "Gemini",
            "CountTokensRequest",
            "CountTokensResponse",
            counts=True,
            errors=(GEMINI,),
            suffix=":countTokens",
        ),
    )


def _lists(version: str) -> dict[tuple[str, str], tuple[Operation, ...]]:
    """List and entry; below `/v1/` three APIs have them, and headers tell which one is meant."""
    is_shared = version == "v1"
    place = "" if is_shared else version.capitalize()
    prefixes = ("OpenAI", "Anthropic", "Gemini") if is_shared else ("Gemini",)
    errors = (OPENAI, ANTHROPIC, GEMINI) if is_shared else (GEMINI,)
    tag = "Models" if is_shared else "Gemini"
    shape = (
        "The shape is Anthropic's with the header `anthropic-version`, Gemini's with `x-goog-api-key` or `?key=`, "
        "else OpenAI's."
    )
    return {
        ("GET", f"/{version}/models"): (
            Operation(
                id=f"listModels{place}",
                summary="List the models",
                tag=tag,
                description=f"{_LISTED} {shape}" if is_shared else _LISTED,
                parameters=(_SHAPE, *_ANTHROPIC_PAGES, *_GEMINI_PAGES) if is_shared else _GEMINI_PAGES,
                answers=((JSON, tuple(f"{prefix}ModelList" for prefix in prefixes)),),
                errors=errors,
                kinds={ErrorKind.INVALID, ErrorKind.SERVER},
            ),
        ),
        ("GET", f"/{version}/models/{{model}}"): (
            Operation(
                id=f"getModel{place}",
                summary="Get an entry of the list",
                tag=tag,
                description=shape if is_shared else "",
                parameters=(_SHAPE,) if is_shared else (),
                answers=((JSON, tuple(f"{prefix}Model" for prefix in prefixes)),),
                errors=errors,
                kinds={ErrorKind.NOT_FOUND, ErrorKind.SERVER},
            ),
        ),
    }


_CALLS: Final[Mapping[tuple[str, str], tuple[Operation, ...]]] = {
    ("POST", "/v1/chat/completions"): (
        _call(
            "createChatCompletion",
            "Complete a chat",
            "OpenAI",
            "ChatCompletionRequest",
            "ChatCompletion",
            "ChatCompletionChunk",
        ),
    ),
    ("POST", "/v1/responses"): (
        _call("createResponse", "Create a response", "OpenAI", "ResponsesRequest", "Response", "ResponseEvent"),
    ),
    ("GET", "/v1/responses"): (
        Operation(
            id="refuseWebSocket",
            summary="Not offered: a WebSocket for responses",
            tag="OpenAI",
            description="Clients that want one are told to send the request by POST.",
            more={"426": {"description": "There are no WebSockets here."}},
            kinds={ErrorKind.METHOD},
        ),
    ),
    ("POST", "/v1/responses/input_tokens"): (
        _call(
            "countResponseTokens",
            "Count the tokens of a request for a response",
            "OpenAI",
            "ResponsesCountRequest",
            "ResponsesCount",
            counts=True,
        ),
    ),
    ("POST", "/v1/messages"): (
        _call(
            "createMessage",
            "Create a message",
            "Anthropic",
            "MessagesRequest",
            "Message",
            "MessageEvent",
            errors=(ANTHROPIC,),
            parameters=(_VERSION, _BETA),
        ),
    ),
    ("POST", "/v1/messages/count_tokens"): (
        _call(
            "countMessageTokens",
            "Count the tokens of a request for a message",
            "Anthropic",
            "MessagesCountRequest",
            "MessagesCount",
            counts=True,
            errors=(ANTHROPIC,),
            parameters=(_VERSION, _BETA),
        ),
    ),
}

_REST: Final[Mapping[tuple[str, str], tuple[Operation, ...]]] = {
    ("GET", "/api/v1/models"): (
        Operation(
            id="getCatalogue",
            summary="The catalogue: prices, features and sizes",
            tag="Models",
            description="All parameters must hold. An empty one is absent, a repeated one is an error.",
            parameters=(*CATALOGUE_PARAMETERS, IF_NONE_MATCH),
            answers=((JSON, ("Catalogue",)),),
            headers=_CACHED,
            more=_NOT_CHANGED,
            errors=(CATALOGUE,),
            kinds={ErrorKind.INVALID, ErrorKind.SERVER},
        ),
    ),
    ("GET", "/"): (
        Operation(
            id="getPage",
            summary="The documentation page",
            tag="Server",
            description="In the language of `lang`, else of a cookie, else of `Accept-Language`.",
            parameters=(_in_query("lang", {"type": "string", "enum": ["en", "zh"]}, "The language."), IF_NONE_MATCH),
            answers=(("text/html", ()),),
            headers=_CACHED,
            more=_NOT_CHANGED,
        ),
    ),
    ("GET", "/assets/{name}"): (
        Operation(
            id="getAsset",
            summary="A file of the documentation page",
            tag="Server",
            parameters=(_NAME, IF_NONE_MATCH),
            answers=(("text/css", ()), ("text/javascript", ()), ("image/svg+xml", ())),
            headers=_CACHED,
            more=_NOT_CHANGED,
            kinds={ErrorKind.NOT_FOUND},
        ),
    ),
    ("GET", "/openapi.json"): (
        Operation(
            id="getDescription",
            summary="This description",
            tag="Server",
            parameters=(IF_NONE_MATCH,),
            answers=((JSON, ("Description",)),),
            headers=_CACHED,
            more=_NOT_CHANGED,
        ),
    ),
    ("GET", "/health"): (
        Operation(
            id="getHealth",
            summary="Whether the server lives",
            tag="Server",
            description="Asks no provider. Also at `/healthz`.",
            answers=((JSON, ("Health",)),),
            headers=("cache-control",),
        ),
    ),
    ("GET", "/health/ready"): (
        Operation(
            id="getReadiness",
            summary="Whether the server wants calls",
            tag="Server",
            description="Asks no provider. Also at `/readyz`.",
            answers=((JSON, ("Readiness",)),),
            headers=("cache-control",),
            more={
                "503": {
                    "description": "The server is about to stop.",
                    "headers": {"retry-after": {"$ref": "#/components/headers/retry-after"}},
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Readiness"}}},
                }
            },
        ),
    ),
}

OPERATIONS: Final[Mapping[tuple[str, str], tuple[Operation, ...]]] = {
    **_CALLS,
    **{
        ("POST", f"/{version}/{kind}/{{model}}"): _gemini(version, kind)
        for version in ("v1beta", "v1alpha", "v1")
        for kind in ("models", "tunedModels")
    },
    **_lists("v1"),
    **_lists("v1beta"),
    **_lists("v1alpha"),
    **_REST,
}
"""By method and path, parameters written as `{name}`."""

ALIASES: Final[Mapping[str, str]] = {"/healthz": "/health", "/readyz": "/health/ready"}
"""Paths that are served like another one, which alone is described."""
