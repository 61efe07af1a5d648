from __future__ import annotations

import re
from typing import Any

import pytest

from modelserver.dialects.codec import WireTool
from modelserver.dialects.names import NameMap, build_names, derived_id, fit_id, mint_id, unique_ids
from modelserver.errors import InvalidRequest
from modelserver.ir.parts import CacheHint, Message, Part, Text, ToolCall, ToolResult
from modelserver.ir.request import BuiltinTool, CustomTool, FunctionTool, HostedTool, Tool

WORD = r"[a-zA-Z0-9_-]+"
MISTRAL = r"[a-zA-Z0-9]{9}"
LONG = "call_" + "x" * 55

FITTING = [
    pytest.param("call_1", WORD, 64, id="word characters"),
    pytest.param("functions.add:0", ".*", 40, id="anything goes"),
    pytest.param("a1B2c3D4e", MISTRAL, 9, id="nine for Mistral"),
    pytest.param("x" * 40, ".*", 40, id="just as long as allowed"),
]


@pytest.mark.parametrize(("id", "pattern", "maximum"), FITTING)
def test_an_id_that_fits_stays(id: str, pattern: str, maximum: int) -> None:
    actual = fit_id(id, pattern=pattern, maximum=maximum)

    assert id == actual


NOT_FITTING = [
    pytest.param("functions.add:0", WORD, 64, 44, id="dot and colon"),
    pytest.param(LONG, ".*", 40, 40, id="D24 too long for Chat"),
    pytest.param(LONG, MISTRAL, 9, 9, id="D24 too long for Mistral"),
    pytest.param("call_1", MISTRAL, 40, 9, id="D24 the pattern has the length"),
    pytest.param("call_1", f"^{MISTRAL}$", 40, 9, id="the pattern is anchored"),
    pytest.param("abc", r"[a-z0-9A-Z]{5,20}", 64, 20, id="the pattern has a range"),
    pytest.param("", WORD, 64, 44, id="empty"),
    pytest.param("call_1\n", WORD, 64, 44, id="a line end behind it"),
    pytest.param("call_\ud800", WORD, 64, 44, id="half a surrogate pair"),
]


@pytest.mark.parametrize(("id", "pattern", "maximum", "length"), NOT_FITTING)
def test_an_id_that_does_not_fit_becomes_one_that_does(id: str, pattern: str, maximum: int, length: int) -> None:
    actual = fit_id(id, pattern=pattern, maximum=maximum)

    assert length == len(actual)
    assert re.fullmatch(r"c[a-zA-Z0-9]+", actual)
    assert actual == fit_id(id, pattern=pattern, maximum=maximum)
    assert actual == fit_id(actual, pattern=pattern, maximum=maximum)


def test_ids_are_the_same_in_every_process() -> None:
    # D3
    assert fit_id("a.b", pattern=WORD, maximum=9) == "cB0uegnGv"
    assert mint_id("resp_1", 0, 0) == "call_0al40vScd8naQxkA9FT4BQ"
    assert derived_id("msg_", "req", 1) == "msg_qoSNPy16EOGN6p1vK9j5QrzR"


def test_minted_ids_differ_within_a_response() -> None:
    # D23
    ids = {mint_id("resp_1", choice, ordinal) for choice in range(3) for ordinal in range(3)} | {mint_id("r", 0, 0)}

    assert len(ids) == 10
    assert all(re.fullmatch(r"call_[a-zA-Z0-9]{22}", id) for id in ids)


DERIVED_APART = [
    pytest.param(("ab", "c"), ("a", "bc"), id="the same letters, cut elsewhere"),
    pytest.param(("1", 23), ("12", 3), id="numbers too"),
    pytest.param(("a",), ("a", ""), id="one part more"),
]


@pytest.mark.parametrize(("one", "other"), DERIVED_APART)
def test_derived_ids_differ_with_their_parts(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert derived_id("x_", *one) != derived_id("x_", *other)


def test_a_derived_id_has_the_length_asked_for() -> None:
    actual = derived_id("chatcmpl-", "req", length=29)

    assert re.fullmatch(r"chatcmpl-[a-zA-Z0-9]{29}", actual)


def _history(text: str) -> tuple[Message, ...]:
    """`a:x,y` assistant with calls x and y; `u:x` user with the result x; `u:` user with text."""
    messages = []
    for turn in text.split():
        role, _, ids = turn.partition(":")
        parts: list[Part] = []
        for id in filter(None, ids.split(",")):
            parts.append(ToolCall(id=id, name="f", arguments="{}") if role == "a" else ToolResult(call_id=id))
        messages.append(Message(role="assistant" if role == "a" else "user", parts=tuple(parts) or (Text(text="hi"),)))
    return tuple(messages)


REUSED = [
    pytest.param("a:x u:x a:y u:y", "a:x u:x a:y u:y", id="no reuse"),
    pytest.param("a:x u:x a:x u:x a:x u:x", "a:x u:x a:x#2 u:x#2 a:x#3 u:x#3", id="D25 every turn counts anew"),
    pytest.param("a:x,x u:x,x", "a:x,x#2 u:x,x#2", id="one id in one turn, results by order"),
    pytest.param("a:x a:x u:x u:x", "a:x a:x#2 u:x u:x#2", id="a turn of two messages"),
    pytest.param("a:x u: a:x u:x", "a:x u: a:x#2 u:x#2", id="a missing result leaves the next one right"),
    pytest.param("a:x u:x,x a:x u:x", "a:x u:x,x a:x#2 u:x#2", id="a second result for one call"),
    pytest.param("u:x a:x u:x a:x u:x", "u:x a:x u:x a:x#2 u:x#2", id="a result before any call"),
    pytest.param("a:x u:x a:x#2 u:x#2 a:x u:x", "a:x u:x a:x#2 u:x#2 a:x#3 u:x#3", id="a client's own id is not taken"),
    pytest.param("a:x u:x a:y u:y a:x u:x", "a:x u:x a:y u:y a:x#2 u:x#2", id="others stay"),
]


@pytest.mark.parametrize(("history", "expected"), REUSED)
def test_calls_of_one_id_are_told_apart(history: str, expected: str) -> None:
    actual = unique_ids(_history(history))

    assert _history(expected) == actual
    assert actual == unique_ids(actual)


def test_renaming_looks_back_only() -> None:
    # D4
    whole = _history("a:x u:x a:x,x u:x,x a:y u:y a:x,y u:y,x")
    expected = unique_ids(whole)

    assert all(expected[:count] == unique_ids(whole[:count]) for count in range(len(whole)))


ANTHROPIC = {"pattern_first": "[a-zA-Z0-9_-]", "pattern_rest": "[a-zA-Z0-9_-]", "maximum": 128}
OPENAI = {"pattern_first": "[a-zA-Z0-9_-]", "pattern_rest": "[a-zA-Z0-9_-]", "maximum": 64}
GEMINI = {"pattern_first": "[a-zA-Z_]", "pattern_rest": "[a-zA-Z0-9_.:-]", "maximum": 128}
DOTTED = "mcp.server." + "tool." * 12


def _names(*names: str, target: dict[str, Any] = OPENAI, **others: Any) -> NameMap:
    return build_names([FunctionTool(name=name) for name in names], (), **target, **others)


SPELLED = [
    pytest.param("get_weather-2", OPENAI, "get_weather-2", id="legal"),
    pytest.param("a.b c", OPENAI, "a_b_c", id="illegal characters"),
    pytest.param("a.b:c", GEMINI, "a.b:c", id="legal at Gemini"),
    pytest.param("2fa", GEMINI, "_2fa", id="a leading digit at Gemini"),
    pytest.param(".a", GEMINI, "_.a", id="a leading dot at Gemini"),
    pytest.param("wetter_ä\n", OPENAI, "wetter___", id="letters of other alphabets"),
    pytest.param("", OPENAI, "_", id="empty"),
    pytest.param(DOTTED, OPENAI, "mcp_server_tool_tool_", id="D26 too long"),
]


@pytest.mark.parametrize(("name", "target", "expected"), SPELLED)
def test_a_name_is_spelled_as_the_target_takes_it(name: str, target: dict[str, Any], expected: str) -> None:
    names = _names(name, target=target)
    actual = names.wire(name)

    assert actual.startswith(expected)
    assert len(actual) <= target["maximum"]
    assert re.fullmatch(f"{target['pattern_first']}{target['pattern_rest']}*", actual)
    assert {actual: WireTool(name=name)} == names.tools


def test_a_name_that_is_too_long_ends_in_its_hash() -> None:
    # D26
    actual = _names(DOTTED).wire(DOTTED)

    assert len(actual) == 64
    assert re.fullmatch(r"mcp_server_[tol_]+_[0-9a-f]{8}", actual)


def test_names_that_become_the_same_are_told_apart() -> None:
    names = _names("a.b", "a_b", "a:b")
    wires = [names.wire(name) for name in ("a.b", "a_b", "a:b")]

    assert wires[0] == "a_b"
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", wires[1])
    assert len(set(wires)) == 3
    assert [names.tools[wire].name for wire in wires] == ["a.b", "a_b", "a:b"]


def test_a_tool_may_have_the_name_that_another_would_get() -> None:
    hashed = _names("a.b", "a_b").wire("a_b")
    names = _names(hashed, "a.b", "a_b")

    assert hashed == names.wire(hashed)
    assert len(names.tools) == 3


def test_a_reserved_name_is_not_given_away() -> None:
    names = _names("json", reserved=("json",))

    assert re.fullmatch(r"json_[0-9a-f]{8}", names.wire("json"))


def test_a_namespace_is_part_of_the_name_and_comes_back() -> None:
    # D27
    tools = [
        FunctionTool(name="find", namespace="crm"),
        FunctionTool(name="find", namespace="mail"),
        FunctionTool(name="run", namespace="functions"),
    ]
    names = build_names(tools, (), **ANTHROPIC)

    assert names.wire("find", "crm") == "crm__find"
    assert "run" == names.wire("run", "functions") == names.wire("run")
    assert {
        "crm__find": WireTool(name="find", namespace="crm"),
        "mail__find": WireTool(name="find", namespace="mail"),
        "run": WireTool(name="run", namespace="functions"),
    } == names.tools


CHOSEN = [
    pytest.param("find", "crm__find", id="by its bare name"),
    pytest.param("crm__find", "crm__find", id="by both names"),
    pytest.param("other.tool", "other_tool", id="unknown"),
]


@pytest.mark.parametrize(("name", "expected"), CHOSEN)
def test_a_choice_names_a_tool_without_its_namespace(name: str, expected: str) -> None:
    names = build_names([FunctionTool(name="find", namespace="crm")], (), **ANTHROPIC)

    assert expected == names.wire(name)


def test_kinds_are_kept() -> None:
    tools: list[Tool] = [
        CustomTool(name="patch"),
        BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw={}),
        FunctionTool(name="f"),
        HostedTool(family="web_search", dialect="anthropic", raw={}),
    ]
    names = build_names(tools, (), **OPENAI)

    assert [tool.kind for tool in names.tools.values()] == ["custom", "client_builtin", "function"]
    assert tuple(tools) == names.declared


def test_names_of_the_history_come_after_the_declared_ones() -> None:
    called = ToolCall(id="1", name="a.b", arguments="{}", kind="custom")
    names = build_names([FunctionTool(name="a_b")], [Message(role="assistant", parts=(called,))], **OPENAI)

    assert names.wire("a_b") == "a_b"
    assert WireTool(name="a.b", kind="custom") == names.tools[names.wire("a.b")]
    assert (FunctionTool(name="a_b"),) == names.declared


def test_a_call_by_the_name_that_we_made_is_the_same_tool() -> None:
    called = ToolCall(id="1", name="crm__find", arguments="{}")
    names = build_names(
        [FunctionTool(name="find", namespace="crm")], [Message(role="assistant", parts=(called,))], **OPENAI
    )

    assert names.wire("crm__find") == "crm__find"
    assert list(names.tools) == ["crm__find"]


SAME = [
    pytest.param(FunctionTool(name="f"), FunctionTool(name="f"), id="identical"),
    pytest.param(FunctionTool(name="f"), FunctionTool(name="f", cache=CacheHint()), id="but for the cache mark"),
    pytest.param(FunctionTool(name="f"), FunctionTool(name="f", namespace="functions"), id="but for no namespace"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_declaration_given_twice_is_one(one: Tool, other: Tool) -> None:
    names = build_names([one, other], (), **OPENAI)

    assert (one,) == names.declared


DIFFERENT = [
    pytest.param(FunctionTool(name="f", description="a"), FunctionTool(name="f", description="b"), id="description"),
    pytest.param(FunctionTool(name="f"), CustomTool(name="f"), id="kind"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_tools_of_one_name_are_refused(one: Tool, other: Tool) -> None:
    with pytest.raises(InvalidRequest, match="name of an earlier tool") as caught:
        build_names([FunctionTool(name="g"), one, other], (), **OPENAI)

    assert caught.value.param == "tools[2]"
