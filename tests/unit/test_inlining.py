"""Media by URL: which are fetched for which route, what becomes of them, and what is said when they can't be."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from modelserver.config import CallSettings, Provider
from modelserver.dialects.gemini import media
from modelserver.dialects.openai_chat import CODEC as CHAT
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.gateway import inlining
from modelserver.gateway.inlining import MediaInliner
from modelserver.gateway.snapshot import Route
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import Audio, Document, Image, Inline, Message, Part, Text, ToolResult, Url
from modelserver.ir.request import Request
from modelserver.ports import Fetched

PNG = Fetched(media_type="image/png", data=b"\x89PNG\r\n\x1a\n1")
PDF = Fetched(media_type="application/pdf", data=b"%PDF-1.7")
WAV = Fetched(media_type="audio/wav", data=b"RIFF....WAVE")
CAT = "https://img.example/cat.png?signature=secret"
DOC = "https://docs.example/a.pdf"
SOUND = "https://sound.example/a"
YOUTUBE = "https://www.youtube.com/watch?v=1"
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc"


class Shelf:
    """Has what it is given; everything else is not allowed."""

    def __init__(self, *, hangs: str | None = None, **found: Fetched) -> None:
        self.found = {CAT: PNG, DOC: PDF, SOUND: WAV, **found}
        self.asked: list[str] = []
        self.hangs = hangs

    async def fetch(self, url: str, *, arrived: Callable[[int], None]) -> Fetched:
        self.asked.append(url)
        if url == self.hangs:
            await asyncio.Event().wait()
        if url not in self.found:
            raise InvalidRequest("host x.example is not allowed or does not exist")
        arrived(len(self.found[url].data))
        return self.found[url]

    def close(self) -> None:
        pass


def route(dialect: Any = "gemini", *, fetch_urls: str = "inline", url_sources: bool = False) -> Route:
    return Route(
        provider=Provider(name="p"),
        target="t",
        settings=CallSettings(fetch_urls=fetch_urls),
        json_url="",
        stream_url="",
        params={},
        json_headers={},
        stream_headers={},
        dialect=dialect,
        card=ModelCard(url_sources=url_sources),
        account="a",
    )


def asked(*parts: Part) -> Request:
    return Request(dialect="chat", model="m", messages=(Message(role="user", parts=parts),))


def image(url: str) -> Image:
    return Image(source=Url(url=url))


def inline(fetched: Fetched) -> Inline:
    return Inline(media_type=fetched.media_type, b64=base64.b64encode(fetched.data).decode())


PARTS = [
    pytest.param(image(CAT), Image(source=inline(PNG)), id="D76 an image"),
    pytest.param(
        Image(source=Url(url=CAT, media_type="image/gif"), detail="low"),
        Image(source=inline(PNG), detail="low"),
        id="an image, its detail kept, its type that of the bytes",
    ),
    pytest.param(Document(source=Url(url=DOC), title="A"), Document(source=inline(PDF), title="A"), id="a document"),
    pytest.param(
        Audio(source=Url(url=SOUND), format="mp3"), Audio(source=inline(WAV)), id="sound, its format that of the bytes"
    ),
    pytest.param(
        ToolResult(call_id="c", content=(Text(text="see"), image(CAT))),
        ToolResult(call_id="c", content=(Text(text="see"), Image(source=inline(PNG)))),
        id="an image in a tool's result",
    ),
    pytest.param(Text(text=CAT), Text(text=CAT), id="a URL in a text is a text"),
    pytest.param(Image(source=inline(PNG)), Image(source=inline(PNG)), id="D77 what is inline stays"),
    pytest.param(image(YOUTUBE), image(YOUTUBE), id="YouTube is Google's own affair"),
    pytest.param(Document(source=Url(url=FILE)), Document(source=Url(url=FILE)), id="a file of the Files API"),
    pytest.param(Document(source=Url(url="gs://b/o")), Document(source=Url(url="gs://b/o")), id="a stored object"),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
async def test_media_become_inline(part: Part, expected: Part) -> None:
    found = await MediaInliner(Shelf())(asked(Text(text="a"), part), route())

    assert asked(Text(text="a"), expected) == found


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(route(fetch_urls="forward"), id="forward"),
        pytest.param(route(url_sources=True), id="an upstream that takes URLs"),
        pytest.param(route(url_sources=True, fetch_urls="refuse"), id="refuse, for an upstream that takes URLs"),
    ],
)
async def test_nothing_is_fetched_for(target: Route) -> None:
    shelf, request = Shelf(), asked(image(CAT))

    assert await MediaInliner(shelf)(request, target) is request
    assert shelf.asked == []


async def test_refuse_refuses_without_fetching() -> None:
    shelf = Shelf()
    with pytest.raises(Unsupported) as raised:
        await MediaInliner(shelf)(asked(Text(text="a"), image(CAT)), route(fetch_urls="refuse"))

    assert raised.value.param == "messages[0].content[1]"
    assert shelf.asked == []


async def test_another_upstream_takes_no_address_of_google() -> None:
    with pytest.raises(InvalidRequest, match="not allowed"):
        await MediaInliner(Shelf())(asked(image(YOUTUBE)), route("anthropic"))


async def test_a_url_is_fetched_once() -> None:
    shelf = Shelf()
    found = await MediaInliner(shelf)(asked(image(CAT), Document(source=Url(url=DOC)), image(CAT)), route())

    assert shelf.asked == [CAT, DOC]
    assert [part.source for part in found.messages[0].parts] == [inline(PNG), inline(PDF), inline(PNG)]  # type: ignore[union-attr]


REFUSED = [
    pytest.param(image("https://x.example/?k=1"), "host x.example is not allowed or does not exist.", id="the fetcher"),
    pytest.param(image(DOC), "host docs.example sent application/pdf, which is not an image.", id="a PDF as an image"),
    pytest.param(
        Audio(source=Url(url=CAT)), "host img.example sent image/png, which is not sound.", id="an image as sound"
    ),
]


@pytest.mark.parametrize(("part", "why"), REFUSED)
async def test_a_refusal_names_part_and_host_only(part: Part, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await MediaInliner(Shelf())(asked(image(CAT), part), route())

    assert raised.value.message == f"messages[0].content[1]: {why}"
    assert raised.value.param == "messages[0].content[1]"
    assert raised.value.__cause__ is None


async def test_the_media_of_a_request_have_a_size_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlining, "MAX_REQUEST_BYTES", len(PNG.data) + len(PDF.data) - 1)
    with pytest.raises(InvalidRequest, match="in all"):
        await MediaInliner(Shelf())(asked(image(CAT), Document(source=Url(url=DOC))), route())


async def test_every_copy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlining, "MAX_REQUEST_BYTES", 2 * len(PNG.data))
    with pytest.raises(InvalidRequest, match="in all"):
        await MediaInliner(Shelf())(asked(*[image(CAT)] * 3), route())


async def test_the_media_of_a_request_have_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlining, "TOTAL_S", 0.02)
    with pytest.raises(InvalidRequest, match=r"content\[1\]: host docs.example did not answer in time"):
        await MediaInliner(Shelf(hangs=DOC))(asked(image(CAT), Document(source=Url(url=DOC))), route())


WIRES = [
    pytest.param(
        [{"type": "image_url", "image_url": {"url": "U"}}], "messages[1].content[0].image_url", id="an object"
    ),
    pytest.param([{"type": "image_url", "image_url": "U"}], "messages[1].content[0].image_url", id="a string"),
    pytest.param(
        [{"type": "text", "text": "U"}, {"type": "image_url", "image_url": {"url": "U"}}],
        "messages[1].content[1].image_url",
        id="not a text that says the same",
    ),
    pytest.param(
        [{"type": "file", "file": {"file_data": "U"}}], "messages[1].content[0].file.file_data", id="a document"
    ),
]


@pytest.mark.parametrize(("content", "path"), WIRES)
async def test_with_the_wire_the_path_is_what_the_client_wrote(content: Any, path: str) -> None:
    url = "https://x.example/a"
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": content}]
    wire = orjson.dumps({"model": "m", "messages": messages}).replace(b'"U"', f'"{url}"'.encode())
    with pytest.raises(InvalidRequest) as raised:
        await MediaInliner(Shelf())(CHAT.decode_request(wire), route(), wire)

    assert raised.value.param == path


@pytest.mark.parametrize(
    "url", [CAT, YOUTUBE, FILE, "gs://b/o", "http://youtu.be/1", "https://youtube.com.evil.example/"]
)
def test_what_is_left_to_google_is_what_its_encoder_takes(url: str) -> None:
    pattern = inlining._NATIVE["gemini"]

    assert (pattern.fullmatch(url) is not None) == media._is_googles(url)
