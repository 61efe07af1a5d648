"""Calls that go to no provider, and what their callers are told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from modelserver.clock import ManualClock
from modelserver.config import Config, parse_config
from modelserver.errors import GatewayError, NotAuthenticated
from modelserver.stores.keyfile import digest
from tests.support.scripted import WHOLE, Scripted, at_work, config, whole

MODELS = """
[[models]]
model_id = "claude-sonnet"
route = "up/claude"
aliases = ["sonnet"]
tags = ["cheap"]
[[models]]
model_id = "speech"
route = "up/speech"
types = "tts"
[[models]]
model_id = "codex"
route = "both/codex"
speaks = ["responses"]
[providers.both]
base_url = "http://both.invalid/v1"
key = "$UP_KEY"
speaks = ["chat", "responses"]
[groups.friends]
models = ["tag:cheap"]
[users.bob]
group = "friends"
[[keys]]
name = "bob"
user = "bob"
hash = "sha256:HASH"
[[keys]]
name = "old"
hash = "sha256:OLD"
expires = 2026-01-01
"""
BOB, OLD = "sk-ms-bob-0123456789", "sk-ms-old-0123456789"


def settings(**given: Any) -> Config:
    return config(more=MODELS.replace("HASH", digest(BOB)).replace("OLD", digest(OLD)), **given)


async def refusal_of(body: dict[str, Any], *, key: str | None = None, configured: Config | None = None) -> GatewayError:
    async with at_work(configured or settings(), Scripted(whole())) as work:
        given = {} if key is None else {"principal": work.gateway.authenticate(key)}
        caller = await work.begin(**body, **given)
        error = await caller.error()

        assert (work.transport.sends, caller.call.attempts, caller.call.usage) == (0, 0, None)
        assert caller.call.error is error
        return error


UNKNOWN = [
    pytest.param("nothing-like-it", "The model 'nothing-like-it' does not exist here.", id="nothing like it"),
    pytest.param("claude-sonet", "Did you mean claude-sonnet", id="a slip"),
    pytest.param("CLAUDE-SONNET", "Did you mean claude-sonnet", id="another case"),
    pytest.param("x" * 200, "x" * 100 + "…", id="a long name is cut"),
]


@pytest.mark.parametrize(("name", "said"), UNKNOWN)
async def test_an_unknown_model_is_named(name: str, said: str) -> None:
    error = await refusal_of({"model": name})

    assert (error.code, error.param) == ("model_not_found", "model")
    assert said in error.message


async def test_a_model_that_one_may_not_use_does_not_exist() -> None:
    denied = await refusal_of({"model": "m"}, key=BOB)
    unknown = await refusal_of({"model": "q"}, key=BOB)

    assert denied.message == unknown.message.replace("'q'", "'m'")
    assert (denied.code, denied.param) == (unknown.code, unknown.param)


async def test_near_misses_are_those_that_the_caller_may_use() -> None:
    error = await refusal_of({"model": "codexx"}, key=BOB)

    assert "codex " not in error.message.replace("codexx", "")


async def test_an_allowed_model_may_be_called_by_its_alias() -> None:
    async with at_work(settings(), Scripted(whole())) as work:
        caller = await work.begin(model="sonnet", principal=work.gateway.authenticate(BOB))

        assert (await caller.body()).startswith(b'{"model": "sonnet"')


async def test_a_provider_without_a_key_names_the_variable_that_is_missing() -> None:
    error = await refusal_of({}, configured=settings(environ={}))

    assert (error.code, error.retry_after_s) == ("no_provider_key", 60)
    assert "UP_KEY" in error.message


async def test_a_model_of_another_type_is_said_to_be_one() -> None:
    error = await refusal_of({"model": "speech"})

    assert (type(error).__name__, error.param) == ("Unsupported", "model")
    assert "tts" in error.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param({"messages": "Hi"}, "messages", id="messages"),
        pytest.param({"messages": []}, "messages", id="no message"),
        pytest.param({"stream": "yes"}, "stream", id="stream"),
        pytest.param({"model": 5}, "model", id="model"),
        pytest.param({"temperature": 3}, "temperature", id="temperature"),
    ],
)
async def test_a_field_that_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    error = await refusal_of(body)

    assert (type(error).__name__, error.param) == ("InvalidRequest", param)


CREDENTIALS = [
    pytest.param(None, "No API key was given", id="none"),
    pytest.param("", "No API key was given", id="empty"),
    pytest.param("sk-ms-nobody", "not valid here", id="unknown"),
    pytest.param(BOB.upper(), "not valid here", id="in another case"),
    pytest.param(BOB + " ", "not valid here", id="with a blank"),
    pytest.param("\udcff", "not valid here", id="bytes that are no text"),
]


@pytest.mark.parametrize(("credential", "said"), CREDENTIALS)
async def test_a_credential_that_is_no_key_is_refused(credential: str | None, said: str) -> None:
    async with at_work(settings(), Scripted(whole())) as work:
        with pytest.raises(NotAuthenticated, match=said):
            work.gateway.authenticate(credential)


async def test_a_key_works_until_the_end_of_its_last_day() -> None:
    transport = Scripted(whole(), clock=ManualClock(datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)))
    async with at_work(settings(), transport) as work:
        found = work.gateway.authenticate(OLD)
        await work.clock.advance(1)
        with pytest.raises(NotAuthenticated, match="expired on 2026-01-01"):
            work.gateway.authenticate(OLD)

    assert found.expires == date(2026, 1, 1)


async def test_an_open_server_takes_anyone() -> None:
    opened = parse_config('[server]\nopen = true\n[[models]]\nmodel_id = "x"\nroute = "mock/x"')
    async with at_work(opened, Scripted(whole())) as work:
        anyone = [work.gateway.authenticate(credential) for credential in (None, "anything")]

    assert [principal.user for principal in anyone] == ["local", "local"]


async def test_the_mock_needs_no_transport() -> None:
    mock = '[[models]]\nmodel_id = "x"\nroute = "mock/x"'
    async with at_work(config(more=mock), Scripted(whole())) as work:
        caller = await work.begin(model="x")
        body = await caller.body()

    assert (work.transport.sends, caller.call.provider) == (0, "mock")
    assert body != WHOLE
