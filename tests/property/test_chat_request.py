"""Whatever a client sends is either accepted or refused by name; nothing else ever comes out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelserver.dialects.openai_chat.request import FIELDS, check_request
from modelserver.dialects.reading import MAX_DEPTH, parse_body
from modelserver.errors import InvalidRequest

WORDS = [
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "name",
    "function",
    "functions",
    "tool_calls",
    "tool_choice",
    "tools",
    "custom",
    "id",
    "arguments",
    "input",
    "parameters",
    "image_url",
    "url",
    "input_audio",
    "data",
    "format",
    "file",
    "audio",
    "refusal",
    "stop",
    "stream",
    "n",
    "seed",
    "user",
    "assistant",
    "system",
    "tool",
    "json_schema",
    "schema",
    "response_format",
    "allowed_tools",
    "mode",
    "temperature",
    "max_tokens",
    "stream_options",
    "include_usage",
    "logit_bias",
    "function_call",
    "prompt_cache_breakpoint",
    "tool_call_id",
    "prediction",
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
FINITE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
GOOD = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
PARTS = st.sampled_from(["text", "image_url", "input_audio", "file", "refusal", "other"])


def refusal(body: dict[str, Any]) -> str | None:
    """The field that a request is refused for, or None."""
    try:
        check_request(body)
    except InvalidRequest as error:
        return error.param
    return None


def is_accepted(body: bytes) -> bool:
    try:
        parse_body(body)
    except InvalidRequest:
        return False
    return True


def as_orjson_reads(digits: str) -> int | float:
    return int(digits) if -(2**63) <= int(digits) < 2**64 else float(digits)


@given(st.sampled_from(sorted(FIELDS)), VALUES)
def test_a_documented_field_of_any_value_is_accepted_or_named(field: str, value: Any) -> None:
    named = refusal({**GOOD, field: value})

    assert named is None or named == field or named.startswith((f"{field}.", f"{field}["))


@given(ROLES, st.dictionaries(st.sampled_from(WORDS), VALUES))
def test_a_message_of_any_fields_is_accepted_or_named(role: str, fields: dict[str, Any]) -> None:
    named = refusal({"model": "m", "messages": [{**fields, "role": role}]})

    assert named is None or named.startswith("messages[0].")


@given(ROLES, PARTS, st.dictionaries(st.sampled_from(WORDS), VALUES))
def test_a_part_of_any_fields_is_accepted_or_named(role: str, kind: str, fields: dict[str, Any]) -> None:
    message = {"role": role, "content": [{**fields, "type": kind}], "tool_call_id": "c", "name": "f"}

    named = refusal({"model": "m", "messages": [message]})

    assert named is None or named.startswith("messages[0].content[0].")


@given(st.dictionaries(st.text().filter(lambda key: key not in FIELDS), VALUES))
def test_fields_that_are_not_ours_change_nothing(unknown: dict[str, Any]) -> None:
    assert check_request({**unknown, **GOOD}) == check_request(GOOD)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ue09d8NaIfty-1 \n', max_size=40).map(str.encode))
def test_bytes_are_parsed_as_the_standard_library_does_or_refused(body: bytes) -> None:
    try:
        actual = parse_body(body)
    except InvalidRequest:
        return

    assert json.loads(body, parse_int=as_orjson_reads) == actual


@given(st.recursive(FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_only_objects_are_bodies(value: Any) -> None:
    accepted = is_accepted(json.dumps(value).encode())

    assert accepted == isinstance(value, dict)


@given(st.integers(1, 3 * MAX_DEPTH), st.lists(st.booleans(), min_size=1), st.text(alphabet='[]{}"\\', max_size=6))
def test_depth_is_that_of_the_value_whatever_its_strings_hold(levels: int, kinds: list[bool], noise: str) -> None:
    value: Any = noise
    for level in range(levels - 1):
        value = {noise: value} if kinds[level % len(kinds)] else [noise, value, noise]
    body = json.dumps({"a": value}).encode()

    assert is_accepted(body) == (levels <= MAX_DEPTH)
