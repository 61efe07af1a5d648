"""What the page must not do, whatever the configuration says, and the page below a host's prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Visitor, visiting
from tests.support.program import copy_project, running

pytestmark = pytest.mark.browser

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</code></table><script>alert(2)</script>",
    "javascript:alert(3)",
    '" autofocus onfocus=alert(4) x="',
    "[x](javascript:alert(5)) `code` **strong** {model}",
    "<base href=//example.com><style>*{display:none}</style>",
    "<!--",
    "</main></body></html>",
]
IDS = [text.replace(" ", "/").replace("*", "+") for text in HOSTILE]
"""They hold no spaces and no stars."""
MODEL = """
[[models]]
model_id = '''{name}'''
desc = '''{text}'''
owned_by = '''{text}'''
tags = ["new"]
route = "mock/mock"
"""
HOST = """
import socket
from aiohttp import web
from modelserver.config import parse_config
from modelserver.web.app import create_app

async def hello(request):
    return web.Response(text="hello")

app = web.Application()
app.router.add_get("/", hello)
app.add_subapp("/llm", create_app(parse_config(
    '[server]\\nopen = true\\n[[models]]\\nmodel_id = "mock"\\nroute = "mock/mock"', environ={}
)))
listener = socket.create_server(("127.0.0.1", 0))
print(f"serves 1 model on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
web.run_app(app, sock=listener, print=None)
"""


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose models' names are written by an enemy."""
    home = copy_project(tmp_path_factory.mktemp("hostile"))
    (home / "models.toml").write_text(
        "".join(MODEL.format(text=text, name=name) for text, name in zip(HOSTILE, IDS, strict=True)), "utf-8"
    )
    with running("server.py", "--listen", "127.0.0.1:0", home=home) as program:
        yield program.url


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_models_are_called_is_text(browser: Browser, hostile: str, language: str, script: bool) -> None:
    with visiting(browser, hostile) as visitor:
        page = visitor.open(language=language, java_script_enabled=script)

        assert page.locator(".owner").all_text_contents() == HOSTILE
        assert page.locator(".models .desc").all_text_contents() == HOSTILE
        assert page.locator(".models th > code").all_text_contents() == IDS
        expect(page.locator("script")).to_have_count(1)
        expect(page.locator("style, base, main img, [onerror], [onfocus], [href^='javascript:']")).to_have_count(0)
        expect(page.locator("footer")).to_be_visible()


def test_the_filter_takes_what_is_typed_as_text(browser: Browser, hostile: str) -> None:
    with visiting(browser, hostile) as visitor:
        page = visitor.open()
        page.locator(".filter").fill(HOSTILE[0])

        assert page.locator(".models th > code >> visible=true").all_inner_texts() == IDS[:1]


def test_the_policy_stops_what_would_run_all_the_same(browser: Browser, hostile: str) -> None:
    with visiting(browser, hostile) as visitor:
        page = visitor.open()
        page.evaluate("() => { document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=alert(1)>'); }")
        page.wait_for_function("() => document.querySelector('main ~ img, body > img').complete")
        page.evaluate(
            "() => { document.body.append(Object.assign(document.createElement('script'), {text: 'alert()'})) }"
        )
        complaints = visitor.faults.copy()
        visitor.faults.clear()

        assert any(each.startswith("console: policy script-src") for each in complaints)
        assert not any(each.startswith(("dialog", "elsewhere")) for each in complaints)


@pytest.mark.parametrize("path", ["/llm", "/llm/"])
def test_below_a_prefix_all_is_there(browser: Browser, tmp_path: Path, path: str) -> None:
    home = copy_project(tmp_path)
    with running("-c", HOST, home=home) as program, visiting(browser, program.url) as visitor:
        page = visitor.open(path)
        address = page.locator("#base-url code").first.text_content()
        page.locator(".languages").get_by_text("中文").click()
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        page.goto(f"{visitor.url}{path}")
        cookies = [(each.get("name"), each.get("path")) for each in visitor.contexts[0].cookies()]

        assert address == f"{program.url}/llm/v1"
        assert cookies == [("lang", "/llm")]
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        expect(page.locator("figure.code .copy").first).to_be_visible()
        expect(page.locator(".openapi")).to_have_js_property("href", f"{program.url}/llm/openapi.json")


def test_it_asks_for_nothing_but_its_files(visitor: Visitor) -> None:
    asked: list[str] = []
    page = visitor.open(width=1920)
    page.on("request", lambda request: asked.append(request.url.removeprefix(visitor.url)))
    page.goto(f"{visitor.url}/?lang=zh")
    page.mouse.wheel(0, 20_000)
    page.wait_for_load_state("networkidle")

    assert {path.partition(".")[0] for path in asked} <= {"/?lang=zh", "/assets/page", "/assets/icon"}


def test_it_keeps_nothing_but_the_language_and_the_tabs(visitor: Visitor) -> None:
    page = visitor.open("/?lang=en")
    page.locator("#quickstart").get_by_role("tab", name="Node").click()

    assert [each.get("name") for each in visitor.contexts[0].cookies()] == ["lang"]
    assert page.evaluate("() => Object.entries(localStorage)") == [["modelserver-language", "Node"]]
