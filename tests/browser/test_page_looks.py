"""The page as it is seen: at every width, in light and dark, in both languages, without script, and by the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visitor

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
LANGUAGES = ["en", "zh"]
SCHEMES = ["light", "dark"]
WIDTHS = [320, 360, 768, 1280, 1920]
UNFOLD = "() => document.querySelectorAll('.families details').forEach((each) => { each.open = true; })"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
RING = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  const { top, bottom, left, right } = document.activeElement.getBoundingClientRect();
  const isSeen = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
  const isMarked = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  return { what: document.activeElement.outerHTML.slice(0, 80), isSeen, isMarked };
}"""


def axe(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core finds: rules, and the elements that break them."""
    page.evaluate(f"() => {{ {AXE} }}")
    seen: dict[str, Any] = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    assert seen["passes"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in seen["violations"]]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_nothing_is_wider_than_the_window(visitor: Visitor, language: str, width: int, script: bool) -> None:
    page = visitor.open(language=language, width=width, java_script_enabled=script)
    page.evaluate(UNFOLD)

    assert page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize(
    ("scheme", "expected"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(14, 21, 20)")], ids=SCHEMES
)
def test_it_takes_the_readers_scheme(visitor: Visitor, scheme: str, expected: str) -> None:
    page = visitor.open(color_scheme=scheme)

    expect(page.locator("body")).to_have_css("background-color", expected)


@pytest.mark.parametrize(
    ("language", "title"), [("en", "ModelServer API documentation"), ("zh", "ModelServer API 文档")]
)
def test_it_takes_the_readers_language(visitor: Visitor, language: str, title: str) -> None:
    page = visitor.open(language=language)

    expect(page).to_have_title(title)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(visitor: Visitor, language: str, scheme: str) -> None:
    page = visitor.open(language=language, color_scheme=scheme)
    page.evaluate(UNFOLD)

    assert axe(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_on_a_phone(visitor: Visitor, scheme: str) -> None:
    page = visitor.open(width=360, color_scheme=scheme)
    page.locator(".menu summary").click()

    assert axe(page) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_script_everything_is_there(visitor: Visitor, language: str) -> None:
    page = visitor.open(language=language, java_script_enabled=False)
    counts = {each: page.locator(each).count() for each in (".tab", ".tab .code", "main > section", "figure.code")}
    seen = {each: page.locator(f"{each} >> visible=true").count() for each in counts}

    assert counts[".tab"] > 10
    assert counts == seen
    expect(page.locator(".copy, [role=tab], .filter")).to_have_count(0)


def test_without_script_families_unfold(visitor: Visitor) -> None:
    page = visitor.open(java_script_enabled=False)
    family = page.locator(".families details").nth(1)
    family.locator("summary").click()

    expect(family.locator("tbody tr").first).to_be_visible()


def test_the_first_key_leads_past_the_contents(visitor: Visitor) -> None:
    page = visitor.open()
    page.keyboard.press("Tab")
    skip = page.locator(".skip")

    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)

    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()

    page.keyboard.press("Tab")

    assert page.evaluate("() => document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [360, 1280])
def test_what_has_the_focus_is_seen(visitor: Visitor, scheme: str, width: int) -> None:
    page = visitor.open(width=width, color_scheme=scheme)
    rings = []
    for _ in range(70):
        page.keyboard.press("Tab")
        rings.append(page.evaluate(RING))

    assert [ring for ring in rings if not (ring["isSeen"] and ring["isMarked"])] == []
    assert len({ring["what"] for ring in rings}) > 30
