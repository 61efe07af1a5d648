"""Tools of Codex that other dialects do not have: those of a namespace, and those whose input is free text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.agents import LOOPS, Loop, ask
from tests.support.client_requests import ABSENT, CAPTURED, PROVIDER
from tests.support.official_requests import check_request
from tests.support.official_streams import read_stream
from tests.support.pairs import Meeting, meeting
from tests.support.service_rules import check_rules
from tests.support.speech import REASONING, Call, Provider, Turn
from tests.support.wires import events_of

pytestmark = [pytest.mark.sdk, pytest.mark.skipif("codex" not in LOOPS, reason=ABSENT)]

FOREIGN = [pytest.param(PROVIDER[dialect], id=f"over {dialect}") for dialect in ("chat", "anthropic", "gemini")]
SPAWN = Call("multi_agent_v1__spawn_agent", {"message": "Look for it."})
"""A tool of a namespace, as another dialect calls it."""
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
}
DONE = Turn(text="Done.")


def codex() -> Loop:
    return LOOPS["codex"]


def with_patch() -> dict[str, Any]:
    """Its first request with a tool for patches, as it declares one for other models."""
    first = codex().first
    return {**first, "tools": [*first["tools"], PATCH]}


def going_on(body: dict[str, Any], *items: dict[str, Any]) -> dict[str, Any]:
    return {**body, "input": [*body["input"], *items]}


async def items_of(both: Meeting, turn: Turn, body: dict[str, Any]) -> tuple[list[Any], bytes]:
    """The output of an answer as the last event has it, and the stream."""
    both.script(turn, streamed=True)
    answer = await ask(both, codex(), body)
    assert answer.status == 200, answer.body
    read_stream("responses", answer.body)
    return events_of(answer.body)[-1][1]["response"]["output"], answer.body


def check_sent(both: Meeting) -> None:
    for sent in both.upstream.requests:
        check_request(both.provider.dialect, sent.json())
        check_rules(both.provider.dialect, sent.json())


@pytest.mark.parametrize("provider", FOREIGN)
async def test_d27_a_tool_of_a_namespace_is_called_under_its_own_name_and_namespace(provider: Provider) -> None:
    body = codex().first
    async with meeting(provider) as both:
        items, _ = await items_of(both, Turn(reasoning=REASONING, calls=[SPAWN]), body)
        *thoughts, call = items
        result = {"type": "function_call_output", "id": "fco_1", "call_id": call["call_id"], "output": "agent 7"}
        await items_of(both, DONE, going_on(body, *thoughts, call, result))
        check_sent(both)

    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "multi_agent_v1", "spawn_agent")
    assert json.loads(call["arguments"]) == SPAWN.arguments
    assert SPAWN.name in both.heard[0].tools
    assert both.heard[1].calls == (SPAWN,)
    assert both.heard[1].results == ((SPAWN, "agent 7"),)
    assert both.heard[1].seals == (provider.seal,)


@pytest.mark.parametrize("provider", FOREIGN)
async def test_d27_every_tool_of_every_namespace_is_declared_once(provider: Provider) -> None:
    declared = codex().first["tools"]
    names = [tool["name"] for tool in declared if tool["type"] == "function"]
    names += [
        f"{space['name']}__{tool['name']}"
        for space in declared
        if space["type"] == "namespace"
        for tool in space["tools"]
    ]
    async with meeting(provider) as both:
        await items_of(both, DONE, codex().first)

    assert sorted(names) == sorted(both.heard[0].tools)


PATCHES = [
    pytest.param("*** Begin Patch\n*** Add File: a.txt\n+pong-42\n*** End Patch\n", id="a patch"),
    pytest.param('+print("\\\\ \\" \t")\r\n', id="escapes"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("text", PATCHES)
@pytest.mark.parametrize("provider", FOREIGN)
async def test_d34_free_text_arrives_as_it_is_and_goes_back(provider: Provider, text: str) -> None:
    patch = Call("apply_patch", {"input": text})
    body = with_patch()
    async with meeting(provider) as both:
        items, stream = await items_of(both, Turn(reasoning=REASONING, calls=[patch]), body)
        *thoughts, call = items
        result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Success."}
        await items_of(both, DONE, going_on(body, *thoughts, call, result))
        check_sent(both)

    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "apply_patch", text)
    assert text == deltas(stream)
    assert both.heard[1].calls == (patch,)
    assert both.heard[1].results == ((patch, "Success."),)
    assert both.heard[1].seals == (provider.seal,)


def deltas(stream: bytes) -> str:
    """The free text as it came."""
    events = [data for _, data in events_of(stream)]
    return "".join(event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta")


@pytest.mark.parametrize("shift", range(0, 26, 2))
@pytest.mark.parametrize("provider", [each for each in FOREIGN if each.id != "over gemini"])
async def test_d34_a_sign_that_is_cut_within_its_escape_arrives_whole(provider: Provider, shift: int) -> None:
    text = f"12345678😀{'x' * shift}"  # the arguments come in two halves
    async with meeting(provider) as both:
        (call,), stream = await items_of(both, Turn(calls=[Call("apply_patch", {"input": text})]), with_patch())

    assert (call["input"], deltas(stream)) == (text, text)


SEARCHES = {
    "chat": [],
    "anthropic": [{"type": "web_search_20250305", "name": "web_search"}],
    "gemini": [{"googleSearch": {}}],
}
WORDS = {"chat": "hosted_tool_dropped:web_search"}


@pytest.mark.parametrize("provider", FOREIGN)
async def test_d81_its_web_search_is_the_providers_own_or_left_out(provider: Provider) -> None:
    async with meeting(provider) as both:
        both.script(DONE, streamed=True)
        answer = await ask(both, codex(), codex().first)
        (sent,) = both.upstream.requests

    hosted = [tool for tool in sent.json()["tools"] if "search" in f"{tool.get('type')} {list(tool)}".lower()]
    assert hosted == SEARCHES[provider.dialect]
    assert WORDS.get(provider.dialect, "") in (answer.header("X-ModelServer-Dropped") or "")


async def test_d81_d97_its_websocket_is_told_to_use_http() -> None:
    async with meeting(PROVIDER["anthropic"]) as both:
        answer = await both.server.ask(*CAPTURED["codex-openai/01"].asked("m"))

    assert (answer.status, both.upstream.requests) == (426, [])
