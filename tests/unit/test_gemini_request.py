"""Requests to the Gemini API: the hard cases in this direction."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.gemini.request import encode_request
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.request import (
    AudioSpec,
    BuiltinTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    Ignored,
    ReasoningSpec,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
    StateRef,
    ToolChoice,
)
from tests.support.gemini import CARD_3, CARD_25, ORIGIN, SEALER, check_by_google, profile

PNG = Inline(media_type="image/png", b64="iVBORw0K")
ELSEWHERE = Origin(dialect="anthropic", provider="anthropic", account="b", model="claude")
WEATHER = FunctionTool(
    name="get_weather",
    description="Weather",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def model(*parts: Part | str) -> Message:
    return Message(role="assistant", parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def system(text: str) -> Message:
    return Message(role="system", parts=(Text(text=text),))


def call(id: str, name: str = "get_weather", arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments, **fields)


def result(id: str, text: str = "ok", **fields: Any) -> ToolResult:
    return ToolResult(call_id=id, content=(Text(text=text),) if text else (), **fields)


def asked(*messages: Message, **fields: Any) -> Request:
    return Request(**{"dialect": "chat", "model": "m", "messages": messages or (user("hi"),), **fields})


def encoded(request: Request, card: ModelCard = CARD_25, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    """The body and the loss codes; Google's own types accept the body."""
    written = encode_request(request, profile(card, **changes))
    body = orjson.loads(written.body)
    check(body)
    return body, [loss.code for loss in written.losses]


def check(body: dict[str, Any]) -> None:
    for content in body["contents"]:
        check_by_google("Content", content)
    for tool in body.get("tools", ()):
        check_by_google("Tool", tool)
    check_by_google("ToolConfig", body.get("toolConfig", {}))
    check_by_google("GenerationConfig", body.get("generationConfig", {}))
    if "systemInstruction" in body:
        check_by_google("Content", body["systemInstruction"])
    assert body.keys() <= {
        *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "safetySettings"),
    }


def texts(*said: str) -> list[dict[str, str]]:
    return [{"text": text} for text in said]


CONVERSATIONS = [
    pytest.param(
        asked(user("u1"), model("a1"), user("u2"), system("B"), system=(Text(text="A"),)),
        [
            {"role": "user", "parts": texts("u1")},
            {"role": "model", "parts": texts("a1")},
            {"role": "user", "parts": texts("u2", "<system-reminder>\nB\n</system-reminder>")},
        ],
        id="D11 H1 instruction in the middle",
    ),
    pytest.param(
        asked(user("q"), model(call("c1")), system("late"), user(result("c1", "42"))),
        [
            {"role": "user", "parts": texts("q")},
            {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "get_weather", "args": {}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "c1", "name": "get_weather", "response": {"output": "42"}}}],
            },
            {"role": "user", "parts": texts("<system-reminder>\nlate\n</system-reminder>")},
        ],
        id="D12 instruction between call and result",
    ),
    pytest.param(
        asked(user("a"), user("b"), model("c")),
        [{"role": "user", "parts": texts("a", "b")}, {"role": "model", "parts": texts("c")}],
        id="D13 H2 neighbours of one role",
    ),
    pytest.param(
        asked(user("hi"), model(""), user(Text(text="  ", cache=CacheHint()), "again")),
        [{"role": "user", "parts": texts("hi", "again")}],
        id="D14 H3 blank text",
    ),
    pytest.param(
        asked(model("hello"), user("x")),
        [
            {"role": "user", "parts": texts("(conversation continues)")},
            {"role": "model", "parts": texts("hello")},
            {"role": "user", "parts": texts("x")},
        ],
        id="D15 the model begins",
    ),
    pytest.param(
        asked(user("q"), model(call("c1"), call("c2")), user(result("c2", "B"), result("c1", "A")), user("go on")),
        [
            {"role": "user", "parts": texts("q")},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"id": "c1", "name": "get_weather", "args": {}}},
                    {"functionCall": {"id": "c2", "name": "get_weather", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "c1", "name": "get_weather", "response": {"output": "A"}}},
                    {"functionResponse": {"id": "c2", "name": "get_weather", "response": {"output": "B"}}},
                ],
            },
            {"role": "user", "parts": texts("go on")},
        ],
        id="D16 D20 H4 results in the order of the calls",
    ),
    pytest.param(
        asked(user("q"), user(result("c9", "lost"), result("c8", ""))),
        [{"role": "user", "parts": texts("q", "Tool result: lost")}],
        id="D19 results without calls",
    ),
    pytest.param(
        asked(user("q"), model(Refusal(text="No.")), user("why")),
        [
            {"role": "user", "parts": texts("q")},
            {"role": "model", "parts": texts("No.")},
            {"role": "user", "parts": texts("why")},
        ],
        id="H25 refusal in the history",
    ),
    pytest.param(
        asked(user("Greek sun god?"), model("The answer is (")),
        [{"role": "user", "parts": texts("Greek sun god?")}, {"role": "model", "parts": texts("The answer is (")}],
        id="H3 prefill",
    ),
    pytest.param(
        asked(
            user(
                Image(source=PNG, detail="low"),
                Audio(source=Inline(media_type="audio/wav", b64="UklGRg=="), format="wav"),
                Document(source=Inline(media_type="application/pdf", b64="JVBERi0x"), title="a.pdf"),
                Document(source=PlainText(text="line"), title="Notes"),
                Document(source=FileRef(provider="gemini", id="https://x/files/1", media_type="application/pdf")),
                Document(source=Url(url="https://youtu.be/x")),
            )
        ),
        [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}},
                    {"inlineData": {"mimeType": "text/plain", "data": "bGluZQ=="}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/files/1"}},
                    {"fileData": {"fileUri": "https://youtu.be/x"}},
                ],
            }
        ],
        id="D77 H21 H23 H24 media",
    ),
    pytest.param(
        asked(user("q"), model(Reasoning(text="hm", seal=Seal(kind="signature", payload="x")), "a"), user("b")),
        [
            {"role": "user", "parts": texts("q")},
            {"role": "model", "parts": texts("a")},
            {"role": "user", "parts": texts("b")},
        ],
        id="H17 reasoning of another maker",
    ),
    pytest.param(
        asked(user("q"), model(Opaque(dialect="anthropic", type="x", raw={}), "a"), user("b")),
        [
            {"role": "user", "parts": texts("q")},
            {"role": "model", "parts": texts("a")},
            {"role": "user", "parts": texts("b")},
        ],
        id="H27 hosted part of another maker",
    ),
]


@pytest.mark.parametrize(("request_", "expected"), CONVERSATIONS)
def test_a_conversation_becomes_contents(request_: Request, expected: list[Any]) -> None:
    body, _ = encoded(request_)

    assert body["contents"] == expected


def test_d18_a_missing_result_is_made_up() -> None:
    body, losses = encoded(asked(user("q"), model(call("c1")), user("and?")))

    assert body["contents"][2]["parts"] == [
        {
            "functionResponse": {
                "id": "c1",
                "name": "get_weather",
                "response": {"error": "No result was provided for this call."},
            }
        }
    ]
    assert losses == ["tool_result_missing"]


def test_d18_a_missing_result_is_refused_where_losses_are() -> None:
    with pytest.raises(Unsupported):
        encoded(asked(user("q"), model(call("c1")), user("and?")), refuse_losses=True)


SHOT = ToolResult(call_id="c1", content=(Text(text="shot"), Image(source=PNG)))


def test_d21_an_image_in_a_result_stays_there_from_the_third_generation_on() -> None:
    body, _ = encoded(asked(user("q"), model(call("c1")), user(SHOT, "what is it?")), CARD_3)

    assert body["contents"][2:] == [
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "c1",
                        "name": "get_weather",
                        "response": {"output": "shot"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}],
                    }
                }
            ],
        },
        {"role": "user", "parts": texts("what is it?")},
    ]


def test_d21_an_image_in_a_result_follows_it_before() -> None:
    body, _ = encoded(asked(user("q"), model(call("c1")), user(SHOT, "what is it?")), CARD_25)

    assert body["contents"][3]["parts"] == [
        {"text": "Media from call c1 (get_weather):"},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}},
        {"text": "what is it?"},
    ]


@pytest.mark.parametrize(
    ("given", "response"),
    [
        pytest.param(result("c1", "T"), {"output": "T"}, id="H6 text"),
        pytest.param(result("c1", "E", is_error=True), {"error": "E"}, id="D22 error"),
        pytest.param(result("c1", ""), {"output": ""}, id="H3 nothing"),
        pytest.param(result("c1", '{"a":1}'), {"output": '{"a":1}'}, id="JSON stays text"),
    ],
)
def test_a_result_is_an_object(given: ToolResult, response: dict[str, Any]) -> None:
    body, _ = encoded(asked(user("q"), model(call("c1")), user(given)))

    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == response


def test_a_result_that_is_an_object_is_sent_so_where_the_quirk_says() -> None:
    body, _ = encoded(asked(user("q"), model(call("c1")), user(result("c1", '{"a":1}'))), quirks={"json_results": True})

    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        pytest.param("", b"{}", id="H9 none"),
        pytest.param('{"path": "a.txt', rb'{"_raw":"{\"path\": \"a.txt"}', id="H9 cut"),
        pytest.param('{"n": 12345678901234567890123}', b'{"n":12345678901234567890123}', id="D32 big"),
    ],
)
def test_arguments_become_an_object(arguments: str, args: bytes) -> None:
    request = asked(user("q"), model(call("c1", arguments=arguments)), user(result("c1")))

    assert b'"args":' + args + b"}" in encode_request(request, profile(CARD_25)).body


def test_ids_are_left_out_where_calls_pair_by_position() -> None:
    body, _ = encoded(asked(user("q"), model(call("c1")), user(result("c1"))), attrs.evolve(CARD_25, ids="none"))

    assert "id" not in body["contents"][1]["parts"][0]["functionCall"]
    assert "id" not in body["contents"][2]["parts"][0]["functionResponse"]


@pytest.mark.parametrize("turns", range(1, 9))
def test_d4_the_beginning_of_a_conversation_is_encoded_the_same(turns: int) -> None:
    messages = (
        *(user("a"), model(call("c1"), call("c2")), user(result("c2"), result("c1"), "more"), model("b")),
        *(system("s"), user("c"), model(call("c1")), user(SHOT), model("d"), user("e")),
    )
    whole, _ = encoded(asked(*messages), CARD_3)
    beginning, _ = encoded(asked(*messages[:turns]), CARD_3)
    # The last turn may still get its results.
    settled = beginning["contents"] if messages[turns - 1].role == "assistant" else beginning["contents"][:-1]
    settled = [entry for entry in settled if "functionResponse" not in entry["parts"][0]]

    assert (
        settled == [entry for entry in whole["contents"] if "functionResponse" not in entry["parts"][0]][: len(settled)]
    )


SIGNED = Seal(kind="thought", payload="EjQ=", origin=ORIGIN)


@pytest.mark.parametrize(
    ("calls", "signatures"),
    [
        pytest.param(
            (call("c1", seal=Seal(kind="thought", payload=SEALER.wrap(SIGNED, ""))), call("c2")),
            ["EjQ=", None],
            id="D46 b the real signature",
        ),
        pytest.param(
            (call("c1", seal=Seal(kind="thought", payload="EjQ=")), call("c2")), ["EjQ=", None], id="D46 a native"
        ),
        pytest.param((call("c1"), call("c2")), ["skip_thought_signature_validator", None], id="D46 c lost"),
        pytest.param(
            (
                call("c1", seal=Seal(kind="thought", payload=SEALER.wrap(attrs.evolve(SIGNED, origin=ELSEWHERE), ""))),
                call("c2"),
            ),
            ["skip_thought_signature_validator", None],
            id="D50 of another account",
        ),
    ],
)
def test_the_first_call_of_a_step_is_signed(calls: tuple[ToolCall, ...], signatures: list[str | None]) -> None:
    body, _ = encoded(asked(user("q"), model(*calls), user(result("c1"), result("c2"))), CARD_3)

    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == signatures


def test_nothing_is_invented_where_no_seal_is_required() -> None:
    body, losses = encoded(asked(user("q"), model(call("c1")), user(result("c1"))), CARD_25)

    assert "thoughtSignature" not in body["contents"][1]["parts"][0]
    assert losses == []


def test_d51_a_broken_envelope_counts_as_absent() -> None:
    envelope = SEALER.wrap(SIGNED, "")
    broken = envelope[:40] + ("A" if envelope[40] != "A" else "B") + envelope[41:]
    body, losses = encoded(
        asked(user("q"), model(call("c1", seal=Seal(kind="thought", payload=broken))), user(result("c1"))), CARD_3
    )

    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"
    assert losses == ["seal_dropped", "seal_missing"]


def test_d54_a_seal_of_hidden_reasoning_goes_to_the_part_that_follows() -> None:
    hidden = Reasoning(form="hidden", seal=Seal(kind="thought", payload=SEALER.wrap(SIGNED, "")))
    body, _ = encoded(asked(user("q"), model(hidden, call("c1")), user(result("c1"))), CARD_3)

    assert body["contents"][1]["parts"] == [
        {"functionCall": {"id": "c1", "name": "get_weather", "args": {}}, "thoughtSignature": "EjQ="}
    ]


def test_sealed_thoughts_go_back_as_thoughts() -> None:
    thought = Reasoning(text="hm", form="summary", seal=Seal(kind="thought", payload=SEALER.wrap(SIGNED, "hm")))
    body, _ = encoded(asked(user("q"), model(thought, "a"), user("b")), CARD_3)

    assert body["contents"][1]["parts"] == [{"text": "hm", "thought": True, "thoughtSignature": "EjQ="}, {"text": "a"}]


def test_d87_edited_thoughts_are_dropped() -> None:
    thought = Reasoning(text="ham", form="summary", seal=Seal(kind="thought", payload=SEALER.wrap(SIGNED, "hm")))
    body, losses = encoded(asked(user("q"), model(thought, "a"), user("b")), CARD_3)

    assert body["contents"][1]["parts"] == texts("a")
    assert losses == ["seal_dropped"]


TOOLS = [
    pytest.param(
        {"tools": (WEATHER, FunctionTool(name="now"))},
        [
            {
                "functionDeclarations": [
                    {
                        "name": "get_weather",
                        "description": "Weather",
                        "parametersJsonSchema": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"],
                        },
                    },
                    {"name": "now"},
                ]
            }
        ],
        None,
        id="functions in one list",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="required", only=("get_weather",))},
        ...,
        {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}},
        id="H29 forced by name",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="required")},
        ...,
        {"functionCallingConfig": {"mode": "ANY"}},
        id="H29 required",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="none")},
        ...,
        {"functionCallingConfig": {"mode": "NONE"}},
        id="H29 none",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="auto")},
        ...,
        {"functionCallingConfig": {"mode": "AUTO"}},
        id="H29 auto",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="auto", only=("get_weather", "nothing"))},
        ...,
        {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["get_weather"]}},
        id="D36 allowed names",
    ),
    pytest.param(
        {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="auto", only=("nothing",))},
        ...,
        {"functionCallingConfig": {"mode": "AUTO"}},
        id="D36 unknown names keep all",
    ),
    pytest.param(
        {"tools": (attrs.evolve(WEATHER, strict=True),)},
        ...,
        {"functionCallingConfig": {"mode": "VALIDATED"}},
        id="strict",
    ),
    pytest.param({"tool_choice": ToolChoice(mode="auto")}, None, None, id="a choice without functions"),
]


@pytest.mark.parametrize(("fields", "tools", "config"), TOOLS)
def test_tools_and_the_choice(fields: dict[str, Any], tools: Any, config: Any) -> None:
    body, _ = encoded(asked(**fields))

    assert tools is ... or body.get("tools") == tools
    assert body.get("toolConfig") == config


def test_h27_hosted_tools_beside_functions() -> None:
    search = HostedTool(family="web_search", dialect="chat", raw={})
    request = asked(tools=(WEATHER, search))
    body, losses = encoded(request, CARD_3)

    assert body["tools"][1] == {"googleSearch": {}}
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "VALIDATED"},
        "includeServerSideToolInvocations": True,
    }
    assert losses == []
    body, losses = encoded(request, CARD_25)
    assert len(body["tools"]) == 1
    assert losses == ["hosted_tool_dropped:web_search"]


def test_d79_a_forced_hosted_tool_that_is_not_there_is_refused() -> None:
    tool = HostedTool(family="file_search", dialect="responses", raw={})
    with pytest.raises(Unsupported) as caught:
        encoded(asked(tools=(tool,), tool_choice=ToolChoice(mode="required", hosted="file_search")))

    assert caught.value.param == "tools[0]"


def test_h10_a_custom_tool_is_a_function_with_one_string() -> None:
    tool = CustomTool(name="apply_patch", description="Patch", syntax="lark", grammar="start: /.+/s")
    history = (user("q"), model(call("c1", "apply_patch", '*** "x"', kind="custom")), user(result("c1")))
    written = encode_request(asked(*history, tools=(tool,)), profile(CARD_25))
    body = orjson.loads(written.body)
    check(body)

    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["description"] == (
        "Patch\n\nThe input is free text, not JSON.\n\nIt must match this lark grammar:\n```\nstart: /.+/s\n```"
    )
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": '*** "x"'}
    assert written.reading.tools["apply_patch"].kind == "custom"


def test_h28_a_tool_that_the_client_runs_is_a_function_with_a_schema_of_ours() -> None:
    tool = BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw={})
    history = (user("q"), model(call("c1", "bash", '{"command":"ls"}', kind="client_builtin")), user(result("c1")))
    written = encode_request(asked(*history, tools=(tool,)), profile(CARD_25))
    body = orjson.loads(written.body)
    check(body)

    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["name"] == "bash"
    assert declared["parametersJsonSchema"]["properties"] == {
        "command": {"type": "string"},
        "restart": {"type": "boolean"},
    }
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"command": "ls"}
    assert written.reading.tools["bash"].kind == "client_builtin"


def test_h28_an_unknown_version_of_such_a_tool_is_refused() -> None:
    tool = BuiltinTool(name="bash", type="bash_20990101", dialect="anthropic", raw={})
    with pytest.raises(Unsupported) as caught:
        encoded(asked(tools=(tool,)))

    assert caught.value.param == "tools[0]"


def test_d26_a_name_is_made_legal_and_known_backwards() -> None:
    tool = attrs.evolve(WEATHER, name="1 wetter/heute")
    written = encode_request(asked(tools=(tool,)), profile(CARD_25))

    assert written.reading.tools["_1_wetter_heute"].name == "1 wetter/heute"


def test_h7_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        encoded(asked(tools=(WEATHER, attrs.evolve(WEATHER, description="Other"))))


def test_h30_parallel_calls_can_not_be_forbidden() -> None:
    _, losses = encoded(asked(tools=(WEATHER,), parallel_tools=False))

    assert losses == ["parallel_not_enforced"]


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}

CONFIGS = [
    pytest.param(asked(sampling=Sampling(temperature=1.7)), CARD_3, {"temperature": 1.7}, [], id="D40 temperature"),
    pytest.param(
        asked(sampling=Sampling(temperature=1.4, top_p=0.9, top_k=40, seed=3)),
        CARD_3,
        {"temperature": 1.4, "topP": 0.9, "topK": 40, "seed": 3},
        [],
        id="H12 H13 sampling",
    ),
    pytest.param(asked(n=2), CARD_3, {"candidateCount": 2}, [], id="D41 two candidates"),
    pytest.param(
        asked(sampling=Sampling(stop=tuple("abcde"))), CARD_3, {"stopSequences": list("abcde")}, [], id="D42 stop"
    ),
    pytest.param(asked(max_output=1024), CARD_3, {"maxOutputTokens": 1024}, [], id="H11 limit"),
    pytest.param(
        asked(max_output=9000),
        attrs.evolve(CARD_3, max_output=8192),
        {"maxOutputTokens": 8192},
        ["max_tokens_lowered"],
        id="D39 limit above the card's",
    ),
    pytest.param(
        asked(sampling=Sampling(presence=0.5, frequency=0.0)),
        CARD_25,
        {},
        ["penalties_dropped"],
        id="H13 penalties on the second generation",
    ),
    pytest.param(
        asked(sampling=Sampling(logprobs=True, top_logprobs=2)),
        CARD_3,
        {"responseLogprobs": True, "logprobs": 2},
        [],
        id="D44 log probabilities",
    ),
    pytest.param(
        asked(format=ResponseFormat(kind="schema", name="p", strict=True, schema=SCHEMA)),
        CARD_3,
        {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        [],
        id="D43 schema",
    ),
    pytest.param(
        asked(format=ResponseFormat(kind="json")), CARD_3, {"responseMimeType": "application/json"}, [], id="H16 json"
    ),
    pytest.param(
        asked(max_output=4000, reasoning=ReasoningSpec(effort="high")),
        CARD_3,
        {"maxOutputTokens": 4000, "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}},
        [],
        id="H19 high",
    ),
    pytest.param(
        asked(modalities=frozenset(("text", "audio")), audio_out=AudioSpec(voice="Kore", format="pcm16")),
        attrs.evolve(CARD_3, audio_out=True),
        {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
        [],
        id="H24 spoken answer",
    ),
    pytest.param(asked(verbosity="low"), CARD_3, {}, ["verbosity_dropped"], id="verbosity"),
    pytest.param(
        asked(ignored=(Ignored(name="logit_bias"),)), CARD_3, {}, ["field_dropped:logit_bias"], id="D10 ignored field"
    ),
]


@pytest.mark.parametrize(("request_", "card", "config", "losses"), CONFIGS)
def test_the_configuration(request_: Request, card: ModelCard, config: dict[str, Any], losses: list[str]) -> None:
    body, lost = encoded(request_, card)

    assert body.get("generationConfig", {}) == config
    assert lost == losses


LEVELS = ReasoningCard(kind="level", efforts=("minimal", "low", "medium", "high"))
PRO_25 = ReasoningCard(kind="budget", budget_min=128, budget_max=32_768, can_disable=False)


@pytest.mark.parametrize(
    ("spec", "card", "thinking"),
    [
        (ReasoningSpec(effort="medium"), CARD_3.reasoning, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (ReasoningSpec(effort="medium"), LEVELS, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (ReasoningSpec(effort="xhigh"), LEVELS, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (ReasoningSpec(effort="none"), LEVELS, {"thinkingLevel": "MINIMAL"}),
        (ReasoningSpec(mode="off"), CARD_3.reasoning, {"thinkingLevel": "LOW"}),
        (ReasoningSpec(budget=5000), LEVELS, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (ReasoningSpec(budget=-1), LEVELS, {"includeThoughts": True}),
        (ReasoningSpec(mode="on"), LEVELS, {"includeThoughts": True}),
        (ReasoningSpec(mode="between_tools"), LEVELS, {"thinkingLevel": "LOW", "includeThoughts": True}),
        (ReasoningSpec(effort="low", show="omitted"), LEVELS, {"thinkingLevel": "LOW"}),
        (ReasoningSpec(effort="none"), CARD_25.reasoning, {"thinkingBudget": 0}),
        (ReasoningSpec(effort="none"), PRO_25, {"thinkingBudget": 128, "includeThoughts": True}),
        (ReasoningSpec(effort="high"), CARD_25.reasoning, {"thinkingBudget": 24_576, "includeThoughts": True}),
        (ReasoningSpec(effort="max"), PRO_25, {"thinkingBudget": 32_768, "includeThoughts": True}),
        (ReasoningSpec(budget=99_999), CARD_25.reasoning, {"thinkingBudget": 24_576, "includeThoughts": True}),
        (ReasoningSpec(effort="high"), ReasoningCard(), None),
    ],
)
def test_d55_a_wish_to_think(spec: ReasoningSpec, card: ReasoningCard, thinking: dict[str, Any] | None) -> None:
    body, _ = encoded(asked(reasoning=spec), attrs.evolve(CARD_3, reasoning=card))

    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking


def test_h16_a_schema_beside_functions_is_asked_for_in_words() -> None:
    request = asked(tools=(WEATHER,), format=ResponseFormat(kind="schema", schema=SCHEMA), system=(Text(text="S"),))
    body, losses = encoded(request, CARD_25)

    assert body["systemInstruction"]["parts"][0] == {"text": "S"}
    assert '"minimum":0' in body["systemInstruction"]["parts"][1]["text"]
    assert "generationConfig" not in body
    assert losses == ["json_mode_emulated"]


@pytest.mark.parametrize(
    ("tier", "word"),
    [("auto", None), ("default", "standard"), ("flex", "flex"), ("fast", "priority"), ("scale", None), (None, None)],
)
def test_h31_the_service_tier(tier: str | None, word: str | None) -> None:
    body, losses = encoded(asked(service_tier=tier))

    assert body.get("serviceTier") == word
    assert losses == (["service_tier_dropped"] if tier == "scale" else [])


REFUSED = [
    pytest.param(asked(n=9), "n", id="D41 too many candidates"),
    pytest.param(asked(sampling=Sampling(stop=tuple("abcdef"))), "stop", id="D42 six stop strings"),
    pytest.param(asked(rejected=(Rejected(param="moderation", why="no"),)), "moderation", id="D9 rejected field"),
    pytest.param(asked(state=StateRef(previous_response_id="r")), "previous_response_id", id="H32 state"),
    pytest.param(asked(modalities=frozenset(("text", "audio"))), "modalities", id="H24 no voice"),
    pytest.param(
        asked(user("a"), user("b", Image(source=Url(url="https://img.example/cat.png")))),
        "messages[1].content[1]",
        id="H22 image by URL",
    ),
    pytest.param(
        asked(user(Image(source=Inline(media_type="image/gif", b64="R0"))), system=(Text(text="S"),)),
        "messages[1].content[0]",
        id="H21 GIF",
    ),
    pytest.param(
        asked(user(Document(source=FileRef(provider="chat", id="file-1")))), "messages[0].content[0]", id="file id"
    ),
    pytest.param(
        asked(user(Document(source=Inline(media_type="application/msword", b64="0M")))),
        "messages[0].content[0]",
        id="H23 office document",
    ),
]


@pytest.mark.parametrize(("request_", "param"), REFUSED)
def test_what_can_not_be_asked_is_refused(request_: Request, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        encoded(request_, CARD_3)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("name", "stream", "path"),
    [
        ("gemini-3-pro", False, "/v1beta/models/gemini-3-pro:generateContent"),
        ("gemini-3-pro", True, "/v1beta/models/gemini-3-pro:streamGenerateContent"),
        ("models/g", False, "/v1beta/models/g:generateContent"),
        ("tunedModels/my", False, "/v1beta/tunedModels/my:generateContent"),
        ("a/b ../c?", False, "/v1beta/models/a%2Fb%20..%2Fc%3F:generateContent"),
    ],
)
def test_the_path_names_the_model(name: str, stream: bool, path: str) -> None:
    written = encode_request(asked(stream=stream), profile(model=name))

    assert written.path == path
    assert written.query == ({"alt": "sse"} if stream else {})


def test_d3_the_same_request_gives_the_same_bytes() -> None:
    request = asked(user("q"), model(call("c1")), user(result("c1")), tools=(WEATHER,))

    assert encode_request(request, profile()).body == encode_request(request, profile()).body
