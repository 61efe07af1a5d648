"""What the built-in provider reads of a Chat request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from modelserver.errors import InvalidRequest

MAX_CHOICES: Final = 128
_MAX_DEPTH: Final = 100
_LISTS: Final = (("tools", "tool_choice"), ("functions", "function_call"))


@attrs.frozen(kw_only=True)
class OfferedTool:
    """The tool that the answer calls."""

    name: str
    path: str
    """Where the request declares it."""
    parameters: Any
    custom: bool = False
    """It takes text, not arguments."""
    legacy: bool = False
    """It was offered as one of `functions`."""


@attrs.frozen(kw_only=True)
class ChatRequest:
    """A checked request; counts in tokens of the mock."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    stream: bool
    stream_usage: bool
    choices: int
    max_tokens: int | None
    stops: tuple[str, ...]
    tool: OfferedTool | None
    """None where the answer is text."""
    schema: Any | None
    """What the text must be an instance of; None for free text."""


def read_request(body: bytes | None) -> ChatRequest:
    """The request in a body.

    Raises:
        InvalidRequest: It is none; `param` names the field.
    """
    try:
        fields = orjson.loads(body or b"")
    except ValueError:
        raise InvalidRequest("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if _is_too_deep(fields):
        raise InvalidRequest(f"The body is nested more than {_MAX_DEPTH} deep.")
    messages = _messages(fields)
    options = _want(fields, "stream_options", dict, "an object") or {}
    choices = _count(fields, "n") or 1
    if choices > MAX_CHOICES:
        raise InvalidRequest(f"n must be at most {MAX_CHOICES}.", param="n")
    model = _want(fields, "model", str, "a string")
    if not model:
        raise InvalidRequest("model is required.", param="model")
    return ChatRequest(
        model=model,
        messages=messages,
        stream=bool(_want(fields, "stream", bool, "true or false")),
        stream_usage=bool(_want(options, "include_usage", bool, "true or false", "stream_options.")),
        choices=choices,
        max_tokens=_count(fields, "max_completion_tokens") or _count(fields, "max_tokens"),
        stops=_stops(fields.get("stop")),
        tool=_tool(fields, answered=messages[-1].get("role") in ("tool", "function")),
        schema=_schema(_want(fields, "response_format", dict, "an object")),
    )


def texts_of(message: Mapping[str, Any]) -> list[str]:
    """The texts in a message: its content or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _messages(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    messages = _want(fields, "messages", list, "a list")
    if not messages:
        raise InvalidRequest("messages must hold at least one message.", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages[{index}] must be an object.", param=f"messages[{index}]")
        if not isinstance(message.get("role"), str):
            raise InvalidRequest(f"messages[{index}].role must be a string.", param=f"messages[{index}].role")
    return tuple(messages)


def _tool(fields: Mapping[str, Any], *, answered: bool) -> OfferedTool | None:
    """The tool to call: the named one, else the first; None where none is offered, wanted, or one has answered."""
    for key, choice_key in _LISTS:
        tools = [_read_tool(each, f"{key}[{i}]") for i, each in enumerate(_want(fields, key, list, "a list") or ())]
        choice = fields.get(choice_key)
        wanted = _wanted_name(choice)
        offered = [tool for tool in tools if tool is not None and wanted in (None, tool.name)]
        if wanted is not None and not offered:
            raise InvalidRequest(f"{choice_key} names a tool that {key} does not hold.", param=choice_key)
        if offered and choice != "none" and not answered:
            return offered[0]
    return None


def _read_tool(tool: Any, path: str) -> OfferedTool | None:
    """A tool as declared; None for one that the provider itself would run."""
    legacy = path.startswith("functions")
    # Some clients leave the type out.
    kind = "function" if legacy else tool.get("type", "function") if isinstance(tool, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f"{path}.type must be a string.", param=f"{path}.type")
    if kind not in ("function", "custom"):
        return None
    path = path if legacy else f"{path}.{kind}"
    declared = tool if legacy else tool.get(kind)
    name = declared.get("name") if isinstance(declared, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"{path}.name must be a string that is not empty.", param=f"{path}.name")
    parameters = declared.get("parameters")
    return OfferedTool(
        name=name,
        path=path,
        parameters={} if parameters is None else parameters,
        custom=kind == "custom",
        legacy=legacy,
    )


def _wanted_name(choice: Any) -> str | None:
    """The tool that a `tool_choice` or `function_call` names; the first one of those that it allows."""
    if not isinstance(choice, dict):
        return None
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        tools = allowed.get("tools")
        return _wanted_name(tools[0]) if isinstance(tools, list) and tools else None
    for named in (choice.get("function"), choice.get("custom"), choice):
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            return str(named["name"])
    return None


def _schema(form: Mapping[str, Any] | None) -> Any | None:
    if form is None:
        return None
    wanted = form.get("json_schema")
    match form.get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "object", "required": ["text"]}
        case "json_schema" if isinstance(wanted, dict):
            schema = wanted.get("schema")
            return {"type": "object"} if schema is None else schema
        case "json_schema":
            raise InvalidRequest("response_format.json_schema must be an object.", param="response_format.json_schema")
        case _:
            raise InvalidRequest(
                "response_format.type must be text, json_object or json_schema.", param="response_format.type"
            )


def _stops(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("stop must be a string or a list of strings.", param="stop")
    return tuple(each for each in stops if each)


def _count(fields: Mapping[str, Any], key: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise InvalidRequest(f"{key} must be a whole number of at least 1.", param=key)
    return value


def _want(fields: Mapping[str, Any], key: str, type_: type, what: str, prefix: str = "") -> Any:
    """The value of a field, None when it is absent or null."""
    value = fields.get(key)
    if value is None or isinstance(value, type_):
        return value
    raise InvalidRequest(f"{prefix}{key} must be {what}.", param=prefix + key)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
