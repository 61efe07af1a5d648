"""The examples of the page, copied from it as a reader would and run against the server that showed them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import attrs
import pytest

from tests.support.node import installed_libraries
from tests.support.pages import examples
from tests.support.program import Program, copy_project, running

PATIENCE_S = 60
SAID = "This is the mock model."
LANGUAGES = ["en", "zh"]

SHELL = {
    "quickstart curl": SAID,
    "stream-reading curl": "data: [DONE]",
    "dialects-examples Responses": SAID,
    "dialects-examples Messages": SAID,
    "dialects-examples Gemini": SAID,
    "catalogue-request curl": '"success":true',
    "catalogue-caching Shell": "304",
    "lists-all curl": '"object":"list"',
    "lists-one curl": '"id":"mock"',
    "health curl": '"status":"ok"',
}
"""What each prints, or a part of it."""
PYTHON = {
    "quickstart Python": SAID,
    "stream-reading Python": SAID,
    "vision-data Python": "",
    "conversation Python": SAID,
    "catalogue-request Python": "gpt-5-mini {",
}
NODE = {
    "quickstart Node": SAID,
    "stream-reading Node": SAID,
    "catalogue-request Node": "gpt-5-mini {",
}
BODIES = ["tools-define JSON", "vision-url JSON"]
"""Requests for chat completions."""
ANSWERS = {
    "chat-response JSON",
    "stream-chunks Server-Sent Events",
    "tools-answer JSON",
    "catalogue-response JSON",
    "catalogue-errors JSON",
    "lists-all JSON",
    "errors JSON",
    "health JSON",
}
"""What the server says; the documents of the page are held against it elsewhere."""
PARTS = {"base-url Base URL", "authentication HTTP", "tools-result JSON", "catalogue-caching HTTP"}
SETTINGS = {"clients Codex CLI", "clients Claude Code", "clients Gemini CLI", "clients opencode"}


@attrs.frozen
class Shown:
    """A server, and the examples that its page shows by language."""

    server: Program
    by_language: dict[str, dict[str, str]]

    def code(self, name: str, language: str = "en") -> str:
        """An example with the reader's key in it."""
        return self.by_language[language][name].replace("YOUR_API_KEY", str(self.server.key))

    def beginning(self, name: str, until: str, language: str) -> str:
        """What of an example makes the client that later ones use."""
        return self.code(name, language).partition(until)[0]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    home = copy_project(tmp_path_factory.mktemp("page"))
    with running("server.py", "--listen", "127.0.0.1:0", home=home) as server:
        texts = {each: read(f"{server.url}/?lang={each}").decode() for each in LANGUAGES}
        yield Shown(server, {language: examples(text) for language, text in texts.items()})


def read(url: str, body: bytes | None = None, **headers: str) -> bytes:
    with urlopen(Request(url, body, headers), timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


def run(argv: Sequence[str], home: Path) -> str:
    """What a program prints; it must end well."""
    done = subprocess.run(
        argv,
        cwd=home,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_is_tried(shown: Shown, language: str) -> None:
    known = {*SHELL, *PYTHON, *NODE, *BODIES, *ANSWERS, *PARTS, *SETTINGS}

    assert known == shown.by_language[language].keys()


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="bash or curl is not installed")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "expected"), SHELL.items())
def test_a_command_answers(shown: Shown, tmp_path: Path, name: str, expected: str, language: str) -> None:
    printed = run(["bash", "-euo", "pipefail", "-c", shown.code(name, language)], tmp_path)

    assert expected in printed


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "expected"), PYTHON.items())
def test_a_program_in_python_answers(shown: Shown, tmp_path: Path, name: str, expected: str, language: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    client = shown.beginning("quickstart Python", "\nresponse =", language)
    printed = run([sys.executable, "-c", f"{client}\n{shown.code(name, language)}"], tmp_path)

    assert expected in printed


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "expected"), NODE.items())
def test_a_program_in_node_answers(shown: Shown, tmp_path: Path, name: str, expected: str, language: str) -> None:
    (tmp_path / "node_modules").symlink_to(installed_libraries() / "node_modules")
    is_whole = "import " in shown.code(name)
    client = "" if is_whole else shown.beginning("quickstart Node", "\nconst response", language)
    (tmp_path / "example.mjs").write_text(f"{client}\n{shown.code(name, language)}", "utf-8")
    printed = run(["node", "example.mjs"], tmp_path)

    assert expected in printed


def complete(shown: Shown, body: str) -> Any:
    headers = {"Authorization": f"Bearer {shown.server.key}", "Content-Type": "application/json"}
    answer = json.loads(read(f"{shown.server.url}/v1/chat/completions", body.encode(), **headers))
    return answer["choices"][0]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_answered(shown: Shown, name: str, language: str) -> None:
    choice = complete(shown, shown.code(name, language))

    assert choice["finish_reason"] in ("stop", "tool_calls")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_result_of_a_tool_is_taken_behind_its_call(shown: Shown, language: str) -> None:
    asked = json.loads(shown.code("tools-define JSON", language))
    called = json.loads(shown.code("tools-answer JSON", language))["choices"][0]["message"]
    result = json.loads(shown.code("tools-result JSON", language))
    choice = complete(shown, json.dumps({**asked, "messages": [*asked["messages"], called, result]}))

    assert choice["finish_reason"] == "stop"


def test_an_event_is_json_or_the_end(shown: Shown) -> None:
    lines = shown.code("stream-chunks Server-Sent Events").splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    assert events.pop() == "[DONE]"
    assert {tuple(json.loads(each)) for each in events} == {("id", "choices")}


def test_settings_of_programs_name_this_server(shown: Shown) -> None:
    codex = tomllib.loads(shown.code("clients Codex CLI"))
    opencode = json.loads(shown.code("clients opencode"))

    assert codex["model_providers"]["modelserver"]["base_url"] == f"{shown.server.url}/v1"
    assert opencode["provider"]["modelserver"]["options"]["baseURL"] == f"{shown.server.url}/v1"
    assert f"ANTHROPIC_BASE_URL={shown.server.url}\n" in shown.code("clients Claude Code")
    assert f"GOOGLE_GEMINI_BASE_URL={shown.server.url}\n" in shown.code("clients Gemini CLI")
