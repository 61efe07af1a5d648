"""`gateway.generate` and `gateway.stream`: the gateway for a program that wants no wire format."""

from __future__ import annotations

import json
from contextlib import aclosing

import attrs
import pytest

from modelserver.clock import settle
from modelserver.config import Limits, parse_config
from modelserver.errors import GatewayError, InvalidRequest, NotFound, RateLimited, UpstreamFailed
from modelserver.gateway.gateway import Gateway
from modelserver.ir.events import Delta, StreamEvent
from modelserver.ir.fold import fold
from modelserver.ir.parts import FinishReason, Message, Reasoning, Text, ToolCall, ToolResult
from modelserver.ir.request import FunctionTool, Request
from modelserver.policy.principals import LOCAL, Principal, Scope
from tests.support.dialogue import CALL, REASONING, SEALS, TOOL, UPSTREAMS, Upstream, seals_in
from tests.support.native import answered, native, sent
from tests.support.scripted import COMPLETE, ROLE, TEXT, Scripted, Work, at_work, config, refusal, stream, whole

ASKED = Message(role="user", parts=(Text(text="What is the weather in Paris?"),))
WEATHER = FunctionTool(name="weather", schema=TOOL["function"]["parameters"])
REQUEST = Request(dialect="chat", model="m", messages=(ASKED,), tools=(WEATHER,))
EACH = [pytest.param(each, id=each.dialect) for each in UPSTREAMS]


async def events_of(work: Work, request: Request, principal: Principal = LOCAL) -> list[StreamEvent]:
    async with aclosing(work.gateway.stream(request, principal=principal)) as events:
        return [event async for event in events]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("each", EACH)
async def test_a_tool_loop_with_reasoning_goes_round(each: Upstream, streamed: bool) -> None:
    transport = Scripted(answered(each, 0, streamed=streamed), answered(each, 1, streamed=streamed))
    async with at_work(native(each), transport) as work:
        if streamed:
            first = fold(await events_of(work, REQUEST))
        else:
            first = await work.gateway.generate(REQUEST)
        assert first is not None
        assert not isinstance(first, GatewayError)
        parts = first.choices[0].parts  # type: ignore[union-attr]
        thought = next(part for part in parts if isinstance(part, Reasoning))
        call = next(part for part in parts if isinstance(part, ToolCall))
        result = ToolResult(call_id=call.id, name=call.name, content=(Text(text="21 degrees"),))
        turns = (ASKED, Message(role="assistant", parts=parts), Message(role="user", parts=(result,)))
        second = await work.gateway.generate(attrs.evolve(REQUEST, messages=turns)) if not streamed else None

    assert (thought.text, call.name, json.loads(call.arguments)) == (REASONING, "weather", CALL)
    if second is not None:
        assert second.choices[0].parts == (Text(text="Sunny."),)
        assert second.model == "m"
        assert seals_in(each.dialect, sent(work)) == [SEALS[each.dialect]]


async def test_a_whole_answer_says_all() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        response = await work.gateway.generate(Request(dialect="chat", model="m", messages=(ASKED,)))

    (choice,) = response.choices
    assert choice.finish.reason is FinishReason.STOP
    assert response.usage is not None


async def test_the_mock_answers_without_a_network() -> None:
    mock = parse_config('[[models]]\nmodel_id = "mock"\nroute = "mock/mock"\n', environ={})
    async with Gateway.open(mock) as gateway:
        response = await gateway.generate(Request(dialect="chat", model="mock", messages=(ASKED,)))

    assert response.choices[0].parts[0] == Text(
        text='This is the mock model. You said: "What is the weather in Paris?"'
    )


async def test_settings_of_the_model_hold_where_the_request_has_none() -> None:
    settings = config(model="params = { temperature = 0.5, top_p = 0.25, max_tokens = 9 }")
    own = attrs.evolve(REQUEST, sampling=attrs.evolve(REQUEST.sampling, top_p=0.75))
    async with at_work(settings, Scripted(whole())) as work:
        await work.gateway.generate(own)

    body = sent(work)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.75)
    assert 9 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_an_unknown_model_is_refused() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        with pytest.raises(NotFound):
            await work.gateway.generate(attrs.evolve(REQUEST, model="none"))
        with pytest.raises(NotFound):
            await events_of(work, attrs.evolve(REQUEST, model="none"))


async def test_what_the_upstream_refuses_is_raised() -> None:
    async with at_work(config(), Scripted(refusal(400, message="No such city."))) as work:
        with pytest.raises(InvalidRequest, match=r"No such city\."):
            await events_of(work, REQUEST)


async def test_a_stream_that_breaks_off_raises_in_its_middle() -> None:
    got: list[StreamEvent] = []

    async def read(work: Work) -> None:
        async for event in work.gateway.stream(REQUEST):
            got.append(event)

    async with at_work(config(), Scripted(stream(ROLE, TEXT))) as work:
        with pytest.raises(UpstreamFailed):
            await read(work)

    assert any(isinstance(event, Delta) for event in got)


async def test_a_stream_that_is_left_lets_go_of_its_provider() -> None:
    async with at_work(config(), Scripted(stream(*COMPLETE))) as work:
        async with aclosing(work.gateway.stream(REQUEST)) as events:
            async for _ in events:
                break
        await settle()

    assert work.left_over() == {}


async def test_limits_hold() -> None:
    scope = Scope(kind="key", name="alice", limits=Limits(rpm=1))
    alice = Principal(key="alice", user="alice", group="default", scopes=(scope,))
    async with at_work(config(), Scripted(whole())) as work:
        await work.gateway.generate(REQUEST, principal=alice)
        with pytest.raises(RateLimited):
            await work.gateway.generate(REQUEST, principal=alice)
