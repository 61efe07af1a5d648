"""Tools, tool choice and answer formats as the Anthropic encoder sends them."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.request import encode_request
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import (
    Text,
)
from modelserver.ir.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    ResponseFormat,
    ToolChoice,
)
from tests.support.anthropic import (
    ADAPTIVE,
    BOUND,
    MANUAL,
    OBJECT,
    PLAIN,
    F,
    G,
    chat,
    profile,
    sent,
    text,
    thinks,
    tool,
)

AUTO, NONE, REQUIRED = ToolChoice(mode="auto"), ToolChoice(mode="none"), ToolChoice(mode="required")

CHOICES = [
    pytest.param(PLAIN, AUTO, None, ["f", "g"], {"type": "auto"}, [], id="H29 auto"),
    pytest.param(PLAIN, NONE, False, ["f", "g"], {"type": "none"}, [], id="H29 none keeps the tools"),
    pytest.param(PLAIN, REQUIRED, None, ["f", "g"], {"type": "any"}, [], id="H29 required"),
    pytest.param(
        PLAIN,
        ToolChoice(mode="required", only=("f",)),
        None,
        ["f", "g"],
        {"type": "tool", "name": "f"},
        [],
        id="H29 one name",
    ),
    pytest.param(
        PLAIN,
        ToolChoice(mode="required", only=("f", "x", "g")),
        None,
        ["f", "g"],
        {"type": "any"},
        [],
        id="H29 several names",
    ),
    pytest.param(
        PLAIN, ToolChoice(mode="auto", only=("g",)), None, ["g"], {"type": "auto"}, [], id="D36 auto with names filters"
    ),
    pytest.param(
        PLAIN,
        ToolChoice(mode="auto", only=("x",)),
        None,
        ["f", "g"],
        {"type": "auto"},
        ["tool_choice_relaxed"],
        id="D36 unknown names keep all",
    ),
    pytest.param(
        BOUND,
        ToolChoice(mode="required", only=("f",)),
        None,
        ["f"],
        {"type": "auto"},
        ["tool_choice_relaxed"],
        id="D37 H29 a model that can't be forced",
    ),
    pytest.param(
        PLAIN,
        None,
        False,
        ["f", "g"],
        {"type": "auto", "disable_parallel_tool_use": True},
        [],
        id="D38 H30 one call at a time",
    ),
    pytest.param(
        PLAIN,
        REQUIRED,
        False,
        ["f", "g"],
        {"type": "any", "disable_parallel_tool_use": True},
        [],
        id="D38 forced, one call at a time",
    ),
    pytest.param(PLAIN, None, True, ["f", "g"], None, [], id="D38 H30 parallel calls are the default"),
]


@pytest.mark.parametrize(("card", "choice", "parallel", "names", "expected", "losses"), CHOICES)
def test_tool_choice(
    card: ModelCard, choice: Any, parallel: Any, names: list[str], expected: Any, losses: list[str]
) -> None:
    body, codes = sent(chat(tools=(F, G), tool_choice=choice, parallel_tools=parallel), profile(card))

    assert names == [each["name"] for each in body["tools"]]
    assert expected == body.get("tool_choice")
    assert losses == codes


def test_without_tools_there_is_no_choice() -> None:
    body, _ = sent(chat(tool_choice=AUTO, parallel_tools=False), profile())

    assert "tool_choice" not in body
    assert "tools" not in body


def test_d37_a_forced_call_turns_manual_thinking_off() -> None:
    request = chat(tools=(F,), tool_choice=ToolChoice(mode="required", only=("f",)), reasoning=thinks(effort="high"))
    body, codes = sent(request, profile(attrs.evolve(MANUAL)))

    assert body["tool_choice"] == {"type": "tool", "name": "f"}
    assert "thinking" not in body
    assert codes == ["reasoning_dropped"]


SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0}},
    "required": ["age"],
    "additionalProperties": False,
}
CLEAN = {
    "type": "object",
    "properties": {"age": {"type": "integer", "description": "minimum: 0."}},
    "required": ["age"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/n"}},
    "required": ["next"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "additionalProperties": False}},
}
SENTENCE = "Answer with a single JSON object and nothing else."


def test_d43_a_schema_is_asked_for_natively() -> None:
    wanted = ResponseFormat(kind="schema", name="p", schema=SCHEMA, strict=True)
    body, codes = sent(chat(format=wanted), profile(ADAPTIVE))

    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLEAN}}
    assert codes == []


def test_d43_json_adds_one_sentence() -> None:
    body, codes = sent(chat(format=ResponseFormat(kind="json"), system=(Text(text="S"),)), profile(ADAPTIVE))

    assert body["system"] == [text("S"), text(SENTENCE)]
    assert codes == ["json_mode_emulated"]


@pytest.mark.parametrize(
    ("card", "schema"),
    [pytest.param(PLAIN, SCHEMA, id="no such feature"), pytest.param(ADAPTIVE, TREE, id="a schema it refuses")],
)
def test_h16_a_function_is_forced_instead(card: ModelCard, schema: dict[str, Any]) -> None:
    encoded = encode_request(chat(format=ResponseFormat(kind="schema", schema=schema)), profile(card))
    body = orjson.loads(encoded.body)

    assert [each["name"] for each in body["tools"]] == ["json"]
    assert body["tool_choice"] == {"type": "tool", "name": "json", "disable_parallel_tool_use": True}
    assert encoded.reading.json_tool == "json"


def test_h16_the_clients_tools_stay_callable_beside_the_forced_function() -> None:
    wanted = ResponseFormat(kind="schema", schema=SCHEMA)
    encoded = encode_request(chat(format=wanted, tools=(tool("json"),)), profile())
    body = orjson.loads(encoded.body)

    assert [each["name"] for each in body["tools"]] == ["json_02bd175f", "json"]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert encoded.reading.tools["json_02bd175f"].name == "json"


def test_h16_a_model_that_can_t_be_forced_is_asked_in_words() -> None:
    card = attrs.evolve(BOUND, schema="none")
    body, codes = sent(chat(format=ResponseFormat(kind="schema", schema=SCHEMA)), profile(card))

    assert body["system"][0]["text"].startswith(SENTENCE)
    assert '"minimum":0' in body["system"][0]["text"]
    assert codes == ["json_mode_emulated"]


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

TOOLS = [
    pytest.param(
        PLAIN,
        FunctionTool(name="f", description="d"),
        {"name": "f", "description": "d", "input_schema": OBJECT},
        [],
        id="H8 no schema is an empty object",
    ),
    pytest.param(
        PLAIN,
        FunctionTool(name="a.b/" + "x" * 130, schema=OBJECT),
        {"name": "a_b_" + "x" * 115 + "_154122da", "input_schema": OBJECT},
        [],
        id="D26 H7 a name is made to fit",
    ),
    pytest.param(
        PLAIN,
        FunctionTool(name="find", namespace="crm", schema=OBJECT),
        {"name": "crm__find", "input_schema": OBJECT},
        [],
        id="D27 H7 a namespace is flattened",
    ),
    pytest.param(
        ADAPTIVE,
        FunctionTool(name="f", schema=STRICT, strict=True),
        {"name": "f", "input_schema": STRICT, "strict": True},
        [],
        id="H8 a strict tool",
    ),
    pytest.param(
        ADAPTIVE,
        FunctionTool(name="f", schema=SCHEMA, strict=True),
        {"name": "f", "input_schema": SCHEMA},
        ["strict_dropped"],
        id="H8 a schema that can't be enforced",
    ),
    pytest.param(
        PLAIN,
        FunctionTool(name="f", schema=STRICT, strict=True),
        {"name": "f", "input_schema": STRICT},
        ["strict_dropped"],
        id="H8 a model without strict tools",
    ),
    pytest.param(
        PLAIN,
        FunctionTool(name="f", schema=OBJECT, strict=False, defer=True, examples=({"a": 1},)),
        {"name": "f", "input_schema": OBJECT, "input_examples": [{"a": 1}]},
        [],
        id="what other dialects say of tools",
    ),
    pytest.param(
        PLAIN,
        CustomTool(name="apply_patch", description="Patches.", syntax="lark", grammar="start: /.+/s"),
        {
            "name": "apply_patch",
            "description": "Patches.\n\nThe input is free text, not JSON.\n\n"
            "It must match this lark grammar:\n```\nstart: /.+/s\n```",
            "input_schema": {
                "type": "object",
                "properties": {"input": {"type": "string"}},
                "required": ["input"],
                "additionalProperties": False,
            },
        },
        [],
        id="D34 H10 a custom tool is a function of one text",
    ),
    pytest.param(
        PLAIN,
        HostedTool(
            family="web_search",
            dialect="responses",
            raw={"type": "web_search", "filters": {"allowed_domains": ["e.example"]}},
        ),
        {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["e.example"]},
        [],
        id="D79 H27 a hosted search is converted",
    ),
    pytest.param(
        PLAIN,
        HostedTool(
            family="web_search",
            dialect="chat",
            raw={"user_location": {"type": "approximate", "approximate": {"city": "Bonn"}}},
        ),
        {"type": "web_search_20250305", "name": "web_search", "user_location": {"type": "approximate", "city": "Bonn"}},
        [],
        id="H27 the place is kept",
    ),
    pytest.param(
        PLAIN,
        HostedTool(family="file_search", dialect="responses", raw={}),
        None,
        ["hosted_tool_dropped:file_search"],
        id="D79 H27 another one is left out",
    ),
]


@pytest.mark.parametrize(("card", "declared", "expected", "losses"), TOOLS)
def test_tools(card: ModelCard, declared: Any, expected: Any, losses: list[str]) -> None:
    body, codes = sent(chat(tools=(declared,)), profile(card))

    assert ([expected] if expected else None) == body.get("tools")
    assert losses == codes


def test_arguments_are_streamed_as_they_are_made() -> None:
    body, _ = sent(chat(tools=(F,), stream=True), profile(attrs.evolve(PLAIN, eager_input=True)))

    assert body["tools"][0]["eager_input_streaming"] is True
    assert body["stream"] is True


def test_a_client_of_this_api_says_itself_how_arguments_are_streamed() -> None:
    request = attrs.evolve(chat(tools=(F,), stream=True), dialect="anthropic")
    body, _ = sent(request, profile(attrs.evolve(PLAIN, eager_input=True)))

    assert "eager_input_streaming" not in body["tools"][0]


def test_h28_a_client_run_tool_gets_a_schema() -> None:
    shell = BuiltinTool(name="shell", type="shell", dialect="responses", raw={"type": "shell"})
    encoded = encode_request(chat(tools=(shell,)), profile())

    assert orjson.loads(encoded.body)["tools"][0]["input_schema"]["required"] == ["commands"]
    assert encoded.reading.tools["shell"].kind == "client_builtin"


def test_d27_the_reading_knows_what_the_names_stand_for() -> None:
    encoded = encode_request(chat(tools=(FunctionTool(name="find", namespace="crm"), CustomTool(name="p"))), profile())

    assert [(each.name, each.namespace, each.kind) for each in encoded.reading.tools.values()] == [
        ("find", "crm", "function"),
        ("p", None, "custom"),
    ]
