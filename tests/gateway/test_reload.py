"""A configuration that changes while calls run."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelserver.clock import settle
from modelserver.config import Config, ConfigError, Problem, load_config
from modelserver.errors import NotAuthenticated, NotFound
from modelserver.gateway.gateway import FILES_LOOKED_AT_S, Gateway
from tests.support.scripted import (
    DONE,
    FINISH,
    SILENCE,
    TEXT,
    WHOLE,
    Answer,
    Scripted,
    Work,
    at_work,
    config,
    stream,
    whole,
)

OTHER = '[[models]]\nmodel_id = "other"\nroute = "up/other"'
KEY = "sk-ms-alice-0123456789"
KEYED = f'[[keys]]\nname = "alice"\nhash = "sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"'


async def test_a_new_configuration_serves_new_calls() -> None:
    async with at_work(config(), Scripted(whole()), load=lambda: config(more=OTHER)) as work:
        before = await (await work.begin(model="other")).error()
        await work.gateway.reload()
        after = await (await work.begin(model="other")).body()

        assert (type(before), after) == (NotFound, WHOLE)


async def test_running_calls_finish_on_the_old_one() -> None:
    going_on = asyncio.Event()
    transport = Scripted(stream(TEXT, going_on, FINISH, DONE))
    gone = Config(groups=config().groups, users=config().users)
    async with at_work(config(), transport, load=lambda: gone) as work:
        running = await work.begin(stream=True)
        await work.gateway.reload()
        refused = await (await work.begin()).error()
        going_on.set()

        assert isinstance(refused, NotFound)
        assert await running.body() == TEXT + FINISH + DONE


async def test_a_retry_of_a_running_call_goes_where_its_first_try_went() -> None:
    going_on = asyncio.Event()
    transport = Scripted(Answer(status=500, before=[going_on]), whole())
    moved = config(provider='headers = { x-moved = "yes" }')
    async with at_work(config(), transport, load=lambda: moved) as work:
        running = await work.begin()
        await work.gateway.reload()
        going_on.set()
        await work.over([running], within_s=5)
    first, second = transport.requests

    assert "x-moved" not in {name.lower() for name in first.headers}
    assert first.headers == second.headers


async def test_a_key_that_is_gone_is_refused_at_once() -> None:
    read = config()
    async with at_work(config(more=KEYED), Scripted(whole()), load=lambda: read) as work:
        before = work.gateway.authenticate(KEY)
        await work.gateway.reload()

        assert before.key == "alice"
        with pytest.raises(NotAuthenticated):
            work.gateway.authenticate(KEY)


def raises(error: Exception) -> Callable[[], Config]:
    def load() -> Config:
        raise error

    return load


BAD = [
    pytest.param(
        ConfigError([Problem(file="models.toml", path="models[0].route", message="no such provider")]),
        "models[0].route: no such provider",
        id="with a fault",
    ),
    pytest.param(PermissionError(13, "Permission denied"), "Permission denied", id="that can't be read"),
    pytest.param(ZeroDivisionError("a slip"), "a slip", id="that whoever reads it fails over"),
]


@pytest.mark.parametrize(("error", "said"), BAD)
async def test_a_bad_file_changes_nothing_and_says_why(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(config(), Scripted(whole()), load=raises(error)) as work:
        before = work.gateway.snapshot
        await work.gateway.reload()

        assert work.gateway.snapshot is before
        assert await (await work.begin()).body() == WHOLE
    assert said in caplog.text


async def test_reloads_do_not_overtake_each_other() -> None:
    loop = asyncio.get_running_loop()
    begun: list[int] = []
    held = asyncio.Event()

    def load() -> Config:
        begun.append(len(begun))
        if len(begun) == 1:
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result(5)
            return config()
        return config(more=OTHER)

    async with at_work(config(), Scripted(whole()), load=load) as work:
        both = asyncio.gather(work.gateway.reload(), work.gateway.reload())
        while not begun:
            await asyncio.sleep(0)
        await settle()
        seen = len(begun)
        held.set()
        await both

        assert seen == 1
        assert [model.model_id for model in work.gateway.config.models] == ["m", "other"]


async def test_a_change_of_the_address_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moved = config(more='[server]\nlisten = "127.0.0.1:9999"')
    async with at_work(config(), Scripted(whole()), load=lambda: moved) as work:
        await work.gateway.reload()

    assert "takes a restart" in caplog.text


FILE = """
[providers.up]
base_url = "http://up.invalid/v1"
key = "$UP_KEY"
[[models]]
model_id = "m"
route = "up/m"
"""


def write(path: Path, text: str) -> None:
    """As an editor does it: a new file in the place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a configuration."""
    monkeypatch.delenv("UP_KEY", raising=False)
    write(tmp_path / "models.toml", FILE)
    write(tmp_path / ".env", "UP_KEY=first-0123456789")
    return tmp_path


async def look(work: Work) -> None:
    """Let the gateway look at its files, and read them where they have changed."""
    await work.clock.advance(FILES_LOOKED_AT_S)
    async with asyncio.timeout(5):
        async with work.gateway._reloading:  # the reading is done in a thread
            pass
    await settle()


def ids(work: Work) -> list[str]:
    return [model.model_id for model in work.gateway.config.models]


async def test_a_file_that_is_written_is_read(home: Path) -> None:
    async with at_work(load_config(home / "models.toml"), Scripted(whole())) as work:
        await settle()
        write(home / "models.toml", FILE + OTHER)
        before = ids(work)
        await look(work)

        assert (before, ids(work)) == (["m"], ["m", "other"])


async def test_files_that_do_not_change_are_not_read_again(home: Path) -> None:
    async with at_work(load_config(home / "models.toml"), Scripted(whole())) as work:
        before = work.gateway.snapshot
        await look(work)
        await look(work)

        assert work.gateway.snapshot is before


async def test_a_key_of_a_provider_that_changes_in_the_env_file_is_sent(home: Path) -> None:
    transport = Scripted(whole())
    async with at_work(load_config(home / "models.toml"), transport) as work:
        await (await work.begin()).body()
        write(home / ".env", "UP_KEY=second-0123456789")
        await look(work)
        await (await work.begin()).body()

    assert [request.headers["Authorization"] for request in transport.requests] == [
        "Bearer first-0123456789",
        "Bearer second-0123456789",
    ]


async def test_a_file_of_keys_that_appears_is_read(home: Path) -> None:
    async with at_work(load_config(home / "models.toml"), Scripted(whole())) as work:
        await settle()
        write(home / "keys.toml", KEYED)
        await look(work)
        found = work.gateway.authenticate(KEY).key
        (home / "keys.toml").unlink()
        await look(work)

        assert found == "alice"
        with pytest.raises(NotAuthenticated):
            work.gateway.authenticate(KEY)


async def test_a_bad_file_is_said_once_and_the_next_good_one_read(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with at_work(load_config(home / "models.toml"), Scripted(whole())) as work:
        await settle()
        write(home / "models.toml", FILE + "nonsense")
        await look(work)
        await look(work)
        during = ids(work)
        write(home / "models.toml", FILE + OTHER)
        await look(work)

        assert (during, ids(work)) == (["m"], ["m", "other"])
    assert caplog.text.count("was not reloaded") == 1


async def test_files_are_followed_after_a_reading_that_failed_in_a_way_nobody_thought_of(home: Path) -> None:
    wrong: list[Exception] = [ZeroDivisionError()]

    def load() -> Config:
        if wrong:
            raise wrong.pop()
        return load_config(home / "models.toml")

    async with at_work(load_config(home / "models.toml"), Scripted(whole()), load=load) as work:
        await settle()
        for more in ("", OTHER):
            write(home / "models.toml", FILE + more + "\n")
            await look(work)

        assert ids(work) == ["m", "other"]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such times")
async def test_a_file_that_is_made_readable_is_read_again(home: Path) -> None:
    async with at_work(load_config(home / "models.toml"), Scripted(whole())) as work:
        await settle()
        before = work.gateway.snapshot
        (home / ".env").chmod(0o600)
        await look(work)

        assert work.gateway.snapshot is not before


async def test_a_failure_of_a_background_task_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async with at_work(config(), Scripted(stream(SILENCE))) as work:
        await asyncio.wait([work.gateway.spawn(broken(), "an errand")])
        await settle()

    assert "'an errand' failed" in caplog.text


async def test_a_gateway_without_a_file_has_nothing_to_reload() -> None:
    clockwork = Scripted(whole())
    async with Gateway.open(config(), clock=clockwork.clock, transport=clockwork) as gateway:
        before = gateway.snapshot
        await gateway.reload()

        assert gateway.snapshot is before
