"""Clients whose own API the provider has: bytes pass, and what else such a call needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Counter, Dialect
from modelserver.dialects.gemini import GEMINI, GEMINI_ARRAY
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.errors import GatewayError, NotFound
from modelserver.gateway.call import Call
from modelserver.ir.types import NOWHERE, Address
from modelserver.policy.access import ModelRule
from modelserver.policy.principals import LOCAL, Principal
from tests.support.dialogue import ANTHROPIC as ANTHROPIC_SAYS
from tests.support.dialogue import GEMINI as GEMINI_SAYS
from tests.support.dialogue import RESPONSES as RESPONSES_SAYS
from tests.support.dialogue import Upstream
from tests.support.native import native
from tests.support.scripted import COMPLETE, Answer, Caller, Scripted, Work, at_work, config, refusal, stream, whole

ASKED = {"role": "user", "content": "Hi"}
BOB = Principal(key="phone", user="bob", group="default")


def begin(
    work: Work,
    dialect: Dialect,
    wire: object,
    *,
    address: Address = NOWHERE,
    principal: Principal = LOCAL,
    counter: Counter | None = None,
    passed: Mapping[str, str] | None = None,
) -> Caller:
    """A call of a client of a dialect, begun; `wire` is its body, as text or to be written."""
    call = Call(
        id=f"req_{len(work.callers)}",
        dialect=dialect,
        wire=wire if isinstance(wire, bytes) else json.dumps(wire).encode(),
        principal=principal,
        started_s=work.clock.now_s(),
        address=address,
        counter=counter,
        passed=passed or {},
    )
    caller = Caller(work.gateway, call)
    work.callers.append(caller)
    return caller


def as_it_comes(each: Upstream) -> tuple[Answer, bytes]:
    frames = each.frames(1)
    return stream(*frames), b"".join(frames)


AT = Address(model="m")
STREAMED = Address(model="m", stream=True)
PASSING = [
    pytest.param(
        ANTHROPIC,
        ANTHROPIC_SAYS,
        b'{"max_tokens":9,  "messages":[{"role":"user","content":"Hi"}],"model":"m","x":1.0}',
        b'{"max_tokens":9,  "messages":[{"role":"user","content":"Hi"}],"model":"claude-sonnet-4-5","x":1.0}',
        NOWHERE,
        "http://up.invalid/v1/messages",
        id="anthropic",
    ),
    pytest.param(
        RESPONSES,
        RESPONSES_SAYS,
        b'{"input":"Hi", "model":"m","x":1.0,"store":false}',
        b'{"input":"Hi", "model":"gpt-5.2","x":1.0,"store":false}',
        NOWHERE,
        "http://up.invalid/v1/responses",
        id="responses",
    ),
    pytest.param(
        GEMINI,
        GEMINI_SAYS,
        b'{"contents":[{"parts":[{"text":"Hi"}]}],  "x":1.0}',
        b'{"contents":[{"parts":[{"text":"Hi"}]}],  "x":1.0}',
        AT,
        "http://up.invalid/v1beta/models/gemini-3.1-pro-preview:generateContent",
        id="gemini",
    ),
]


@pytest.mark.parametrize(("dialect", "each", "wire", "forwarded", "address", "url"), PASSING)
async def test_bytes_pass_both_ways(
    dialect: Dialect, each: Upstream, wire: bytes, forwarded: bytes, address: Address, url: str
) -> None:
    raw = json.dumps(each.second, indent=2).encode()
    transport = Scripted(whole(raw))
    async with at_work(native(each), transport) as work:
        body = await begin(work, dialect, wire, address=address).body()

    (sent,) = transport.requests
    assert (sent.url, sent.body) == (url, forwarded)
    # The name that the client asked for stands in place of the provider's, and nothing else has changed.
    assert body == raw.replace(f'"{each.model}"'.encode(), b'"m"', 1)


STREAMS = [
    pytest.param(
        ANTHROPIC, ANTHROPIC_SAYS, {"model": "m", "max_tokens": 9, "messages": [ASKED]}, NOWHERE, id="anthropic"
    ),
    pytest.param(RESPONSES, RESPONSES_SAYS, {"model": "m", "input": "Hi"}, NOWHERE, id="responses"),
    pytest.param(GEMINI, GEMINI_SAYS, {"contents": [{"parts": [{"text": "Hi"}]}]}, STREAMED, id="gemini"),
]


@pytest.mark.parametrize(("dialect", "each", "body", "address"), STREAMS)
async def test_streams_pass_frame_by_frame(
    dialect: Dialect, each: Upstream, body: dict[str, Any], address: Address
) -> None:
    answer, raw = as_it_comes(each)
    asked = body if address.stream else {**body, "stream": True}
    async with at_work(native(each), Scripted(answer)) as work:
        caller = begin(work, dialect, asked, address=address)
        got = await caller.body()

    assert got == raw.replace(f'"{each.model}"'.encode(), b'"m"')
    assert caller.call.usage is not None
    assert (caller.call.usage.input, caller.call.usage.output, caller.call.usage_estimated) == (5, 2, False)


@pytest.mark.parametrize(("dialect", "each", "body", "address"), STREAMS)
async def test_a_whole_answer_becomes_the_stream_that_was_asked_for(
    dialect: Dialect, each: Upstream, body: dict[str, Any], address: Address
) -> None:
    asked = body if address.stream else {**body, "stream": True}
    async with at_work(native(each), Scripted(whole(json.dumps(each.second).encode()))) as work:
        got = await begin(work, dialect, asked, address=address).body()

    assert b"Sunny." in got
    assert got.startswith((b"event: ", b"data: "))
    assert {"anthropic": b"message_stop", "responses": b"response.completed", "gemini": b'"STOP"'}[each.dialect] in got


async def test_an_array_is_made_of_the_provider_s_own_chunks() -> None:
    answer, _ = as_it_comes(GEMINI_SAYS)
    transport = Scripted(answer)
    async with at_work(native(GEMINI_SAYS), transport) as work:
        got = await begin(work, GEMINI_ARRAY, {"contents": [{"parts": [{"text": "Hi"}]}]}, address=STREAMED).body()

    chunks = [{**chunk, "modelVersion": "m"} for _, chunk in GEMINI_SAYS.second_stream]
    assert json.loads(got) == chunks
    assert transport.requests[0].url.endswith(":streamGenerateContent?alt=sse")


async def test_the_clients_betas_stand_beside_the_configured_ones() -> None:
    transport = Scripted(whole(json.dumps(ANTHROPIC_SAYS.second).encode()))
    configured = native(ANTHROPIC_SAYS, provider='headers = { Anthropic-Beta = "house-1" }')
    async with at_work(configured, transport) as work:
        passed = {"anthropic-version": "2026-10-21", "anthropic-beta": "mine-1"}
        await begin(work, ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": [ASKED]}, passed=passed).body()

    headers = {name.lower(): value for name, value in transport.requests[0].headers.items()}
    assert (headers["anthropic-version"], headers["anthropic-beta"]) == ("2026-10-21", "house-1,mine-1")


# What providers keep belongs to the key that it was made for.

FIRST = {"model": "m", "input": "Hi"}


def following(id: str) -> dict[str, Any]:
    return {"model": "m", "input": "And now?", "previous_response_id": id}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_response_can_be_gone_on_from_by_its_own_key_only(streamed: bool) -> None:
    each = RESPONSES_SAYS
    answer = stream(*each.frames(1)) if streamed else whole(json.dumps(each.second).encode())
    transport = Scripted(answer)
    async with at_work(native(each), transport) as work:
        await begin(work, RESPONSES, {**FIRST, "stream": streamed}).body()
        await begin(work, RESPONSES, {**following("resp_1"), "stream": streamed}).body()
        foreign = await begin(work, RESPONSES, following("resp_1"), principal=BOB).error()
        unknown = await begin(work, RESPONSES, following("resp_2")).error()

    assert json.loads(transport.requests[1].body or b"")["previous_response_id"] == "resp_1"
    for error in (foreign, unknown):
        assert isinstance(error, NotFound)
        assert (error.param, error.code) == ("previous_response_id", "not_found")
    assert len(transport.requests) == 2


async def test_an_item_can_be_referred_to_by_its_own_key_only() -> None:
    each = RESPONSES_SAYS
    transport = Scripted(whole(json.dumps(each.second).encode()))
    referring = {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "?"}]}
    async with at_work(native(each), transport) as work:
        early = await begin(work, RESPONSES, referring).error()
        await begin(work, RESPONSES, FIRST).body()
        await begin(work, RESPONSES, referring).body()

    assert (early.param, early.code) == ("input[0].id", "not_found")


async def test_what_is_not_stored_can_not_be_referred_to() -> None:
    each = RESPONSES_SAYS
    unkept = {**each.second, "store": False}
    async with at_work(native(each), Scripted(whole(json.dumps(unkept).encode()))) as work:
        await begin(work, RESPONSES, {**FIRST, "store": False}).body()
        error = await begin(work, RESPONSES, following("resp_1")).error()

    assert error.code == "not_found"


# Seals that another provider made do not reach this one.


async def test_a_seal_of_another_provider_is_left_out() -> None:
    """The first turn was answered by a model of another API; its reasoning is none of Anthropic's."""
    other, own = RESPONSES_SAYS, ANTHROPIC_SAYS
    config = native(
        own,
        more="""
[providers.other]
base_url = "http://other.invalid/v1"
key = "other-secret-0123456789"
speaks = ["responses"]
[[models]]
model_id = "o"
route = "other/gpt-5.2"
""",
    )
    asked = {"max_tokens": 2000, "messages": [ASKED]}
    transport = Scripted(whole(json.dumps(other.first).encode()), whole(json.dumps(own.second).encode()))
    async with at_work(config, transport) as work:
        first = json.loads(await begin(work, ANTHROPIC, {"model": "o", **asked}).body())
        call = next(block for block in first["content"] if block["type"] == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Sun."}
        turns = [ASKED, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
        await begin(work, ANTHROPIC, {"model": "m", "max_tokens": 2000, "messages": turns, "x_new": 1}).body()

    sent = json.loads(transport.requests[1].body or b"")
    assert any(block["type"] == "thinking" and block["signature"].startswith("msE1") for block in first["content"])
    assert b"msE1" not in (transport.requests[1].body or b"")
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["tool_use"]
    assert sent["x_new"] == 1


# Counting.

CONTENTS = {"contents": [{"parts": [{"text": "Hi"}]}]}
COUNTS = {"anthropic": {"input_tokens": 7}, "responses": {"input_tokens": 7}, "gemini": {"totalTokens": 7}}
COUNTERS = [
    pytest.param(ANTHROPIC, {"model": "m", "messages": [ASKED]}, NOWHERE, {"input_tokens": 7}, id="anthropic"),
    pytest.param(RESPONSES, {"model": "m", "input": "Hi"}, NOWHERE, {"input_tokens": 7}, id="responses"),
    pytest.param(GEMINI, CONTENTS, AT, {"totalTokens": 7}, id="gemini"),
]
PATHS = {
    "anthropic": "/v1/messages/count_tokens",
    "responses": "/v1/responses/input_tokens",
    "gemini": "/v1beta/models/gemini-3.1-pro-preview:countTokens",
}


@pytest.mark.parametrize("each", [ANTHROPIC_SAYS, RESPONSES_SAYS, GEMINI_SAYS], ids=lambda each: f"at {each.dialect}")
@pytest.mark.parametrize(("dialect", "body", "address", "expected"), COUNTERS)
async def test_d82_tokens_are_counted_where_the_model_is(
    each: Upstream, dialect: Dialect, body: dict[str, Any], address: Address, expected: dict[str, int]
) -> None:
    transport = Scripted(whole(json.dumps(COUNTS[each.dialect]).encode()))
    async with at_work(native(each), transport) as work:
        caller = begin(work, dialect, body, address=address, counter=dialect.counter)
        got = json.loads(await caller.body())

    (sent,) = transport.requests
    fields = json.loads(sent.body or b"")
    assert expected.items() <= got.items()
    assert sent.url == f"http://up.invalid{PATHS[each.dialect]}"
    assert not {"stream", "max_tokens"} & fields.keys()
    assert (caller.call.count_estimated, caller.call.usage_estimated) == (False, False)


@pytest.mark.parametrize(("dialect", "body", "address", "expected"), COUNTERS)
async def test_d82_tokens_are_estimated_where_nobody_counts(
    dialect: Dialect, body: dict[str, Any], address: Address, expected: dict[str, int]
) -> None:
    chat = Upstream(
        dialect="chat", model="x", first={}, second={}, first_stream=(), second_stream=(), usage=(0, 0, 0, 0)
    )
    transport = Scripted(whole())
    async with at_work(native(chat), transport) as work:
        caller = begin(work, dialect, body, address=address, counter=dialect.counter)
        got = json.loads(await caller.body())

    (tokens,) = [value for value in got.values() if isinstance(value, int)]
    assert (transport.requests, caller.call.count_estimated) == ([], True)
    assert tokens == 9


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_provider_without_the_endpoint_has_its_tokens_estimated(status: int) -> None:
    transport = Scripted(refusal(status))
    async with at_work(native(ANTHROPIC_SAYS), transport) as work:
        caller = begin(work, ANTHROPIC, {"model": "m", "messages": [ASKED]}, counter=ANTHROPIC.counter)
        got = json.loads(await caller.body())

    assert (got, caller.call.count_estimated) == ({"input_tokens": 9}, True)


@pytest.mark.parametrize(("status", "code"), [(401, "upstream_auth_error"), (400, None)])
async def test_another_refusal_of_a_count_is_an_error(status: int, code: str | None) -> None:
    async with at_work(native(ANTHROPIC_SAYS), Scripted(refusal(status))) as work:
        error = await begin(work, ANTHROPIC, {"model": "m", "messages": [ASKED]}, counter=ANTHROPIC.counter).error()

    assert isinstance(error, GatewayError)
    assert error.code == code


# Providers that answer in one form only.


async def test_a_provider_that_only_streams_answers_whole() -> None:
    transport = Scripted(stream(*COMPLETE))
    async with at_work(config(provider="quirks = { stream_only = true }"), transport) as work:
        said = json.loads(await work.call().body())

    assert json.loads(transport.requests[0].body or b"")["stream"] is True
    assert said["object"] == "chat.completion"
    assert said["choices"][0]["message"]["content"]


async def test_a_provider_that_does_not_stream_answers_as_a_stream() -> None:
    transport = Scripted(whole())
    async with at_work(config(provider="quirks = { no_stream = true }"), transport) as work:
        got = await work.call(stream=True).body()

    assert "stream" not in json.loads(transport.requests[0].body or b"")
    assert got.endswith(b"data: [DONE]\n\n")


# Settings of the model.

PARAMS = """
params = { temperature = 0.5, seed = 7, reasoning_effort = "low", max_tokens = 9, vendor_word = "x" }
reasoning = { kind = "effort" }
"""
SETTLED = [
    pytest.param(ANTHROPIC, {"model": "m", "max_tokens": 5, "messages": [ASKED]}, NOWHERE, 5, id="anthropic"),
    pytest.param(RESPONSES, {"model": "m", "input": "Hi"}, NOWHERE, 9, id="responses"),
    pytest.param(GEMINI, CONTENTS, AT, 9, id="gemini"),
]


@pytest.mark.parametrize(("dialect", "body", "address", "limit"), SETTLED)
async def test_a_models_settings_reach_its_provider_whatever_the_client_speaks(
    dialect: Dialect, body: dict[str, Any], address: Address, limit: int
) -> None:
    transport = Scripted(whole())
    async with at_work(config(model=PARAMS), transport) as work:
        await begin(work, dialect, body, address=address).body()

    sent = json.loads(transport.requests[0].body or b"")
    assert (sent["temperature"], sent["seed"], sent["reasoning_effort"], sent["vendor_word"]) == (0.5, 7, "low", "x")
    assert limit in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


async def test_what_the_client_says_wins_over_a_models_settings() -> None:
    transport = Scripted(whole())
    body = {"model": "m", "max_tokens": 5, "messages": [ASKED], "temperature": 0, "output_config": {"effort": "high"}}
    async with at_work(config(model=PARAMS), transport) as work:
        await begin(work, ANTHROPIC, body).body()

    sent = json.loads(transport.requests[0].body or b"")
    assert (sent["temperature"], sent["reasoning_effort"]) == (0, "high")


async def test_a_count_leaves_out_seals_of_other_providers() -> None:
    transport = Scripted(whole(b'{"input_tokens":7}'))
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "msE1" + "A" * 80}
    turns = [ASKED, {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]}, ASKED]
    async with at_work(native(ANTHROPIC_SAYS), transport) as work:
        body = {"model": "m", "messages": turns}
        got = json.loads(await begin(work, ANTHROPIC, body, counter=ANTHROPIC.counter).body())

    assert got == {"input_tokens": 7}
    assert b"msE1" not in (transport.requests[0].body or b"")


OTHER_MODELS = [
    pytest.param(CHAT, "chat", {"messages": [ASKED], "models": ["m", "dear"]}, "models", id="OpenRouter"),
    pytest.param(
        ANTHROPIC,
        "anthropic",
        {"max_tokens": 9, "messages": [ASKED], "fallbacks": [{"model": "dear"}]},
        "fallbacks",
        id="Anthropic",
    ),
]


@pytest.mark.parametrize(("dialect", "speaks", "body", "param"), OTHER_MODELS)
async def test_a_key_for_some_models_can_not_name_others_for_the_provider(
    dialect: Dialect, speaks: str, body: dict[str, Any], param: str
) -> None:
    narrow = attrs.evolve(BOB, rules=(ModelRule(("m",)),))
    each = attrs.evolve(ANTHROPIC_SAYS, dialect=speaks)
    transport = Scripted(whole() if speaks == "chat" else whole(json.dumps(ANTHROPIC_SAYS.second).encode()))
    async with at_work(native(each), transport) as work:
        error = await begin(work, dialect, {"model": "m", **body}, principal=narrow).error()
        await begin(work, dialect, {"model": "m", **body}, principal=BOB).body()

    assert (error.param, error.code) == (param, "unsupported_parameter")
    assert param in json.loads(transport.requests[0].body or b"")


async def test_what_one_account_keeps_is_not_asked_of_another() -> None:
    each = RESPONSES_SAYS
    transport = Scripted(whole(json.dumps(each.second).encode()))
    moved = native(each, key="another-secret-0123456789")
    async with at_work(native(each), transport, load=lambda: moved) as work:
        await begin(work, RESPONSES, FIRST).body()
        await work.gateway.reload()
        error = await begin(work, RESPONSES, following("resp_1")).error()

    assert error.code == "not_found"
