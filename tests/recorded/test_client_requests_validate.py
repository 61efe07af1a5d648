"""Every Chat request that real clients were seen to send, and that a provider accepted, is accepted here."""

from __future__ import annotations

import orjson
import pytest

from modelserver.dialects.openai_chat.request import check_request
from modelserver.dialects.reading import parse_body
from modelserver.errors import InvalidRequest
from tests.support.client_requests import CAPTURED as REQUESTS
from tests.support.recordings import load_recordings

# What a client was made to send in order to see the refusal.
REFUSED = {"openai-py/33": "messages"}

CAPTURED = {name: dict(each.body or {}) for name, each in REQUESTS.items() if each.dialect == "chat"}
RECORDED = {name: dict(recording.asked) for name, recording in load_recordings().items() if recording.status == 200}
WANTED = {**CAPTURED, **RECORDED}
ACCEPTED = {name: body for name, body in WANTED.items() if name not in REFUSED}

no_captures = pytest.mark.skipif(not CAPTURED, reason="no client requests in ../shared")
no_recordings = pytest.mark.skipif(not RECORDED, reason="no recordings in ../shared")


@pytest.mark.skipif(not ACCEPTED, reason="neither client requests nor recordings in ../shared")
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_request_that_worked_elsewhere_is_accepted(name: str) -> None:
    body = ACCEPTED[name]

    assert check_request(parse_body(orjson.dumps(body))).model == body["model"]


@no_captures
@pytest.mark.parametrize(("name", "param"), REFUSED.items())
def test_a_request_that_was_made_wrong_is_refused(name: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(CAPTURED[name])

    assert caught.value.param == param


@no_captures
def test_the_captures_hold_what_is_looked_for() -> None:
    assert len(CAPTURED) > 100


@no_recordings
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert len(RECORDED) > 100
