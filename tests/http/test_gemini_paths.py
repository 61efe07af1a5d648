"""The paths of Gemini clients, which call under three versions."""

from __future__ import annotations

import json

import pytest

from tests.support.client_requests import PROVIDER, before
from tests.support.front import KEY

BODY = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
METHODS = ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse", "countTokens"]


@pytest.mark.parametrize("dialect", PROVIDER)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_d98_every_method_works_under_each_version(version: str, method: str, dialect: str) -> None:
    async with before(PROVIDER[dialect]) as both:
        path = f"/{version}/models/m:{method}"
        answer = await both.server.ask("POST", path, {"x-goog-api-key": KEY}, json.dumps(BODY).encode())

    assert answer.status == 200
    assert (b'"totalTokens"' in answer.body) == (method == "countTokens")
    assert (b'"finishReason"' in answer.body) == (method != "countTokens")


@pytest.mark.parametrize("version", ["v1beta", "v1alpha"])
@pytest.mark.parametrize("path", ["models", "models/m"])
async def test_d98_models_are_listed_in_its_shape(version: str, path: str) -> None:
    async with before(PROVIDER["chat"]) as both:
        answer = await both.server.ask("GET", f"/{version}/{path}?key={KEY}")

    assert b'"name":"models/m"' in answer.body
