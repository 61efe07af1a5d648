"""Requests and whole answers that pass with their own bytes, because both sides speak this API.

Fields and ranges: OpenAI API reference, "Create a model response", and the types of `openai` 3.57.0, read 2026-11-24.
`null` equals absent, unknown fields pass. Words that are added to (efforts, tiers, roles, types of items and tools) are
checked for their type only, since compatible servers have their own: which ones a model takes is known to its provider,
not here. What stands inside of items and parts is its provider's to judge too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelserver.dialects.dialect import WholeAnswer
from modelserver.dialects.forwarding import NOTHING, bend, param_edits, params_as, target_edits
from modelserver.dialects.openai_responses.client_items import type_of
from modelserver.dialects.openai_responses.report import read_usage, written_chars
from modelserver.dialects.openai_responses.request import NEEDED
from modelserver.dialects.openai_responses.response import read_response
from modelserver.dialects.openai_responses.vocab import REJECTED
from modelserver.dialects.reading import (
    Check,
    Json,
    check_bool,
    check_fields,
    check_model,
    check_object,
    check_once,
    check_spelling,
    check_str,
    check_strings,
    find_bool,
    find_object,
    find_str,
    integer,
    missing,
    number,
    out_of_range,
    parse_body,
    want_list,
    want_name,
    want_object,
    want_str,
    wrong,
)
from modelserver.errors import Unsupported
from modelserver.ir.types import NOWHERE, Address, Ask, Complaint, Reference
from modelserver.wire.json_splice import elements, get_member, hides_keys, splice

_PARAMS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
}
"""Fields by their names in Chat; the others have no equal here."""

_AUTHORISED: Final = frozenset(
    ("model", "input", "previous_response_id", "prompt_cache_options", "conversation", "prompt", "background")
)
"""Fields that say what a request may do: they have one spelling."""

MAX_KEPT: Final = 1000
"""Ids of one answer that are noted: its provider must not have those of all others forgotten."""
_MAX_ID_CHARS: Final = 256

_NAMING: Final = frozenset(("type", "id", "role"))
"""Members by which an item is a reference to one that is kept."""
_COMPARED: Final = frozenset(("comparison_response_id",))
_MAY_REFER: Final = re.compile(rb'"item_reference"|"type"\s*:\s*null|"role"\s*:\s*null')
"""What has an item refer to another one, where only one of two members of the same name says so."""


def read_request(wire: bytes, address: Address = NOWHERE) -> Ask:
    """A checked request; the path says nothing of it.

    Raises:
        InvalidRequest: It is not JSON, a field is wrong, or a field that is read here stands twice; another spelling
            of `model` (`Model`), or of a field that names something kept, counts as a second one.
        Unsupported: It needs state that is not kept here.
    """
    parsed = parse_body(wire)
    check_fields(parsed, FIELDS)
    if parsed.get("model") is None:
        raise missing("model")
    if parsed.get("input") is None and parsed.get("previous_response_id") is None:
        raise missing("input")
    check_once(wire, parsed, _READ)
    check_spelling(parsed, _AUTHORISED)
    references = _references(parsed)
    _check_kept_once(wire, parsed, references)
    stream = parsed.get("stream") is True
    return Ask(
        model=parsed["model"],
        stream=stream,
        wants_usage=stream,
        wire=wire,
        parsed=parsed,
        references=references,
    )


def forward(
    ask: Ask,
    *,
    target: str,
    params: Mapping[str, bytes],
    ask_usage: bool,
    drop_options: bool,
    quirks: Mapping[str, Any] = NOTHING,
) -> bytes:
    """See `Forward`; a stream of this API always reports its usage."""
    edits = target_edits(ask, target) + param_edits(ask.wire, ask.parsed, params_as(params, _PARAMS))
    return bend(splice(ask.wire, edits) if edits else ask.wire, quirks, needed=NEEDED)


def read_answer(body: bytes) -> WholeAnswer | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no response, or one that has not ended.
    """
    parsed = read_response(body)
    if isinstance(parsed, Complaint):
        return parsed
    items = parsed["output"]
    return WholeAnswer(
        parsed=parsed,
        usage=read_usage(parsed, items),
        output_chars=sum(map(written_chars, items)),
        ids=tuple(dict.fromkeys(kept_ids(parsed, items))),
    )


def kept_ids(response: Mapping[str, Any], items: list[Any]) -> list[str]:
    """The ids by which the provider keeps a response and the items of its output; none where it keeps nothing.

    It keeps a response unless it says otherwise: `store` is true by default.
    """
    if response.get("store") is False:
        return []
    ids = [response.get("id"), *(item.get("id") for item in items if isinstance(item, dict))]
    return [id for id in ids if isinstance(id, str) and 0 < len(id) <= _MAX_ID_CHARS][:MAX_KEPT]


def _references(parsed: Mapping[str, Any]) -> tuple[Reference, ...]:
    """What a request names of that which the provider keeps; the fields have been checked."""
    found: list[Reference] = []
    previous = parsed.get("previous_response_id")
    if previous is not None:
        found.append(Reference(param="previous_response_id", id=previous))
    # The diagnosis says how far that response's prompt agrees with this one.
    compared = (parsed.get("prompt_cache_options") or {}).get("comparison_response_id")
    if compared is not None:
        found.append(Reference(param="prompt_cache_options.comparison_response_id", id=compared))
    items = parsed.get("input")
    if isinstance(items, list):
        found += [
            Reference(param=f"input[{index}].id", id=item["id"])
            for index, item in enumerate(items)
            if type_of(item, f"input[{index}]") == "item_reference"
        ]
    return tuple(found)


def _check_kept_once(wire: bytes, parsed: Json, references: Sequence[Reference]) -> None:
    """Refuse what names something kept in a way that another reader of the same bytes may take for another name.

    Raises:
        InvalidRequest: A member that says what an item is, or which one, stands twice, or in another spelling.
    """
    options = parsed.get("prompt_cache_options")
    if options:
        member = get_member(wire, "prompt_cache_options")
        check_once(wire[member.start : member.end], options, _COMPARED, "prompt_cache_options")
        check_spelling(options, _COMPARED, "prompt_cache_options")
    items = parsed.get("input")
    # The bytes are gone through only where there may be a reference, by whichever of two members.
    if not isinstance(items, list) or not (references or _MAY_REFER.search(wire) or hides_keys(wire)):
        return
    member = get_member(wire, "input")
    text = wire[member.start : member.end]
    for index, (start, end) in enumerate(elements(text)):
        check_once(text[start:end], items[index], _NAMING, f"input[{index}]")
        check_spelling(items[index], _NAMING, f"input[{index}]")


def _check_input(value: Any, path: str) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong(path, "a string or a list of items", value)
    for index, item in enumerate(value):
        at = f"{path}[{index}]"
        check_object(item, at)
        kind = type_of(item, at)
        if kind == "message":
            want_str(item, "role", at)
            _check_content(item.get("content"), f"{at}.content")
        elif kind == "item_reference":
            want_name(item, "id", at)


def _check_content(value: Any, path: str) -> None:
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong(path, "a string or a list of parts", value)
    for index, part in enumerate(value):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            at = f"{path}[{index}]"
            check_object(part, at)
            want_str(part, "type", at)


def _refuse(path: str) -> Unsupported:
    return Unsupported(
        f"{path} is not supported, because no state is kept here: {REJECTED[path]}",
        param=path,
        code="unsupported_parameter",
    )


def _check_background(value: Any, path: str) -> None:
    check_bool(value, path)
    if value:
        raise _refuse(path)


def _check_kept(value: Any, path: str) -> None:
    raise _refuse(path)


def _check_id(value: Any, path: str) -> None:
    check_str(value, path)
    if not value:
        raise out_of_range(path, "the id of a response, not an empty string")


def _check_stream_options(value: Any, path: str) -> None:
    check_object(value, path)
    find_bool(value, "include_obfuscation", path)


def _check_tools(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of tools", value)
    for index, tool in enumerate(value):
        at = f"{path}[{index}]"
        check_object(tool, at)
        kind = want_name(tool, "type", at)
        if kind in ("function", "custom", "namespace"):
            want_name(tool, "name", at)
            find_str(tool, "description", at)
        if kind == "function":
            find_object(tool, "parameters", at)
            find_bool(tool, "strict", at)
        elif kind == "namespace":
            for place, inner in enumerate(want_list(tool, "tools", at)):
                check_object(inner, f"{at}.tools[{place}]")


def _check_tool_choice(value: Any, path: str) -> None:
    if isinstance(value, str):
        if value not in ("none", "auto", "required"):
            raise out_of_range(path, "none, auto, required or an object that names a tool")
        return
    if not isinstance(value, dict):
        raise wrong(path, "a string or an object", value)
    kind = want_name(value, "type", path)
    if kind in ("function", "custom"):
        want_name(value, "name", path)
    elif kind == "allowed_tools":
        want_str(value, "mode", path)
        for index, tool in enumerate(want_list(value, "tools", path)):
            check_object(tool, f"{path}.tools[{index}]")


def _check_reasoning(value: Any, path: str) -> None:
    check_object(value, path)
    for key in ("effort", "summary", "generate_summary", "context", "mode"):
        find_str(value, key, path)


def _check_text(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "verbosity", path)
    wanted = find_object(value, "format", path)
    if wanted is None:
        return
    path = f"{path}.format"
    if want_name(wanted, "type", path) == "json_schema":
        find_str(wanted, "name", path)
        find_str(wanted, "description", path)
        want_object(wanted, "schema", path)
        find_bool(wanted, "strict", path)


def _check_cache_options(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "mode", path)
    find_str(value, "ttl", path)
    find_bool(value, "prewarm", path)
    if value.get("comparison_response_id") is not None:
        _check_id(value["comparison_response_id"], f"{path}.comparison_response_id")


def _check_management(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of objects", value)
    for index, entry in enumerate(value):
        check_object(entry, f"{path}[{index}]")
        want_name(entry, "type", f"{path}[{index}]")


FIELDS: Final[Mapping[str, Check]] = {
    "model": check_model,
    "input": _check_input,
    "instructions": check_str,
    "previous_response_id": _check_id,
    "conversation": _check_kept,
    "prompt": _check_kept,
    "background": _check_background,
    "background_options": check_object,
    "store": check_bool,
    "stream": check_bool,
    "stream_options": _check_stream_options,
    # OpenAI's least is 16, that of others lower.
    "max_output_tokens": integer(1),
    "max_tool_calls": integer(0),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_logprobs": integer(0, 20),
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "parallel_tool_calls": check_bool,
    "reasoning": _check_reasoning,
    "text": _check_text,
    "include": check_strings,
    "prompt_cache_key": check_str,
    "prompt_cache_options": _check_cache_options,
    "prompt_cache_retention": check_str,
    "metadata": check_object,
    "user": check_str,
    "safety_identifier": check_str,
    "service_tier": check_str,
    "truncation": check_str,
    "context_management": _check_management,
    "moderation": check_object,
    "access_programs": check_object,
    "image": check_object,
    "personality": check_str,
}
"""Every documented field that is checked; a check is given the value, which is not `null`, and its path."""

_READ: Final = frozenset(FIELDS)
