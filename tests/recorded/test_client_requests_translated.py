"""What clients were seen to send to one dialect is asked of a provider of another, in that one's own types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.client_requests import ABSENT, ANSWERED, CAPTURED, PROVIDER, before
from tests.support.official_requests import check_request
from tests.support.service_rules import check_rules

TARGETS = [
    *(("chat", "vendor/model-1"), ("responses", "gpt-5.2")),
    *(("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-3.1-pro-preview")),
]
OTHERS = [
    *(("chat", "gpt-4.1"), ("chat", "gpt-6-luna"), ("responses", "gpt-4.1"), ("responses", "gpt-6-luna")),
    *(("anthropic", "claude-3-7-sonnet"), ("anthropic", "claude-sonnet-4-6"), ("anthropic", "claude-opus-4-8")),
    *(("anthropic", "claude-opus-5-5"), ("gemini", "gemini-2.0-flash"), ("gemini", "gemini-2.5-pro")),
    ("gemini", "gemini-3.8-flash"),
]


def pairs(targets: list[tuple[str, str]], *, every: int = 1) -> Any:
    """Each request that generates with each target that speaks another dialect; all but every so many are deep."""
    found = [
        (name, dialect, target)
        for name, each in ANSWERED.items()
        for dialect, target in targets
        if each.kind == "generate" and each.dialect != dialect
    ]
    return [
        pytest.param(*one, id=f"{one[0]} over {one[2]}", marks=() if number % every == 0 else pytest.mark.deep)
        for number, one in enumerate(found)
    ] or [pytest.param("", "", "", id="none", marks=pytest.mark.skip(reason=ABSENT))]


async def check_asked(name: str, dialect: str, target: str) -> None:
    """The request is answered, and what the provider was asked is of its types and within its rules."""
    async with before(PROVIDER[dialect], target) as both:
        answer = await both.server.ask(*CAPTURED[name].asked("m"))
        assert answer.status == 200, answer.body
        (sent,) = both.upstream.requests

    check_request(dialect, sent.json(), beta=sent.header("anthropic-beta") is not None)
    check_rules(dialect, sent.json())


@pytest.mark.sdk
@pytest.mark.parametrize(("name", "dialect", "target"), pairs(TARGETS, every=5))
async def test_a_request_is_asked_in_the_types_of_another_dialect(name: str, dialect: str, target: str) -> None:
    await check_asked(name, dialect, target)


@pytest.mark.sdk
@pytest.mark.deep
@pytest.mark.parametrize(("name", "dialect", "target"), pairs(OTHERS))
async def test_a_request_is_asked_as_each_model_takes_it(name: str, dialect: str, target: str) -> None:
    await check_asked(name, dialect, target)
