"""Seals of earlier turns on their way through a client of another dialect, and what happens without them."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.dialogue import (
    ANTHROPIC,
    CALL,
    GEMINI,
    RESPONSES,
    SEALS,
    TOOL,
    UPSTREAMS,
    Upstream,
    seals_in,
)
from tests.support.native import ASKED, answered, native, say, sent, status_and_param
from tests.support.scripted import Answer, Caller, Scripted, Work, at_work, refusal

EACH = [pytest.param(each, id=each.dialect) for each in UPSTREAMS]
STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]


def message_of(body: bytes) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(body)["choices"][0]["message"]
    return message


def following(message: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """The conversation with the assistant's turn, narrowed to some fields, and the tool's result behind it."""
    said = {name: message[name] for name in names or message if message.get(name) is not None}
    return [ASKED, said, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "21 degrees"}]


IDS = ("role", "tool_calls")
"""What a client echoes that knows nothing of reasoning."""


def ids_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The following request of a client that echoes ids and texts only."""
    bare = copy.deepcopy(message)
    for call in bare["tool_calls"]:
        call.pop("extra_content", None)
    return following(bare, *IDS)


SEAL_REFUSALS = {
    "anthropic": refusal(
        400, type="invalid_request_error", message="messages.1.content.0: Invalid `signature` in `thinking` block"
    ),
    "gemini": refusal(400, message="Corrupted thought signature."),
    "responses": refusal(
        400,
        code="invalid_encrypted_content",
        message="The encrypted content for item rs_1 could not be verified.",
        type="invalid_request_error",
    ),
}
UNREADABLE = {"anthropic": [], "gemini": ["skip_thought_signature_validator"], "responses": []}
"""What stands for seals in a request without them."""


async def second(
    work: Work, each: Upstream, *answers: Answer, edit: Callable[[dict[str, Any]], None] | None = None
) -> Caller:
    """A turn that is answered, and the caller of the one that follows it."""
    work.transport.script(answered(each))
    message = message_of(await say(work))
    if edit is not None:
        edit(message)
    work.transport.script(*(answers or (answered(each, 1),)))
    caller = work.call(messages=following(message), tools=[TOOL])
    await work.over([caller], within_s=30)
    return caller


@pytest.mark.parametrize("each", EACH)
async def test_refused_seals_are_taken_out_and_the_request_is_sent_once_more(each: Upstream) -> None:
    """D58"""
    async with at_work(native(each, defaults="retries = 2"), Scripted()) as work:
        caller = await second(work, each, SEAL_REFUSALS[each.dialect], answered(each, 1))

        assert message_of(await caller.body())["content"] == "Sunny."
        assert work.transport.sends == 1 + 2
        assert seals_in(each.dialect, sent(work, 1)) == [SEALS[each.dialect]]
        assert seals_in(each.dialect, sent(work, 2)) == UNREADABLE[each.dialect]


@pytest.mark.parametrize("each", EACH)
async def test_refused_seals_are_taken_out_once_only(each: Upstream) -> None:
    """D58"""
    async with at_work(native(each, defaults="retries = 5"), Scripted()) as work:
        error = await (await second(work, each, SEAL_REFUSALS[each.dialect])).error()

        assert work.transport.sends == 1 + 2
    assert status_and_param(error)[0] == 400


@pytest.mark.parametrize("each", EACH)
async def test_refused_seals_are_not_taken_out_where_nothing_is_tried_again(each: Upstream) -> None:
    """D58"""
    async with at_work(native(each), Scripted()) as work:
        error = await (await second(work, each, SEAL_REFUSALS[each.dialect])).error()

        assert work.transport.sends == 1 + 1
    assert status_and_param(error)[0] == 400


@pytest.mark.parametrize("each", EACH)
async def test_a_request_without_seals_is_not_repaired(each: Upstream) -> None:
    async with at_work(native(each, defaults="retries = 5"), Scripted(SEAL_REFUSALS[each.dialect])) as work:
        await work.call().error()

        assert work.transport.sends == 1


THINKING = {ANTHROPIC.dialect: {"reasoning_effort": "high"}, GEMINI.dialect: {}, RESPONSES.dialect: {}}


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("each", EACH)
async def test_reasoning_that_a_client_leaves_out_is_remembered(each: Upstream, streamed: bool) -> None:
    """D45 D46 b"""
    asked = THINKING[each.dialect]
    transport = Scripted(answered(each, streamed=streamed), answered(each, 1))
    async with at_work(native(each), transport) as work:
        first = await say(work, stream=streamed, **asked)
        id = "call_1" if each is RESPONSES else "toolu_01"
        if each is GEMINI:
            id = first.split(b'"tool_calls":[{')[1].split(b'"id":"')[1].split(b'"')[0].decode()
        function = {"name": "weather", "arguments": json.dumps(CALL)}
        message = {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": function}]}
        await say(work, messages=ids_of(message), **asked)

        assert seals_in(each.dialect, sent(work)) == [SEALS[each.dialect]]
        assert ("thinking" in sent(work)) == (each is ANTHROPIC)


async def test_without_a_memory_a_tool_loop_goes_on_without_thinking() -> None:
    """D45 c"""
    asked = THINKING["anthropic"]
    async with at_work(native(ANTHROPIC), Scripted(answered(ANTHROPIC))) as work:
        message = message_of(await say(work, **asked))
        assert sent(work)["thinking"]["type"] == "enabled"
    async with at_work(native(ANTHROPIC), Scripted(answered(ANTHROPIC, 1))) as work:
        await say(work, messages=ids_of(message), **asked)

        assert sent(work).get("thinking", {"type": "disabled"}) == {"type": "disabled"}
        assert seals_in("anthropic", sent(work)) == []
        assert "reasoning_dropped" in work.callers[0].call.losses


async def test_without_a_memory_gemini_is_asked_to_do_without_the_signature() -> None:
    """D46 c"""
    async with at_work(native(GEMINI), Scripted(answered(GEMINI))) as work:
        message = message_of(await say(work))
    call = message["tool_calls"][0]
    message["tool_calls"].append({**call, "id": f"{call['id']}b"})
    asked = ids_of(message)
    asked.append({**asked[-1], "tool_call_id": f"{call['id']}b"})
    async with at_work(native(GEMINI), Scripted(answered(GEMINI, 1))) as work:
        await say(work, messages=asked)
        parts = [part for entry in sent(work)["contents"] for part in entry["parts"] if "functionCall" in part]

    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]


def flip(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(raw).decode()


def spoil(message: dict[str, Any], change: Callable[[str], str]) -> None:
    """Change every envelope."""
    for detail in message.get("reasoning_details") or ():
        for name in ("signature", "data"):
            if str(detail.get(name, "")).startswith("msE1"):
                detail[name] = change(detail[name])
    for call in message["tool_calls"]:
        google = (call.get("extra_content") or {}).get("google")
        if google:
            google["thought_signature"] = change(google["thought_signature"])


def retell(message: dict[str, Any]) -> None:
    """Change a letter of the reasoning, wherever it stands."""
    for name in ("reasoning_content", "reasoning"):
        if message.get(name):
            message[name] = message[name].replace("look", "book")
    for detail in message.get("reasoning_details") or ():
        for name in ("text", "summary"):
            if detail.get(name):
                detail[name] = detail[name].replace("look", "book")


FOREIGN = [
    pytest.param(None, "another-secret-9876543210", id="D50: of another account"),
    pytest.param(lambda message: spoil(message, flip), "native-secret-0123456789", id="D51: with a flipped bit"),
    pytest.param(retell, "native-secret-0123456789", id="D87: of a text that was edited"),
]


@pytest.mark.parametrize(("edit", "key"), FOREIGN)
@pytest.mark.parametrize("each", EACH)
async def test_an_envelope_that_does_not_fit_is_dropped(
    each: Upstream, edit: Callable[[dict[str, Any]], None] | None, key: str
) -> None:
    async with at_work(native(each), Scripted(answered(each))) as work:
        message = message_of(await say(work))
    assert b"msE1" in json.dumps(message).encode()
    if edit is not None:
        edit(message)
    async with at_work(native(each, key=key), Scripted(answered(each, 1))) as work:
        await say(work, messages=following(message))
        found = seals_in(each.dialect, sent(work))
        losses = work.callers[0].call.losses

    if each is GEMINI and edit is retell:  # the signature is of the call, which was not edited
        assert found == [SEALS["gemini"]]
        return
    assert found == UNREADABLE[each.dialect]
    assert b"msE1" not in json.dumps(sent(work)).encode()
    assert {"seal_dropped", "seal_missing"} & set(losses)
