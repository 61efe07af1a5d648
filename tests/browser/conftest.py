"""The shipped program and a browser, once for each module, and a visitor for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Visitor, chromium, visiting
from tests.support.program import Program, copy_project, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    home = copy_project(tmp_path_factory.mktemp("page"))
    with running("server.py", "--listen", "127.0.0.1:0", home=home) as program:
        yield program


@pytest.fixture
def visitor(browser: Browser, server: Program) -> Iterator[Visitor]:
    with visiting(browser, server.url) as someone:
        yield someone
