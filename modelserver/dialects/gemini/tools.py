"""Tools and the choice among them, for an upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from modelserver.dialects.builtin_schemas import BUILTIN_SCHEMAS
from modelserver.dialects.gemini.schema import is_empty, json_schema, openapi_schema
from modelserver.dialects.gemini.vocab import HOSTED_TOOLS
from modelserver.dialects.names import NameMap
from modelserver.dialects.schemas import FREE_TEXT, free_text_description
from modelserver.dialects.shaping import NEVER_DROPPED, known_choice
from modelserver.errors import Unsupported
from modelserver.ir.profile import Profile
from modelserver.ir.request import BuiltinTool, CustomTool, FunctionTool, HostedTool, Loss, Request, ToolChoice


@attrs.frozen(kw_only=True, slots=True)
class WireTools:
    """What a request says about tools."""

    tools: list[dict[str, Any]]
    config: dict[str, Any] | None
    has_functions: bool


def encode_tools(request: Request, profile: Profile, names: NameMap, losses: list[Loss]) -> WireTools:
    """The `tools` and `toolConfig` of a request.

    All functions stand in one list. Hosted tools stand beside functions from the third generation on only (the card
    asks for seals there); before, they give way.

    Raises:
        Unsupported: A tool can't be offered and must not be left out.
    """
    functions: list[dict[str, Any]] = []
    hosted: list[tuple[int, HostedTool]] = []
    for index, tool in enumerate(names.declared):
        match tool:
            case FunctionTool():
                functions.append(_function(tool, request, profile, names))
            case CustomTool():
                functions.append(_custom(tool, profile, names))
            case HostedTool():
                hosted.append((index, tool))
            case BuiltinTool():
                functions.append(_builtin(tool, f"tools[{index}]", profile, names))
    if request.parallel_tools is False and functions:
        losses.append(Loss(path="parallel_tool_calls", code="parallel_not_enforced"))
    choice = known_choice(names.declared, request.tool_choice, losses)
    entries: list[dict[str, Any]] = [{"functionDeclarations": functions}] if functions else []
    for index, tool in hosted:
        entry = _hosted(tool, profile, beside_functions=bool(functions))
        if entry is not None:
            entries.append(entry)
        elif tool.family in NEVER_DROPPED or (choice is not None and choice.hosted == tool.family):
            raise _unsupported(f"tools[{index}]", f"the hosted tool {tool.family} is not available with this model")
        else:
            losses.append(Loss(path=f"tools[{index}]", code=f"hosted_tool_dropped:{tool.family}"))
    mixed = bool(functions) and len(entries) > 1
    return WireTools(
        tools=entries,
        config=_config(request, names, choice, bool(functions), mixed, losses),
        has_functions=bool(functions),
    )


def _function(tool: FunctionTool, request: Request, profile: Profile, names: NameMap) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": names.wire(tool.name, tool.namespace)}
    if tool.description:
        wire["description"] = tool.description
    if tool.schema is not None and not is_empty(tool.schema):
        _put_schema(wire, tool.schema, profile)
    if request.dialect == "gemini":
        wire.update(tool.extra)
    return wire


def _put_schema(wire: dict[str, Any], schema: Mapping[str, Any], profile: Profile) -> None:
    if profile.quirks.get("gemini_openapi") or profile.card.schema == "gemini_openapi":
        old = openapi_schema(schema)
        if old is not None:
            wire["parameters"] = old
            return
    wire["parametersJsonSchema"] = json_schema(schema)


def _custom(tool: CustomTool, profile: Profile, names: NameMap) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "name": names.wire(tool.name, tool.namespace),
        "description": free_text_description(tool),
    }
    _put_schema(wire, FREE_TEXT, profile)
    return wire


def _builtin(tool: BuiltinTool, path: str, profile: Profile, names: NameMap) -> dict[str, Any]:
    known = BUILTIN_SCHEMAS.get(tool.type)
    if known is None:
        raise _unsupported(path, f"the tool {tool.type} is not supported by this model")
    description, schema = known
    wire: dict[str, Any] = {"name": names.wire(tool.name), "description": description}
    _put_schema(wire, schema, profile)
    return wire


def _hosted(tool: HostedTool, profile: Profile, *, beside_functions: bool) -> dict[str, Any] | None:
    """The entry of a hosted tool; None when the target does not offer it."""
    if tool.dialect == "gemini":
        return dict(tool.raw)
    if tool.family not in profile.card.hosted or (beside_functions and not profile.card.seal_required):
        return None
    name = HOSTED_TOOLS.get(tool.family)
    return None if name is None else {name: {}}


def _config(
    request: Request,
    names: NameMap,
    choice: ToolChoice | None,
    has_functions: bool,
    mixed: bool,
    losses: list[Loss],
) -> dict[str, Any] | None:
    """The `toolConfig`; Google refuses one without functions."""
    if not has_functions:
        if choice is not None and choice.mode == "required":
            losses.append(Loss(path="tool_choice", code="tool_choice_relaxed"))
        return None
    calling: dict[str, Any] = {}
    mode = choice.mode if choice is not None else None
    only = choice.only if choice is not None else None
    if mode == "none":
        calling["mode"] = "NONE"
    elif mode == "required":
        if choice is not None and choice.hosted is not None:
            losses.append(Loss(path="tool_choice", code="tool_choice_relaxed"))
            calling["mode"] = "VALIDATED" if mixed else "AUTO"
        else:
            calling["mode"] = "ANY"
    elif mixed or only or any(isinstance(tool, FunctionTool) and tool.strict for tool in names.declared):
        calling["mode"] = "VALIDATED"  # as AUTO, and the schema is enforced
    elif mode == "auto":
        calling["mode"] = "AUTO"
    if only and calling["mode"] in ("ANY", "VALIDATED"):
        calling["allowedFunctionNames"] = [names.wire(name) for name in only]
    config: dict[str, Any] = {"functionCallingConfig": calling} if calling else {}
    if mixed:
        config["includeServerSideToolInvocations"] = True
    return config or None


def _unsupported(path: str, why: str) -> Unsupported:
    return Unsupported(f"{path}: {why}.", param=path, code="unsupported_value")
