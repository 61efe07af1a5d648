"""Slow heads, too many connections, no descriptors: what keeps the server up."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modelserver.web import protocol, server
from modelserver.web.listen import raise_descriptor_limit
from tests.support.serving import Client, Running, serving, split_answer

ROOT = Path(__file__).parents[2]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def quick_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(server, "SWEEP_S", 0.02)


async def sweeps(running: Running) -> None:
    """Return after enough sweeps for anything overdue to be closed: a silent connection has just been."""
    await asyncio.wait_for((await running.connect()).read_all(), 10)


@pytest.mark.usefixtures("quick_timers")
async def test_a_connection_that_sends_nothing_is_closed_without_a_word() -> None:
    async with serving() as running:
        assert await running.exchange() == b""


SLOW_HEADS = [
    pytest.param([b"G"], id="one byte"),
    pytest.param([b"GET / HTTP/1.1\r\nHost: x\r\n"], id="all but the last line"),
    pytest.param([b"\r\n", b"GET / HT"], id="after an empty line"),
]


@pytest.mark.usefixtures("quick_timers")
@pytest.mark.parametrize("pieces", SLOW_HEADS)
async def test_a_head_that_does_not_end_is_a_408(pieces: list[bytes]) -> None:
    async with serving() as running:
        status, headers, body = split_answer(await running.exchange(*pieces))

    assert (status, body["error"]["type"]) == (408, "invalid_request_error")
    assert (headers["connection"], headers["content-type"]) == ("close", "application/json")
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.usefixtures("quick_timers")
async def test_a_head_that_comes_byte_by_byte_gets_no_more_time() -> None:
    async with serving() as running:
        client = await running.connect()
        reading = asyncio.ensure_future(client.read_all())
        head = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000
        for byte in head:
            await asyncio.wait([reading], timeout=0.01)
            if reading.done():
                break
            await client.send(bytes([byte]))

        assert split_answer(await reading)[0] == 408


@pytest.mark.usefixtures("quick_timers")
async def test_the_second_head_of_a_connection_is_timed_too() -> None:
    async with serving() as running:
        client = await running.connect()
        await client.send(GET)
        first, _ = await client.read_answer()
        await client.send(GET[:10])
        second, _, _ = split_answer(await client.read_all())

    assert (first, second) == (200, 408)


@pytest.mark.usefixtures("quick_timers")
async def test_an_idle_connection_outlives_the_head_timer() -> None:
    async with serving() as running:
        client = await running.connect()
        await client.send(GET)
        await client.read_answer()
        await client.send(GET[:5])
        await running.exchange(LAST_GET)  # by then the first piece has been seen
        await client.send(GET[5:])
        await client.read_answer()
        await client.send(b"\r\n")  # an empty line begins no request
        await sweeps(running)
        await client.send(GET)

        assert (await client.read_answer())[0] == 200


@pytest.mark.usefixtures("quick_timers")
async def test_a_body_is_not_subject_to_the_head_timer() -> None:
    async with serving() as running:
        client = await running.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        await sweeps(running)
        await client.send(b"b")

        assert await client.read_answer() == (200, b"ab")


@pytest.mark.usefixtures("quick_timers")
async def test_a_long_answer_is_not_subject_to_the_head_timer() -> None:
    async with serving() as running:
        client = await running.connect()
        await client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await sweeps(running)
        running.gateway.finish.set()

        assert b"[DONE]" in await client.read_all()


async def test_a_connection_over_the_cap_is_told_so_and_the_others_go_on() -> None:
    async with serving(max_connections=2) as running:
        held = [await running.connect(), await running.connect()]
        for client in held:
            await client.send(GET)
            await client.read_answer()
        status, headers, body = split_answer(await running.exchange(GET))
        await held[0].send(GET)

        assert (status, body["error"]["code"], headers["retry-after"]) == (503, "overloaded", "1")
        assert headers["connection"] == "close"
        assert (await held[0].read_answer())[0] == 200


async def test_a_place_that_is_free_again_is_given_to_the_next() -> None:
    async with serving(max_connections=1) as running:
        await running.exchange(LAST_GET)

        assert b" 200 OK" in await running.exchange(LAST_GET)


async def test_refusals_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_REFUSALS", 1)
    async with serving(max_connections=1) as running:
        await (await running.connect()).send(GET)
        refused = await running.connect()
        await refused.read_to(b"\r\n\r\n")  # and stays open: its end is not read

        assert await running.exchange() in (b"", b"<reset>")


async def test_a_client_that_leaves_ends_its_call() -> None:
    async with serving() as running:
        client = await running.connect()
        await client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.read_to(b"data: 1\n\n")
        client.close()
        await asyncio.wait_for(running.gateway.end_calls(5), 5)

    assert (running.gateway.cancelled, running.gateway.ended.is_set()) == (1, False)


async def served(address: tuple[str, int]) -> int:
    """The status of the first answer that is to be had."""
    while True:
        client = Client(*await asyncio.open_connection(*address))
        try:
            await client.send(GET)
            return (await client.read_answer())[0]
        except (ConnectionError, asyncio.IncompleteReadError):
            continue  # it came before the server noticed that the others have left
        finally:
            client.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_running_out_of_descriptors_neither_floods_the_log_nor_stops_the_server(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.serving", '{"drain_s": 0}', loop],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    assert process.stdout is not None
    try:
        port = await asyncio.to_thread(process.stdout.readline)
        assert port, process.communicate()[1]
        address = ("127.0.0.1", int(port))
        waiting = [socket.create_connection(address, timeout=10) for _ in range(60)]
        # One that was accepted is answered: by then the server has run out.
        waiting[0].sendall(GET)
        assert waiting[0].recv(1)
        for each in waiting:
            each.close()
        status = await asyncio.wait_for(served(address), 10)
    finally:
        process.terminate()
        _, log = await asyncio.to_thread(process.communicate)

    assert status == 200
    assert "Traceback" not in log
    assert loop == "uvloop" or "No file descriptor is free" in log  # uvloop turns the surplus away by itself
    assert len(log.splitlines()) < 10


DESCRIPTOR_LIMITS = [
    pytest.param((1024, 4096), 4096, True, id="as far as it goes"),
    pytest.param((1024, 2**20), 2200, False, id="as far as needed"),
    pytest.param((1024, resource.RLIM_INFINITY), 2200, False, id="no hard limit"),
    pytest.param((4096, 4096), None, False, id="high enough"),
    pytest.param((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, False, id="no limit"),
]


@pytest.mark.parametrize(("limits", "raised_to", "warns"), DESCRIPTOR_LIMITS)
def test_the_limit_of_open_files_is_raised_to_what_the_connections_need(
    limits: tuple[int, int], raised_to: int | None, warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = 10_000 if warns else 1000
    set_to: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: set_to.append(pair[0]))
    warning = raise_descriptor_limit(wanted)

    assert set_to == ([] if raised_to is None else [raised_to])
    assert (warning is not None) == warns
