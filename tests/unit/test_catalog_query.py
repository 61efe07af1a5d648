from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs
import pytest

from modelserver.catalog import query
from modelserver.catalog.query import CatalogueView, matches_etag, read_query
from modelserver.config.types import Model, Pricing
from modelserver.errors import InvalidRequest


def model(model_id: str, **fields: Any) -> Model:
    return Model(model_id=model_id, provider="p", target="t", **fields)


BIG = model(
    "Big-Chat",
    desc="Größe “x”\n",
    features=("thinking", "tools", "long_context"),
    input_modalities=("text", "image"),
    max_output=128_000,
    context_length=1_000_000,
    pricing=Pricing(input=2_000_000, output=10_000_000, cache_read=125_000, cache_write=2_500_000),
)
SMALL = model(
    "small-chat",
    features=("tools",),
    input_modalities=("text",),
    context_length=8_000,
    pricing=Pricing(input=250_000, output=2_000_000),
)
TWIN = model(
    "twin-coder",
    features=("tools", "thinking"),
    input_modalities=("text", "pdf"),
    context_length=8_000,
    pricing=Pricing(input=250_000, output=2_000_000),
    tags=("coding",),
)
VECTOR = model("vector", type="embedding", input_modalities=("text",), pricing=Pricing(input=20_000))
ORDERER = model("orderer", type="rerank")
ANY = model("ollama/*")

MODELS = (BIG, VECTOR, SMALL, ANY, TWIN, ORDERER)
ALL = ["Big-Chat", "vector", "small-chat", "ollama/*", "twin-coder", "orderer"]


def ids(view: CatalogueView, *params: tuple[str, str]) -> list[str]:
    return [entry["model_id"] for entry in json.loads(view.answer(params).body)["data"]]


OBJECTS = [
    pytest.param(
        BIG,
        '{"model_id":"Big-Chat","desc":"Größe “x”\\n","pricing":{"cache_read":0.125,"cache_write":2.5,"input":2,'
        '"output":10},"types":"llm","features":"thinking,tools,long_context","input_modalities":"text,image",'
        '"max_output":128000,"context_length":1000000}',
        id="every field in the published order",
    ),
    pytest.param(ORDERER, '{"model_id":"orderer","types":"rerank"}', id="what is not known is left out"),
    pytest.param(
        VECTOR,
        '{"model_id":"vector","pricing":{"input":0.02},"types":"embedding","input_modalities":"text"}',
        id="a price that is not known is left out",
    ),
    pytest.param(
        model("m", pricing=Pricing()), '{"model_id":"m","types":"llm"}', id="a price table without prices is left out"
    ),
    pytest.param(
        model("m", max_output=0, pricing=Pricing(input=0, output=0)),
        '{"model_id":"m","pricing":{"input":0,"output":0},"types":"llm","max_output":0}',
        id="zero is known",
    ),
]


@pytest.mark.parametrize(("entry", "expected"), OBJECTS)
def test_a_model_is_written(entry: Model, expected: str) -> None:
    body = CatalogueView((entry,)).answer(()).body

    assert '{"data":[' + expected + '],"message":"","success":true}' == body.decode()


def test_no_model_is_an_empty_list() -> None:
    assert CatalogueView(()).answer(()).body == b'{"data":[],"message":"","success":true}'


PRICES = [
    pytest.param(10_000_000, "10", id="whole dollars have no point"),
    pytest.param(0, "0", id="nothing"),
    pytest.param(125_000, "0.125", id="thousandths"),
    pytest.param(400_000, "0.4", id="no closing zeros"),
    pytest.param(100_000_000, "100", id="zeros of a whole number stay"),
    pytest.param(1, "0.000001", id="no exponent"),
    pytest.param(12_345_678_901_234_567, "12345678901.234567", id="more digits than a float has"),
]


@pytest.mark.parametrize(("micro_dollars", "expected"), PRICES)
def test_a_price_is_printed_as_written(micro_dollars: int, expected: str) -> None:
    body = CatalogueView((model("m", pricing=Pricing(input=micro_dollars)),)).answer(()).body

    assert f'"pricing":{{"input":{expected}}}'.encode() in body


FILTERS = [
    pytest.param([], ALL, id="nothing asked is everything in the order of the file"),
    pytest.param([("type", "llm")], ["Big-Chat", "small-chat", "ollama/*", "twin-coder"], id="a type"),
    pytest.param([("type", "t2t")], ["Big-Chat", "small-chat", "ollama/*", "twin-coder"], id="an old type name"),
    pytest.param([("type", "reranking")], ["orderer"], id="the old name of rerank"),
    pytest.param([("type", "t2i")], [], id="the old name of image_generation"),
    pytest.param([("type", "t2v")], [], id="the old name of video"),
    pytest.param([("modalities", "text")], ["Big-Chat", "vector", "small-chat", "twin-coder"], id="a modality"),
    pytest.param([("modalities", "text,image")], ["Big-Chat"], id="all modalities of a list"),
    pytest.param([("modalities", " image , text ,")], ["Big-Chat"], id="items are trimmed"),
    pytest.param([("features", "thinking,tools")], ["Big-Chat", "twin-coder"], id="all features of a list"),
    pytest.param([("features", "web")], [], id="a feature that none has"),
    pytest.param([("model", "CHAT")], ["Big-Chat", "small-chat"], id="a part of the id in any case"),
    pytest.param([("model", "*")], ["ollama/*"], id="the part of an id is no glob"),
    pytest.param([("model", "chat"), ("features", "thinking")], ["Big-Chat"], id="filters are combined by and"),
    pytest.param([("type", " rerank "), ("model", " ORD ")], ["orderer"], id="values are trimmed"),
    pytest.param([("type", ""), ("model", " "), ("sort_by", ""), ("features", " ")], ALL, id="empty is absent"),
    pytest.param([("_", "1"), ("_", "2"), ("Type", "x")], ALL, id="unknown names are ignored, repeated or not"),
]


@pytest.mark.parametrize(("params", "expected"), FILTERS)
def test_models_are_filtered(params: list[tuple[str, str]], expected: list[str]) -> None:
    assert expected == ids(CatalogueView(MODELS), *params)


SORTS = [
    pytest.param("order", "asc", ALL, id="the order of the file"),
    pytest.param("order", "desc", ALL[::-1], id="the order of the file backwards"),
    pytest.param("", "desc", ALL[::-1], id="the order of the file is the default"),
    pytest.param(
        "context_length",
        "",
        ["small-chat", "twin-coder", "Big-Chat", "vector", "ollama/*", "orderer"],
        id="ascending is the default, unknown windows last",
    ),
    pytest.param(
        "context_length",
        "desc",
        ["Big-Chat", "small-chat", "twin-coder", "vector", "ollama/*", "orderer"],
        id="unknown windows last and equal ones stable in descending order too",
    ),
    pytest.param(
        "model_ratio",
        "asc",
        ["small-chat", "twin-coder", "Big-Chat", "vector", "ollama/*", "orderer"],
        id="value for money, half-known prices last",
    ),
    pytest.param(
        "model_ratio",
        "desc",
        ["Big-Chat", "small-chat", "twin-coder", "vector", "ollama/*", "orderer"],
        id="the dearest first, half-known prices last",
    ),
    pytest.param(
        "coding",
        "asc",
        ["twin-coder", "Big-Chat", "vector", "small-chat", "ollama/*", "orderer"],
        id="coding models first",
    ),
    pytest.param(
        "coding",
        "desc",
        ["twin-coder", "Big-Chat", "vector", "small-chat", "ollama/*", "orderer"],
        id="coding models first whatever the sort order",
    ),
]


@pytest.mark.parametrize(("sort_by", "sort_order", "expected"), SORTS)
def test_models_are_sorted(sort_by: str, sort_order: str, expected: list[str]) -> None:
    assert expected == ids(CatalogueView(MODELS), ("sort_by", sort_by), ("sort_order", sort_order))


def test_value_for_money_weighs_input_three_to_one() -> None:
    writes = model("writes", pricing=Pricing(input=2_000_000, output=4_000_000))
    reads = model("reads", pricing=Pricing(input=1_000_000, output=6_000_000))

    assert ids(CatalogueView((writes, reads)), ("sort_by", "model_ratio")) == ["reads", "writes"]


REFUSED = [
    pytest.param(
        [("type", "text")],
        "type",
        "type: 'text' is not one of llm, image_generation, video, tts, stt, embedding, rerank.",
        id="type",
    ),
    pytest.param([("type", "llm,tts")], "type", "type: 'llm,tts' is not one of llm, ", id="several types"),
    pytest.param([("type", "LLM")], "type", "type: 'LLM' is not one of llm, ", id="a type in capitals"),
    pytest.param(
        [("modalities", "text,smell")],
        "modalities",
        "modalities: 'smell' is not one of text, image, audio, video, pdf.",
        id="one modality of a list",
    ),
    pytest.param(
        [("features", "speed")],
        "features",
        "features: 'speed' is not one of thinking, tools, function_calling, web, deepsearch, long_context, "
        "structured_outputs.",
        id="feature",
    ),
    pytest.param(
        [("sort_by", "price")],
        "sort_by",
        "sort_by: 'price' is not one of order, context_length, model_ratio, coding.",
        id="sort_by",
    ),
    pytest.param(
        [("sort_order", "down")], "sort_order", "sort_order: 'down' is not one of asc, desc.", id="sort_order"
    ),
    pytest.param(
        [("sort_by", "coding"), ("sort_order", "down")], "sort_order", "sort_order: 'down'", id="an ignored sort_order"
    ),
    pytest.param([("model", "a"), ("model", "a")], "model", "The parameter model is repeated", id="repeated"),
    pytest.param([("type", ""), ("type", "llm")], "type", "The parameter type is repeated", id="repeated and empty"),
    pytest.param([("type", "a\n\udc80")], "type", r"type: 'a\n\udc80' is not one of", id="unprintable"),
]


@pytest.mark.parametrize(("params", "param", "message"), REFUSED)
def test_a_bad_parameter_is_refused(params: list[tuple[str, str]], param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CatalogueView(MODELS).answer(params)

    assert caught.value.param == param
    assert caught.value.message.startswith(message)


def test_a_long_bad_value_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CatalogueView(MODELS).answer([("type", "x" * 5_000)])

    assert len(caught.value.message) < 250


def test_the_etag_is_the_quoted_digest_of_the_body() -> None:
    page = CatalogueView(MODELS).answer(())

    assert page.etag == f'"{hashlib.sha256(page.body).hexdigest()}"'


def test_the_same_catalogue_has_the_same_bytes() -> None:
    params = [("features", "tools"), ("sort_by", "context_length")]

    assert CatalogueView(MODELS).answer(params) == CatalogueView(MODELS).answer(params)


SAME = [
    pytest.param([("type", "llm")], [("_", "173"), ("type", "t2t")], id="old names and cache-busters"),
    pytest.param([("features", "web,tools")], [("features", "tools , web,tools")], id="items in any order"),
    pytest.param([], [("sort_by", "order"), ("sort_order", "asc"), ("model", "")], id="defaults said"),
    pytest.param([("sort_by", "coding")], [("sort_order", "desc"), ("sort_by", "coding")], id="what coding ignores"),
    pytest.param([("model", "CHAT")], [("model", "chat")], id="case of a part of the id"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_queries_that_ask_the_same_share_a_page(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    view = CatalogueView(MODELS)

    assert view.answer(first) is view.answer(second)


@pytest.fixture
def few_pages(monkeypatch: pytest.MonkeyPatch) -> CatalogueView:
    monkeypatch.setattr(query, "PAGES_KEPT", 2)
    return CatalogueView(MODELS)


def test_the_page_used_longest_ago_is_dropped(few_pages: CatalogueView) -> None:
    first, second = few_pages.answer([("model", "1")]), few_pages.answer([("model", "2")])
    few_pages.answer([("model", "1")])
    few_pages.answer([("model", "3")])

    assert few_pages.answer([("model", "1")]) is first
    assert few_pages.answer([("model", "2")]) is not second


def test_pages_are_dropped_when_they_have_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    view = CatalogueView(MODELS)
    monkeypatch.setattr(query, "PAGE_BYTES_KEPT", len(view.answer(()).body))
    first = view.answer([("model", "1")])
    whole = view.answer(())

    assert view.answer(()) is whole
    assert view.answer([("model", "1")]) is not first


def test_what_was_dropped_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    view = CatalogueView(MODELS)
    monkeypatch.setattr(query, "PAGE_BYTES_KEPT", len(view.answer(()).body))
    first = view.answer([("model", "1")])
    view.answer([("model", "2")])

    assert view.answer([("model", "1")]) is first


def test_a_narrowed_view_has_the_models_that_are_allowed() -> None:
    view = CatalogueView(MODELS)
    whole = view.answer(())
    narrowed = view.narrowed(lambda entry: entry.type != "llm")

    assert ids(narrowed) == ["vector", "orderer"]
    assert view.answer(()) is whole


def test_reading_a_query_needs_no_view() -> None:
    assert read_query([("type", "t2v"), ("sort_order", "desc")]) == query.Query(type="video", descending=True)


ETAG = '"abc"'
HEADERS = [
    pytest.param('"abc"', True, id="the tag"),
    pytest.param('W/"abc"', True, id="the tag, weak"),
    pytest.param('"x", "abc"', True, id="a list"),
    pytest.param('"x",W/"abc" , "y"', True, id="a list with weak tags"),
    pytest.param('"a,b", "abc"', True, id="a list with a comma in a tag"),
    pytest.param("*", True, id="a star"),
    pytest.param(" * ", True, id="a star with blanks"),
    pytest.param('"ABC"', False, id="case counts"),
    pytest.param('"x"', False, id="another tag"),
    pytest.param("abc", False, id="no quotes"),
    pytest.param('"abc', False, id="an open quote"),
    pytest.param('"*"', False, id="a quoted star"),
    pytest.param("", False, id="nothing"),
]


@pytest.mark.parametrize(("header", "expected"), HEADERS)
def test_if_none_match_names_a_tag(header: str, expected: bool) -> None:
    assert expected is matches_etag(header, ETAG)


def test_a_model_with_a_changed_price_has_another_etag() -> None:
    dearer = attrs.evolve(SMALL, pricing=Pricing(input=250_001, output=2_000_000))

    assert CatalogueView((SMALL,)).answer(()).etag != CatalogueView((dearer,)).answer(()).etag
