"""What the page's script adds: tabs, copying, the language at the same place, the place in the contents, the filter."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visitor

pytestmark = pytest.mark.browser

CLIPBOARD = ["clipboard-read", "clipboard-write"]
CLIPBOARD_TEXT = "() => navigator.clipboard.readText()"


def tab(page: Page, section: str, name: str) -> Locator:
    return page.locator(f"#{section}").get_by_role("tab", name=name, exact=True)


def shown(page: Page, section: str) -> list[str]:
    """The label of each block of code that is seen in a section."""
    return page.locator(f"#{section} figcaption span >> visible=true").all_inner_texts()


def click_where_it_is(page: Page, target: Locator) -> None:
    """Click without scrolling before, as Playwright does for what stands in a sticky bar."""
    box = target.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_a_tab_is_chosen_by_mouse_everywhere(visitor: Visitor) -> None:
    page = visitor.open()
    before = shown(page, "quickstart")
    tab(page, "quickstart", "Python").click()

    assert before == ["curl"]
    assert {each: shown(page, each) for each in ("quickstart", "stream-reading", "catalogue-request")} == {
        "quickstart": ["Python"],
        "stream-reading": ["Python"],
        "catalogue-request": ["Python"],
    }
    expect(tab(page, "quickstart", "Python")).to_have_attribute("aria-selected", "true")
    expect(tab(page, "quickstart", "curl")).to_have_attribute("aria-selected", "false")


def test_a_choice_moves_nothing_under_the_mouse(visitor: Visitor) -> None:
    page = visitor.open()
    button = tab(page, "catalogue-request", "Node")
    button.scroll_into_view_if_needed()
    before = button.bounding_box()
    button.click()
    after = button.bounding_box()

    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 1


KEYS = [
    pytest.param(["ArrowRight"], "Python", id="right"),
    pytest.param(["ArrowRight", "ArrowRight", "ArrowRight"], "curl", id="right, round"),
    pytest.param(["ArrowLeft"], "Node", id="left, round"),
    pytest.param(["End"], "Node", id="end"),
    pytest.param(["End", "Home"], "curl", id="home"),
]


@pytest.mark.parametrize(("keys", "expected"), KEYS)
def test_tabs_are_chosen_by_keys(visitor: Visitor, keys: list[str], expected: str) -> None:
    page = visitor.open()
    tab(page, "quickstart", "curl").focus()
    for key in keys:
        page.keyboard.press(key)

    expect(tab(page, "quickstart", expected)).to_be_focused()
    assert shown(page, "quickstart") == [expected]


def test_of_a_row_of_tabs_the_tab_key_finds_the_chosen_one(visitor: Visitor) -> None:
    page = visitor.open()
    tab(page, "quickstart", "Python").click()
    page.keyboard.press("Tab")

    expect(page.locator("#quickstart .copy:visible")).to_be_focused()

    page.keyboard.press("Shift+Tab")

    expect(tab(page, "quickstart", "Python")).to_be_focused()


def test_a_tab_is_remembered(visitor: Visitor) -> None:
    page = visitor.open()
    tab(page, "stream-reading", "Node").click()
    tab(page, "clients", "opencode").click()
    page.reload()

    assert (shown(page, "quickstart"), shown(page, "clients")) == (["Node"], ["JSON"])


@pytest.mark.parametrize(("language", "said"), [("en", ["Copy", "Copied"]), ("zh", ["复制", "已复制"])])
@pytest.mark.parametrize("section", ["base-url", "quickstart", "stream-chunks", "catalogue-caching"])
def test_code_is_copied_as_it_stands(visitor: Visitor, section: str, language: str, said: list[str]) -> None:
    page = visitor.open(language=language, permissions=CLIPBOARD)
    figure = page.locator(f"#{section} figure.code:visible").last
    button = figure.locator(".copy")

    expect(button).to_have_text(said[0])

    button.click()

    expect(button).to_have_text(said[1])
    expect(page.get_by_role("status")).to_have_text(said[1])
    assert page.evaluate(CLIPBOARD_TEXT) == figure.locator("code").text_content()


def test_the_button_offers_to_copy_again(visitor: Visitor) -> None:
    page = visitor.open(permissions=CLIPBOARD)
    button = page.locator("#quickstart .copy:visible")
    button.click()

    expect(button).to_have_text("Copied")
    expect(button).to_have_text("Copy")
    expect(page.get_by_role("status")).to_have_text("")


def test_code_is_copied_where_there_is_no_clipboard_of_https(visitor: Visitor) -> None:
    page = visitor.open(permissions=CLIPBOARD)
    page.evaluate("() => { window.board = navigator.clipboard; }")
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    figure = page.locator("#quickstart figure.code:visible")
    figure.locator(".copy").click()

    expect(figure.locator(".copy")).to_have_text("Copied")
    assert page.evaluate("() => board.readText()") == figure.locator("code").inner_text()


def test_a_copy_that_fails_says_so(visitor: Visitor) -> None:
    page = visitor.open()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    button = page.locator("#quickstart .copy:visible")
    button.click()

    expect(button).to_have_text("Not copied")


def test_every_block_of_code_can_be_copied(visitor: Visitor) -> None:
    page = visitor.open()

    expect(page.locator("figure.code .copy")).to_have_count(page.locator("figure.code").count())


def test_the_language_is_remembered(visitor: Visitor) -> None:
    page = visitor.open(language="en")
    page.locator(".languages").get_by_text("中文").click()

    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")

    page.goto(f"{visitor.url}/")
    page.reload()

    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(".languages [aria-current]")).to_have_text("中文")


def test_the_other_language_opens_at_the_same_place(visitor: Visitor) -> None:
    page = visitor.open(language="en")
    page.goto(f"{visitor.url}/#errors")
    expect(page.locator(".side a[aria-current]")).to_have_attribute("href", "#errors")
    click_where_it_is(page, page.locator(".languages").get_by_text("中文"))

    expect(page).to_have_url(f"{visitor.url}/?lang=zh#errors")
    expect(page.locator("#errors h2")).to_be_in_viewport()


@pytest.mark.parametrize("width", [768, 1280])
@pytest.mark.parametrize("anchor", ["quickstart", "tools-define", "catalogue-sorting", "errors"])
def test_the_contents_mark_what_is_being_read(visitor: Visitor, anchor: str, width: int) -> None:
    page = visitor.open(width=width)
    page.evaluate("(id) => document.getElementById(id).scrollIntoView()", anchor)
    contents = ".side" if width > 1000 else ".menu"

    expect(page.locator(f"{contents} a[aria-current=location]")).to_have_count(1)
    expect(page.locator(f"{contents} a[aria-current=location]")).to_have_attribute("href", f"#{anchor}")


def test_the_mark_in_the_contents_is_in_view(visitor: Visitor) -> None:
    page = visitor.open(height=500)
    page.evaluate("() => document.getElementById('errors').scrollIntoView()")

    expect(page.locator(".side a[aria-current]")).to_have_attribute("href", "#errors")
    expect(page.locator(".side a[aria-current]")).to_be_in_viewport(ratio=1)


def test_a_link_of_the_contents_shows_its_heading_below_the_bar(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator(".side a[href='#catalogue']").click()
    bar = page.locator(".top").bounding_box()
    heading = page.locator("#catalogue h2").bounding_box()

    assert bar is not None
    assert heading is not None
    assert bar["y"] + bar["height"] <= heading["y"] < 300


def test_on_a_phone_the_contents_close_behind_a_choice(visitor: Visitor) -> None:
    page = visitor.open(width=360)
    menu = page.locator(".menu")
    menu.locator("summary").click()
    menu.locator("a[href='#tools']").click()

    expect(menu).not_to_have_attribute("open", re.compile(""))
    expect(page.locator("#tools h2")).to_be_in_viewport()


def test_on_a_phone_escape_closes_the_contents(visitor: Visitor) -> None:
    page = visitor.open(width=360)
    menu = page.locator(".menu")
    menu.locator("summary").click()
    page.keyboard.press("Escape")

    expect(menu).not_to_have_attribute("open", re.compile(""))
    expect(menu.locator("summary")).to_be_focused()


FILTERS = [
    pytest.param("gpt-5-mini", ["gpt-5-mini"], id="an id"),
    pytest.param("MOCK modelserver", ["mock"], id="words in any case, and the maker"),
    pytest.param("nothing like it", [], id="nothing"),
]


@pytest.mark.parametrize(("typed", "expected"), FILTERS)
def test_models_are_filtered(visitor: Visitor, typed: str, expected: list[str]) -> None:
    page = visitor.open()
    page.locator(".filter").fill(typed)

    assert page.locator(".families tbody th > code >> visible=true").all_inner_texts() == expected
    expect(page.locator(".nothing")).to_be_visible(visible=not expected)


def test_an_emptied_filter_folds_as_before(visitor: Visitor) -> None:
    page = visitor.open()
    before = page.locator(".families tbody tr >> visible=true").count()
    page.locator(".filter").fill("mock")
    page.locator(".filter").fill("")

    assert page.locator(".families tbody tr >> visible=true").count() == before
