"""Fetching what a client names: which URLs and addresses are refused, and every way in which a host can misbehave."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelserver.errors import InvalidRequest
from modelserver.ports import Fetched
from modelserver.upstream import fetch
from modelserver.upstream.fetch import Endpoint, UrlFetcher
from modelserver.upstream.fetch_target import is_public, read_target
from modelserver.upstream.media_types import media_type_of
from tests.support.upstream import RawUpstream, Reset, Stall

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
URL = "http://img.example/cat.png"


def answer(status: int = 200, body: bytes = PNG, **headers: str) -> bytes:
    given = {"Content-Type": "image/png", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def moved(to: str, status: int = 302) -> bytes:
    return answer(status, b"", Location=to)


class Names:
    """Resolves names to addresses of a table; 8.8.8.8 stands for the server of the test."""

    def __init__(self, port: int, **table: list[str]) -> None:
        self.port = port
        self.table: Mapping[str, list[str]] = {"img.example": ["8.8.8.8"], **table}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        self.asked.append(host)
        if host not in self.table:
            raise OSError("no such name")
        local = {"8.8.8.8": Endpoint("127.0.0.1", self.port)}
        return [local.get(address, Endpoint(address, port)) for address in self.table[host]]

    def allows(self, address: str) -> bool:
        """As public as ever, but for the one address that the test serves at."""
        return address == "127.0.0.1" or is_public(address)


def fetcher(names: Names, *, http: bool = True, context: ssl.SSLContext | None = None) -> UrlFetcher:
    return UrlFetcher(http=http, resolve=names.resolve, is_allowed=names.allows, context=context)


async def get(names: Names, url: str = URL) -> Fetched:
    async with asyncio.timeout(8):
        return await fetcher(names).fetch(url, arrived=lambda count: None)


async def why(names: Names, url: str = URL) -> str:
    with pytest.raises(InvalidRequest) as raised:
        await get(names, url)
    assert raised.value.__cause__ is None
    return raised.value.message


# Addresses and URLs.

PRIVATE = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "private 10": "10.0.0.8",
    "private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "Alibaba's metadata, in CGNAT": "100.100.100.200",
    "CGNAT": "100.64.0.1",
    "Azure's platform": "168.63.129.16",
    "Oracle's metadata": "192.0.0.192",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v6 link-local": "fe80::1",
    "v6 link-local with a scope": "fe80::1%eth0",
    "public with a scope": "2606:4700::1111%1",
    "v6 site-local": "fec0::1",
    "v6 unique-local": "fd12::1",
    "AWS's metadata": "fd00:ec2::254",
    "v6 multicast": "ff02::1",
    "mapped private": "::ffff:10.0.0.8",
    "mapped public": "::ffff:8.8.8.8",
    "translated": "::ffff:0:8.8.8.8",
    "compatible": "::8.8.8.8",
    "NAT64": "64:ff9b::7f00:1",
    "local NAT64": "64:ff9b:1::a00:8",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:7f00:1::",
    "v6 documentation": "2001:db8::1",
    "discard": "100::1",
    "no address": "localhost",
}
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "2606:4700::1111", "2a00:1450:4001::8a"]


@pytest.mark.parametrize("address", [pytest.param(value, id=f"D76 {key}") for key, value in PRIVATE.items()])
def test_an_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_is_public(address: str) -> None:
    assert is_public(address)


REFUSED_URLS = {
    "http": "http://img.example/a",
    "file": "file:///etc/passwd",
    "ftp": "ftp://img.example/a",
    "gopher": "gopher://img.example/a",
    "no scheme": "img.example/a",
    "no host": "https:///a",
    "userinfo": "https://user:secret@img.example/a",
    "empty userinfo": "https://@img.example/a",
    "userinfo that looks like a host": "https://img.example:443@127.0.0.1/a",
    "a backslash": "https://img.example\\@127.0.0.1/",
    "a line break": "https://img.example/a\r\nX: y",
    "a tab": "https://img.ex\tample/",
    "a space before": " https://img.example/",
    "a null byte": "https://img.example/\x00",
    "half a surrogate pair": "https://img.example/\ud800",
    "another port": "https://img.example:8443/a",
    "a port of SSH": "https://img.example:22/a",
    "port 0": "https://img.example:0/a",
    "no port at all": "https://img.example:x/a",
    "a port too large": "https://img.example:99999/a",
    "brackets and more": "https://[::1]img.example/",
    "a scope": "https://[fe80::1%25eth0]/",
    "an escape in the host": "https://127.0.0.%31/",
    "an empty label": "https://img..example/",
    "a long label": f"https://{'a' * 64}.example/",
    "a long name": f"https://{'a.' * 200}example/",
    "a long international name": f"https://{'ä' * 8000}/",
    "a long URL": f"https://img.example/{'a' * 9000}",
    "decimal": "https://2130706433/",
    "hexadecimal": "https://0x7f000001/",
    "hexadecimal parts": "https://0x7f.0.0.0x1/",
    "octal": "https://0177.0.0.1/",
    "short": "https://127.1/",
    "a name that ends in a number": "https://img.example.1/",
    "full-width digits, decimal": "https://２１３０７０６４３３/",
}


@pytest.mark.parametrize("url", [pytest.param(value, id=key) for key, value in REFUSED_URLS.items()])
async def test_a_url_is_refused_before_anything_is_resolved(url: str) -> None:
    names = Names(0)
    with pytest.raises(InvalidRequest) as raised:
        await fetcher(names, http=False).fetch(url, arrived=lambda count: None)

    assert names.asked == []
    assert "secret" not in raised.value.message


LITERALS = {
    "loopback": "https://127.0.0.1/",
    "loopback with a dot": "https://127.0.0.1./",
    "metadata": "https://169.254.169.254/latest/meta-data",
    "full-width digits": "https://１２７.０.０.１/",
    "other dots": "https://127。0。0。1/",
    "v6 loopback": "https://[::1]/",
    "mapped": "https://[::ffff:127.0.0.1]/",
    "mapped in hexadecimal": "https://[::ffff:7f00:1]/",
    "NAT64": "https://[64:ff9b::a9fe:a9fe]/",
    "unspecified": "https://0.0.0.0/",
}


@pytest.mark.parametrize("url", [pytest.param(value, id=f"D76 {key}") for key, value in LITERALS.items()])
async def test_a_literal_that_is_not_public_is_refused(url: str) -> None:
    names = Names(0)
    with pytest.raises(InvalidRequest, match="is not allowed"):
        await UrlFetcher(resolve=names.resolve).fetch(url, arrived=lambda count: None)

    assert names.asked == []


TARGETS = [
    pytest.param("https://IMG.example", ("img.example", 443, "/", "img.example"), id="no path"),
    pytest.param("https://img.example.:443/a#b", ("img.example", 443, "/a", "img.example"), id="a dot and a fragment"),
    pytest.param("https://img.example:80?q=1", ("img.example", 80, "/?q=1", "img.example:80"), id="a query only"),
    pytest.param(
        "https://img.example/ä%20?q=ö", ("img.example", 443, "/%C3%A4%20?q=%C3%B6", "img.example"), id="letters"
    ),
    pytest.param("https://bücher.example/", ("xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"), id="a name"),
    pytest.param("https://[2606:4700:0::1]/", ("2606:4700::1", 443, "/", "[2606:4700::1]"), id="IPv6"),
]


@pytest.mark.parametrize(("url", "expected"), TARGETS)
def test_a_url_is_taken_apart(url: str, expected: tuple[str, int, str, str]) -> None:
    target = read_target(url, http=False)

    assert expected == (target.host, target.port, target.path, target.authority)


# Names.

RESOLVED = {
    "private": ["10.0.0.8"],
    "loopback": ["127.0.0.2"],
    "metadata": ["169.254.169.254"],
    "a public one beside a private one": ["8.8.8.8", "10.0.0.8"],
    "mapped": ["::ffff:10.0.0.8"],
    "none": [],
}


@pytest.mark.parametrize("addresses", [pytest.param(value, id=f"D76 {key}") for key, value in RESOLVED.items()])
async def test_a_host_that_resolves_to_what_is_not_public_is_refused(
    upstream: RawUpstream, addresses: list[str]
) -> None:
    names = Names(upstream.port, **{"internal.example": addresses})

    assert await why(names, "http://internal.example/x") == "host internal.example is not allowed or does not exist"
    assert upstream.connections == []


async def test_a_name_that_does_not_exist_is_answered_alike() -> None:
    assert await why(Names(0), "http://internal.example/x") == "host internal.example is not allowed or does not exist"


async def test_the_own_look_up_and_check_refuse_this_machine() -> None:
    own = UrlFetcher()
    try:
        with pytest.raises(InvalidRequest, match="host localhost is not allowed"):
            await own.fetch("https://localhost/", arrived=lambda count: None)
    finally:
        own.close()


async def test_a_name_is_resolved_once(upstream: RawUpstream) -> None:
    """What rebinding would answer the second time is never asked for."""
    upstream.script(answer())
    names = Names(upstream.port)
    await get(names)

    assert names.asked == ["img.example"]


async def test_the_next_address_is_tried(upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_CONNECT_S", 0.2)
    upstream.script(answer())
    dead = Names(upstream.port)

    async def resolve(host: str, port: int) -> list[Endpoint]:
        return [Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", upstream.port)]

    dead.resolve = resolve  # type: ignore[method-assign]
    assert (await get(dead)).data == PNG


async def test_a_host_that_is_not_there() -> None:
    assert await why(Names(1)) == "host img.example could not be connected to"


# Answers.


async def test_an_image_is_fetched_without_a_trace_of_the_client(upstream: RawUpstream) -> None:
    upstream.script(answer())
    counted: list[int] = []
    found = await fetcher(Names(upstream.port)).fetch(f"{URL}?a=b#c", arrived=counted.append)
    received = await upstream.received()

    assert found == Fetched(media_type="image/png", data=PNG)
    assert sum(counted) == len(PNG)
    assert (received.method, received.path) == ("GET", "/cat.png?a=b")
    assert {name for name, _ in received.headers} == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert received.header("Host") == "img.example"
    assert (await upstream.closed(0)).closed_by_peer


GOOD = [
    pytest.param(answer(Content_Type="image/jpeg"), id="a type that the bytes contradict"),
    pytest.param(answer(Content_Type="application/octet-stream"), id="an object store"),
    pytest.param(answer(Content_Type=""), id="no type"),
    pytest.param(answer(Content_Encoding="identity"), id="identity"),
    pytest.param(
        answer(body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(PNG), PNG), Content_Length="", Transfer_Encoding="chunked"),
        id="chunked",
    ),
    pytest.param(b"HTTP/1.1 103 Early\r\n\r\n" + answer(), id="an interim answer"),
]


@pytest.mark.parametrize("wire", GOOD)
async def test_an_image_is_known_by_its_bytes(upstream: RawUpstream, wire: bytes) -> None:
    upstream.script(wire)

    assert await get(Names(upstream.port)) == Fetched(media_type="image/png", data=PNG)


ZIPPED = gzip.compress(bytes(10_000))
BAD = [
    pytest.param([answer(404)], "answered with status 404", id="not found"),
    pytest.param([answer(206)], "answered with status 206", id="a part"),
    pytest.param([answer(body=b"<html>", Content_Type="text/html")], "sent no image", id="a page"),
    pytest.param([answer(Content_Type="text/html")], "sent no image", id="an image that is called a page"),
    pytest.param([answer(body=b"<html>")], "sent no image", id="a page that is called an image"),
    pytest.param([answer(body=b"")], "sent no image", id="nothing"),
    pytest.param([answer(body=b"<svg/>", Content_Type="image/svg+xml")], "sent no image", id="SVG"),
    pytest.param([answer(body=b"a\x00b", Content_Type="text/plain")], "sent no image", id="bytes that are called text"),
    pytest.param([answer(body=ZIPPED, Content_Encoding="gzip")], "sent a compressed", id="gzip"),
    pytest.param([answer(body=ZIPPED, Content_Encoding="br")], "sent a compressed", id="brotli"),
    pytest.param([answer(Content_Length="20971521")], "sent more than 20 MiB", id="a length over the limit"),
    pytest.param([answer(Content_Length="90"), Reset()], "broke off", id="a body that is cut"),
    pytest.param([b"SSH-2.0-OpenSSH\r\n\r\n"], "broke off", id="no HTTP"),
    pytest.param([b"HTTP/1.1 200 X\r\nA: " + b"a" * 70_000], "broke off", id="a head without end"),
    pytest.param([b"HTTP/1.1 100 X\r\n\r\n" * 50], "broke off", id="interim answers without end"),
    pytest.param([Reset()], "broke off", id="no answer"),
    pytest.param([answer(302, b"")], "redirects to nowhere", id="a redirect without an address"),
]


@pytest.mark.parametrize(("script", "expected"), BAD)
async def test_an_answer_is_refused(upstream: RawUpstream, script: list[bytes], expected: str) -> None:
    upstream.script(*script)
    found = await why(Names(upstream.port))

    assert found.startswith(f"host img.example {expected}")
    await upstream.closed(0)


async def test_a_flood_is_cut_off_at_the_limit(upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_ITEM_BYTES", 1_000_000)
    upstream.script(answer(body=PNG + bytes(5_000_000), Content_Length=""), Stall())

    assert (await why(Names(upstream.port))).startswith("host img.example sent more than")
    assert (await upstream.closed(0)).closed_by_peer


@pytest.mark.parametrize("start", [b"", answer(Content_Length="999")], ids=["before the head", "in the body"])
async def test_a_host_that_hangs(upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.1)
    upstream.script(start, Stall())

    assert (await why(Names(upstream.port))).startswith("host img.example did not answer within")
    assert (await upstream.closed(0)).closed_by_peer


async def test_who_asks_can_stop_it(upstream: RawUpstream) -> None:
    def enough(count: int) -> None:
        raise InvalidRequest("enough")

    upstream.script(answer())
    with pytest.raises(InvalidRequest, match="enough"):
        await fetcher(Names(upstream.port)).fetch(URL, arrived=enough)
    await upstream.closed(0)


async def test_a_cancelled_fetch_closes_its_connection(upstream: RawUpstream) -> None:
    upstream.script(Stall())
    task = asyncio.create_task(get(Names(upstream.port)))
    await upstream.received()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (await upstream.closed(0)).closed_by_peer


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_three_redirects_are_followed(upstream: RawUpstream, status: int) -> None:
    for wire in (moved("/b", status), moved("//img.example/c", status), moved(f"{URL}?d", status), answer()):
        upstream.script(wire)
    names = Names(upstream.port)
    found = await get(names)

    assert found.data == PNG
    assert [request.path for request in upstream.requests] == ["/cat.png", "/b", "/c", "/cat.png?d"]
    assert names.asked == ["img.example"] * 4


async def test_a_fourth_redirect_is_refused(upstream: RawUpstream) -> None:
    upstream.default = [moved("/again")]

    assert await why(Names(upstream.port)) == "host img.example redirects more than 3 times"
    assert len(upstream.requests) == 4


HOPS = {
    "loopback": ("http://127.0.0.2/", "host 127.0.0.2 is not allowed"),
    "metadata": ("http://169.254.169.254/latest", "host 169.254.169.254 is not allowed"),
    "a decimal address": ("http://2130706434/", "host 2130706434 is not allowed"),
    "a private name": ("http://internal.example/", "host internal.example is not allowed or does not exist"),
    "a file": ("file:///etc/passwd", "only https URLs are fetched"),
    "another port": ("http://img.example:6379/", "host img.example is asked at port 443 or 80 only"),
    "credentials": ("http://a:b@img.example/", "the URL must not hold credentials"),
    "nonsense": ("http://[::1/", "host img.example redirects to nowhere"),
}


@pytest.mark.parametrize(("to", "expected"), [pytest.param(*hop, id=f"D76 {key}") for key, hop in HOPS.items()])
async def test_each_hop_is_checked(upstream: RawUpstream, to: str, expected: str) -> None:
    upstream.script(moved(to))
    names = Names(upstream.port, **{"internal.example": ["10.0.0.8"]})

    assert await why(names) == expected
    assert len(upstream.requests) == 1


async def test_a_name_that_is_rebound_between_hops_is_refused(upstream: RawUpstream) -> None:
    upstream.script(moved("/b"))
    names = Names(upstream.port)
    before = names.resolve

    async def resolve(host: str, port: int) -> list[Endpoint]:
        return [Endpoint("10.0.0.8", port)] if names.asked else await before(host, port)

    names.resolve = resolve  # type: ignore[method-assign]
    assert await why(names) == "host img.example is not allowed or does not exist"


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for img.example that vouches for itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program for a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    names = ["-subj", "/CN=img.example", "-addext", "subjectAltName=DNS:img.example"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


async def over_tls(
    certificate: Path, url: str, context: ssl.SSLContext | None
) -> tuple[list[str | None], Fetched | str]:
    """The server names that a host over TLS was asked for, and what came of it."""
    named: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await writer.drain()
        writer.transport.abort() if await reader.read() else writer.close()

    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    server_side.sni_callback = lambda socket, name, context: named.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    names = Names(server.sockets[0].getsockname()[1], **{"other.example": ["8.8.8.8"]})
    try:
        found: Fetched | str = await fetcher(names, http=False, context=context).fetch(url, arrived=lambda count: None)
    except InvalidRequest as error:
        found = error.message
    finally:
        server.close()
        await server.wait_closed()
    return named, found


async def test_the_name_of_the_host_is_asked_for_and_proved(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    found = await over_tls(certificate, "https://img.example/a", context)

    assert found == (["img.example"], Fetched(media_type="image/png", data=PNG))


async def test_a_certificate_of_another_host_is_refused(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    found = await over_tls(certificate, "https://other.example/a", context)

    assert found == (["other.example"], "host other.example could not be connected to")


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    found = await over_tls(certificate, "https://img.example/a", None)

    assert found == (["img.example"], "host img.example could not be connected to")


# Media types.

TYPES = [
    pytest.param(b"\x89PNG\r\n\x1a\n", "", "image/png", id="PNG"),
    pytest.param(b"\xff\xd8\xff\xe0", "", "image/jpeg", id="JPEG"),
    pytest.param(b"GIF89a", "", "image/gif", id="GIF"),
    pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "image/webp", id="WebP"),
    pytest.param(b"\x00\x00\x00\x18ftypheic", "", "image/heic", id="HEIC"),
    pytest.param(b"\x00\x00\x00\x18ftypavif", "", "image/avif", id="AVIF"),
    pytest.param(b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "", "image/bmp", id="BMP"),
    pytest.param(b"%PDF-1.7", "text/plain", "application/pdf", id="PDF that is called text"),
    pytest.param(b"RIFF\x00\x00\x00\x00WAVEfmt ", "", "audio/wav", id="WAV"),
    pytest.param(b"ID3\x04\x00\x00\x00\x00\x00\x00", "", "audio/mpeg", id="MP3 with a tag"),
    pytest.param(b"\xff\xfb\x90\x64", "", "audio/mpeg", id="MP3 without a tag"),
    pytest.param(b"\xff\xf1\x50\x80", "", "audio/aac", id="AAC"),
    pytest.param(b"OggS\x00", "", "audio/ogg", id="Ogg"),
    pytest.param(b"fLaC\x00", "", "audio/flac", id="FLAC"),
    pytest.param("BMW, ID3 und Öl\n".encode(), "text/plain; charset=utf-8", "text/plain", id="text"),
    pytest.param("\ufeffa".encode(), "TEXT/PLAIN", "text/plain", id="text with a mark of its order"),
    pytest.param(b"text", "", None, id="text that is not declared"),
    pytest.param(b"text", "image/png", None, id="text that is called an image"),
    pytest.param(b"\xe4", "text/plain", None, id="text that is not UTF-8"),
    pytest.param(b"\x1f\x8b\x08", "application/octet-stream", None, id="gzip"),
    pytest.param(b"PK\x03\x04", "application/octet-stream", None, id="an archive"),
    pytest.param(b"\x00\x00\x00\x18ftypmp42", "", None, id="video"),
    pytest.param(b"RIFF\x00\x00\x00\x00AVI ", "", None, id="another video"),
    pytest.param(b"\xff\xfb\xf0\x64", "", None, id="no rate of MPEG"),
    pytest.param(b"", "text/plain", None, id="nothing"),
]


@pytest.mark.parametrize(("data", "declared", "expected"), TYPES)
def test_bytes_say_what_they_are(data: bytes, declared: str, expected: str | None) -> None:
    assert media_type_of(data, declared) == expected
