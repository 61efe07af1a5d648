"""The documentation page as made from facts: complete in both languages, well formed, and nothing in it runs."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from html import unescape
from typing import Any

import pytest

from modelserver.catalog.query import PARAMETERS, SORTS
from modelserver.config.types import FEATURES, MODALITIES, MODEL_TYPES, OLD_MODEL_TYPES, Model, Pricing
from modelserver.web.pages import context as context_module
from modelserver.web.pages.code import _LANGUAGES, coloured
from modelserver.web.pages.context import Context, Facts
from modelserver.web.pages.document import CHAPTERS, document
from modelserver.web.pages.messages import MESSAGES
from modelserver.web.pages.models import MODELS_SHOWN, tokens
from modelserver.web.pages.reference import ERRORS
from modelserver.web.pages.samples import SAMPLES
from modelserver.web.pages.text import LANGUAGES, Language
from tests.support.pages import Page
from tests.support.program import ROOT

TODAY = date(2026, 11, 25)
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>"


def model(model_id: str = "m", **fields: Any) -> Model:
    return Model(**{"model_id": model_id, "provider": "up", "target": model_id, **fields})


RICH = (
    model("first", owned_by="openai", tags=("new",), pricing=Pricing(input=1_250_000, output=10_000_000)),
    model("going", retires=date(2026, 12, 11), context_length=131_072, max_output=8_191),
    model("gone", retires=date(2026, 11, 24), features=FEATURES, input_modalities=MODALITIES),
    model("any/*"),
    *(model(kind, owned_by="alone" if kind == "tts" else "kinds", type=kind) for kind in MODEL_TYPES),
)


def context(language: Language = "en", **fields: Any) -> Context:
    facts = Facts(**{"models": RICH, "model": "mock", **fields.pop("facts", {})})
    return Context(**{"facts": facts, "language": language, "root": "http://h:1", "today": TODAY, **fields})


def text_of(made: Context) -> str:
    return document(made).decode()


EVERY_STATE = [
    {},
    {"draining": True},
    {"facts": {"models": (), "model": None}},
    {"facts": {"models": (), "catalogue": "keys"}},
    {"facts": {"models": (), "catalogue": "off"}},
    {"facts": {"models": tuple(model(f"m{number}") for number in range(MODELS_SHOWN + 3))}},
]


@pytest.mark.parametrize("key", sorted(MESSAGES))
def test_a_message_is_there_in_both_languages(key: str) -> None:
    text = MESSAGES[key]

    assert text.en.strip()
    assert text.zh.strip()
    assert not re.search("[\u4e00-\u9fff]", text.en)
    for mark in (r"`[^`]+`", r"\]\([^)]+\)", r"\{[a-z_]+\}"):
        assert set(re.findall(mark, text.en)) == set(re.findall(mark, text.zh))


def test_every_message_is_used_and_every_used_one_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    class Noting(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            used.add(key)
            return super().__getitem__(key)

    monkeypatch.setattr(context_module, "MESSAGES", Noting(MESSAGES))
    for state in EVERY_STATE:
        document(context(**state))

    assert used == MESSAGES.keys()


def test_every_sample_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    class Noting(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            used.add(key)
            return super().__getitem__(key)

    monkeypatch.setattr(context_module, "SAMPLES", Noting(SAMPLES))
    document(context())

    assert used == SAMPLES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", EVERY_STATE, ids=str)
def test_it_is_well_formed_and_every_link_has_its_target(language: Language, state: dict[str, Any]) -> None:
    page = Page(text_of(context(language, **state)))
    inner = [link[1:] for link in page.values("href") if link.startswith("#")]

    assert set(inner) <= set(page.ids)
    assert "«" not in text_of(context(language, **state))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_section_is_there_and_in_the_contents(language: Language) -> None:
    page = Page(text_of(context(language)))
    links = page.values("href")
    wanted = [each.anchor for _, chapter in CHAPTERS for each in chapter]
    wanted += [anchor for _, chapter in CHAPTERS for each in chapter for anchor, _ in each.below]

    assert set(wanted) <= set(page.ids)
    assert all(links.count(f"#{anchor}") >= 2 for anchor in wanted)


def test_nothing_runs_or_is_styled_in_the_page_itself() -> None:
    page = Page(text_of(context()))

    assert "script" not in page.texts
    assert page.all("style") == []
    assert [name for _, fields in page.elements for name in fields if name.startswith("on") or name == "style"] == []
    assert all(not re.match("[a-z]+:", address) for address in page.values("href") + page.values("src"))


def test_hostile_models_are_text() -> None:
    evil = model(
        HOSTILE, desc=HOSTILE, owned_by=HOSTILE, tags=("new",), provider=HOSTILE, features=("tools",), type="llm"
    )
    page = Page(text_of(context(root=f"http://h/{HOSTILE}", facts={"models": (evil,), "model": HOSTILE})))

    assert len(page.all("script")) == 1
    assert [fields["src"] for fields in page.all("img")] == ["assets/icon.svg"]
    assert HOSTILE in page.texts["code"]


def test_links_of_a_page_without_its_slash_lead_below_the_prefix() -> None:
    page = Page(text_of(context(here="llm/")))
    outer = [each for each in page.values("href") + page.values("src") if not each.startswith(("#", "?"))]

    assert {each.partition("/")[0] for each in outer} == {"llm"}


def test_models_are_by_maker_with_marks_and_prices() -> None:
    page = Page(text_of(context()))
    spans = page.texts["span"]

    assert [name for name in spans if name in ("OpenAI", "up", "kinds", "alone")] == ["OpenAI", "up", "kinds", "alone"]
    assert {"NEW", "retires 2026-12-11", "retired 2026-11-24"} <= set(spans)
    assert {"1.25", "10", "128K", "8.2K"} <= set(page.texts["td"])


def test_errors_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| (\d{3}) \| `(\w+)` \| ([^|]+) \|", readme)

    assert [(int(status), kind, tuple(re.findall(r"`(\w+)`", codes))) for status, kind, codes in rows] == list(ERRORS)


COUNTS = [
    (None, "–"),
    (0, "0"),
    (448, "448"),
    (8_191, "8.2K"),
    (8_192, "8K"),
    (128_000, "128K"),
    (131_072, "128K"),
    (1_000_000, "1M"),
    (1_048_576, "1.05M"),
]


@pytest.mark.parametrize(("count", "expected"), COUNTS)
def test_a_number_of_tokens(count: int | None, expected: str) -> None:
    assert tokens(count) == expected


@pytest.mark.parametrize("language", sorted(_LANGUAGES))
@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_colour_changes_no_character(language: str, sample: str) -> None:
    page = Page(f"<pre>{coloured(SAMPLES[sample], language)}</pre>")

    assert sum(len(piece) for pieces in page.texts.values() for piece in pieces) == len(SAMPLES[sample])


TOKENS = [
    ("python", 'x = "a # b"  # c', 'x = s{"a # b"}  c{# c}'),
    ("json", '{"a": "b", "c": -1}', '{n{"a"}: s{"b"}, n{"c"}: k{-1}}'),
    ("bash", "curl -i '<x>' # y", "k{curl} k{-i} s{'<x>'} c{# y}"),
    ("javascript", 'let a = "//x"; // y', 'k{let} a = s{"//x"}; c{// y}'),
    ("events", 'data: {"a":1}', 'n{data}: {n{"a"}:k{1}}'),
    ("toml", '[a.b]\nc = "d" # e', 'n{[a.b]}\nc = s{"d"} c{# e}'),
    ("http", "Accept: x", "n{Accept}: x"),
]


@pytest.mark.parametrize(("language", "text", "expected"), TOKENS)
def test_tokens_have_their_colours(language: str, text: str, expected: str) -> None:
    short = re.sub(r'<span class="(.)">(.*?)</span>', r"\1{\2}", coloured(text, language))

    assert unescape(short) == expected


def filled(name: str) -> str:
    """A sample with words in its slots, but those that it may not have."""
    return re.sub("«[a-z_.]+»", "x", SAMPLES[name])


@pytest.mark.parametrize("name", [name for name, text in SAMPLES.items() if text.lstrip().startswith(("{", "["))])
def test_an_example_in_json_is_json(name: str) -> None:
    json.loads(filled(name))


@pytest.mark.parametrize("name", [name for name in SAMPLES if "python" in name or name in ("example", "vision.data")])
def test_an_example_in_python_compiles(name: str) -> None:
    compile(filled(name), name, "exec")


def test_the_settings_of_codex_are_toml() -> None:
    assert tomllib.loads(filled("clients.codex"))["model_providers"]["modelserver"]["wire_api"] == "responses"


def schemes() -> list[dict[str, str]]:
    """The colours of the light scheme, and of the dark one."""
    css = (ROOT / "modelserver/web/assets/page.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    return [found[0], {**found[0], **found[1]}]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


PAIRS = [
    *((ink, paper) for ink in ("ink", "soft", "accent-ink") for paper in ("paper", "panel", "raised", "wash")),
    *((ink, "code") for ink in ("code-ink", "comment", "string", "word", "name", "soft")),
    ("warn", "warn-wash"),
    ("ink", "warn-wash"),
    ("new", "wash"),
    ("name", "paper"),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), PAIRS)
def test_text_stands_out_from_what_it_is_on(scheme: int, ink: str, paper: str) -> None:
    colours = schemes()[scheme]
    bright, dim = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)

    assert (bright + 0.05) / (dim + 0.05) >= 4.5


WORDS = sorted({*OLD_MODEL_TYPES, *MODEL_TYPES, *FEATURES, *MODALITIES, *PARAMETERS, *SORTS})


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_catalogue_is_shown(word: str) -> None:
    assert word in Page(text_of(context(facts={"models": ()}))).texts["code"]
