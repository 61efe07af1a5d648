"""Google's list of models."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from modelserver.dialects.gemini.listing import encode_list, encode_one
from modelserver.errors import InvalidRequest
from modelserver.ir.listing import Listed

MODELS = [Listed(id=name, root=name, owned_by="p") for name in ("a", "b/c", "d", "e")]
METHODS = ["generateContent", "streamGenerateContent", "countTokens"]


def page(query: Mapping[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(encode_list(MODELS, query))
    return read


def names(query: Mapping[str, str]) -> list[str]:
    return [entry["name"] for entry in page(query)["models"]]


def pages(size: int) -> Iterator[list[str]]:
    """The names on each page, as a client that follows the tokens sees them."""
    query = {"pageSize": str(size)}
    while True:
        yield names(query)
        token = page(query).get("nextPageToken")
        if token is None:
            return
        query["pageToken"] = token


def test_an_entry_has_all_that_is_known() -> None:
    model = Listed(
        id="fast", root="gemini-3", owned_by="p", description="Quick.", max_input=1000, max_output=50, thinking=True
    )

    assert orjson.loads(encode_one(model)) == {
        "name": "models/fast",
        "baseModelId": "gemini-3",
        "displayName": "fast",
        "description": "Quick.",
        "inputTokenLimit": 1000,
        "outputTokenLimit": 50,
        "supportedGenerationMethods": METHODS,
        "thinking": True,
    }


def test_what_is_unknown_is_left_out() -> None:
    assert orjson.loads(encode_one(MODELS[0])) == {
        "name": "models/a",
        "displayName": "a",
        "supportedGenerationMethods": METHODS,
        "thinking": False,
    }


def test_without_a_size_the_list_is_whole() -> None:
    assert page({"pageSize": ""}) == page({})
    assert page({})["models"] == [orjson.loads(encode_one(model)) for model in MODELS]
    assert "nextPageToken" not in page({})


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [["models/a"], ["models/b/c"], ["models/d"], ["models/e"]]),
        (2, [["models/a", "models/b/c"], ["models/d", "models/e"]]),
        (3, [["models/a", "models/b/c", "models/d"], ["models/e"]]),
        (1000, [["models/a", "models/b/c", "models/d", "models/e"]]),
    ],
)
def test_pages_follow_each_other(size: int, expected: list[list[str]]) -> None:
    assert expected == list(pages(size))


def test_the_other_spelling_is_accepted() -> None:
    assert page({"page_size": "1"}) == page({"pageSize": "1"})


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"pageSize": "0"}, "pageSize"),
        ({"pageSize": "1001"}, "pageSize"),
        ({"pageSize": "-1"}, "pageSize"),
        ({"pageSize": "x"}, "pageSize"),
        ({"pageSize": "²"}, "pageSize"),
        ({"pageSize": "9" * 5000}, "pageSize"),
        ({"pageToken": "models/nothing"}, "pageToken"),
    ],
)
def test_a_page_that_is_none_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        encode_list(MODELS, query)

    assert refusal.value.param == param


def test_an_empty_list_is_a_page() -> None:
    assert orjson.loads(encode_list([], {"pageSize": "5"})) == {"models": []}


@pytest.mark.sdk
@pytest.mark.skipif(importlib.util.find_spec("google") is None, reason="google-genai is not installed")
def test_the_official_client_reads_it() -> None:
    genai, types = pytest.importorskip("google.genai"), importlib.import_module("google.genai.types")
    http = pytest.importorskip("httpx2")

    def answer(request: Any) -> Any:
        return http.Response(200, content=encode_list(MODELS, dict(request.url.params)))

    client = http.Client(transport=http.MockTransport(answer))
    models = genai.Client(api_key="k", http_options=types.HttpOptions(httpx_client=client)).models

    assert [(model.name, model.supported_actions) for model in models.list(config={"page_size": 3})] == [
        (f"models/{model.id}", METHODS) for model in MODELS
    ]
