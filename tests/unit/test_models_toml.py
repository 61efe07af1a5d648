"""The shipped `models.toml`: that it loads, that what it shows is real, and that its figures are the published ones."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from modelserver.catalog.catalog import Catalog
from modelserver.catalog.query import CatalogueView
from modelserver.config import parse_config
from modelserver.config.presets import PRESETS
from modelserver.config.quirks import read_quirks
from modelserver.config.reading import Report, Table
from modelserver.config.types import MODEL_TYPES, CallSettings, Model, Pricing, Quirks, Server
from modelserver.ir.card import ModelCard, ReasoningCard

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "models.toml").read_text("utf-8")
REFERENCE = ROOT.parent / "shared" / "reference"

CONFIG = parse_config(TEXT)
SHOWN = parse_config(
    re.sub(r"(?m)^#(?=[a-z\[])", "", TEXT),
    environ={"MODELSERVER_SECRET": "s" * 32, "UPSTREAM_PROXY": "http://proxy.example:3128", "HOME_API_KEY": "k"},
)
"""The file with every setting that it shows in effect."""

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the published documents are not beside the project"
)


def model(name: str) -> Model:
    offer = Catalog(CONFIG.models).find(name)
    assert offer is not None
    return offer.model


def test_the_first_curl_needs_no_key() -> None:
    mock = model("mock")

    assert mock.model_id == "mock"
    assert CONFIG.providers[mock.provider].mock


def test_a_pattern_serves_what_ollama_has() -> None:
    offer = Catalog(CONFIG.models).find("ollama/llama3:8b")

    assert offer is not None
    assert (offer.model.provider, offer.target) == ("ollama", "llama3:8b")


def test_every_type_has_a_model() -> None:
    assert {entry.type for entry in CONFIG.models} == set(MODEL_TYPES)


def test_a_key_in_the_environment_is_enough() -> None:
    names = {provider.missing_key for provider in CONFIG.providers.values() if provider.missing_key}
    config = parse_config(TEXT, environ=dict.fromkeys(names, "k"))

    assert "OPENAI_API_KEY" in names
    assert not [provider.name for provider in config.providers.values() if provider.missing_key]


def test_without_keys_there_is_nothing_to_warn_of() -> None:
    assert CONFIG.warnings == ()


LISTED_BY_NAME = [
    "gpt-5.2", "gpt-4o", "gpt-4o-mini", "o1", "o3-mini", "claude-sonnet-4", "claude-3-5-sonnet", "claude-3-opus",
    "gemini-pro", "deepseek-r1", "llama-3.1-8b", "llama-3.1-70b", "gpt-6-astra", "gpt-6.1-sol", "gpt-6-luna",
    "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5", "gemini-3.8-flash",
    "gemini-3.1-pro-preview", "deepseek-v4-pro", "deepseek-flash", "grok-4.7",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTED_BY_NAME)
def test_a_well_known_model_is_found(name: str) -> None:
    assert model(name).desc


WARM = {
    "gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet-20241022", "claude-3-opus-20240229", "gemini-pro",
    "llama-3.1-70b-instruct", "llama-3.1-8b-instant",
}  # fmt: skip


def test_only_some_models_have_a_default_temperature() -> None:
    params = {entry.model_id: dict(entry.params) for entry in CONFIG.models if entry.params}

    assert params == {name: {"temperature": 0.7} for name in WARM}


@pytest.mark.parametrize("name", ["gpt-5-codex", "gpt-5-pro"])
def test_a_model_of_the_responses_api_says_so(name: str) -> None:
    assert model(name).speaks == ("responses",)


def test_cheap_models_are_the_ones_that_the_file_says() -> None:
    tagged = {entry.model_id for entry in CONFIG.models if "cheap" in entry.tags}
    prices = {
        entry.model_id: entry.pricing for entry in CONFIG.models if entry.type == "llm" and entry.model_id != "mock"
    }

    assert tagged == {name for name, price in prices.items() if is_cheap(price)}


def is_cheap(pricing: Pricing | None) -> bool:
    """At most 0.25 dollars in and 2 out."""
    return pricing is not None and (pricing.input or 9e9) <= 250_000 and (pricing.output or 9e9) <= 2_000_000


def test_coding_models_are_the_ones_made_for_it() -> None:
    tagged = [entry.model_id for entry in CONFIG.models if "coding" in entry.tags]

    assert tagged == [entry.model_id for entry in CONFIG.models if "codex" in entry.model_id]


def test_new_models_are_no_older_than_the_file_says() -> None:
    known = [entry.created for entry in CONFIG.models if "new" in entry.tags and entry.created]

    assert known
    assert min(known) > date(2026, 8, 23)


# What the file shows in comments.


def test_every_setting_of_the_server_is_shown_once() -> None:
    table = TEXT.partition("[server]")[2].partition("\n[")[0]
    shown = re.findall(r"(?m)^#([a-z_]+) *=", table)

    assert sorted(shown) == [
        "catalogue", "cors", "drain", "drain_delay", "env_file", "keys", "listen", "log", "max_body",
        "max_connections", "open", "public_url", "secret",
    ]  # fmt: skip


def test_the_settings_shown_for_the_server_are_the_defaults() -> None:
    expected = attrs.evolve(Server(), secret=SHOWN.server.secret, log="text", public_url="https://llm.example.org")

    assert SHOWN.server == expected


def test_the_settings_shown_for_calls_are_the_defaults() -> None:
    home = SHOWN.providers["home"].settings

    assert attrs.evolve(home, proxy=None, quirks=attrs.evolve(home.quirks, dialect={})) == CallSettings()
    assert set(re.findall(r"(?m)^#([a-z_]+) *=", TEXT.partition("[defaults]")[2].partition("\n[")[0])) == {
        "timeout", "retries", "keepalive", "early_commit", "proxy", "unsupported", "fetch_urls", "quirks",
    }  # fmt: skip


def test_the_settings_shown_for_a_provider_take_effect() -> None:
    home = SHOWN.providers["home"]

    assert home.key is not None
    assert (home.base_url, home.speaks, list(home.headers), home.concurrency, home.queue) == (
        "http://10.0.0.5:8080/v1",
        ("chat",),
        ["x-team"],
        4,
        8,
    )


class Names(Table):
    """A table that says nothing and notes what it is asked for."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__(Report({}), "", "", {})
        self.asked: set[str] = set()

    def take(self, key: str) -> Any:
        self.asked.add(key)


def test_every_quirk_is_shown() -> None:
    names = Names()
    read_quirks(names)
    own = {field.name for field in attrs.fields(Quirks)}

    assert names.asked - own == set(SHOWN.providers["home"].settings.quirks.dialect)


def test_every_field_of_a_model_card_is_shown() -> None:
    card = next(entry for entry in SHOWN.models if entry.model_id == "house").card

    assert {field.name for field in attrs.fields(ModelCard)} - set(card) == {"max_output"}
    assert {field.name for field in attrs.fields(ReasoningCard)} == set(card["reasoning"])


@pytest.mark.parametrize("name", ["anthropic", "google", "openai"])
def test_a_maker_is_called_by_its_own_dialect(name: str) -> None:
    assert set(CONFIG.providers[name].speaks) & {"anthropic", "gemini", "responses"}


def test_every_key_shown_for_a_model_takes_effect() -> None:
    house = next(entry for entry in SHOWN.models if entry.model_id == "house")
    unset = {field.name for field in attrs.fields(Model) if getattr(house, field.name) in (None, (), {})}

    assert unset == set()
    assert house.pricing is not None
    assert None not in attrs.astuple(house.pricing)


def test_the_groups_users_and_keys_shown_take_effect() -> None:
    key = SHOWN.keys[0]

    assert (key.user, key.expires, key.limits.concurrency) == ("alice", date(2027, 1, 31), 1)
    assert (SHOWN.users["alice"].group, SHOWN.users["alice"].limits.rpm) == ("friends", 20)
    assert SHOWN.groups["friends"].models == ("tag:cheap", "claude-*", "!*-preview")


def test_what_is_shown_is_not_in_effect() -> None:
    assert (CONFIG.server, CONFIG.keys, list(CONFIG.groups), list(CONFIG.users)) == (
        Server(),
        (),
        ["default"],
        ["default"],
    )


# The published figures.


def read(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text("utf-8"))


@needs_reference
def test_the_published_example_comes_out_byte_for_byte() -> None:
    published = [orjson.dumps(entry) for entry in read("example-models.json")["data"]]
    names = {orjson.loads(entry)["model_id"] for entry in published}
    ours = CatalogueView([entry for entry in CONFIG.models if entry.model_id in names])

    assert ours.answer(()).body == b'{"data":[' + b",".join(published) + b'],"message":"","success":true}'


FEATURE_WORDS = {
    "reasoning": {"thinking"},
    "tools": {"tools", "function_calling"},
    "structured_output": {"structured_outputs"},
}
FIGURES_OF_OTHERS = {
    ("gpt-5-pro", "max_output"): 128_000,  # the published example's; the facts have 272,000
    ("tts-1", "context_length"): None,  # the facts count it in characters
}


def micro(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * 1_000_000)


def expected_of(fact: dict[str, Any]) -> dict[str, Any]:
    """The fields that a model must have by its published facts."""
    features = {word for name, words in FEATURE_WORDS.items() if fact["features"][name] for word in words}
    if fact["type"] == "llm" and (fact["context_length"] or 0) >= 1_000_000:
        features.add("long_context")
    prices = {name: micro(price) for name, price in fact["pricing"].items()}
    released, retires = fact["released"], fact["retired"] or fact["retires"]
    fields = {
        "type": fact["type"],
        "created": date.fromisoformat(released) if released else None,
        "retires": date.fromisoformat(retires) if retires else None,
        "context_length": fact["context_length"],
        "max_output": fact["max_output"],
        "pricing": Pricing(**prices) if any(price is not None for price in prices.values()) else None,
        "features": features,
        "input_modalities": set(fact["input_modalities"] or ()),
    }
    return {name: FIGURES_OF_OTHERS.get((fact["id"], name), value) for name, value in fields.items()}


def actual_of(entry: Model) -> dict[str, Any]:
    return {
        "type": entry.type,
        "created": entry.created,
        "retires": entry.retires,
        "context_length": entry.context_length,
        "max_output": entry.max_output,
        "pricing": entry.pricing,
        "features": set(entry.features),
        "input_modalities": set(entry.input_modalities),
    }


PRICED = [entry for entry in CONFIG.models if entry.provider not in ("mock", "ollama")]


@needs_reference
@pytest.mark.parametrize("entry", PRICED, ids=[entry.model_id for entry in PRICED])
def test_the_figures_of_a_model_are_the_published_ones(entry: Model) -> None:
    facts = {(fact["provider"], fact["id"]): fact for fact in read("model-facts.json")["models"]}

    assert actual_of(entry) == expected_of(facts[entry.provider, entry.target])


@needs_reference
def test_no_default_temperature_goes_to_a_model_that_refuses_it() -> None:
    facts = {(fact["provider"], fact["id"]): fact for fact in read("model-facts.json")["models"]}
    warm = [entry for entry in CONFIG.models if "temperature" in entry.params]

    assert all(facts[entry.provider, entry.target]["features"]["temperature"] is True for entry in warm)


def test_the_shown_file_still_has_every_model() -> None:
    assert {entry.model_id for entry in CONFIG.models} | {"house"} == {entry.model_id for entry in SHOWN.models}


def test_the_defaults_shown_do_not_undo_what_is_known_of_a_provider() -> None:
    assert SHOWN.providers["mistral"].settings.quirks == CONFIG.providers["mistral"].settings.quirks
    assert SHOWN.providers["ollama"].settings.quirks == CONFIG.providers["ollama"].settings.quirks


def test_the_providers_named_in_a_comment_are_well_known() -> None:
    named = re.search(r"# As well known by name: ([^.]+), and azure", TEXT)

    assert named is not None
    assert set(re.split(r"[,\s#]+", named[1])) <= PRESETS.keys()
