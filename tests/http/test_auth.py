"""Keys: how they may come, what refuses them, and that nothing is read or asked before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from modelserver.config import Config
from modelserver.stores.keyfile import digest
from tests.support.front import BEARER, CHAT_PATH, KEY, Caller, Front, chat_body, front, request, settings
from tests.support.upstream import RawUpstream, json_answer

WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
REFUSED = (401, "authentication_error", "authentication_error", None)

ACCEPTED = [
    pytest.param({"Authorization": f"Bearer {KEY}"}, id="bearer"),
    pytest.param({"authorization": f"bearer  {KEY} "}, id="small letters, blanks"),
    pytest.param({"x-api-key": KEY}, id="Anthropic's header"),
    pytest.param({"X-Goog-Api-Key": KEY}, id="Google's header"),
    pytest.param({"Authorization": f"Bearer {KEY}", "x-api-key": "other"}, id="Authorization comes first"),
]


@pytest.mark.parametrize("headers", ACCEPTED)
async def test_a_key_is_taken_from(server: Front, upstream: RawUpstream, headers: dict[str, str]) -> None:
    upstream.script(json_answer(WHOLE))

    assert (await server.chat(headers=headers)).status == 200


REJECTED = [
    pytest.param({}, id="none"),
    pytest.param({"Authorization": ""}, id="empty header"),
    pytest.param({"Authorization": "Bearer"}, id="scheme only"),
    pytest.param({"Authorization": "Bearer  "}, id="scheme and blanks"),
    pytest.param({"Authorization": KEY}, id="no scheme"),
    pytest.param({"Authorization": f"Basic {KEY}"}, id="another scheme"),
    pytest.param({"Authorization": f"Basic {KEY}", "x-api-key": KEY}, id="another scheme beside a good key"),
    pytest.param({"Authorization": f"Bearer {KEY}x"}, id="longer"),
    pytest.param({"Authorization": f"Bearer {KEY[:-1]}"}, id="shorter"),
    pytest.param({"Authorization": f"Bearer {KEY.upper()}"}, id="another case"),
    pytest.param({"Authorization": f"Bearer {KEY}, {KEY}"}, id="twice"),
    pytest.param({"Authorization": f'Bearer "{KEY}"'}, id="quoted"),
    pytest.param({"Authorization": f"Bearer {digest(KEY)}"}, id="its digest"),
    pytest.param({"Authorization": "Bearer \xff\xfe"}, id="no text"),
    pytest.param({"x-api-key": ""}, id="empty key"),
    pytest.param({"x-api-key": f"Bearer {KEY}"}, id="scheme in the wrong header"),
    pytest.param({"api-key": KEY}, id="another header"),
    pytest.param({"Cookie": f"key={KEY}"}, id="cookie"),
]


@pytest.mark.parametrize("headers", REJECTED)
async def test_anything_else_is_a_401_without_an_echo(
    server: Front, upstream: RawUpstream, headers: dict[str, str]
) -> None:
    answer = await server.chat(headers=headers)

    assert answer.error() == REFUSED
    assert (answer.header("WWW-Authenticate"), answer.header("X-Should-Retry")) == ("Bearer", "false")
    assert KEY[6:] not in answer.body.decode()
    assert upstream.connections == []


async def test_a_key_in_the_query_is_none(server: Front) -> None:
    answer = await server.ask("POST", f"{CHAT_PATH}?key={KEY}&api_key={KEY}", {}, chat_body())

    assert answer.error() == REFUSED


async def test_the_404_and_405_need_no_key(server: Front) -> None:
    assert [(await server.ask("GET", path)).status for path in ("/nowhere", CHAT_PATH)] == [404, 405]


def expiring(days: int) -> Config:
    day = datetime.now(UTC).date() + timedelta(days=days)
    return settings(more=f'[[keys]]\nname = "old"\nhash = "sha256:{digest("sk-ms-old")}"\nexpires = {day}\n')


EXPIRIES = [
    pytest.param(-1, 401, id="yesterday"),
    pytest.param(0, 200, id="today is its last day"),
    pytest.param(1, 200, id="tomorrow"),
]


@pytest.mark.parametrize(("days", "status"), EXPIRIES)
async def test_a_key_works_to_the_end_of_its_last_day(days: int, status: int) -> None:
    async with front(expiring(days)) as server:
        answer = await server.ask("GET", "/v1/models", {"x-api-key": "sk-ms-old"})

    assert answer.status == status
    assert status == 200 or "expired on" in answer.json()["error"]["message"]


async def test_a_revoked_key_stops_at_once_and_a_new_one_works(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    new = '[[keys]]\nname = "new"\nhash = "sha256:' + digest("sk-ms-new") + '"\n'
    before, after = settings(upstream.url, new), settings(upstream.url)
    configs = [before, after]
    async with front(after, load=lambda: configs[0]) as server:
        caller = await server.connect()
        statuses = []
        for _ in range(2):
            await server.gateway.reload()
            configs.reverse()
            await caller.send(request("POST", CHAT_PATH, {"x-api-key": "sk-ms-new"}, chat_body()))
            statuses.append((await caller.answer()).status)

    assert statuses == [200, 401]


async def quiet(caller: Caller) -> bool:
    """Whether nothing more has come on a connection on which everything sent is answered."""
    await caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return (await caller.rest()).startswith(b"HTTP/1.1 200")


async def test_a_401_comes_before_the_body(server: Front, way: str) -> None:
    async with front(settings(), way) as other:
        caller = await other.connect()
        await caller.send(request("POST", CHAT_PATH, {"Content-Length": "1000000"}))

        assert (await caller.answer()).error() == REFUSED


async def test_without_a_key_nobody_is_told_to_go_on(way: str) -> None:
    async with front(settings(), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {"Content-Length": "2", "Expect": "100-continue"}))
        answer = await caller.answer()

        assert (answer.status, answer.error()) == (401, REFUSED)


async def test_with_a_key_one_is_told_to_go_on_once(upstream: RawUpstream, way: str) -> None:
    upstream.script(json_answer(WHOLE))
    body = chat_body()
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        head = request("POST", CHAT_PATH, {**BEARER, "Content-Length": str(len(body)), "Expect": "100-Continue"})
        await caller.send(head)

        assert await caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.send(body)
        assert (await caller.answer()).status == 200
        assert await quiet(caller)


async def test_a_body_that_is_there_already_needs_no_going_on(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(headers={**BEARER, "Expect": "100-continue"})

    assert answer.status == 200


async def test_a_body_that_is_too_long_is_not_asked_for() -> None:
    async with front(settings(server='max_body = "1KB"')) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, "Content-Length": "9999", "Expect": "100-continue"}))
        answer = await caller.answer()

    assert answer.error() == (413, "invalid_request_error", "request_too_large", None)


async def test_one_key_does_not_open_the_connection_for_the_next_request(server: Front) -> None:
    caller = await server.connect()
    await caller.send(request("GET", "/v1/models", BEARER) + request("POST", CHAT_PATH, {}, chat_body()))

    assert [(await caller.answer()).status for _ in range(2)] == [200, 401]


OPEN = "open = true"
LOCAL_HOSTS = ["localhost", "localhost:8400", "LocalHost:1", "127.0.0.1:8400", "127.9.9.9", "[::1]", "[::1]:8400"]


@pytest.mark.parametrize("host", LOCAL_HOSTS)
async def test_an_open_server_asks_for_no_key_on_this_machine(upstream: RawUpstream, host: str) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, server=OPEN)) as server:
        answer = await server.chat(headers={"Host": host})

    assert answer.status == 200


ANY_CREDENTIAL = [{}, {"Authorization": "Bearer ollama"}, {"Authorization": "Basic eDp5"}, {"x-api-key": ""}]


@pytest.mark.parametrize("headers", ANY_CREDENTIAL)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/api/v1/models"])
async def test_an_open_server_takes_any_credential(path: str, headers: dict[str, str]) -> None:
    async with front(settings(server=f'{OPEN}\ncatalogue = "keys"')) as server:
        assert (await server.ask("GET", path, headers)).status == 200


FOREIGN_HOSTS = [
    pytest.param("evil.example", id="rebound name"),
    pytest.param("evil.example:8400", id="with the port"),
    pytest.param("127.0.0.1.evil.example", id="looks like an address"),
    pytest.param("localhost.evil.example", id="looks like the name"),
    pytest.param("localhost@evil.example", id="user part"),
    pytest.param("evil@localhost", id="user part before the name"),
    pytest.param("192.168.1.5:8400", id="address of another machine"),
    pytest.param("0.0.0.0:8400", id="every interface"),
    pytest.param("[::]", id="every IPv6 interface"),
    pytest.param("[fe80::1]", id="link-local address"),
    pytest.param("2130706433", id="address as a number"),
    pytest.param("", id="empty"),
    pytest.param("[", id="half a bracket"),
    pytest.param("[::1", id="no closing bracket"),
    pytest.param("[localhost]x", id="garbage behind a bracket"),
    pytest.param("localhost:99999999", id="port out of range"),
    pytest.param("localhost:80:80", id="two ports"),
    pytest.param("localhost/evil.example", id="path"),
    pytest.param("\xff", id="no text"),
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_an_open_server_answers_no_other_host(upstream: RawUpstream, host: str) -> None:
    async with front(settings(upstream.url, server=OPEN)) as server:
        call = await server.chat(headers={"Host": host, **BEARER})
        listing = await server.ask("GET", "/v1/models", {"Host": host})

    assert call.error() == (403, "permission_error", "permission_denied", None)
    assert listing.error() == (403, "permission_error", "permission_denied", None)
    assert upstream.connections == []


@pytest.mark.parametrize("address", ["192.0.2.7", "fe80::1%eth0", "::ffff:192.0.2.7"])
async def test_an_open_server_answers_no_other_machine_whatever_host_it_names(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(web.Request, "remote", address)
    async with front(settings(upstream.url, server=OPEN)) as server:
        answer = await server.chat(headers={"Host": "localhost"})

    assert answer.error() == (403, "permission_error", "permission_denied", None)
    assert upstream.connections == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
async def test_an_open_server_answers_its_own_machine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(web.Request, "remote", address)
    async with front(settings(server=OPEN)) as server:
        assert (await server.ask("GET", "/v1/models")).status == 200


PUBLIC = 'public_url = "https://llm.example.org:8443/x"'
ORIGINS = [
    pytest.param("localhost:8400", "http://localhost:8400", "", 200, id="the same"),
    pytest.param("LOCALHOST:8400", "http://localhost:8400", "", 200, id="the same in another case"),
    pytest.param("[::1]:8400", "http://[::1]:8400", "", 200, id="the same in IPv6"),
    pytest.param("localhost:8400", "http://localhost:3000", "", 403, id="another port"),
    pytest.param("localhost:8400", "http://127.0.0.1:8400", "", 403, id="another name of this machine"),
    pytest.param("localhost:8400", "https://evil.example", "", 403, id="foreign"),
    pytest.param("localhost:8400", "null", "", 403, id="null"),
    pytest.param("localhost:8400", "", "", 403, id="empty"),
    pytest.param("localhost:8400", "http://[", "", 403, id="garbage"),
    pytest.param("localhost:8400", "http://localhost:8400@evil.example", "", 403, id="user part"),
    pytest.param("llm.example.org:8443", "https://llm.example.org:8443", PUBLIC, 200, id="the public address"),
    pytest.param("localhost:8400", "https://llm.example.org:8443", PUBLIC, 200, id="behind a proxy"),
    pytest.param("llm.example.org.evil", "https://llm.example.org:8443", PUBLIC, 403, id="nearly the public host"),
    pytest.param("llm.example.org:8443", "https://evil.example", PUBLIC, 403, id="public host, foreign page"),
]


@pytest.mark.parametrize(("host", "origin", "more", "status"), ORIGINS)
async def test_an_open_server_answers_no_page_of_another_site(host: str, origin: str, more: str, status: int) -> None:
    async with front(settings(server=f"{OPEN}\n{more}")) as server:
        answer = await server.ask("GET", "/v1/models", {"Host": host, "Origin": origin})

    assert answer.status == status


async def test_a_server_with_keys_takes_no_notice_of_host_and_origin(server: Front) -> None:
    headers = {**BEARER, "Host": "[", "Origin": "http://["}

    assert (await server.ask("GET", "/v1/models", headers)).status == 200


async def test_a_key_is_nowhere_in_what_the_log_says(server: Front, caplog: pytest.LogCaptureFixture) -> None:
    for headers in ({"x-api-key": "sk-ms-wrong-0123"}, BEARER):
        await asyncio.gather(server.chat(headers=headers), server.ask("GET", f"/v1/models?key={KEY}", headers))

    assert "0123" not in caplog.text
