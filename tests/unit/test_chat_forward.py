"""What leaves for an upstream: the client's bytes with the few edits that routing needs.

Whatever duplicates or escapes a body holds, the model that the upstream sees is the one that was authorised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_chat.request import forward, read_request
from modelserver.errors import InvalidRequest

MESSAGES = b'"messages":[{"role":"user","content":"a"}]'


def sent(
    wire: bytes,
    *,
    target: str = "up",
    params: Mapping[str, bytes] | None = None,
    ask_usage: bool = False,
    drop_options: bool = False,
) -> bytes:
    ask = read_request(wire)
    return forward(ask, target=target, params=params or {}, ask_usage=ask_usage, drop_options=drop_options)


def body(*members: bytes) -> bytes:
    """A body of a model, one message, and the members given."""
    return b"{" + b",".join((b'"model":"m"', MESSAGES, *members)) + b"}"


def test_a_body_that_needs_no_edit_is_sent_as_it_came() -> None:
    wire = body(b'"seed":7e0', b'"x" : {"b":1, "a":[ ]}')

    assert wire is sent(wire, target="m")


def test_the_edits_of_one_request_leave_every_other_byte() -> None:
    wire = (
        b'{"stream":true,"messages":[{"role":"user","content":"a"}],"seed":7e0,"model":"fast","vendor_x":{"b":1,"a":2}}'
    )
    expected = (
        b'{"stream":true,"messages":[{"role":"user","content":"a"}],"seed":7e0,"model":"up",'
        b'"vendor_x":{"b":1,"a":2},"stream_options":{"include_usage":true},"temperature":0.7}'
    )

    assert expected == sent(wire, params={"temperature": b"0.7"}, ask_usage=True)


MODELS = [
    pytest.param(b'{"model":"m",' + MESSAGES + b"}", b'{"model":"up",' + MESSAGES + b"}", id="first"),
    pytest.param(b"{" + MESSAGES + b',"model":"m"}', b"{" + MESSAGES + b',"model":"up"}', id="last"),
    pytest.param(
        b' {\n"model"\t: "m" , ' + MESSAGES + b"\n}\n", b' {\n"model"\t: "up" , ' + MESSAGES + b"\n}\n", id="spaces"
    ),
    pytest.param(
        b'{"mod\\u0065l":"m",' + MESSAGES + b"}", b'{"mod\\u0065l":"up",' + MESSAGES + b"}", id="an escaped name"
    ),
    pytest.param(
        b'{"\\u006D\\u006f\\u0064\\u0065\\u006c":"m",' + MESSAGES + b"}",
        b'{"\\u006D\\u006f\\u0064\\u0065\\u006c":"up",' + MESSAGES + b"}",
        id="a name of escapes only",
    ),
    pytest.param(b'{"model":"\\u006d",' + MESSAGES + b"}", b'{"model":"up",' + MESSAGES + b"}", id="an escaped value"),
    pytest.param(
        body(b'"x":{"model":"n","model":"o"}'),
        b'{"model":"up",' + MESSAGES + b',"x":{"model":"n","model":"o"}}',
        id="nested ones twice",
    ),
    pytest.param(
        b'{"x":{"model":"n"},"mod\\u0065l":"m",' + MESSAGES + b"}",
        b'{"x":{"model":"n"},"mod\\u0065l":"up",' + MESSAGES + b"}",
        id="a nested one plain, the outer one escaped",
    ),
    pytest.param(
        b'{"x":[{"\\u006dodel":"n"}],"model":"m",' + MESSAGES + b"}",
        b'{"x":[{"\\u006dodel":"n"}],"model":"up",' + MESSAGES + b"}",
        id="a nested one escaped, the outer one plain",
    ),
    pytest.param(
        b'{"x":"\\"model\\":\\"n\\"","model":"m",' + MESSAGES + b"}",
        b'{"x":"\\"model\\":\\"n\\"","model":"up",' + MESSAGES + b"}",
        id="a text that looks like one",
    ),
    pytest.param(
        b'{"\\"model":"n","model":"m",' + MESSAGES + b"}",
        b'{"\\"model":"n","model":"up",' + MESSAGES + b"}",
        id="a name that ends like it",
    ),
    pytest.param(
        b'{"model\\u0000":"n","model":"m",' + MESSAGES + b"}",
        b'{"model\\u0000":"n","model":"up",' + MESSAGES + b"}",
        id="a name that begins like it",
    ),
    pytest.param(
        b'{"x":"\\\\","model":"m",' + MESSAGES + b',"y":"\\\\\\""}',
        b'{"x":"\\\\","model":"up",' + MESSAGES + b',"y":"\\\\\\""}',
        id="backslashes before quotes",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), MODELS)
def test_the_model_is_replaced_and_nothing_else(wire: bytes, expected: bytes) -> None:
    assert expected == sent(wire)


@pytest.mark.parametrize(("wire", "expected"), MODELS)
def test_every_parser_sees_the_authorised_model(wire: bytes, expected: bytes) -> None:
    out = sent(wire)

    firsts: dict[str, Any] = dict(reversed(json.loads(out, object_pairs_hook=list)))
    assert (orjson.loads(out)["model"], json.loads(out)["model"], firsts["model"]) == ("up", "up", "up")


TWICE = [
    pytest.param(body(b'"model":"n"'), "model", id="the model twice"),
    pytest.param(body(b'"model":"m"'), "model", id="the same model twice"),
    pytest.param(body(b'"mod\\u0065l":"n"'), "model", id="the model again, escaped"),
    pytest.param(b'{"\\u006dodel":"n","model":"m",' + MESSAGES + b"}", "model", id="the model before, escaped"),
    pytest.param(b'{"\\u006dodel":"n","\\u006dodel":"m",' + MESSAGES + b"}", "model", id="both escaped"),
    pytest.param(body(b'"model" \n:"n"'), "model", id="the model again, spaces before the colon"),
    pytest.param(body(b'"Model":"n"'), "Model", id="a capital letter"),
    pytest.param(body(b'"MODEL":"n"'), "MODEL", id="capital letters"),
    pytest.param(body(b'"mode\\u004c":"n"'), "modeL", id="an escaped capital letter"),
    pytest.param(body(b'"Model":null'), "Model", id="a capital letter and null"),
    pytest.param(body(MESSAGES), "messages", id="the messages twice"),
    pytest.param(body(b'"stream":true', b'"stream":false'), "stream", id="stream twice"),
    pytest.param(
        body(b'"stream_options":null', b'"stream\\u005foptions":{}'), "stream_options", id="the options again, escaped"
    ),
]


@pytest.mark.parametrize(("wire", "param"), TWICE)
def test_a_field_that_is_read_may_not_stand_twice(wire: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_request(wire)

    assert param == caught.value.param


ONCE = [
    pytest.param(body(b'"x":1', b'"x":2'), id="a field that is not known, twice"),
    pytest.param(body(b'"models":["n"]', b'"mode":"x"', b'"model_id":1'), id="names like it"),
    pytest.param(body(b'"x":{"Model":"n"}'), id="a nested one in capitals"),
    pytest.param(body(b'"x":"Model\\":"'), id="a text in capitals"),
    pytest.param(body(b'"metadata":{"model":"n","model":"o"}'), id="nested ones"),
]


@pytest.mark.parametrize("wire", ONCE)
def test_what_is_not_read_passes(wire: bytes) -> None:
    assert wire == sent(wire, target="m")


TARGETS = [
    pytest.param("vendor/model:tag@1", b'"vendor/model:tag@1"', id="signs"),
    pytest.param('a"\\b', b'"a\\"\\\\b"', id="what must be escaped"),
    pytest.param("modèle", '"modèle"'.encode(), id="beyond ASCII"),
    pytest.param("a\nb", b'"a\\nb"', id="a line end"),
]


@pytest.mark.parametrize(("target", "written"), TARGETS)
def test_the_name_of_the_target_is_written_as_json(target: str, written: bytes) -> None:
    assert b'{"model":' + written + b"," + MESSAGES + b"}" == sent(body(), target=target)


ASKED = b'"stream_options":{"include_usage":true}'

USAGE = [
    pytest.param([], [ASKED], id="no options"),
    pytest.param([b'"stream_options":null'], [ASKED], id="options that are null"),
    pytest.param([b'"stream_options":{}', b'"x":1'], [ASKED, b'"x":1'], id="empty options"),
    pytest.param([b'"stream_options":{ }'], [ASKED], id="empty options with a space"),
    pytest.param([b'"stream_options":{"include_usage":false}'], [ASKED], id="turned off"),
    pytest.param([b'"stream_options":{"include_usage":null}'], [ASKED], id="null"),
    pytest.param([ASKED], [ASKED], id="asked for already"),
    pytest.param(
        [b'"stream_options":{ "include_obfuscation" : false }', b'"x":1'],
        [b'"stream_options":{ "include_obfuscation" : false ,"include_usage":true}', b'"x":1'],
        id="beside another option",
    ),
    pytest.param(
        [b'"stream_options":{"include_usage":false, "x":{"include_usage":false}}'],
        [b'"stream_options":{"include_usage":true, "x":{"include_usage":false}}'],
        id="beside a nested one",
    ),
    pytest.param(
        [b'"stream_options":{"include_usage":true,"include_usage":false}'],
        [b'"stream_options":{"include_usage":true,"include_usage":true}'],
        id="the last of two",
    ),
    pytest.param(
        [b'"stream_options":{"includ\\u0065_usage":false}'],
        [b'"stream_options":{"includ\\u0065_usage":true}'],
        id="an escaped name",
    ),
    pytest.param(
        [b'"\\u0073tream_options":{}'], [b'"\\u0073tream_options":{"include_usage":true}'], id="escaped options"
    ),
]


@pytest.mark.parametrize(("given", "expected"), USAGE)
def test_usage_is_asked_for(given: list[bytes], expected: list[bytes]) -> None:
    assert body(*expected) == sent(body(*given), target="m", ask_usage=True)


DROPPED = [
    pytest.param([], [], id="none"),
    pytest.param([ASKED], [], id="the last field"),
    pytest.param([ASKED, b'"x":1'], [b'"x":1'], id="a field in the middle"),
    pytest.param([b'"stream_options":null'], [], id="null"),
    pytest.param([b'"stream\\u005foptions":{}', b'"x":1'], [b'"x":1'], id="escaped"),
    pytest.param([b'"x":{"stream_options":{}}'], [b'"x":{"stream_options":{}}'], id="not a nested one"),
]


@pytest.mark.parametrize("ask_usage", [False, True], ids=["not asked", "asked"])
@pytest.mark.parametrize(("given", "expected"), DROPPED)
def test_options_are_dropped_for_who_refuses_them(given: list[bytes], expected: list[bytes], ask_usage: bool) -> None:
    assert body(*expected) == sent(body(*given), target="m", ask_usage=ask_usage, drop_options=True)


def test_options_are_dropped_where_they_come_first() -> None:
    wire = b"{" + ASKED + b', "model":"m",' + MESSAGES + b"}"

    assert sent(wire, drop_options=True) == b'{"model":"up",' + MESSAGES + b"}"


PARAMS = [
    pytest.param([], [b'"temperature":0.7'], id="absent: added"),
    pytest.param([b'"temperature":null'], [b'"temperature":0.7'], id="null: set"),
    pytest.param([b'"temperature":0'], [b'"temperature":0'], id="zero: the client's"),
    pytest.param([b'"temperature":1.0e0', b'"x":1'], [b'"temperature":1.0e0', b'"x":1'], id="given: the client's"),
    pytest.param([b'"t\\u0065mperature":1'], [b'"t\\u0065mperature":1'], id="given, escaped: the client's"),
    pytest.param([b'"t\\u0065mperature":null'], [b'"t\\u0065mperature":0.7'], id="null, escaped: set"),
    pytest.param([b'"x":{"temperature":1}'], [b'"x":{"temperature":1}', b'"temperature":0.7'], id="only nested: added"),
]


@pytest.mark.parametrize(("given", "expected"), PARAMS)
def test_a_parameter_of_the_model_is_sent_where_the_client_sent_none(given: list[bytes], expected: list[bytes]) -> None:
    assert body(*expected) == sent(body(*given), target="m", params={"temperature": b"0.7"})


def test_parameters_keep_their_order_and_may_be_anything() -> None:
    params = {"reasoning_effort": b'"low"', "vendor": b'{"a":[1]}'}

    assert body(b'"reasoning_effort":"low"', b'"vendor":{"a":[1]}') == sent(body(), target="m", params=params)


def test_what_is_added_comes_after_the_last_field_not_the_last_byte() -> None:
    assert (
        sent(b'{"model":"m",' + MESSAGES + b" } \n", target="m", params={"a": b"1"})
        == b'{"model":"m",' + MESSAGES + b' ,"a":1} \n'
    )


def test_digits_that_no_float_holds_are_sent_as_given() -> None:
    wire = body(b'"seed":123456789012345678901234567890', b'"x":0.10000000000000000000001')

    assert wire.replace(b'"m"', b'"up"') == sent(wire)
