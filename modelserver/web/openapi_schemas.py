"""JSON Schemas of what goes in and out: requests, answers, lists and errors of each dialect.

Requests say what is checked here, in the words of JSON Schema 2020-12; of the dialects other than Chat, whose fields
are their vendors' to document, only what is required. Answers of a provider that speaks the client's dialect pass as
they come, so that more fields than these may be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from modelserver.config.types import MODEL_TYPES

Schema: TypeAlias = Mapping[str, Any]


def ref(name: str) -> Schema:
    """A schema of `SCHEMAS` by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(properties: Schema, required: Sequence[str] = (), **more: Any) -> Schema:
    """An object, which may hold more than these properties."""
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": properties, **more}


def array(items: Schema, **more: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **more}


def any_of(*schemas: Schema, **more: Any) -> Schema:
    """Whatever fits one of them, which is itself where there is one."""
    return {"anyOf": list(schemas), **more} if len(schemas) > 1 or more else schemas[0]


def maybe(kind: str, **more: Any) -> Schema:
    """A value of a type, or `null`, which is the same as absent."""
    return {"type": [kind, "null"], **more}


def _one(word: str) -> Schema:
    return {"type": "string", "const": word}


_TEXT: Final[Schema] = {"type": "string"}
_NAME: Final[Schema] = {"type": "string", "minLength": 1}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TRUE: Final[Schema] = {"type": "boolean"}
_OBJECT: Final[Schema] = {"type": "object"}
_NULL: Final[Schema] = {"type": "null"}


def _other(*known: str) -> Schema:
    """An object of a type of a vendor's own."""
    return obj({"type": {**_NAME, "not": {"enum": list(known)}}}, ["type"])


def _tool_kind(kind: str, inner: Schema) -> Schema:
    """An object that has a function, with or without its type, or anything else below the name of its type."""
    word = {"enum": [kind, None]} if kind == "function" else _one(kind)
    return obj({"type": word, kind: inner}, [kind] if kind == "function" else ["type", kind])


_FUNCTION: Final = obj(
    {
        "name": _NAME,
        "description": maybe("string"),
        "parameters": maybe("object", description="A JSON Schema of the arguments."),
        "strict": maybe("boolean"),
    },
    ["name"],
)
_CALLED: Final = obj({"name": _NAME, "arguments": {**_TEXT, "description": "JSON in a string."}}, ["name", "arguments"])
_NAMED: Final = obj({"name": _NAME}, ["name"])
_PARTS: Final = array(ref("ContentPart"))
_CONTENT: Final = any_of(_TEXT, _PARTS)

_CHAT_PARTS: Final[Mapping[str, Schema]] = {
    "MessageOfInstructionsOrUser": obj(
        {
            "role": {"enum": ["system", "developer", "user"]},
            "content": any_of(_TEXT, {**_PARTS, "minItems": 1}),
            "name": maybe("string"),
        },
        ["role", "content"],
    ),
    "MessageOfAssistant": obj(
        {
            "role": _one("assistant"),
            "content": any_of(_TEXT, _PARTS, _NULL),
            "name": maybe("string"),
            "refusal": maybe("string"),
            "tool_calls": maybe("array", items=ref("ToolCall")),
            "function_call": any_of(_CALLED, _NULL, deprecated=True),
            "audio": any_of(obj({"id": _TEXT}, ["id"]), _NULL),
            "reasoning_content": {"description": "As the answer had it."},
            "reasoning_details": {"description": "As the answer had it; the provider that made it gets it back."},
        },
        ["role"],
        description="Without content it has calls, or something else that an answer had.",
    ),
    "MessageOfTool": obj(
        {"role": _one("tool"), "tool_call_id": _TEXT, "content": _CONTENT, "name": maybe("string")},
        ["role", "tool_call_id", "content"],
    ),
    "MessageOfFunction": obj(
        {"role": _one("function"), "name": _NAME, "content": any_of(_TEXT, _PARTS, _NULL)},
        ["role", "name"],
        deprecated=True,
    ),
    "ContentPart": any_of(
        obj({"type": _one("text"), "text": _TEXT}, ["type", "text"]),
        obj({"type": _one("refusal"), "refusal": _TEXT}, ["type", "refusal"]),
        obj(
            {
                "type": _one("image_url"),
                "image_url": any_of(
                    _TEXT,
                    obj({"url": _TEXT, "detail": maybe("string")}, ["url"]),
                    description="An http or https URL, or a base64 data URL of a JPEG, PNG, WebP or GIF.",
                ),
            },
            ["type", "image_url"],
        ),
        obj(
            {
                "type": _one("input_audio"),
                "input_audio": any_of(_TEXT, obj({"data": _TEXT, "format": _TEXT}, ["data", "format"])),
            },
            ["type", "input_audio"],
        ),
        obj(
            {
                "type": _one("file"),
                "file": obj({key: maybe("string") for key in ("file_data", "file_id", "filename")}),
                "file_id": maybe("string"),
            },
            ["type"],
        ),
        _other("text", "refusal", "image_url", "input_audio", "file"),
    ),
    "ToolCall": any_of(
        obj({"id": maybe("string"), "type": {"enum": ["function", None]}, "function": _CALLED}, ["function"]),
        obj(
            {
                "id": maybe("string"),
                "type": _one("custom"),
                "custom": obj({"name": _NAME, "input": _TEXT}, ["name", "input"]),
            },
            ["type", "custom"],
        ),
        obj({"id": maybe("string"), "type": {**_TEXT, "not": {"enum": ["function", "custom"]}}}, ["type"]),
    ),
    "Tool": any_of(
        _tool_kind("function", _FUNCTION),
        _tool_kind("custom", obj({"name": _NAME, "description": maybe("string"), "format": maybe("object")}, ["name"])),
        _other("function", "custom"),
    ),
    "ToolChoice": any_of(
        {"enum": ["none", "auto", "required", "any"]},
        _tool_kind("function", _NAMED),
        _tool_kind("custom", _NAMED),
        _tool_kind("allowed_tools", obj({"mode": _TEXT, "tools": array(_OBJECT)}, ["mode", "tools"])),
        _other("function", "custom", "allowed_tools"),
    ),
    "ResponseFormat": any_of(
        obj(
            {
                "type": _one("json_schema"),
                "json_schema": obj(
                    {
                        "name": maybe("string"),
                        "description": maybe("string"),
                        "schema": maybe("object"),
                        "strict": maybe("boolean"),
                    }
                ),
            },
            ["type", "json_schema"],
        ),
        {
            **obj({"type": _one("json_schema"), "schema": _OBJECT}, ["type", "schema"]),
            "not": {"required": ["json_schema"]},
        },
        _other("json_schema"),
    ),
}

CHAT_FIELDS: Final[Mapping[str, Schema]] = {
    "model": {**_NAME, "description": "An id that GET /v1/models lists."},
    "messages": array(
        any_of(*(ref(name) for name in _CHAT_PARTS if name.startswith("MessageOf"))),
        minItems=1,
    ),
    "stream": maybe("boolean", default=False),
    "stream_options": maybe(
        "object",
        properties={
            "include_usage": maybe("boolean", description="Ends the stream with a chunk that has the usage."),
            "include_obfuscation": maybe("boolean"),
        },
    ),
    "max_completion_tokens": maybe("integer", minimum=1),
    "max_tokens": maybe("integer", minimum=1),
    "temperature": maybe("number", minimum=0, maximum=2),
    "top_p": maybe("number", minimum=0, maximum=1),
    "presence_penalty": maybe("number", minimum=-2, maximum=2),
    "frequency_penalty": maybe("number", minimum=-2, maximum=2),
    "seed": maybe("integer"),
    "stop": any_of(_TEXT, array(_TEXT), _NULL),
    "n": maybe("integer", minimum=1, maximum=128),
    "logprobs": any_of({"type": ["boolean", "null"]}, _COUNT),
    "top_logprobs": maybe("integer", minimum=0, maximum=20),
    "logit_bias": maybe("object", additionalProperties={"type": "number", "minimum": -100, "maximum": 100}),
    "tools": maybe("array", items=ref("Tool")),
    "tool_choice": any_of(ref("ToolChoice"), _NULL),
    "parallel_tool_calls": maybe("boolean"),
    "functions": maybe("array", items=_FUNCTION, deprecated=True),
    "function_call": any_of({"enum": ["none", "auto"]}, _NAMED, _NULL, deprecated=True),
    "response_format": any_of(ref("ResponseFormat"), _NULL),
    "reasoning_effort": maybe("string", examples=["minimal", "low", "medium", "high"]),
    "verbosity": maybe("string", examples=["low", "medium", "high"]),
    "modalities": maybe("array", items=_TEXT),
    "audio": any_of(obj({"format": _TEXT, "voice": any_of(_TEXT, _OBJECT)}, ["format", "voice"]), _NULL),
    "prompt_cache_key": maybe("string"),
    "prompt_cache_options": maybe("object", properties={"mode": maybe("string"), "ttl": maybe("string")}),
    "prompt_cache_retention": maybe("string"),
    "prediction": any_of(obj({"type": _NAME, "content": any_of(_TEXT, array({}), _NULL)}, ["type"]), _NULL),
    "web_search_options": maybe(
        "object", properties={"search_context_size": maybe("string"), "user_location": maybe("object")}
    ),
    "metadata": maybe("object"),
    "user": maybe("string"),
    "safety_identifier": maybe("string"),
    "service_tier": maybe("string"),
    "store": maybe("boolean"),
    "moderation": maybe("object", properties={"model": maybe("string"), "policy": maybe("object")}),
}
"""The fields of a chat completion that are checked; others are passed on as they are."""


def _asks(required: Sequence[str], properties: Schema, **more: Any) -> Schema:
    return obj(properties, required, additionalProperties=True, **more)


_CONTENTS: Final = {"contents": array(_OBJECT)}
_MODEL: Final = {"model": _NAME}
_STREAM: Final = {"stream": maybe("boolean", default=False)}
_TURNS: Final = {"messages": array(_OBJECT)}
_RESPONSES_INPUT: Final[Schema] = {
    **_MODEL,
    "input": any_of(_TEXT, array(_OBJECT), _NULL),
    "previous_response_id": maybe("string"),
}
_INPUT_NEEDED: Final = any_of({"required": ["input"]}, {"required": ["previous_response_id"]})
_REQUESTS: Final[Mapping[str, Schema]] = {
    "ChatCompletionRequest": _asks(["model", "messages"], CHAT_FIELDS),
    "ResponsesRequest": _asks(["model"], {**_RESPONSES_INPUT, **_STREAM}, **_INPUT_NEEDED),
    "ResponsesCountRequest": _asks(["model"], _RESPONSES_INPUT, **_INPUT_NEEDED),
    "MessagesRequest": _asks(
        ["model", "max_tokens", "messages"],
        {**_MODEL, "max_tokens": {"type": "integer", "minimum": 0}, **_TURNS, **_STREAM},
    ),
    "MessagesCountRequest": _asks(["model", "messages"], {**_MODEL, **_TURNS}),
    "GenerateContentRequest": _asks(["contents"], _CONTENTS),
    "CountTokensRequest": _asks(
        [],
        {**_CONTENTS, "generateContentRequest": ref("GenerateContentRequest")},
        **any_of({"required": ["contents"]}, {"required": ["generateContentRequest"]}),
    ),
}

_CHAT_USAGE: Final = maybe(
    "object", properties={"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT}
)
_SAID: Final[Schema] = {
    "role": maybe("string"),
    "content": any_of(_TEXT, array(_OBJECT), _NULL),
    "refusal": maybe("string"),
    "reasoning_content": maybe("string"),
    "reasoning_details": maybe("array", items=_OBJECT),
    "tool_calls": maybe("array", items=_OBJECT),
}


def _chat_answer(word: str, inner: str) -> Schema:
    choice = {"index": _COUNT, inner: obj(_SAID), "finish_reason": maybe("string"), "logprobs": maybe("object")}
    return obj(
        {
            "id": _TEXT,
            "object": _one(word),
            "created": {"type": "integer"},
            "model": _TEXT,
            "choices": array(obj(choice, [inner])),
            "usage": _CHAT_USAGE,
        },
        ["choices"],
    )


_TYPED: Final = obj({"type": _TEXT}, ["type"])
_ANSWERS: Final[Mapping[str, Schema]] = {
    "ChatCompletion": _chat_answer("chat.completion", "message"),
    "ChatCompletionChunk": _chat_answer("chat.completion.chunk", "delta"),
    "Response": obj(
        {
            "id": _TEXT,
            "object": _one("response"),
            "created_at": {"type": "number"},
            "status": _TEXT,
            "model": _TEXT,
            "error": maybe("object"),
            "incomplete_details": maybe("object"),
            "output": array(_TYPED),
            "usage": maybe("object"),
        },
        ["id", "output"],
    ),
    "ResponseEvent": obj({"type": _TEXT, "sequence_number": _COUNT}, ["type"]),
    "Message": obj(
        {
            "id": _TEXT,
            "type": _one("message"),
            "role": _one("assistant"),
            "model": _TEXT,
            "content": array(_TYPED),
            "stop_reason": maybe("string"),
            "stop_sequence": maybe("string"),
            "usage": obj({"input_tokens": maybe("integer"), "output_tokens": maybe("integer")}),
        },
        ["type", "role", "content"],
    ),
    "MessageEvent": _TYPED,
    "GenerateContentResponse": obj(
        {
            "candidates": array(
                obj({"content": obj({"role": _TEXT, "parts": array(_OBJECT)}), "finishReason": _TEXT, "index": _COUNT})
            ),
            "promptFeedback": _OBJECT,
            "usageMetadata": obj(
                {"promptTokenCount": _COUNT, "candidatesTokenCount": _COUNT, "totalTokenCount": _COUNT}
            ),
            "modelVersion": _TEXT,
            "responseId": _TEXT,
        }
    ),
    "GenerateContentStream": array(ref("GenerateContentResponse")),
    "ResponsesCount": obj({"object": _one("response.input_tokens"), "input_tokens": _COUNT}, ["input_tokens"]),
    "MessagesCount": obj({"input_tokens": _COUNT}, ["input_tokens"]),
    "CountTokensResponse": obj({"totalTokens": _COUNT}, ["totalTokens"]),
}

_PRICE: Final[Schema] = {"type": "number", "minimum": 0}
_OPENAI_MODEL: Final[Schema] = {
    "id": _TEXT,
    "object": _one("model"),
    "created": {"type": "integer", "description": "Unix time."},
    "owned_by": _TEXT,
    "permission": array(_OBJECT),
    "root": {**_TEXT, "description": "The id that an alias stands for; otherwise the id itself."},
    "parent": _NULL,
}
_ANTHROPIC_MODEL: Final[Schema] = {
    "type": _one("model"),
    "id": _TEXT,
    "display_name": _TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "lifecycle": _TEXT,
    "max_input_tokens": maybe("integer"),
    "max_tokens": maybe("integer"),
    "capabilities": _OBJECT,
}
_LISTS: Final[Mapping[str, Schema]] = {
    "OpenAIModel": obj(_OPENAI_MODEL, list(_OPENAI_MODEL)),
    "OpenAIModelList": obj({"object": _one("list"), "data": array(ref("OpenAIModel"))}, ["object", "data"]),
    "AnthropicModel": obj(_ANTHROPIC_MODEL, list(_ANTHROPIC_MODEL)),
    "AnthropicModelList": obj(
        {
            "data": array(ref("AnthropicModel")),
            "has_more": _TRUE,
            "first_id": maybe("string"),
            "last_id": maybe("string"),
        },
        ["data", "has_more", "first_id", "last_id"],
    ),
    "GeminiModel": obj(
        {
            "name": {"type": "string", "pattern": "^models/"},
            "baseModelId": _TEXT,
            "displayName": _TEXT,
            "description": _TEXT,
            "inputTokenLimit": _COUNT,
            "outputTokenLimit": _COUNT,
            "supportedGenerationMethods": array(_TEXT),
            "thinking": _TRUE,
        },
        ["name", "displayName", "supportedGenerationMethods", "thinking"],
    ),
    "GeminiModelList": obj({"models": array(ref("GeminiModel")), "nextPageToken": _TEXT}, ["models"]),
    "Catalogue": obj(
        {"data": array(ref("CatalogueModel")), "message": _TEXT, "success": {"const": True}},
        ["data", "message", "success"],
    ),
    "CatalogueModel": obj(
        {
            "model_id": {**_TEXT, "description": "One that ends in * stands for whatever its provider has."},
            "desc": _TEXT,
            "pricing": obj(
                dict.fromkeys(("cache_read", "cache_write", "input", "output"), _PRICE),
                description="US dollars per million tokens.",
            ),
            "types": {"type": "string", "enum": list(MODEL_TYPES)},
            "features": {**_TEXT, "description": "Words with commas between them."},
            "input_modalities": {**_TEXT, "description": "Words with commas between them."},
            "max_output": {**_COUNT, "description": "Tokens."},
            "context_length": {**_COUNT, "description": "Tokens."},
        },
        ["model_id", "types"],
        description="What is not known is left out.",
    ),
    "Health": obj({"status": _one("ok"), "version": _TEXT}, ["status", "version"]),
    "Description": obj({"openapi": _TEXT, "info": _OBJECT, "paths": _OBJECT}, ["openapi", "info", "paths"]),
    "Readiness": obj({"status": {"enum": ["ready", "draining"]}}, ["status"]),
}

SCHEMAS: Final[Mapping[str, Schema]] = {**_REQUESTS, **_CHAT_PARTS, **_ANSWERS, **_LISTS}
"""Every schema but those of errors."""
