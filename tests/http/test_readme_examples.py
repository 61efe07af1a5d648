"""The examples of README.md, run as they stand there, and what README promises to who has only just come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from modelserver.config import parse_config
from tests.support.program import ROOT, Program, copy_project, run, running
from tests.support.upstream import RawUpstream, Received, Script, json_answer, sse_answer

README = (ROOT / "README.md").read_text("utf-8")
HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}
SAID = 'This is the mock model. You said: "Hello!"'
NOWHERE = "127.0.0.1:1"

CODE: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TABLES: list[str] = [
    table for table in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "[model_providers" not in table
]
"""Those of `models.toml`; one is a client's."""


def example(word: str) -> str:
    """The one example that holds the word."""
    (found,) = [code for code in CODE if word in code]
    return found


SCRIPT, SUB_APPLICATION, IN_PROCESS = map(example, ("serve(", "add_subapp", "Gateway.open"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project that serves on a free port."""
    copy_project(tmp_path)
    models = tmp_path / "models.toml"
    text, count = re.subn(r"(?m)^#listen .*$", 'listen = "127.0.0.1:0"', models.read_text("utf-8"))
    assert count == 1
    models.write_text(text, "utf-8")
    return tmp_path


async def ask(url: str, key: str | None, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON of a GET, or of a POST where there is a body."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request("GET" if body is None else "POST", url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def ids_of(server: Program) -> list[str]:
    _, listed = await ask(f"{server.url}/v1/models", None)
    return [entry["id"] for entry in listed["data"]]


@pytest.mark.parametrize("code", [SCRIPT, SUB_APPLICATION, IN_PROCESS], ids=["script", "sub-application", "in process"])
def test_an_example_has_less_than_ten_lines(code: str) -> None:
    assert len([line for line in code.splitlines() if line]) < 10


async def test_the_script_serves(home: Path) -> None:
    (home / "own.py").write_text(SCRIPT, "utf-8")
    key = run(["server.py", "key", "new", "me"], home=home).strip()
    with running("own.py", home=home) as server:
        status, answer = await ask(f"{server.url}/v1/chat/completions", key, {"model": "mock", **HELLO})

    assert (status, answer["choices"][0]["message"]["content"]) == (200, SAID)


async def test_the_sub_application_serves_below_its_prefix(
    home: Path, monkeypatch: pytest.MonkeyPatch, aiohttp_client: AiohttpClient
) -> None:
    key = run(["server.py", "key", "new", "me"], home=home).strip()
    apps: list[web.Application] = []
    monkeypatch.chdir(home)
    monkeypatch.setattr(web, "run_app", lambda app, *, port: apps.append(app))
    exec(compile(SUB_APPLICATION, "README.md", "exec"), {})
    client = await aiohttp_client(apps[0])
    url = client.make_url("/llm/v1/chat/completions")
    status, answer = await ask(str(url), key, {"model": "mock", **HELLO})

    assert (status, answer["choices"][0]["message"]["content"]) == (200, SAID)


def test_the_in_process_example_prints_the_answer(home: Path) -> None:
    (home / "own.py").write_text(IN_PROCESS, "utf-8")

    assert run(["own.py"], home=home) == f"{SAID}\n"


CLIENTS = [
    pytest.param("from openai", [SAID], id="OpenAI"),
    pytest.param("from anthropic", [SAID, SAID], id="Anthropic and Google"),
]


@pytest.mark.sdk
@pytest.mark.parametrize(("word", "said"), CLIENTS)
def test_the_example_of_a_client_prints_the_answer(home: Path, word: str, said: list[str]) -> None:
    client = example(word)
    with running("server.py", home=home) as server:
        own = client.replace("http://127.0.0.1:8400", server.url).replace("sk-ms-...", server.key or "")
        (home / "own.py").write_text(own, "utf-8")

        assert run(["own.py"], home=home).splitlines() == said
    assert "8400" in client
    assert "sk-ms-..." in client


@pytest.mark.parametrize("text", TABLES, ids=["providers and models", "groups and users"])
def test_an_example_of_the_configuration_can_stand_in_models_toml(text: str) -> None:
    shipped = (ROOT / "models.toml").read_text("utf-8")
    whole = text if "[[models]]" in text else f"{shipped}\n{text}"

    config = parse_config(whole, environ={"HOME_API_KEY": "k"})

    assert set(re.findall(r"(?m)^\[(?:providers|groups|users)\.(\w+)\]", text)) <= {
        *config.providers,
        *config.groups,
        *config.users,
    }


def completion(request: Received) -> Script:
    """A provider: its list of models, and an answer that tells what was asked for."""
    if request.path == "/v1/models":
        return [json_answer({"object": "list", "data": [{"id": "llama3.2:latest", "object": "model"}]})]
    asked = request.json()
    head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
    if asked.get("stream"):
        first = {"index": 0, "delta": {"role": "assistant", "content": "Hi."}, "finish_reason": None}
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        frames = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in (first, last)]
        return [sse_answer([*frames, "[DONE]"])]
    message = {"role": "assistant", "content": "Hi."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return [json_answer({**head, "object": "chat.completion", "choices": [choice]})]


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}/v1"], ids=["bare", "with /v1"])
async def test_a_key_of_openai_alone_is_enough(home: Path, address: str) -> None:
    async with RawUpstream(completion) as upstream:
        environ = {
            "OPENAI_API_KEY": "sk-of-openai",
            "OPENAI_BASE_URL": address.format(port=upstream.port),
            "OLLAMA_HOST": NOWHERE,
        }
        with running("server.py", home=home, environ=environ) as server:
            listed = await ids_of(server)
            status, answer = await ask(
                f"{server.url}/v1/chat/completions", server.key, {"model": "gpt-4o-mini", **HELLO}
            )
        (received,) = upstream.requests

    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hi.")
    assert (received.path, received.json()["model"]) == ("/v1/chat/completions", "gpt-4o-mini")
    assert received.header("Authorization") == "Bearer sk-of-openai"
    assert {"gpt-5", "gpt-4o-mini", "mock"} <= set(listed)
    assert not [name for name in listed if name.startswith(("claude", "gemini", "ollama/"))]


async def test_an_ollama_alone_is_enough(home: Path) -> None:
    async with RawUpstream(completion) as upstream:
        with running("server.py", home=home, environ={"OLLAMA_HOST": f"127.0.0.1:{upstream.port}"}) as server:
            listed = await ids_of(server)
            status, answer = await ask(
                f"{server.url}/v1/chat/completions", server.key, {"model": "ollama/llama3.2:latest", **HELLO}
            )
        received = upstream.requests[-1]

    assert listed == ["ollama/llama3.2:latest", "mock"]
    assert (status, answer["model"]) == (200, "ollama/llama3.2:latest")
    assert (received.path, received.json()["model"]) == ("/v1/chat/completions", "llama3.2:latest")
    assert received.header("Authorization") is None


async def test_without_any_provider_the_mock_and_the_catalogue_are_there(home: Path) -> None:
    with running("server.py", home=home, environ={"OLLAMA_HOST": NOWHERE}) as server:
        listed = await ids_of(server)
        _, catalogue = await ask(f"{server.url}/api/v1/models", None)
        status, refusal = await ask(f"{server.url}/v1/chat/completions", server.key, {"model": "gpt-4o", **HELLO})

    assert listed == ["mock"]
    assert {"gpt-5", "gpt-5-codex", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro"} <= {
        entry["model_id"] for entry in catalogue["data"]
    }
    assert (status, refusal["error"]["code"]) == (503, "no_provider_key")
    assert "OPENAI_API_KEY" in refusal["error"]["message"]
