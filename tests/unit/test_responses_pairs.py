"""Responses on one side, another dialect on the other: what must survive the way through both."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic import CODEC as ANTHROPIC
from modelserver.dialects.codec import Codec, Reading, Writing
from modelserver.dialects.gemini import CODEC as GEMINI
from modelserver.dialects.openai_responses import CODEC as RESPONSES
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import DialectName, Origin, Response
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"key")


def profile(dialect: DialectName, **card: Any) -> Profile:
    return Profile(
        model="up",
        origin=Origin(dialect=dialect, provider=dialect, account="a", model="up"),
        card=ModelCard(**card),
        sealer=SEALER,
        pseudonym=lambda user: "u_" + user,
    )


def writing(request: Request) -> Writing:
    return Writing(request=request, sealer=SEALER, seed="req", created=1)


OPENAI = profile("responses", reasoning=ReasoningCard(kind="effort"), custom_tools=True)
CLAUDE = profile("anthropic", reasoning=ReasoningCard(kind="budget"), cache="explicit_anthropic")
CALLED = {
    "id": "resp_1",
    "model": "up",
    "created_at": 1,
    "status": "completed",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "I should look."}],
            "encrypted_content": "gAAAAA-_payload=",
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
    ],
}


def test_d47_reasoning_of_openai_comes_back_through_an_anthropic_client() -> None:
    first = {"model": "fast", "max_tokens": 99, "messages": [{"role": "user", "content": "q"}]}
    request = ANTHROPIC.decode_request(orjson.dumps(first))
    answer = RESPONSES.decode_response(orjson.dumps(CALLED), Reading(request=request, profile=OPENAI))
    assert isinstance(answer, Response)
    message = orjson.loads(ANTHROPIC.encode_response(answer, writing(request)))
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "42"}
    second = {
        **first,
        "messages": [
            *first["messages"],  # type: ignore[misc]
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": [result]},
        ],
    }
    encoded = RESPONSES.encode_request(ANTHROPIC.decode_request(orjson.dumps(second)), OPENAI)

    assert message["content"][0]["signature"].startswith("msE1")
    assert orjson.loads(encoded.body)["input"][1:] == [
        CALLED["output"][0],  # type: ignore[index]
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]


def test_d48_thinking_of_anthropic_comes_back_through_a_responses_client() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    first = {
        "model": "fast",
        "input": [{"role": "user", "content": "q"}],
        "tools": [tool],
        "reasoning": {"effort": "high"},
    }
    request = RESPONSES.decode_request(orjson.dumps(first))
    thinking = {"type": "thinking", "thinking": "I should look.", "signature": "EqQBpayload="}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": [thinking, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    answer = ANTHROPIC.decode_response(orjson.dumps(body), Reading(request=request, profile=CLAUDE))
    assert isinstance(answer, Response)
    whole = orjson.loads(RESPONSES.encode_response(answer, writing(request)))
    output = {"type": "function_call_output", "call_id": "toolu_1", "output": "42"}
    second = {**first, "input": [*first["input"], *whole["output"], output]}  # type: ignore[misc]
    encoded = orjson.loads(ANTHROPIC.encode_request(RESPONSES.decode_request(orjson.dumps(second)), CLAUDE).body)

    assert whole["output"][0]["encrypted_content"].startswith("msE1")
    assert encoded["messages"][1]["content"][0] == thinking


CODEX = {
    "model": "fast",
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "prompt_cache_key": "k",
    "client_metadata": {"a": "b"},
    "input": [
        {"type": "message", "id": "msg_0", "role": "developer", "content": [{"type": "input_text", "text": "S"}]},
        {
            "type": "additional_tools",
            "tools": [
                {
                    "type": "namespace",
                    "name": "crm",
                    "description": "d",
                    "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
                },
                {
                    "type": "custom",
                    "name": "apply_patch",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
                },
                {"type": "web_search", "external_web_access": True, "search_content_types": ["text"]},
                {"type": "tool_search"},
                {"type": "image_generation"},
            ],
        },
        {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "q"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAA"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** x"},
        {"type": "custom_tool_call_output", "id": "cto_1", "call_id": "c1", "output": "ok"},
    ],
}


@pytest.mark.parametrize(
    ("codec", "target"),
    [pytest.param(ANTHROPIC, CLAUDE, id="anthropic"), pytest.param(GEMINI, profile("gemini"), id="gemini")],
)
def test_d35_d81_codex_runs_on_other_upstreams(codec: Codec, target: Profile) -> None:
    encoded = codec.encode_request(RESPONSES.decode_request(orjson.dumps(CODEX)), target)

    assert {"crm__find", "apply_patch"} <= encoded.reading.tools.keys()
    assert b"client_metadata" not in encoded.body
    assert b"gAAA" not in encoded.body
    assert {loss.code for loss in encoded.losses} >= {
        "hosted_tool_dropped:web_search",
        "hosted_tool_dropped:tool_search",
    }


def test_d27_d34_names_and_free_text_come_back() -> None:
    request = RESPONSES.decode_request(orjson.dumps(CODEX))
    encoded = ANTHROPIC.encode_request(request, CLAUDE)
    pieces = ['{"inp', 'ut":"*** Be', "gin\\nx\\ud83d", '\\ude00"}']
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "up", "usage": {"input_tokens": 1}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t0", "name": "crm__find", "input": {}},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t1", "name": "apply_patch", "input": {}},
        },
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    wire = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    decoder, encoder = ANTHROPIC.stream_decoder(encoded.reading), RESPONSES.stream_encoder(writing(request))
    out = b"".join(encoder.feed(event) for event in decoder.feed(wire))
    frames = [orjson.loads(frame.partition(b"\ndata: ")[2]) for frame in out.split(b"\n\n")[:-1]]
    find, patch = frames[-1]["response"]["output"]
    deltas = [frame["delta"] for frame in frames if frame["type"] == "response.custom_tool_call_input.delta"]

    assert (find["type"], find["namespace"], find["name"]) == ("function_call", "crm", "find")
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", "*** Begin\nx😀")
    assert deltas == ["*** Be", "gin\nx", "😀"]
