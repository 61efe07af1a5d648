from __future__ import annotations

import attrs
import pytest

from modelserver.catalog.catalog import MATCHES_LOOKED_AT, Catalog, Offer, close_matches
from modelserver.config.types import Model

GPT = Model(model_id="gpt-5", provider="openai", target="gpt-5-2025", aliases=("gpt5", "best"))
LLAMA = Model(model_id="ollama/llama3:8b", provider="home", target="llama3")
ANY = Model(model_id="ollama/*", provider="ollama", target="*")
META = Model(model_id="router/meta/*", provider="openrouter", target="meta-llama/*")
REST = Model(model_id="router/*", provider="openrouter", target="*")
LAST = Model(model_id="mock", provider="mock", target="mock")

CATALOG = Catalog((GPT, ANY, LLAMA, META, REST, LAST))

FOUND = [
    pytest.param("gpt-5", Offer("gpt-5", GPT, "gpt-5-2025"), id="an id"),
    pytest.param("best", Offer("best", GPT, "gpt-5-2025"), id="an alias"),
    pytest.param("ollama/llama3:8b", Offer("ollama/llama3:8b", LLAMA, "llama3"), id="an id before a pattern"),
    pytest.param("ollama/x:latest", Offer("ollama/x:latest", ANY, "x:latest"), id="a pattern"),
    pytest.param("ollama/a/b", Offer("ollama/a/b", ANY, "a/b"), id="a pattern takes slashes"),
    pytest.param(
        "router/meta/l4",
        Offer("router/meta/l4", META, "meta-llama/l4"),
        id="the first pattern that fits, and its target",
    ),
    pytest.param("router/other", Offer("router/other", REST, "other"), id="a later pattern"),
    pytest.param("ollama/", None, id="a pattern stands for something"),
    pytest.param("ollama/*", None, id="a pattern is not asked for by itself"),
    pytest.param("ollama/a b", None, id="no blank"),
    pytest.param("ollama/.", None, id="no step in a path"),
    pytest.param("ollama/..", None, id="no step up in a path"),
    pytest.param("ollama/...", Offer("ollama/...", ANY, "..."), id="three dots are a name"),
    pytest.param("ollama/a\nb", None, id="no line end"),
    pytest.param("ollama/" + "a" * 250, None, id="no endless name"),
    pytest.param("Ollama/x", None, id="case counts for a pattern"),
    pytest.param("GPT-5", None, id="case counts for an id"),
    pytest.param("", None, id="an empty name"),
    pytest.param("gpt-5 ", None, id="a name with a blank"),
]


@pytest.mark.parametrize(("name", "expected"), FOUND)
def test_a_name_is_found(name: str, expected: Offer | None) -> None:
    assert expected == CATALOG.find(name)


ROOTS = [
    pytest.param("gpt-5", "gpt-5", id="an id is its own"),
    pytest.param("gpt5", "gpt-5", id="an alias has its model's"),
    pytest.param("ollama/x", "ollama/x", id="what a pattern matched is its own"),
]


@pytest.mark.parametrize(("name", "expected"), ROOTS)
def test_an_offer_knows_the_id_behind_its_name(name: str, expected: str) -> None:
    offer = CATALOG.find(name)

    assert offer is not None
    assert expected == offer.root


def test_an_id_wins_over_an_alias_before_it() -> None:
    catalog = Catalog((attrs.evolve(GPT, aliases=("mock", "best")), LAST, ANY))

    assert catalog.find("mock") == Offer("mock", LAST, "mock")
    assert [offer.name for offer in catalog.listed()] == ["gpt-5", "best", "mock"]


def test_the_list_has_the_order_of_the_file_and_no_patterns() -> None:
    expected = ["gpt-5", "gpt5", "best", "ollama/llama3:8b", "mock"]

    assert expected == [offer.name for offer in CATALOG.listed()]


def test_the_list_without_patterns_is_the_same() -> None:
    expected = ["gpt-5", "gpt5", "best", "mock"]

    assert expected == [offer.name for offer in Catalog((GPT, LAST)).listed()]


DISCOVERED = [
    pytest.param({"ollama/*": ["a", "b:1"]}, ["ollama/a", "ollama/b:1"], id="names stand at their pattern"),
    pytest.param({"ollama/*": ["a", "a"]}, ["ollama/a"], id="a repeated name once"),
    pytest.param({"ollama/*": ["llama3:8b", "a"]}, ["ollama/a"], id="an entry of its own is not repeated"),
    pytest.param({"ollama/*": ["bad name", ""]}, [], id="what can not be asked for is left out"),
    pytest.param({"nobody/*": ["a"]}, [], id="a pattern that is not there"),
]


@pytest.mark.parametrize(("discovered", "expected"), DISCOVERED)
def test_discovered_names_are_listed(discovered: dict[str, list[str]], expected: list[str]) -> None:
    names = [offer.name for offer in CATALOG.listed(discovered)]

    assert names == ["gpt-5", "gpt5", "best", *expected, "ollama/llama3:8b", "mock"]


def test_discovered_names_go_through_the_target_of_their_pattern() -> None:
    names = [offer.name for offer in CATALOG.listed({"router/meta/*": ["meta-llama/l4", "another-vendor/q3"]})]

    assert [name for name in names if name.startswith("router/")] == ["router/meta/l4"]


def test_a_name_that_an_earlier_pattern_answers_is_not_listed_under_a_later_one() -> None:
    listed = CATALOG.listed({"router/*": ["meta/x", "y"]})

    assert [offer.name for offer in listed if offer.model is REST] == ["router/y"]
    assert "router/meta/x" not in [offer.name for offer in listed]


NAMES = ("gpt-5", "gpt-5-mini", "gpt-4o", "claude-opus-5-5", "claude-sonnet-5", "Mistral-Large", "llama-3.1-8b-instant")

CLOSE = [
    pytest.param("gtp-5", ["gpt-5"], id="letters that changed places"),
    pytest.param("gpt-5-mni", ["gpt-5-mini", "gpt-5"], id="a missing letter"),
    pytest.param("mistral-large", ["Mistral-Large"], id="case aside"),
    pytest.param("GPT-4O", ["gpt-4o", "gpt-5"], id="case of the name aside"),
    pytest.param("openai/gpt-5", ["gpt-5"], id="a provider in front"),
    pytest.param("gpt-4o-2024-08-06", ["gpt-4o"], id="a date behind"),
    pytest.param("opus", ["claude-opus-5-5"], id="a part of it"),
    pytest.param("o", [], id="too short to be a part"),
    pytest.param("", [], id="an empty name"),
    pytest.param("zzzzzz", [], id="nothing like it"),
    pytest.param("gpt-5" * 100, [], id="too long to be mistyped"),
]


@pytest.mark.parametrize(("name", "expected"), CLOSE)
def test_near_misses_are_named(name: str, expected: list[str]) -> None:
    assert expected == close_matches(name, NAMES)


def test_at_most_three_near_misses_are_named() -> None:
    assert len(close_matches("gpt-5", [f"gpt-5.{n}" for n in range(9)])) == 3


def test_at_most_three_names_are_named_for_a_part_and_the_shortest_first() -> None:
    candidates = ["the-longest-opus-of-all", "a-rather-long-opus", "a-quite-long-opus", "some-long-opus"]

    assert close_matches("opus", candidates) == ["some-long-opus", "a-quite-long-opus", "a-rather-long-opus"]


def test_only_so_many_candidates_are_looked_at() -> None:
    candidates = iter([*["other"] * MATCHES_LOOKED_AT, "gpt-5"])

    assert close_matches("gpt-5", candidates) == []
    assert next(candidates) == "gpt-5"


def test_a_small_catalogue_offers_every_name_but_patterns_as_neighbours() -> None:
    expected = ["gpt-5", "gpt5", "best", "ollama/llama3:8b", "mock"]

    assert expected == list(CATALOG.neighbours("x"))


LARGE = Catalog([Model(model_id=f"model-{n:05}-{n % 7}", provider="p", target="t") for n in range(10_000)])

MISTYPED = [
    pytest.param("model-07777-", id="at its end"),
    pytest.param("moddel-07777-0", id="at its start"),
    pytest.param("openai/model-07777-0", id="with a provider in front"),
    pytest.param("MODEL-07777-0", id="in case"),
]


@pytest.mark.parametrize("name", MISTYPED)
def test_a_large_catalogue_finds_a_name_mistyped(name: str) -> None:
    neighbours = list(LARGE.neighbours(name))

    assert len(neighbours) <= MATCHES_LOOKED_AT
    assert "model-07777-0" in close_matches(name, neighbours)


@pytest.mark.parametrize("name", ["", "\uffff", "zzz", "\x00"], ids=ascii)
def test_a_large_catalogue_has_neighbours_at_its_edges(name: str) -> None:
    assert MATCHES_LOOKED_AT // 2 < len(list(LARGE.neighbours(name))) <= MATCHES_LOOKED_AT
