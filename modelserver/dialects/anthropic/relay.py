"""Requests and whole answers that pass with their own bytes, because both sides speak this API.

Fields and ranges: Anthropic API reference, "Create a Message", and the types of its Python SDK, read 2026-11-24. `null`
equals absent, unknown fields pass. Words that are added to (types of blocks, tools and thinking, efforts, tiers, roles)
are checked for their type only, since compatible servers have their own: which ones a model takes is known to its
provider, not here. What stands inside of blocks is its provider's to judge too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.answers import invalid, read_object
from modelserver.dialects.anthropic import answer
from modelserver.dialects.anthropic.client_request import check_thread
from modelserver.dialects.anthropic.request import NEEDED
from modelserver.dialects.anthropic.usage import decode_usage
from modelserver.dialects.dialect import WholeAnswer
from modelserver.dialects.forwarding import NOTHING, bend, param_edits, params_as, target_edits
from modelserver.dialects.reading import (
    Check,
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
    want_name,
    want_object,
    want_str,
    wrong,
)
from modelserver.ir.types import NOWHERE, Address, Ask, Complaint
from modelserver.wire.json_splice import splice

_MODEL: Final = frozenset(("model",))
_PARAMS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
}
"""Fields by their names in Chat. The limit of the answer is not among them: it is required, so that it is there."""


def read_request(wire: bytes, address: Address = NOWHERE) -> Ask:
    """A checked request for a message; the path says nothing of it.

    Raises:
        InvalidRequest: It is not JSON, a field is wrong, or a field that is read here stands twice; another spelling
            of `model` (`Model`) counts as a second one.
        Unsupported: It continues a thread.
    """
    ask = read_prompt(wire)
    if ask.parsed.get("max_tokens") is None:
        raise missing("max_tokens")
    return ask


def read_prompt(wire: bytes) -> Ask:
    """A checked request that need not limit the answer.

    Raises:
        InvalidRequest: As `read_request`.
        Unsupported: As `read_request`.
    """
    parsed = parse_body(wire)
    check_thread(parsed)
    check_fields(parsed, FIELDS)
    for key in ("model", "messages"):
        if parsed.get(key) is None:
            raise missing(key)
    check_once(wire, parsed, _READ)
    check_spelling(parsed, _MODEL)
    stream = parsed.get("stream") is True
    return Ask(model=parsed["model"], stream=stream, wants_usage=stream, wire=wire, parsed=parsed)


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
        UpstreamFailed: `upstream_invalid_response`, it is no message.
    """
    parsed = read_object(body)
    if answer.is_complaint(parsed):
        return answer.read_complaint(200, parsed)
    blocks = parsed.get("content")
    if not isinstance(blocks, list):
        raise invalid("has no content")
    usage = parsed.get("usage")
    return WholeAnswer(
        parsed=parsed,
        usage=decode_usage(usage) if isinstance(usage, dict) else None,
        output_chars=sum(answer.block_chars(block) for block in blocks if isinstance(block, dict)),
    )


def _check_messages(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of messages", value)
    # The documented 100,000 at most are more values than a body may hold.
    if not value:
        raise out_of_range(path, "a list of at least one message")
    for index, message in enumerate(value):
        at = f"{path}[{index}]"
        check_object(message, at)
        want_str(message, "role", at)
        content = message.get("content")
        if not isinstance(content, str):
            if "content" not in message:
                raise missing(f"{at}.content")
            _check_blocks(content, f"{at}.content", "a string or a list of content blocks")


def _check_blocks(value: Any, path: str, wanted: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, wanted, value)
    for index, block in enumerate(value):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            at = f"{path}[{index}]"
            check_object(block, at)
            want_str(block, "type", at)


def _check_system(value: Any, path: str) -> None:
    if not isinstance(value, str):
        _check_blocks(value, path, "a string or a list of text blocks")


def _check_tools(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of tools", value)
    for index, tool in enumerate(value):
        at = f"{path}[{index}]"
        check_object(tool, at)
        if find_str(tool, "type", at) in (None, "custom"):
            want_name(tool, "name", at)
            find_str(tool, "description", at)
            want_object(tool, "input_schema", at)
            find_bool(tool, "strict", at)


def _check_tool_choice(value: Any, path: str) -> None:
    check_object(value, path)
    if want_name(value, "type", path) == "tool":
        want_name(value, "name", path)
    find_bool(value, "disable_parallel_tool_use", path)


def _check_thinking(value: Any, path: str) -> None:
    # Compatible servers take `enabled` without a budget, and smaller ones than Anthropic's 1024.
    check_object(value, path)
    want_name(value, "type", path)
    find_str(value, "display", path)
    if value.get("budget_tokens") is not None:
        _BUDGET(value["budget_tokens"], f"{path}.budget_tokens")


def _check_output_config(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "effort", path)
    find_object(value, "task_budget", path)
    wanted = find_object(value, "format", path)
    if wanted is not None:
        _check_format(wanted, f"{path}.format")


def _check_format(value: Any, path: str) -> None:
    check_object(value, path)
    want_name(value, "type", path)
    find_object(value, "schema", path)


def _check_metadata(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "user_id", path)


def _check_cache(value: Any, path: str) -> None:
    check_object(value, path)
    want_name(value, "type", path)
    find_str(value, "ttl", path)


def _check_container(value: Any, path: str) -> None:
    if not isinstance(value, str | dict):
        raise wrong(path, "a string or an object", value)


def _check_servers(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of servers", value)
    for index, server in enumerate(value):
        check_object(server, f"{path}[{index}]")


_BUDGET: Final = integer(1)

FIELDS: Final[Mapping[str, Check]] = {
    "model": check_model,
    "messages": _check_messages,
    "max_tokens": integer(0),
    "system": _check_system,
    "stream": check_bool,
    "stop_sequences": check_strings,
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "thinking": _check_thinking,
    "output_config": _check_output_config,
    "output_format": _check_format,
    "metadata": _check_metadata,
    "service_tier": check_str,
    "speed": check_str,
    "cache_control": _check_cache,
    "inference_geo": check_str,
    "container": _check_container,
    "diagnostics": check_object,
    "context_management": check_object,
    "mcp_servers": _check_servers,
}
"""Every documented field that is checked; a check is given the value, which is not `null`, and its path."""

_READ: Final = frozenset((*FIELDS, "thread"))
