"""Requests of Gemini clients, read. Model and stream stand in the path: the caller puts them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.gemini.history import HistoryReader
from modelserver.dialects.gemini.schema import from_openapi, with_small_types
from modelserver.dialects.gemini.vocab import HOSTED_FAMILIES, TIERS_USED, in_camel
from modelserver.dialects.gemini.wishes import read_config
from modelserver.dialects.reading import (
    check_object,
    check_strings,
    find_list,
    find_object,
    find_str,
    join,
    out_of_range,
    parse_body,
    want_list,
    want_name,
    wrong,
)
from modelserver.ir.parts import Message, Text
from modelserver.ir.request import FunctionTool, HostedTool, Ignored, Rejected, Request, Tool, ToolChoice
from modelserver.wire.json_text import loads_exact

_REJECTED: Final = {
    "cachedContent": "a cached prefix is kept by Google.",
    "continuationToken": "a cut answer can be continued at Google only.",
    "modelArmorConfig": "is not supported for this model.",
    "generationOutputConfig": "is not supported for this model.",
}
_IGNORED: Final = frozenset(("safetySettings", "labels", "store"))
_KNOWN: Final = frozenset(
    ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "model")
)
_MODES: Final = frozenset(("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"))
_FUNCTION_FIELDS: Final = frozenset(("name", "description", "parameters", "parametersJsonSchema"))


_PATH = re.compile(r"/v1(?:beta|alpha)?/(?:models|(?=tunedModels/))/?(.+):(\w+)")


def split_path(path: str) -> tuple[str, str] | None:
    """The model and the method that a path names (percent escapes decoded already); None for another path."""
    found = _PATH.fullmatch(path)
    return None if found is None else (found.group(1), found.group(2))


def decode_request(body: bytes) -> Request:
    """The request that a body says; `model` is empty unless the body names it, and `stream` is false.

    Raises:
        InvalidRequest: The body is malformed; `param` is the client's own path.
    """
    parsed = parse_body(body)
    if b"functionCall" in body or b"function_call" in body or b"functionResponse" in body:
        parsed = loads_exact(body)  # arguments keep all digits of their numbers
    wire = in_camel(parsed)
    entries = want_list(wire, "contents", "")
    if not entries:
        raise out_of_range("contents", "a list that is not empty")
    resolution = in_camel(find_object(wire, "generationConfig", "") or {}).get("mediaResolution")
    history = HistoryReader(resolution if isinstance(resolution, str) else None)
    messages = [history.message(entry, index) for index, entry in enumerate(entries)]
    extra: dict[str, Any] = {key: value for key, value in wire.items() if key not in _KNOWN}
    rejected = [Rejected(param=key, why=why) for key, why in _REJECTED.items() if wire.get(key) is not None]
    ignored = [Ignored(name=key) for key in wire if key in _IGNORED and wire[key] not in (None, [], {}, False)]
    wishes = read_config(wire, extra, rejected, ignored)
    tools = _read_tools(wire)
    choice = _read_choice(wire, extra)
    tier = (find_str(wire, "serviceTier", "") or "").lower()
    return Request(
        dialect="gemini",
        model=(find_str(wire, "model", "") or "").removeprefix("models/"),
        system=_read_system(wire),
        messages=_joined(messages),
        tools=tools,
        tool_choice=choice,
        service_tier=TIERS_USED.get(tier, tier) or None,
        rejected=(*rejected, *history.rejected),
        ignored=tuple(ignored),
        extra=extra,
        **wishes,
    )


def _joined(messages: list[Message]) -> tuple[Message, ...]:
    """Adjacent entries of the model are one turn: the official client keeps a stream so, an entry for each chunk."""
    turns: list[list[Message]] = []
    for message in messages:
        if turns and turns[-1][0].role == message.role == "assistant":
            turns[-1].append(message)
        else:
            turns.append([message])
    return tuple(turn[0] if len(turn) == 1 else HistoryReader.merged(turn) for turn in turns)


def _read_system(wire: Mapping[str, Any]) -> tuple[Text, ...]:
    given = wire.get("systemInstruction")
    if given is None:
        return ()
    if isinstance(given, str):
        return (Text(text=given),)
    if not isinstance(given, dict):
        raise wrong("systemInstruction", "an object", given)
    texts: list[Text] = []
    for index, part in enumerate(find_list(given, "parts", "systemInstruction") or ()):
        path = f"systemInstruction.parts[{index}]"
        check_object(part, path)
        text = find_str(part, "text", path)
        if text:
            texts.append(Text(text=text))
    return tuple(texts)


def _read_tools(wire: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, entry in enumerate(find_list(wire, "tools", "") or ()):
        path = f"tools[{index}]"
        check_object(entry, path)
        for key, value in in_camel(entry).items():
            if key == "functionDeclarations":
                tools.extend(_read_functions(value, join(path, key)))
            elif value is not None:
                family = HOSTED_FAMILIES.get(key, "other")
                tools.append(HostedTool(family=family, dialect="gemini", raw={key: value}))
    return tuple(tools)


def _read_functions(value: Any, path: str) -> list[FunctionTool]:
    if value is not None and not isinstance(value, list):
        raise wrong(path, "a list", value)
    functions: list[FunctionTool] = []
    for index, declared in enumerate(value or ()):
        at = f"{path}[{index}]"
        check_object(declared, at)
        wire = in_camel(declared)
        schema = with_small_types(find_object(wire, "parametersJsonSchema", at))
        if schema is None:
            old = find_object(wire, "parameters", at)
            schema = None if old is None else from_openapi(old)
        functions.append(
            FunctionTool(
                name=want_name(wire, "name", at),
                description=find_str(wire, "description", at),
                schema=schema,
                extra={key: inner for key, inner in wire.items() if key not in _FUNCTION_FIELDS},
            )
        )
    return functions


def _read_choice(wire: Mapping[str, Any], extra: dict[str, Any]) -> ToolChoice | None:
    config = in_camel(find_object(wire, "toolConfig", "") or {})
    beside = {key: value for key, value in config.items() if key != "functionCallingConfig"}
    calling = in_camel(find_object(config, "functionCallingConfig", "toolConfig") or {})
    path = "toolConfig.functionCallingConfig"
    mode = (find_str(calling, "mode", path) or "MODE_UNSPECIFIED").upper()
    if mode not in _MODES:
        raise out_of_range(f"{path}.mode", "one of ANY, AUTO, NONE, VALIDATED")
    names = calling.get("allowedFunctionNames")
    if names is not None:
        check_strings(names, f"{path}.allowedFunctionNames")
    if mode == "VALIDATED":
        beside["functionCallingConfig"] = {"mode": mode}
    if beside:
        extra["toolConfig"] = beside
    only = tuple(names) if names else None
    match mode:
        case "ANY":
            return ToolChoice(mode="required", only=only)
        case "NONE":
            return ToolChoice(mode="none")
        case "AUTO" | "VALIDATED":
            return ToolChoice(mode="auto", only=only)
        case _:
            return None
