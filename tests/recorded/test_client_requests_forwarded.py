"""What clients were seen to send reaches the provider as they wrote it, but for the name of the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.recordings import Stage, cases, load_client_requests, load_recordings, sent, stage
from tests.support.upstream import json_answer

CAPTURED = load_client_requests()
RECORDED = {name: dict(recording.asked) for name, recording in load_recordings().items() if recording.status == 200}
# Made in order to see the refusal.
REFUSED = {"openai-py/33"}
BODIES = {name: body for name, body in {**CAPTURED, **RECORDED}.items() if name not in REFUSED}
ABSENT = "neither client requests nor recordings in ../shared"

ALIAS = "the-name-that-the-client-uses"
TARGET = "vendor/what-it-is-called-there:1"
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}]}
ASKING = b',"stream_options":{"include_usage":true}'


def compact(body: Any) -> bytes:
    """As JSON.stringify and the Python client write it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


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


def expected(name: str, form: Callable[[Any], bytes]) -> bytes:
    """The bytes that should reach the provider: usage is asked for at the end, where a stream's client did not ask."""
    body = BODIES[name]
    wire = form({**body, "model": ALIAS}).replace(json.dumps(ALIAS).encode(), json.dumps(TARGET).encode(), 1)
    if not body.get("stream") or "stream_options" in body:
        return wire
    end = wire.rindex(b"}")
    return wire[:end] + ASKING + wire[end:]


async def forwarded(running: Stage, name: str, form: Callable[[Any], bytes]) -> bytes:
    """The bytes that do."""
    running.upstream.script(json_answer(ANSWER))

    played = await running.send(form({**BODIES[name], "model": ALIAS}))

    assert played.answer.status == 200, played.answer.body
    return sent(running).body


@pytest.mark.parametrize("name", cases(BODIES, ABSENT, every=5))
async def test_a_clients_request_is_forwarded_with_the_bytes_it_came_in(name: str) -> None:
    form = FORMS[list(BODIES).index(name) % len(FORMS)]
    async with stage({ALIAS: TARGET}) as running:
        body = await forwarded(running, name, form)

    assert expected(name, form) == body


@pytest.mark.deep
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", cases(BODIES, ABSENT))
async def test_a_clients_request_is_forwarded_with_its_bytes_however_it_was_written(
    name: str, form: Callable[[Any], bytes]
) -> None:
    async with stage({ALIAS: TARGET}) as running:
        body = await forwarded(running, name, form)

    assert expected(name, form) == body


@pytest.mark.parametrize("name", cases([name for name in BODIES if name in CAPTURED], ABSENT, every=5))
async def test_without_an_alias_a_whole_answers_request_is_forwarded_untouched(name: str) -> None:
    body = compact({**BODIES[name], "model": ALIAS, "stream": False})
    async with stage({ALIAS: ALIAS}) as running:
        running.upstream.script(json_answer(ANSWER))
        await running.send(body)

        assert body == sent(running).body


@pytest.mark.skipif(not BODIES, reason=ABSENT)
def test_the_requests_hold_what_is_looked_for() -> None:
    asking = [body for body in BODIES.values() if body.get("stream") and "stream_options" in body]
    silent = [body for body in BODIES.values() if body.get("stream") and "stream_options" not in body]

    assert (len(BODIES) > 200, len(asking) > 50, len(silent) > 10) == (True, True, True)
