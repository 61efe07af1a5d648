"""`GET /` and its files over HTTP: languages, caching, safety, addresses, and who sees the list of models."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator

import pytest

from modelserver.config import Config, parse_config
from modelserver.web.site import PAGES_KEPT, SITE
from tests.http.test_mounted import host
from tests.support.front import Answer, Front, front, request, settings
from tests.support.pages import Page
from tests.support.program import ROOT

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
EVIL = "<script>alert(1)</script>"
SHOP = f"""
[[models]]
model_id = "{EVIL}"
route = "up/evil"
desc = "{EVIL} javascript:alert(1)"
owned_by = "{EVIL}"
input_modalities = ["text", "image"]
"""


@pytest.fixture
async def site() -> AsyncIterator[Front]:
    async with front(settings(more=SHOP)) as running:
        yield running


def language(answer: Answer) -> str | None:
    assert answer.status == 200
    found = re.search(r'<html lang="([^"]+)"', answer.body.decode())
    assert found is not None
    assert answer.header("Content-Language") == found[1]
    return found[1]


CHOICES = [
    pytest.param("/", {}, "en", id="nothing said"),
    pytest.param("/", {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}, "zh-CN", id="the browser"),
    pytest.param("/", {"Accept-Language": "en;q=0.5, zh-TW;q=0.9"}, "zh-CN", id="by weight"),
    pytest.param("/", {"Cookie": "a=b; lang=zh"}, "zh-CN", id="the cookie"),
    pytest.param("/", {"Cookie": "lang=en", "Accept-Language": "zh"}, "en", id="the cookie before the browser"),
    pytest.param("/", {"Cookie": "lang=xx", "Accept-Language": "zh"}, "zh-CN", id="an unknown cookie"),
    pytest.param("/?lang=zh", {"Cookie": "lang=en"}, "zh-CN", id="the query before the cookie"),
    pytest.param("/?lang=en", {"Accept-Language": "zh"}, "en", id="the query before the browser"),
    pytest.param("/?lang=fr", {"Accept-Language": "zh"}, "zh-CN", id="an unknown one in the query"),
]


@pytest.mark.parametrize(("path", "headers", "expected"), CHOICES)
async def test_the_language(site: Front, path: str, headers: dict[str, str], expected: str) -> None:
    assert language(await site.ask("GET", path, headers)) == expected


async def test_a_choice_is_remembered_for_a_year(site: Front) -> None:
    answer = await site.ask("GET", "/?lang=zh")

    assert answer.header("Set-Cookie") == "lang=zh; HttpOnly; Max-Age=31536000; Path=/; SameSite=Lax"


@pytest.mark.parametrize("path", ["/", "/?lang=fr", "/?lang="])
async def test_without_a_choice_there_is_no_cookie(site: Front, path: str) -> None:
    assert (await site.ask("GET", path)).header("Set-Cookie") is None


async def test_the_headers_of_the_page(site: Front) -> None:
    answer = await site.ask("GET", "/")
    names = ("Content-Type", "Cache-Control", "Vary", "Content-Security-Policy", "X-Content-Type-Options")

    assert [answer.header(name) for name in names] == [
        "text/html; charset=utf-8",
        "no-cache",
        "Accept-Language, Cookie, Accept-Encoding",
        CSP,
        "nosniff",
    ]
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("Cross-Origin-Opener-Policy") == "same-origin"
    assert answer.header("X-Request-Id")


@pytest.mark.parametrize("choice", ["en", "zh"])
async def test_everything_that_it_loads_is_here_and_lasts(site: Front, choice: str) -> None:
    page = Page((await site.ask("GET", f"/?lang={choice}")).body.decode())
    loaded = [fields["href"] for fields in page.all("link") if fields["rel"] in ("stylesheet", "icon")]
    loaded += page.values("src")
    answers = {str(path): await site.ask("GET", f"/{path}") for path in loaded}

    assert all(re.fullmatch(r"assets/\w+\.[0-9a-f]{16}\.(css|js|svg)", path) for path in answers)
    assert {answer.status for answer in answers.values()} == {200}
    assert {answer.header("Cache-Control") for answer in answers.values()} == {"public, max-age=31536000, immutable"}
    assert {str(answer.header("Content-Type")) for answer in answers.values()} == {
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
        "image/svg+xml; charset=utf-8",
    }


@pytest.mark.parametrize("name", ["page.css", "page.0000000000000000.css", "..%2fpage.py", "", "a/b"])
async def test_another_file_is_a_404(site: Front, name: str) -> None:
    assert (await site.ask("GET", f"/assets/{name}")).error() == (404, "invalid_request_error", "not_found", None)


async def asset(site: Front) -> str:
    found = re.search(r'href="(assets/page\.\w+\.css)"', (await site.ask("GET", "/")).body.decode())
    assert found is not None
    return f"/{found[1]}"


@pytest.mark.parametrize("what", ["page", "asset"])
async def test_it_is_compressed_for_who_takes_it(site: Front, what: str) -> None:
    path = "/" if what == "page" else await asset(site)
    plain = await site.ask("GET", path)
    zipped = await site.ask("GET", path, {"Accept-Encoding": "br, gzip"})

    assert (plain.header("Content-Encoding"), zipped.header("Content-Encoding")) == (None, "gzip")
    assert gzip.decompress(zipped.body) == plain.body
    assert plain.header("ETag") != zipped.header("ETag")
    assert "Accept-Encoding" in str(plain.header("Vary"))
    assert plain.header("Vary") == zipped.header("Vary")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("what", ["page", "asset"])
async def test_a_known_tag_is_a_304(site: Front, what: str, method: str, encoding: str) -> None:
    path = "/" if what == "page" else await asset(site)
    headers = {"Accept-Encoding": encoding}
    full = await site.ask("GET", path, headers)
    answer = await site.ask(method, path, {**headers, "If-None-Match": f'"x", W/{full.header("ETag")}'})
    same = ("ETag", "Vary", "Cache-Control", "Content-Security-Policy", "Content-Language")

    assert (answer.status, answer.body) == (304, b"")
    assert [answer.header(name) for name in same] == [full.header(name) for name in same]


async def test_each_language_has_its_own_tag_and_none_fits_the_other(site: Front) -> None:
    english = (await site.ask("GET", "/?lang=en")).header("ETag")
    answer = await site.ask("GET", "/?lang=zh", {"If-None-Match": str(english)})

    assert answer.status == 200


async def test_a_head_of_a_file_has_its_length(site: Front) -> None:
    path = await asset(site)
    full = await site.ask("GET", path)
    answer = await site.ask("HEAD", path)

    assert (answer.status, answer.header("Content-Length"), answer.body) == (200, str(len(full.body)), b"")


async def address(server: Front, *, given: str = "localhost", headers: dict[str, str] | None = None) -> str:
    """The base URL that the page shows."""
    caller = await server.connect()
    await caller.send(request("GET", f"{server.prefix}/", headers or {}, host=given))
    text = (await caller.answer()).body.decode()
    found = re.search(r"<figcaption><span>Base URL</span></figcaption><pre[^>]*><code>([^<]*)</code>", text)
    assert found is not None
    return found[1]


HOSTS = [
    pytest.param("llm.example:8443", "http://llm.example:8443/v1", id="a name and a port"),
    pytest.param("192.0.2.7", "http://192.0.2.7/v1", id="an address"),
    pytest.param("[::1]:8400", "http://127.0.0.1:8400/v1", id="brackets"),
    pytest.param('a"><script>', "http://127.0.0.1:8400/v1", id="markup"),
    pytest.param("a/b", "http://127.0.0.1:8400/v1", id="a path"),
    pytest.param("user@evil.example", "http://127.0.0.1:8400/v1", id="a user"),
    pytest.param("", "http://127.0.0.1:8400/v1", id="nothing"),
]


@pytest.mark.parametrize(("given", "expected"), HOSTS)
async def test_the_address_is_that_of_the_host_where_it_looks_like_one(site: Front, given: str, expected: str) -> None:
    assert await address(site, given=given) == expected


async def test_what_a_proxy_claims_is_not_believed(site: Front) -> None:
    claims = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}

    assert await address(site, headers=claims) == "http://localhost/v1"


async def test_the_configured_address_wins() -> None:
    async with front(settings(server='public_url = "https://llm.example/api/"')) as server:
        shown = await address(server, given="other.example")

    assert shown == "https://llm.example/api/v1"


async def test_hostile_models_are_text(site: Front) -> None:
    page = Page((await site.ask("GET", "/")).body.decode())

    assert len(page.all("script")) == 1
    assert EVIL in page.texts["code"]
    assert f"{EVIL} javascript:alert(1)" in page.texts["span"]
    assert not any("javascript:" in link for link in page.values("href"))


CATALOGUES = [
    pytest.param("public", True, id="public"),
    pytest.param("keys", False, id="for keys"),
    pytest.param("off", False, id="off"),
]


@pytest.mark.parametrize(("setting", "is_listed"), CATALOGUES)
async def test_models_are_listed_where_the_catalogue_is_public(setting: str, is_listed: bool) -> None:
    async with front(settings(more=SHOP, server=f'catalogue = "{setting}"')) as server:
        answer = await server.ask("GET", "/")
    text = answer.body.decode()

    assert ("alert(1)" in text) is is_listed
    assert ('class="families"' in text) is is_listed
    assert "GET /v1/models" in text


async def test_examples_name_no_model_that_a_caller_without_key_may_not_see() -> None:
    async with front(settings(more='[groups.default]\nmodels = ["!*"]\n', server='catalogue = "keys"')) as server:
        text = (await server.ask("GET", "/")).body.decode()

    assert "MODEL_ID" in text


async def test_examples_use_a_model_that_can_be_called(site: Front) -> None:
    text = (await site.ask("GET", "/")).body.decode()

    assert "&quot;" not in text.partition('id="quickstart"')[2].partition("</section>")[0]
    assert '"m"' in text


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("prefix", ["/llm", "/a/b"])
async def test_below_a_prefix_its_links_lead_below_it(prefix: str, path: str) -> None:
    async with host(settings(), prefix=prefix) as server:
        answer = await server.ask("GET", f"{path}?lang=zh")
        page = Page(answer.body.decode())
        base = f"{prefix}{path}".rpartition("/")[0]
        outer = [each for each in page.values("href") + page.values("src") if not each.startswith(("#", "?"))]
        elsewhere = Front(server.port, callers=server.callers)
        loaded = [await elsewhere.ask("GET", f"{base}/{each}") for each in outer if "assets/" in each]

    assert answer.status == 200
    assert f"Path={prefix};" in str(answer.header("Set-Cookie"))
    assert f"http://localhost{prefix}/v1" in answer.body.decode()
    assert all(f"{base}/{each}".startswith(f"{prefix}/") for each in outer)
    assert len(loaded) == 4
    assert {each.status for each in loaded} == {200}


async def test_a_host_of_its_own_choice_costs_no_memory_without_end(site: Front) -> None:
    for number in range(PAGES_KEPT + 5):
        await address(site, given=f"h{number}")
    (pages,) = site.app[SITE]._pages.values() if site.app else ()

    assert len(pages) == PAGES_KEPT


async def test_a_reload_shows_in_the_page() -> None:
    readings = [settings(more=SHOP), settings()]
    async with front(readings[0], load=lambda: readings[1]) as server:
        before = await server.ask("GET", "/")
        await server.gateway.reload()
        after = await server.ask("GET", "/", {"If-None-Match": str(before.header("ETag"))})

    assert (b"alert(1)" in before.body, b"alert(1)" in after.body) == (True, False)
    assert after.status == 200


async def test_while_draining_it_says_so(site: Front) -> None:
    before = await site.ask("GET", "/")
    site.gateway.begin_drain()
    after = await site.ask("GET", "/")

    assert b">Running<" in before.body
    assert b">Stopping<" in after.body


def shipped() -> Config:
    return parse_config((ROOT / "models.toml").read_text("utf-8"), environ={})


@pytest.mark.parametrize("choice", ["en", "zh"])
async def test_all_of_it_is_small(choice: str) -> None:
    async with front(shipped()) as server:
        answer = await server.ask("GET", f"/?lang={choice}", {"Accept-Encoding": "gzip"})
        page = Page(gzip.decompress(answer.body).decode())
        paths = sorted({each for each in page.values("href") + page.values("src") if each.startswith("assets/")})
        loaded = [await server.ask("GET", f"/{path}", {"Accept-Encoding": "gzip"}) for path in paths]

    assert len(loaded) == 3
    assert sum(len(each.body) for each in (answer, *loaded)) < 60_000


async def test_with_the_shipped_models_the_examples_call_the_mock() -> None:
    async with front(shipped()) as server:
        text = (await server.ask("GET", "/")).body.decode()

    assert '"model": "mock"' in re.sub("<[^>]+>", "", text)
