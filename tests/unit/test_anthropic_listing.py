"""Anthropic's list of models."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.errors import InvalidRequest
from modelserver.ir.card import ReasoningCard
from modelserver.ir.listing import Listed

MODELS = [Listed(id=name, root=name, owned_by="p") for name in ("a", "b", "c", "d")]
FULL = Listed(
    id="claude-x",
    root="claude",
    owned_by="p",
    created=date(2025, 8, 7),
    max_input=200_000,
    max_output=64_000,
    thinking=True,
    images=True,
    documents=True,
    schemas=True,
)


def page(models: list[Listed], **query: str) -> dict[str, Any]:
    assert ANTHROPIC.listing is not None
    found: dict[str, Any] = orjson.loads(ANTHROPIC.listing.encode_list(models, query))
    return found


def entry(model: Listed) -> dict[str, Any]:
    assert ANTHROPIC.listing is not None
    found: dict[str, Any] = orjson.loads(ANTHROPIC.listing.encode_one(model))
    return found


def test_h43_an_entry_says_what_the_catalogue_does() -> None:
    actual = entry(FULL)
    capabilities = actual.pop("capabilities")

    assert actual == {
        "type": "model",
        "id": "claude-x",
        "display_name": "claude-x",
        "created_at": "2025-08-07T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }
    assert {name for name, each in capabilities.items() if each["supported"]} == {
        "image_input",
        "pdf_input",
        "structured_outputs",
        "thinking",
    }


def test_what_is_not_known_is_null_the_epoch_or_not_supported() -> None:
    actual = entry(MODELS[0])

    assert (actual["created_at"], actual["max_input_tokens"], actual["max_tokens"]) == (
        "1970-01-01T00:00:00Z",
        None,
        None,
    )
    assert not any(each["supported"] for each in actual["capabilities"].values())


@pytest.mark.parametrize("model", [pytest.param(FULL, id="full"), pytest.param(MODELS[0], id="bare")])
def test_the_official_types_read_an_entry(model: Listed) -> None:
    types = pytest.importorskip("anthropic.types")
    info = types.ModelInfo.model_validate_json(orjson.dumps(entry(model)), strict=True)

    assert info.id == model.id
    assert info.capabilities.thinking.supported is model.thinking
    assert info.model_dump(mode="json", exclude_unset=True) == entry(model)


def test_the_official_types_have_no_capability_that_an_entry_lacks() -> None:
    types = pytest.importorskip("anthropic.types")
    capabilities = entry(FULL)["capabilities"]

    assert set(types.ModelCapabilities.model_fields) == capabilities.keys()
    assert set(types.EffortCapability.model_fields) == capabilities["effort"].keys()
    assert set(types.ContextManagementCapability.model_fields) == capabilities["context_management"].keys()


def test_the_official_page_reads_a_list() -> None:
    pagination = pytest.importorskip("anthropic.pagination")
    types = pytest.importorskip("anthropic.types")
    found = pagination.SyncPage[types.ModelInfo].model_validate(page(MODELS, limit="2"))

    assert [model.id for model in found.data] == ["a", "b"]
    assert found.has_more
    assert found.last_id == "b"


PAGES = [
    pytest.param({}, "abcd", False, id="everything"),
    pytest.param({"limit": "1000"}, "abcd", False, id="the largest page"),
    pytest.param({"limit": "4"}, "abcd", False, id="a page that holds all"),
    pytest.param({"limit": "3"}, "abc", True, id="the first page"),
    pytest.param({"after_id": "b"}, "cd", False, id="behind one"),
    pytest.param({"after_id": "a", "limit": "2"}, "bc", True, id="a page behind one"),
    pytest.param({"after_id": "d"}, "", False, id="behind the last"),
    pytest.param({"before_id": "c"}, "ab", False, id="before one"),
    pytest.param({"before_id": "d", "limit": "2"}, "bc", True, id="the page right before one"),
    pytest.param({"before_id": "a"}, "", False, id="before the first"),
    pytest.param({"after_id": "a", "before_id": "d", "limit": "1"}, "b", True, id="between two"),
    pytest.param({"limit": "04", "lifecycle": "active", "x": ""}, "abcd", False, id="others are not looked at"),
]


@pytest.mark.parametrize(("query", "expected", "has_more"), PAGES)
def test_a_page_is_told(query: dict[str, str], expected: str, has_more: bool) -> None:
    actual = page(MODELS, **query)

    assert list(expected) == [model["id"] for model in actual["data"]]
    assert (has_more, expected[:1] or None, expected[-1:] or None) == (
        actual["has_more"],
        actual["first_id"],
        actual["last_id"],
    )


def test_without_a_limit_a_page_is_as_long_as_any_may_be() -> None:
    many = [Listed(id=str(number), root="m", owned_by="p") for number in range(1001)]

    assert len(page(many)["data"]) == 1000
    assert page(many)["has_more"]


BAD = [
    pytest.param({"limit": limit}, "limit", id=f"limit {limit!r}")
    for limit in ("", "0", "1001", "-1", "+1", "1.0", "x", "²", "9" * 5000)
] + [
    pytest.param({"after_id": "z"}, "after_id", id="behind one that is not there"),
    pytest.param({"before_id": ""}, "before_id", id="before one without a name"),
]


@pytest.mark.parametrize(("query", "param"), BAD)
def test_a_page_that_is_none_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        page(MODELS, **query)

    assert param == refused.value.param


NONE = {"adaptive": False, "between_tools": False, "disabled": True, "enabled": False}
THINKING = [
    pytest.param(False, ReasoningCard(), NONE, [], id="does not think"),
    pytest.param(True, ReasoningCard(), {**NONE, "adaptive": True, "enabled": True}, [], id="nothing is known"),
    pytest.param(
        True,
        ReasoningCard(kind="budget"),
        {**NONE, "enabled": True},
        ["low", "medium", "high"],
        id="by a budget",
    ),
    pytest.param(
        True,
        ReasoningCard(kind="adaptive", efforts=("low", "max"), between_tools=True, can_disable=False),
        {"adaptive": True, "between_tools": True, "disabled": False, "enabled": False},
        ["low", "max"],
        id="adaptive",
    ),
    pytest.param(
        True,
        ReasoningCard(kind="effort", efforts=("minimal", "high", "xhigh")),
        {**NONE, "adaptive": True, "enabled": True},
        ["high", "xhigh"],
        id="of another API",
    ),
]


@pytest.mark.parametrize(("thinking", "reasoning", "types", "efforts"), THINKING)
def test_the_ways_to_think_are_those_of_the_card(
    thinking: bool, reasoning: ReasoningCard, types: dict[str, bool], efforts: list[str]
) -> None:
    said = entry(Listed(id="m", root="m", owned_by="p", thinking=thinking, reasoning=reasoning))["capabilities"]

    assert {name: value["supported"] for name, value in said["thinking"]["types"].items()} == types
    assert said["effort"].pop("supported") is bool(efforts)
    assert sorted(name for name, value in said["effort"].items() if value["supported"]) == sorted(efforts)
