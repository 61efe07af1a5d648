"""Pages in Debian's Chromium, with an eye on whatever goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, sync_playwright

CHROMIUM = "chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000
LOCALES = {"en": "en-US", "zh": "zh-CN"}

_REPORT = """document.addEventListener("securitypolicyviolation",
  (event) => console.error("policy", event.violatedDirective, event.blockedURI));"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; the test is skipped where there is none.

    As long as it runs, no event loop can be started in this thread: it is of a module that has no asynchronous tests.
    """
    program = shutil.which(CHROMIUM)
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@attrs.define(slots=False)  # Playwright puts attributes of its own on it
class Visitor:
    """Someone who comes to a server with browsers of their own settings."""

    browser: Browser
    url: str
    """Without a path."""
    contexts: list[BrowserContext] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)
    """What the browser complained of, and requests to other places."""

    def open(
        self, path: str = "/", *, language: str = "en", width: int = 1280, height: int = 800, **settings: Any
    ) -> Page:
        """The page in a browser without history; `settings` as those of Playwright's `new_context`."""
        viewport = {"width": width, "height": height}
        context = self.browser.new_context(viewport=viewport, locale=LOCALES[language], **settings)
        self.contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_REPORT)
        page = context.new_page()
        self.watch(page)
        page.goto(f"{self.url}{path}")
        return page

    def watch(self, page: Page) -> None:
        """Note whatever goes wrong in a page."""
        # Playwright marks what it is given, which methods of a class with slots do not allow.
        page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._check(request.url))
        page.on("requestfailed", lambda request: self._note_failed(request))
        page.on("response", lambda answer: self._note_refused(answer))

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.faults.append(f"elsewhere: {url}")

    def _note_failed(self, request: Request) -> None:
        # Whoever leaves a page ends what was still under way for it.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url}: {request.failure}")

    def _note_refused(self, answer: Response) -> None:
        if answer.status >= 400:
            self.faults.append(f"refused: {answer.url}: {answer.status}")


@contextmanager
def visiting(browser: Browser, url: str) -> Iterator[Visitor]:
    """A visitor until the block ends, by when nothing may have gone wrong in any page."""
    visitor = Visitor(browser, url)
    try:
        yield visitor
        assert not visitor.faults, "\n".join(visitor.faults)
    finally:
        for context in visitor.contexts:
            context.close()
