"""What clients were seen to send reaches a provider of their own dialect as they wrote it, but for the model's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.client_requests import ABSENT, ANSWERED, PROVIDER, ClientRequest, before, compact
from tests.support.recordings import cases, load_recordings

ASKED = {name: each for name, each in ANSWERED.items() if each.kind != "other"}
RECORDED = {
    name: ClientRequest(
        name=name,
        dialect="chat",
        method="POST",
        path="/v1/chat/completions",
        headers={"Authorization": "Bearer ***"},
        body=dict(recording.asked),
    )
    for name, recording in load_recordings().items()
    if recording.status == 200
}
REQUESTS: Mapping[str, ClientRequest] = {**ASKED, **RECORDED}
NOTHING = f"{ABSENT}, nor recordings"

ASKING = b',"stream_options":{"include_usage":true}'


def spaced(body: Any) -> bytes:
    """As Python's json writes it: blanks behind commas, and escapes for all but ASCII."""
    return json.dumps(body).encode()


def pretty(body: Any) -> bytes:
    """As people write it, with a line end behind it."""
    return json.dumps(body, ensure_ascii=False, indent=2).encode() + b"\n"


def slashed(body: Any) -> bytes:
    """As PHP writes it: with escapes that JSON does not need."""
    return spaced(body).replace(b"/", b"\\/")


FORMS = [compact, spaced, pretty, slashed]


def expected(asked: ClientRequest, form: Callable[[Any], bytes], model: str) -> bytes:
    """The bytes that should reach the provider: usage is asked for at the end, where a Chat stream's client did not."""
    wire = form(asked.with_model("m")).replace(b'"m"', json.dumps(model).encode(), 1)
    if asked.dialect != "chat" or not asked.streams or "stream_options" in asked.with_model("m"):
        return wire
    end = wire.rindex(b"}")
    return wire[:end] + ASKING + wire[end:]


async def forwarded(asked: ClientRequest, form: Callable[[Any], bytes], model: str = "m") -> bytes:
    """The bytes that do."""
    async with before(PROVIDER[asked.dialect]) as both:
        answer = await both.server.ask(*asked.asked(model, form))

        assert answer.status == 200, answer.body
        (sent,) = both.upstream.requests
        return sent.body


@pytest.mark.parametrize("name", cases(REQUESTS, NOTHING, every=3))
async def test_a_clients_request_is_forwarded_with_the_bytes_it_came_in(name: str) -> None:
    """D5"""
    asked = REQUESTS[name]
    form = FORMS[list(REQUESTS).index(name) % len(FORMS)]

    assert expected(asked, form, PROVIDER[asked.dialect].model) == await forwarded(asked, form)


@pytest.mark.deep
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", cases(REQUESTS, NOTHING))
async def test_a_clients_request_is_forwarded_with_its_bytes_however_it_was_written(
    name: str, form: Callable[[Any], bytes]
) -> None:
    asked = REQUESTS[name]

    assert expected(asked, form, PROVIDER[asked.dialect].model) == await forwarded(asked, form)


@pytest.mark.parametrize("name", cases(ASKED, ABSENT, every=3))
async def test_without_an_alias_a_whole_answers_request_is_forwarded_untouched(name: str) -> None:
    asked = ASKED[name]
    model = PROVIDER[asked.dialect].model
    whole = ClientRequest(
        name=name,
        dialect=asked.dialect,
        method="POST",
        path=asked.path.replace(":streamGenerateContent?alt=sse", ":generateContent"),
        headers=asked.headers,
        body={field: value for field, value in asked.with_model(model).items() if field != "stream"},
    )

    assert compact(whole.body) == await forwarded(whole, compact, model)


@pytest.mark.skipif(not REQUESTS, reason=NOTHING)
def test_the_requests_hold_what_is_looked_for() -> None:
    chat = [each.body or {} for each in REQUESTS.values() if each.dialect == "chat" and each.streams]
    asking = [body for body in chat if "stream_options" in body]

    assert {each.dialect for each in ASKED.values()} == {"chat", "responses", "anthropic", "gemini"}
    assert (len(ASKED) > 400, len(asking) > 50, len(chat) - len(asking) > 10) == (True, True, True)
