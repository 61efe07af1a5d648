"""Tool declarations, and which of them must be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from modelserver.dialects.anthropic.caching import Marks
from modelserver.dialects.anthropic.schema import input_schema, is_strict
from modelserver.dialects.anthropic.vocab import HOSTED
from modelserver.dialects.builtin_schemas import BUILTIN_SCHEMAS
from modelserver.dialects.names import NameMap
from modelserver.dialects.schemas import FREE_TEXT, free_text_description
from modelserver.dialects.shaping import NEVER_DROPPED, filter_tools, known_choice
from modelserver.errors import Unsupported
from modelserver.ir.card import ModelCard
from modelserver.ir.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    Loss,
    Request,
    Tool,
    ToolChoice,
)

JSON_TOOL: Final = "json"
"""The function that is forced where a schema can't be asked for otherwise."""


@attrs.frozen(kw_only=True, slots=True)
class ToolUse:
    """The tools to declare, and the choice among them."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | None
    answer: FunctionTool | None = None
    """A function of ours that gives the answer; it, or one of the tools, must be called."""

    @property
    def is_forced(self) -> bool:
        """A tool must be called."""
        wanted = bool(self.tools) and self.choice is not None and self.choice.mode == "required"
        return wanted or self.answer is not None


def settle_tools(request: Request, declared: tuple[Tool, ...], card: ModelCard, losses: list[Loss]) -> ToolUse:
    """What is declared and forced, as far as the target can (hard cases H27, H29).

    Raises:
        Unsupported: A hosted tool is forced, or can't be left out, and the target has none.
    """
    choice = request.tool_choice
    tools = tuple(tool for tool in declared if _has(tool, choice, card, losses))
    if choice is None or not tools:
        return ToolUse(tools=tools, choice=None)
    choice = known_choice(tools, choice, losses)
    assert choice is not None
    only = choice.only
    if choice.mode == "required" and not card.forced_tools:
        losses.append(Loss(path="tool_choice", code="tool_choice_relaxed"))
        choice = attrs.evolve(choice, mode="auto")
    elif choice.mode == "required" and (only is None or len(only) == 1):
        return ToolUse(tools=tools, choice=choice)
    if choice.mode != "none" and choice.only is not None:
        tools, choice = filter_tools(tools, choice, losses)
        assert choice is not None
        choice = attrs.evolve(choice, only=None)
    return ToolUse(tools=tools, choice=choice)


def encode_tools(
    use: ToolUse, request: Request, names: NameMap, card: ModelCard, marks: Marks, losses: list[Loss]
) -> list[dict[str, Any]]:
    """The declarations."""
    wire = []
    for tool in use.tools:
        match tool:
            case FunctionTool():
                block = _function(tool, request, names, card, losses)
                marks.add("tools", block, tool.cache)
            case CustomTool():
                block = _custom(tool, names)
            case BuiltinTool():
                block = _builtin(tool, names)
            case HostedTool():
                block = _hosted(tool)
        wire.append(block)
    if use.answer is not None:
        wire.append(_described(JSON_TOOL, use.answer))
    return wire


def encode_choice(use: ToolUse, request: Request, names: NameMap) -> dict[str, Any] | None:
    """The tool choice; None where there is nothing to say."""
    choice = use.choice
    serial = request.parallel_tools is False
    if use.answer is not None:
        if use.tools and (choice is None or choice.mode != "none"):
            # The model still may call the client's tools before it answers.
            return {"type": "any", "disable_parallel_tool_use": True}
        return {"type": "tool", "name": JSON_TOOL, "disable_parallel_tool_use": True}
    if not use.tools:
        return None
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if serial else None
    wire: dict[str, Any]
    if choice.mode == "none":
        return {"type": "none"}
    if choice.mode == "auto":
        wire = {"type": "auto"}
    elif choice.hosted is not None:
        wire = {"type": "tool", "name": _hosted_name(use.tools, choice.hosted)}
    elif choice.only is not None and len(choice.only) == 1:
        wire = {"type": "tool", "name": names.wire(choice.only[0])}
    else:
        wire = {"type": "any"}
    if serial:
        wire["disable_parallel_tool_use"] = True
    return wire


def reserved_names(tools: Sequence[Tool]) -> frozenset[str]:
    """Names that hosted tools will have, so that no function gets them."""
    return frozenset(str(_hosted(tool)["name"]) for tool in tools if isinstance(tool, HostedTool) and _is_ours(tool))


def _is_ours(tool: HostedTool) -> bool:
    return isinstance(tool.raw.get("name"), str) if tool.dialect == "anthropic" else tool.family in HOSTED


def _has(tool: Tool, choice: ToolChoice | None, card: ModelCard, losses: list[Loss]) -> bool:
    """Whether the target has the tool; a hosted one that it lacks is left out, or refused."""
    if not isinstance(tool, HostedTool) or tool.dialect == "anthropic":
        return True
    if tool.family in card.hosted and tool.family in HOSTED:
        return True
    forced = choice is not None and choice.mode == "required" and choice.hosted == tool.family
    if tool.family in NEVER_DROPPED or forced:
        raise Unsupported(
            f"The hosted tool {tool.family} is not offered by this model.", param="tools", code="unsupported_value"
        )
    losses.append(Loss(path="tools", code=f"hosted_tool_dropped:{tool.family}"))
    return False


def _function(
    tool: FunctionTool, request: Request, names: NameMap, card: ModelCard, losses: list[Loss]
) -> dict[str, Any]:
    block = _described(names.wire(tool.name, tool.namespace), tool)
    if tool.strict:
        if card.strict_tools and is_strict(block["input_schema"]):
            block["strict"] = True
        else:
            losses.append(Loss(path="tools", code="strict_dropped"))
    if tool.defer and request.dialect == "anthropic":
        block["defer_loading"] = True  # elsewhere there is no search by which the tool could be found
    if tool.examples:
        block["input_examples"] = list(tool.examples)
    if request.dialect == "anthropic":
        for key, value in tool.extra.items():
            block.setdefault(key, value)
    elif request.stream and card.eager_input:
        block["eager_input_streaming"] = True  # a client of this API says so itself
    return block


def _described(name: str, tool: FunctionTool) -> dict[str, Any]:
    block: dict[str, Any] = {"name": name}
    if tool.description is not None:
        block["description"] = tool.description
    block["input_schema"] = input_schema(tool.schema)
    return block


def _custom(tool: CustomTool, names: NameMap) -> dict[str, Any]:
    return {
        "name": names.wire(tool.name, tool.namespace),
        "description": free_text_description(tool),
        "input_schema": dict(FREE_TEXT),
    }


def _builtin(tool: BuiltinTool, names: NameMap) -> dict[str, Any]:
    if tool.dialect == "anthropic":
        return dict(tool.raw)
    known = BUILTIN_SCHEMAS.get(tool.type)
    if known is None:
        raise Unsupported(
            f"The tool {tool.type} is not supported by this model.", param="tools", code="unsupported_value"
        )
    description, schema = known
    return {"name": names.wire(tool.name), "description": description, "input_schema": dict(schema)}


def _hosted(tool: HostedTool) -> dict[str, Any]:
    if tool.dialect == "anthropic":
        return dict(tool.raw)
    wire: dict[str, Any] = dict(HOSTED[tool.family])
    if tool.family == "web_search":
        wire.update(_search_settings(tool.raw))
    return wire


def _search_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What both sides of a search tool can say; settings stand under `filters` or a level deeper in some dialects."""
    settings: dict[str, Any] = {}
    filters = raw.get("filters")
    for place in (raw, filters if isinstance(filters, Mapping) else {}):
        for key in ("allowed_domains", "blocked_domains"):
            if isinstance(place.get(key), list) and place[key]:
                settings[key] = place[key]
    if "allowed_domains" in settings:
        settings.pop("blocked_domains", None)  # the service takes one of them
    location = raw.get("user_location")
    if isinstance(location, Mapping):
        inner = location.get("approximate")
        place = inner if isinstance(inner, Mapping) else location
        known = {
            key: place[key] for key in ("city", "region", "country", "timezone") if isinstance(place.get(key), str)
        }
        if known:
            settings["user_location"] = {"type": "approximate", **known}
    if type(raw.get("max_uses")) is int:
        settings["max_uses"] = raw["max_uses"]
    return settings


def _hosted_name(tools: Sequence[Tool], family: str) -> str:
    return next(
        (str(_hosted(tool).get("name")) for tool in tools if isinstance(tool, HostedTool) and tool.family == family),
        family,
    )
