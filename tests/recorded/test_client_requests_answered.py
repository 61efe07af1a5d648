"""How every request that clients were seen to send is answered, whatever the provider speaks: with 200, or as said."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import ModelInfo as AnthropicModel
from google.genai.types import Model as GeminiModel
from openai.types import Model as OpenAIModel

from tests.support.client_requests import ABSENT, CAPTURED, FOLDER, PROVIDER, REFUSED, ClientRequest, before
from tests.support.front import Answer
from tests.support.recordings import cases
from tests.support.speakers import SPEAKERS

THREAD = (400, "invalid_request_error")
NOT_OFFERED = (404, "not_found")
ELSEWHERE = (400, "unsupported_parameter")

# Paths that are not served: things that only a provider keeps (H32), and models that do not generate text.
NO_PATHS = {
    "openai-py/24": "a response that a provider kept",
    "openai-py/25": "its input",
    "openai-py/26": "the same, to be deleted",
    "openai-py/30": "completions of old",
    **{name: "embeddings" for name, each in CAPTURED.items() if each.path.endswith("/embeddings")},
    **{name: "embeddings of Google's" for name, each in CAPTURED.items() if "EmbedContents" in each.path},
}


def expected(asked: ClientRequest, dialect: str) -> tuple[int, str]:
    """Status and word of the answer before a provider of a dialect."""
    if asked.name in NO_PATHS:
        return (404, "NOT_FOUND") if asked.dialect == "gemini" else NOT_OFFERED
    if asked.dialect == "websocket":
        return 426, "websocket_not_supported"
    if asked.dialect == "responses" and asked.name in REFUSED:
        return NOT_OFFERED if dialect == "responses" else ELSEWHERE  # D84: nothing that was made for this key
    if asked.name in REFUSED:
        return THREAD
    return 200, ""


def word(asked: ClientRequest, answer: Answer) -> tuple[int, str]:
    """Status and word of an answer, whose form is the one of its client."""
    if answer.status == 200:
        return 200, ""
    if answer.status == 426:
        return 426, answer.json()["error"]["code"]
    dialect = "chat" if asked.dialect == "openai" else asked.dialect
    (speaker,) = [each for each in SPEAKERS if each.dialect == dialect]
    return speaker.trouble(answer.status, answer.body)


@pytest.mark.skipif(not CAPTURED, reason=ABSENT)
def test_frames_of_a_websocket_are_left_out() -> None:
    names = {f"{file.parent.name}/{file.stem}" for file in FOLDER.glob("*/*.json")}

    assert names - CAPTURED.keys() == {"codex-openai/04", "codex-openai/05", "codex-openai/06"}


@pytest.mark.parametrize("dialect", PROVIDER)
@pytest.mark.parametrize("client", cases(dict.fromkeys(name.partition("/")[0] for name in CAPTURED), ABSENT))
async def test_every_request_of_a_client_is_answered(client: str, dialect: str) -> None:
    """D97 for Codex."""
    asked = [each for name, each in CAPTURED.items() if name.startswith(f"{client}/")]
    async with before(PROVIDER[dialect]) as both:
        actual = {each.name: word(each, await both.server.ask(*each.asked("m"))) for each in asked}

    assert {each.name: expected(each, dialect) for each in asked} == actual


THREADS = {name: each for name, each in CAPTURED.items() if (each.body or {}).get("thread") is not None}


@pytest.mark.parametrize("dialect", PROVIDER)
@pytest.mark.parametrize("name", cases(THREADS, ABSENT))
async def test_d96_a_thread_is_refused_so_that_its_client_sends_the_whole(name: str, dialect: str) -> None:
    async with before(PROVIDER[dialect]) as both:
        answer = await both.server.ask(*CAPTURED[name].asked("m"))

        assert (answer.status, both.upstream.requests) == (400, [])
        assert answer.json()["error"]["details"]["error_code"] == "thread_unsupported_request"


KEPT = {name: each for name, each in CAPTURED.items() if (each.body or {}).get("previous_response_id")}


@pytest.mark.parametrize("dialect", PROVIDER)
@pytest.mark.parametrize("name", cases(KEPT, ABSENT))
async def test_d84_a_kept_response_is_not_for_others(name: str, dialect: str) -> None:
    """It was made for no key of ours; and of another dialect there is none."""
    async with before(PROVIDER[dialect]) as both:
        answer = await both.server.ask(*CAPTURED[name].asked("m"))

        assert both.upstream.requests == []
    assert word(CAPTURED[name], answer) == (NOT_OFFERED if dialect == "responses" else ELSEWHERE)
    assert answer.json()["error"]["param"] == "previous_response_id"


@pytest.mark.parametrize("name", cases(KEPT, ABSENT))
async def test_d84_a_kept_response_goes_on_for_the_key_that_it_was_made_for(name: str) -> None:
    async with before(PROVIDER["responses"]) as both:
        first = await both.server.ask(*CAPTURED["openai-py/23"].asked("m", store=True))
        again = CAPTURED[name].asked("m", previous_response_id=first.json()["id"])
        answer = await both.server.ask(*again)

        assert answer.status == 200
        assert both.upstream.requests[1].json()["previous_response_id"] == first.json()["id"]


LISTS = {name: each for name, each in CAPTURED.items() if each.method == "GET" and "/models" in each.path}


def gemini_model(wire: dict[str, Any]) -> GeminiModel:
    """As the client reads it, which calls a field by another name than the service."""
    return GeminiModel.model_validate({_CALLED.get(name, name): value for name, value in wire.items()})


_CALLED = {"supportedGenerationMethods": "supportedActions"}
OFFICIAL: dict[str, Any] = {
    "openai": (OpenAIModel.model_validate, "data", "id"),
    "anthropic": (AnthropicModel.model_validate, "data", "id"),
    "gemini": (gemini_model, "models", "name"),
}


@pytest.mark.sdk
@pytest.mark.parametrize("name", cases(LISTS, ABSENT))
async def test_d83_models_are_listed_in_the_types_of_the_client(name: str) -> None:
    asked = CAPTURED[name]
    official, members, field = OFFICIAL[asked.dialect]
    async with before(PROVIDER["chat"]) as both:
        body = (await both.server.ask(*asked.asked("m"))).json()

    models = [official(each) for each in body.get(members, [body])]
    names = ["m"] if "/models/" in asked.path else ["m", PROVIDER["chat"].model]
    assert names == [getattr(model, field).removeprefix("models/") for model in models]


COUNTS = {name: each for name, each in CAPTURED.items() if each.kind == "count"}
NAMES = {"responses": "input_tokens", "anthropic": "input_tokens", "gemini": "totalTokens"}


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"])
@pytest.mark.parametrize("name", cases(COUNTS, ABSENT))
async def test_d82_tokens_are_counted_where_the_provider_counts(name: str, dialect: str) -> None:
    asked = CAPTURED[name]
    async with before(PROVIDER[dialect]) as both:
        answer = await both.server.ask(*asked.asked("m"))

    assert (answer.json()[NAMES[asked.dialect]], answer.header("X-ModelServer-Estimated")) == (7, None)


@pytest.mark.parametrize("name", cases(COUNTS, ABSENT))
async def test_d82_tokens_are_estimated_where_the_provider_does_not_count(name: str) -> None:
    asked = CAPTURED[name]
    async with before(PROVIDER["chat"]) as both:
        answer = await both.server.ask(*asked.asked("m"))

        assert both.upstream.requests == []
    assert answer.header("X-ModelServer-Estimated") == "true"
    assert answer.json()[NAMES[asked.dialect]] > 7
