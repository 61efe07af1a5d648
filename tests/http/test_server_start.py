"""The script from its start to its end, as a process with the real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import tomli

from modelserver.web.listen import bind
from tests.support.serving import Client, split_answer

ROOT = Path(__file__).parents[2]
MOCK = '[[models]]\nmodel_id = "mock"\nroute = "mock/mock"\n'


@asynccontextmanager
async def script(home: Path, *argv: str, code: str | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """`server.py` on the `models.toml` of `home`; with `code`, that is run in its place."""
    command = ["-c", code] if code is not None else [str(ROOT / "server.py")]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *argv,
        cwd=ROOT,
        env={**os.environ, "MODELSERVER_CONFIG": str(home / "models.toml")},
        stdout=pipe,
        stderr=pipe,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_to(stream: asyncio.StreamReader | None, end: bytes) -> str:
    assert stream is not None
    return (await asyncio.wait_for(stream.readuntil(end), 20)).decode()


def words_of(curl: str) -> list[str]:
    return shlex.split(curl.replace("\\\n", " "))


async def run_curl(curl: str) -> tuple[int, object]:
    """What the pasted command asks for, asked without curl."""
    words = words_of(curl)
    host, port, path = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", words[1]).groups()  # type: ignore[union-attr]
    headers = [words[i + 1] for i, word in enumerate(words) if word == "-H"]
    body = words[words.index("-d") + 1].encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(body)}", *headers]
    client = Client(*await asyncio.open_connection(host, int(port)))
    await client.send("\r\n".join([*lines, "", ""]).encode() + body)
    status, _, answer = split_answer(await client.read_all())
    client.close()
    return status, answer


async def test_the_first_start_makes_a_key_that_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    async with script(tmp_path, "--listen", "127.0.0.1:0") as process:
        welcome = await read_to(process.stdout, b"}'\n")
        await read_to(process.stderr, b"127.0.0.1")
        key = re.search(r"^    (sk-ms-\S+)$", welcome, re.MULTILINE)
        status, answer = await run_curl(welcome[welcome.index("curl ") :])
        process.terminate()
        _, log = await process.communicate()

    assert key is not None
    assert status == 200, answer
    assert isinstance(answer, dict)
    assert answer["choices"]
    assert process.returncode == 0
    assert key[1] not in log.decode()
    assert [entry["name"] for entry in tomli.loads((tmp_path / "keys.toml").read_text())["keys"]] == ["first"]


async def test_the_second_start_prints_no_key(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    for expected in (True, False):
        async with script(tmp_path, "--listen", "127.0.0.1:0", "--log", "text") as process:
            await read_to(process.stderr, b"serves 1 model on http://127.0.0.1:")
            process.terminate()
            printed, _ = await process.communicate()

        assert (b"sk-ms-" in printed) == expected


async def test_an_open_server_prints_a_curl_line_without_key(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(f"[server]\nopen = true\n{MOCK}")
    async with script(tmp_path, "--listen", "127.0.0.1:0") as process:
        welcome = await read_to(process.stdout, b"}'\n")
        await read_to(process.stderr, b"127.0.0.1")
        status, _ = await run_curl(welcome[welcome.index("curl ") :])

    assert status == 200
    assert "Authorization" not in welcome
    assert not (tmp_path / "keys.toml").exists()


async def test_a_public_address_without_key_is_refused_with_status_2(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    async with script(tmp_path, "--listen", "0.0.0.0:0") as process:
        printed, log = await process.communicate()

    assert (process.returncode, printed) == (2, b"")
    assert b"key new" in log
    assert not (tmp_path / "keys.toml").exists()


async def test_a_port_in_use_is_status_1_in_one_line_and_makes_no_key(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    (held,) = bind("127.0.0.1", 0)
    with held:
        held.listen()
        async with script(tmp_path, "--listen", f"127.0.0.1:{held.getsockname()[1]}") as process:
            printed, log = await process.communicate()

    assert (process.returncode, printed, log.count(b"\n")) == (1, b"", 1)
    assert b"in use" in log
    assert not (tmp_path / "keys.toml").exists()


async def test_the_log_is_json_where_it_goes_to_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    async with script(tmp_path, "--listen", "127.0.0.1:0") as process:
        line = json.loads(await read_to(process.stderr, b"\n"))

    assert line["level"] == "info"
    assert "serves 1 model" in line["message"]


async def test_without_the_compiled_parser_the_start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.toml").write_text(MOCK)
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    async with script(tmp_path, "--listen", "127.0.0.1:0") as process:
        printed, log = await process.communicate()

    assert (process.returncode, printed) == (2, b"")
    assert b"compiled parser" in log


async def test_a_missing_library_is_said_in_one_line(tmp_path: Path) -> None:
    code = "import sys, runpy; sys.modules['aiohttp'] = None; runpy.run_path('server.py', run_name='__main__')"
    async with script(tmp_path, code=code) as process:
        _, log = await process.communicate()

    assert process.returncode == 1
    assert log.decode().splitlines()[0].startswith("aiohttp is not installed.")
    assert b"Traceback" not in log
