"""Coming by a connection: names, addresses, time limits, TLS, proxies."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import connector

from modelserver.errors import UpstreamConnectTimeout, UpstreamFailed
from modelserver.upstream import transport as transports
from modelserver.upstream.connection import UpstreamConnection
from tests.fault.conftest import Carrier, rest
from tests.support.proxy import Proxy
from tests.support.upstream import RawUpstream, Stall, head, json_answer
from tests.support.waiting import until

GOOD = json_answer({"good": True})
FOUND = (200, b'{"good":true}')
V4, V6 = socket.AF_INET, socket.AF_INET6


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Makes every name lead to the given addresses, or fail; gives the list of what is looked up from then on."""

    def install(*addresses: tuple[int, str], failure: Exception | None = None, never: bool = False) -> list[str]:
        asked: list[str] = []

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
            asked.append(host)
            if never:
                await asyncio.Event().wait()
            if failure is not None:
                raise failure
            return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return asked

    return install


@pytest.fixture
def connects(own: Carrier, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets connecting to some addresses last for ever; gives the list of what is tried from then on."""

    def install(*silent: str) -> list[str]:
        tried: list[str] = []
        connect = own.transport._connect_to

        async def connect_to(place: Any, host: str) -> UpstreamConnection:
            tried.append(host)
            if host in silent:
                await asyncio.Event().wait()
            return await connect(place, host)

        monkeypatch.setattr(own.transport, "_connect_to", connect_to)
        return tried

    return install


@pytest.fixture(autouse=True)
def short_stagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "_STAGGER_S", 0.01)


async def test_a_refused_connection_is_unreachable(carrier: Carrier) -> None:
    proxy = None if carrier.proxy is None else f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(UpstreamFailed) as caught:
        await carrier.send(f"http://127.0.0.1:{closed_port()}/v1", proxy=proxy)

    assert caught.value.code == "upstream_unreachable"


UNRESOLVED = [
    pytest.param(socket.gaierror(socket.EAI_NONAME, "unknown"), id="unknown"),
    pytest.param(socket.gaierror(socket.EAI_AGAIN, "later"), id="no name server"),
    pytest.param(UnicodeError("label empty or too long"), id="no name at all"),
]


@pytest.mark.parametrize("failure", UNRESOLVED)
async def test_a_name_that_is_not_resolved_is_unreachable(
    own: Carrier, resolves: Callable[..., list[str]], failure: Exception
) -> None:
    resolves(failure=failure)
    with pytest.raises(UpstreamFailed) as caught:
        await own.send("http://provider.invalid/v1")

    assert caught.value.code == "upstream_unreachable"


async def test_a_proxy_whose_name_is_not_resolved_is_unreachable(
    proxied: Carrier, resolves: Callable[..., list[str]]
) -> None:
    resolves(failure=socket.gaierror(socket.EAI_NONAME, "unknown"))
    with pytest.raises(UpstreamFailed) as caught:
        await proxied.send("http://provider.invalid/v1", proxy="http://proxy.invalid:3128")

    assert caught.value.code == "upstream_unreachable"


async def test_a_resolver_that_does_not_answer_is_a_connect_timeout(
    own: Carrier, resolves: Callable[..., list[str]]
) -> None:
    resolves(never=True)
    with pytest.raises(UpstreamConnectTimeout):
        await own.send("http://provider.invalid/v1", connect_s=0.01)


async def test_addresses_that_do_not_answer_are_a_connect_timeout(
    own: Carrier, resolves: Callable[..., list[str]], connects: Callable[..., list[str]]
) -> None:
    resolves((V6, "::1"), (V4, "127.0.0.1"))
    tried = connects("::1", "127.0.0.1")
    with pytest.raises(UpstreamConnectTimeout):
        await own.send("http://provider.invalid/v1", connect_s=0.1)

    assert tried == ["::1", "127.0.0.1"]


async def test_a_name_without_addresses_is_unreachable(own: Carrier, resolves: Callable[..., list[str]]) -> None:
    resolves()
    with pytest.raises(UpstreamFailed) as caught:
        await own.send("http://provider.invalid/v1")

    assert caught.value.code == "upstream_unreachable"


async def test_a_name_is_looked_up_once_for_many_connections(
    own: Carrier, upstream: RawUpstream, resolves: Callable[..., list[str]]
) -> None:
    asked = resolves((V4, "127.0.0.1"))
    upstream.default = [GOOD]
    for _ in range(3):
        await own.fetch(f"http://provider.invalid:{upstream.port}", fresh=True)

    assert asked == ["provider.invalid"]
    assert upstream.requests[0].header("Host") == f"provider.invalid:{upstream.port}"


async def test_a_name_is_looked_up_again_after_a_failure(own: Carrier, resolves: Callable[..., list[str]]) -> None:
    asked = resolves((V4, "127.0.0.1"))
    url = f"http://provider.invalid:{closed_port()}"
    for _ in range(2):
        with pytest.raises(UpstreamFailed):
            await own.fetch(url)

    assert len(asked) == 2


RACES = [
    pytest.param([(V6, "::1"), (V4, "127.0.0.1")], [], id="the first one refuses"),
    pytest.param([(V6, "::1"), (V4, "127.0.0.1")], ["::1"], id="the first one is silent"),
    pytest.param([(V4, "127.0.0.1"), (V6, "::1")], ["::1"], id="the second one is silent"),
    pytest.param([(V6, "::1"), (V6, "::1"), (V6, "::1"), (V4, "127.0.0.1")], ["::1"], id="many are silent"),
    pytest.param([(V4, "127.0.0.1")] * 4, [], id="all are good"),
]


@pytest.mark.parametrize(("addresses", "silent"), RACES)
async def test_the_first_address_that_answers_is_taken(
    own: Carrier,
    upstream: RawUpstream,
    resolves: Callable[..., list[str]],
    connects: Callable[..., list[str]],
    addresses: list[tuple[int, str]],
    silent: list[str],
) -> None:
    resolves(*addresses)
    connects(*silent)
    upstream.script(GOOD)

    assert await own.fetch(f"http://provider.invalid:{upstream.port}") == FOUND


async def test_families_take_turns(
    own: Carrier, upstream: RawUpstream, resolves: Callable[..., list[str]], connects: Callable[..., list[str]]
) -> None:
    resolves((V6, "::1"), (V6, "::2"), (V4, "127.0.0.2"), (V4, "127.0.0.1"))
    tried = connects("::1", "::2", "127.0.0.2")
    upstream.script(GOOD)
    await own.fetch(f"http://provider.invalid:{upstream.port}")

    assert tried == ["::1", "127.0.0.2", "::2", "127.0.0.1"]


async def test_connections_that_come_second_are_closed(
    own: Carrier, upstream: RawUpstream, resolves: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves((V4, "127.0.0.1"), (V4, "127.0.0.1"))
    both, connect = asyncio.Barrier(2), own.transport._connect_to

    async def connect_to(place: Any, host: str) -> UpstreamConnection:
        connection = await connect(place, host)
        await both.wait()
        return connection

    monkeypatch.setattr(own.transport, "_connect_to", connect_to)
    upstream.script(GOOD)
    found = await own.fetch(f"http://provider.invalid:{upstream.port}")
    await until(lambda: any(connection.is_over for connection in upstream.connections), "the end of the loser")

    assert found == FOUND
    assert len(own.open) == 1


async def test_cancelling_a_race_leaves_nothing(
    own: Carrier, upstream: RawUpstream, resolves: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try has succeeded, but nobody has looked yet."""
    resolves((V4, "127.0.0.1"), (V4, "127.0.0.1"))
    connected, connect = asyncio.Event(), own.transport._connect_to

    async def connect_to(place: Any, host: str) -> UpstreamConnection:
        connection = await connect(place, host)
        connected.set()
        sending.cancel()
        return connection

    monkeypatch.setattr(own.transport, "_connect_to", connect_to)
    sending = asyncio.create_task(own.send(f"http://provider.invalid:{upstream.port}"))
    await asyncio.wait([sending])
    await until(lambda: not own.open, "the end of the connection")

    assert sending.cancelled()
    assert connected.is_set()


@pytest.mark.parametrize("never", ["resolver", "address"])
async def test_cancelling_while_connecting_leaves_nothing(
    own: Carrier, resolves: Callable[..., list[str]], connects: Callable[..., list[str]], never: str
) -> None:
    asked = resolves((V4, "127.0.0.1"), (V6, "::1"), never=never == "resolver")
    tried = connects("127.0.0.1", "::1")
    sending = asyncio.create_task(own.send("http://provider.invalid"))
    await until(lambda: len(asked if never == "resolver" else tried) > 0)
    sending.cancel()
    await asyncio.wait([sending])

    assert sending.cancelled()


async def test_an_ipv6_address_stands_in_brackets(own: Carrier) -> None:
    received = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.readuntil(b"\r\n\r\n"))
        writer.write(GOOD)
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await own.fetch(f"http://[::1]:{port}/v1", None)
    server.close()

    assert found == FOUND
    assert f"Host: [::1]:{port}\r\n".encode() in received.result()


# TLS.


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for provider.invalid that vouches for itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program for a certificate")
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    command = [openssl, "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    names = ["-subj", "/CN=provider.invalid", "-addext", "subjectAltName=DNS:provider.invalid,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@asynccontextmanager
async def tls_provider(certificate: Path, steps: list[bytes | None]) -> AsyncIterator[int]:
    """The port of a provider over TLS that answers each request with the next step; None: breaks off."""
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.current_task())
        try:
            while steps and await reader.readuntil(b"{}"):
                step = steps.pop(0)
                if step is None:
                    writer.transport.abort()
                    return
                writer.write(step)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*[task for task in tasks if task is not None], return_exceptions=True)


@pytest.fixture
def trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is taken for good."""
    default = ssl.create_default_context

    def create(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = default(*args, **kwargs)
        context.load_verify_locations(certificate)
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", create())  # made when aiohttp is imported


@pytest.fixture
async def local_names(resolves: Callable[..., list[str]]) -> None:
    resolves((V4, "127.0.0.1"))


async def test_a_provider_over_tls_is_asked_on_one_connection(
    own: Carrier, certificate: Path, trust: None, local_names: None
) -> None:
    async with tls_provider(certificate, [GOOD, GOOD]) as port:
        url = f"https://provider.invalid:{port}/v1"
        found = [await own.fetch(url), await own.fetch(url)]

        assert found == [FOUND, FOUND]
        assert len(own.open) == 1
        await own.transport.close()


async def test_a_body_over_tls_that_is_cut_is_an_error(
    own: Carrier, certificate: Path, trust: None, local_names: None
) -> None:
    cut = head(200, {"Content-Length": "99"}) + b"{"
    async with tls_provider(certificate, [cut]) as port:
        answer = await own.send(f"https://provider.invalid:{port}/v1")
        with pytest.raises(UpstreamFailed):
            await rest(answer)


async def test_a_tls_connection_that_died_in_the_pool_is_replaced(
    own: Carrier, certificate: Path, trust: None, local_names: None
) -> None:
    async with tls_provider(certificate, [GOOD, None, GOOD]) as port:
        url = f"https://provider.invalid:{port}/v1"
        found = [await own.fetch(url), await own.fetch(url)]

        assert found == [FOUND, FOUND]


@pytest.mark.parametrize("host", ["provider.invalid", "other.invalid"])
async def test_a_certificate_that_does_not_convince_is_unreachable(
    own: Carrier, certificate: Path, local_names: None, host: str, request: pytest.FixtureRequest
) -> None:
    if host == "other.invalid":
        request.getfixturevalue("trust")
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # of the provider in this process, which is told of the refusal
    async with tls_provider(certificate, [GOOD]) as port:
        with pytest.raises(UpstreamFailed) as caught:
            await own.send(f"https://{host}:{port}/v1")

        assert caught.value.code == "upstream_unreachable"


async def test_a_provider_that_speaks_no_tls_is_unreachable(own: Carrier, upstream: RawUpstream) -> None:
    upstream.greet(GOOD)
    with pytest.raises(UpstreamFailed) as caught:
        await own.send(f"https://127.0.0.1:{upstream.port}/v1")

    assert caught.value.code == "upstream_unreachable"


async def test_a_handshake_that_does_not_end_is_a_connect_timeout(own: Carrier, upstream: RawUpstream) -> None:
    upstream.greet(Stall())
    with pytest.raises(UpstreamConnectTimeout):
        await own.send(f"https://127.0.0.1:{upstream.port}/v1", connect_s=0.05)

    assert (await upstream.closed()).closed_by_peer


# Through a proxy.


async def test_the_proxy_gets_the_request_and_no_tunnel_for_plain_http(proxied: Carrier, upstream: RawUpstream) -> None:
    upstream.script(GOOD)
    found = await proxied.fetch(f"{upstream.url}/v1")

    assert found == FOUND
    assert proxied.proxy is not None
    assert proxied.proxy.asked == [f"POST {upstream.url}/v1 HTTP/1.1"]


async def test_tls_goes_through_the_proxy_in_a_tunnel(proxied: Carrier, certificate: Path, trust: None) -> None:
    async with tls_provider(certificate, [GOOD]) as port:
        found = await proxied.fetch(f"https://localhost:{port}/v1")

        assert found == FOUND
        assert proxied.proxy is not None
        assert proxied.proxy.asked == [f"CONNECT localhost:{port} HTTP/1.1"]
        await proxied.transport.close()


REFUSALS = [
    pytest.param(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", id="it wants a password"),
    pytest.param(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", id="it can't reach the provider"),
]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_a_proxy_that_gives_no_tunnel_is_unreachable(own: Carrier, answer: bytes) -> None:
    async with Proxy(answer) as proxy:
        with pytest.raises(UpstreamFailed) as caught:
            await own.send("https://127.0.0.1:9/v1", proxy=proxy.url)
        await own.transport.close()

    assert caught.value.code == "upstream_unreachable"


async def test_a_proxy_that_does_not_answer_is_a_connect_timeout(own: Carrier) -> None:
    async with Proxy(b"") as proxy:
        with pytest.raises(UpstreamConnectTimeout):
            await own.send("https://127.0.0.1:9/v1", proxy=proxy.url, connect_s=0.05)
        await own.transport.close()
