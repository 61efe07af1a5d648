"""From the first signal to the end of the process: what begun is finished, what can't be is said."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelserver.config import Config
from modelserver.config.types import Key, Server
from modelserver.web import listen, server
from modelserver.web.listen import CannotServe, bind, check_access
from tests.support.serving import END, Client, serving, split_answer

ROOT = Path(__file__).parents[2]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
STREAM = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_running_stream_finishes_within_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.05)
    async with serving(drain_s=30.0) as running:
        client = await running.connect()
        await client.send(STREAM)
        await client.read_to(b"data: 1\n\n")
        running.stop.set()
        await closed_listener(running.address)
        running.gateway.finish.set()
        rest = await client.read_all()
        await asyncio.wait_for(running.task, 10)

    assert b"[DONE]" in rest
    assert not running.gateway.ended.is_set()


async def test_a_stream_that_outlasts_the_drain_is_ended_by_the_gateway() -> None:
    async with serving(drain_s=0.2) as running:
        client = await running.connect()
        await client.send(STREAM)
        await client.read_to(b"data: 1\n\n")
        running.stop.set()
        rest = await client.read_all()
        await asyncio.wait_for(running.task, 10)

    assert END in rest
    assert rest.endswith(b"0\r\n\r\n")
    assert running.gateway.cancelled == 0


async def test_while_draining_the_listener_is_open_and_every_answer_is_the_last_of_its_connection() -> None:
    async with serving(drain_s=30.0, drain_delay_s=30.0) as running:
        idle = await running.connect()
        await idle.send(GET)
        await idle.read_answer()
        running.stop.set()
        await asyncio.wait_for(running.gateway.drains.wait(), 10)
        newcomer = split_answer(await running.exchange(GET))
        await idle.send(GET)
        kept = split_answer(await idle.read_all())

        assert [answer[0] for answer in (newcomer, kept)] == [200, 200]
        assert [answer[1]["connection"] for answer in (newcomer, kept)] == ["close", "close"]


async def test_what_waits_in_the_backlog_is_served_before_the_listener_closes() -> None:
    async with serving(drain_s=30.0) as running:
        # Connected and sent in one go, without giving the loop a chance to accept.
        waiting = [socket.create_connection(running.address, timeout=10) for _ in range(50)]
        for each in waiting:
            each.sendall(GET)
        running.stop.set()
        await asyncio.wait_for(running.task, 10)

    assert [each.recv(12) for each in waiting] == [b"HTTP/1.1 200"] * 50
    for each in waiting:
        each.close()


async def test_a_connection_that_has_sent_nothing_yet_gets_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 30.0)
    async with serving(drain_s=30.0) as running:
        client = await running.connect()
        running.stop.set()
        await closed_listener(running.address)
        ended, _ = await asyncio.wait([running.task], timeout=0.2)
        await client.send(GET)
        status, _, _ = split_answer(await client.read_all())
        await asyncio.wait_for(running.task, 10)

    assert ended == set()
    assert status == 200


async def test_idle_connections_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.05)
    async with serving(drain_s=30.0) as running:
        silent, idle = await running.connect(), await running.connect()
        await idle.send(GET)
        await idle.read_answer()
        running.stop.set()
        await asyncio.wait_for(running.task, 10)

        assert [await silent.read_all(), await idle.read_all()] == [b"", b""]


async def test_a_body_that_is_still_arriving_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.05)
    async with serving(drain_s=30.0) as running:
        client = await running.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        idle = await running.connect()
        running.stop.set()
        await idle.read_all()  # closed: the moment is over
        await client.send(b"b")
        rest = await client.read_all()

    assert rest.endswith(b"\r\n\r\nab")


async def closed_listener(address: tuple[str, int]) -> None:
    """Return when nobody listens any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address)
        except ConnectionError:
            return
        writer.transport.abort()


@contextlib.asynccontextmanager
async def process(**settings: object) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client]]:
    """The stand-in in a process of its own, and a connection on which a stream runs."""
    command = [sys.executable, "-m", "tests.support.serving", json.dumps(settings)]
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert started.stdout is not None
    try:
        port = int(await asyncio.wait_for(started.stdout.readline(), 20))
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        await client.send(STREAM)
        await client.read_to(b"data: 1\n\n")
        yield started, client
        client.close()
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_drains_and_the_process_exits_with_0(number: signal.Signals) -> None:
    async with process(drain_s=0.1) as (started, client):
        started.send_signal(number)
        rest = await client.read_all()

        assert await asyncio.wait_for(started.wait(), 10) == 0
        assert END in rest


async def test_a_second_signal_does_not_wait() -> None:
    async with process(drain_s=600.0) as (started, client):
        started.terminate()
        assert started.stderr is not None
        await started.stderr.readuntil(b"Draining")
        started.terminate()
        rest = await client.read_all()

        assert await asyncio.wait_for(started.wait(), 10) == 0
        assert END in rest


async def test_a_hang_up_signal_reloads_and_nothing_else() -> None:
    async with process(drain_s=0.0) as (started, _):
        assert started.stdout is not None
        for _ in range(2):
            started.send_signal(signal.SIGHUP)
            line = await asyncio.wait_for(started.stdout.readline(), 10)

            assert line == b"reloaded\n"
        assert started.returncode is None


def test_a_port_in_use_is_said_in_words() -> None:
    (held,) = bind("127.0.0.1", 0)
    with held:
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(CannotServe, match=f"127.0.0.1:{port}: the port is in use") as caught:
            bind("127.0.0.1", port)

    assert caught.value.status == 1


REFUSED_PLACES = [
    pytest.param("192.0.2.1", "no such address", id="address of another machine"),
    pytest.param("nowhere.invalid", "no such host", id="unknown name"),
]


@pytest.mark.parametrize(("host", "reason"), REFUSED_PLACES)
def test_a_place_that_can_not_be_had_is_said_in_words(host: str, reason: str) -> None:
    with pytest.raises(CannotServe, match=reason):
        bind(host, 0)


def test_every_interface_has_one_port_for_all() -> None:
    bound = bind("", 0)
    ports = {each.getsockname()[1] for each in bound}
    for each in bound:
        each.close()

    assert len(ports) == 1
    assert bound[0].family == socket.AF_INET


def test_without_ipv6_the_rest_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    real = listen._bind_one

    def refuse(family: int, kind: int, proto: int, place: tuple[object, ...]) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no IPv6 here")
        return real(family, kind, proto, place)

    monkeypatch.setattr(listen, "_bind_one", refuse)
    bound = bind("", 0)
    for each in bound:
        each.close()

    assert [each.family for each in bound] == [socket.AF_INET]


ONE_KEY = (Key(name="a", hash="00"),)
ACCESS = [
    pytest.param("127.0.0.1", False, (), None, id="loopback without key"),
    pytest.param("::1", True, (), None, id="open on IPv6 loopback"),
    pytest.param("localhost", True, (), None, id="open on localhost"),
    pytest.param("0.0.0.0", False, ONE_KEY, None, id="public with a key"),
    pytest.param("0.0.0.0", False, (), "key new", id="public without key"),
    pytest.param("", False, (), "every interface", id="every interface without key"),
    pytest.param("::", False, (), "key new", id="every IPv6 interface without key"),
    pytest.param("example.org", False, (), "key new", id="a name without key"),
    pytest.param("0.0.0.0", True, ONE_KEY, "open = true", id="open to the world"),
]


@pytest.mark.parametrize(("host", "is_open", "keys", "refusal"), ACCESS)
def test_who_can_reach_the_server_needs_a_key(
    host: str, is_open: bool, keys: tuple[Key, ...], refusal: str | None
) -> None:
    config = Config(server=Server(open=is_open), keys=keys)
    expected = contextlib.nullcontext() if refusal is None else pytest.raises(CannotServe, match=refusal)
    with expected as caught:
        check_access(config, host)

    assert caught is None or caught.value.status == 2


def test_a_parser_in_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import http_parser

    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(CannotServe, match="compiled parser") as caught:
        server.check_libraries()

    assert caught.value.status == 2


def test_the_compiled_parser_is_accepted() -> None:
    server.check_libraries()
