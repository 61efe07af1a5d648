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
    **quirks: Any,
) -> bytes:
    ask = read_request(wire)
    return forward(
        ask, target=target, params=params or {}, ask_usage=ask_usage, drop_options=drop_options, quirks=quirks
    )


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


QUIRKS = [
    pytest.param([b'"user":"u"', b'"x" : 1'], {"drop": ["user"]}, [b'"x" : 1'], id="drop: in the middle"),
    pytest.param([b'"x":1', b'"user":"u"'], {"drop": ["user"]}, [b'"x":1'], id="drop: the last"),
    pytest.param([b'"user":null'], {"drop": ["user"]}, [], id="drop: null"),
    pytest.param([b'"us\\u0065r":"u"'], {"drop": ["user"]}, [], id="drop: escaped"),
    pytest.param([b'"x":1', b'"y":2', b'"x":3'], {"drop": ["x"]}, [b'"y":2'], id="drop: every one of the same name"),
    pytest.param([b'"x":{"user":1}'], {"drop": ["user"]}, [b'"x":{"user":1}'], id="drop: not a nested one"),
    pytest.param(
        [b'"user":"u"', b'"store":true', b'"seed":7e0'], {"drop": ["store", "user"]}, [b'"seed":7e0'], id="drop: two"
    ),
    pytest.param(
        [b'"x":{ "a" : 1 , "b":2.50}'], {"drop": ["x.a"]}, [b'"x":{ "b":2.50}'], id="drop: within an object, the first"
    ),
    pytest.param([b'"x":{ "a":1 }'], {"drop": ["x.a"]}, [b'"x":{  }'], id="drop: within an object, the only one"),
    pytest.param([b'"x":"a"', b'"y":[1]'], {"drop": ["x.a", "y.a", "y[].a", "z[].a"]}, None, id="drop: not that shape"),
    pytest.param(
        [b'"x":[[1], {"a":{"b":[{"c":1,"d":2}]}},"a"]'],
        {"drop": ["x[].a.b[].c"]},
        [b'"x":[[1], {"a":{"b":[{"d":2}]}},"a"]'],
        id="drop: deep",
    ),
    pytest.param([b'"x":[1]'], {"drop": ["x[]"]}, [], id="drop: a list by its elements"),
    pytest.param([b'"seed":7e0'], {"rename": {"seed": "random_seed"}}, [b'"random_seed":7e0'], id="rename"),
    pytest.param(
        [b'"s\\u0065ed" : 1'], {"rename": {"seed": "random_seed"}}, [b'"random_seed" : 1'], id="rename: escaped"
    ),
    pytest.param(
        [b'"seed":1', b'"random_seed":2'],
        {"rename": {"seed": "random_seed"}},
        [b'"random_seed":2'],
        id="rename: the provider's own name wins",
    ),
    pytest.param(
        [b'"seed":1', b'"random_seed":null'],
        {"rename": {"seed": "random_seed"}},
        [b'"random_seed":1'],
        id="rename: unless it is null",
    ),
    pytest.param([b'"x":"n"'], {"rename": {"x": "model"}}, [], id="rename: nothing becomes the model"),
    pytest.param([], {"add": {"usage": {"include": True}}}, [b'"usage":{"include":true}'], id="add"),
    pytest.param([b'"x":null', b'"y":1'], {"add": {"x": 2}}, [b'"x":2', b'"y":1'], id="add: for null"),
    pytest.param([b'"x":1'], {"add": {"x": 2}}, [b'"x":1'], id="add: not over the client's"),
    pytest.param([b'"x":1'], {"drop": ["x"], "add": {"x": 2}}, [b'"x":2'], id="add: in place of what was dropped"),
    pytest.param([b'"x":1', b'"y":2'], {"allow": ("y",)}, [b'"y":2'], id="allow"),
    pytest.param([b'"x":1', b'"x":2'], {"allow": ()}, [], id="allow: nothing but what must be"),
    pytest.param(
        [b'"seed":1', b'"x":1'],
        {"allow": ("random_seed",), "rename": {"seed": "random_seed"}},
        [b'"random_seed":1'],
        id="allow: by the provider's names",
    ),
    pytest.param(
        [b'"max_completion_tokens":9'], {"max_tokens_field": "max_tokens"}, [b'"max_tokens":9'], id="the older limit"
    ),
    pytest.param(
        [b'"max_tokens":9'],
        {"max_tokens_field": "max_completion_tokens"},
        [b'"max_completion_tokens":9'],
        id="the newer limit",
    ),
    pytest.param([b'"max_tokens":9'], {"max_tokens_field": "max_tokens"}, None, id="the limit that it knows"),
    pytest.param(
        [b'"max_tokens":9', b'"max_completion_tokens":8'],
        {"max_tokens_field": "max_tokens"},
        [b'"max_tokens":9'],
        id="both limits",
    ),
    pytest.param(
        [b'"max_tokens":null', b'"max_completion_tokens":8'],
        {"max_tokens_field": "max_tokens"},
        [b'"max_tokens":8'],
        id="both limits, one null",
    ),
    pytest.param([b'"parallel_tool_calls":false'], {"parallel_field": False}, [], id="no word for parallel calls"),
    pytest.param([b'"parallel_tool_calls":false'], {"parallel_field": True}, None, id="a word for parallel calls"),
    pytest.param(
        [b'"tools":[{"function":{"name":"f","strict":true, "parameters":{"strict":1}}}, {"type":"x"}]'],
        {"strict_tools": False},
        [b'"tools":[{"function":{"name":"f", "parameters":{"strict":1}}}, {"type":"x"}]'],
        id="no strict tools",
    ),
    pytest.param(
        [b'"seed":1'],
        {"strict_tools": True, "developer_role": True, "reasoning_in": ("reasoning",), "tool_choice": "any"},
        None,
        id="quirks that concern other things",
    ),
]


@pytest.mark.parametrize(("given", "quirks", "expected"), QUIRKS)
def test_quirks_edit_fields_and_nothing_else_H41(
    given: list[bytes], quirks: dict[str, Any], expected: list[bytes] | None
) -> None:
    wire = body(*given)
    out = sent(wire, target="m", **quirks)

    assert out == (wire if expected is None else body(*expected))
    assert expected is not None or out is wire


def test_the_first_fields_are_dropped_with_their_commas() -> None:
    wire = b'{ "user":"u" , "x":1, "model":"m",' + MESSAGES + b"}"

    assert sent(wire, drop=["user", "x"]) == b'{ "model":"up",' + MESSAGES + b"}"


TALK = (
    b'{"model":"m","messages":[ {"role":"developer","name":"d","content":"\\u00e4 developer"},'
    b'{"content":"a" , "role":"user","name":"u"},{"r\\u006fle":"dev\\u0065loper","content":"b"} ]}'
)


def test_names_of_speakers_are_dropped_H41() -> None:
    expected = TALK.replace(b',"name":"d"', b"").replace(b',"name":"u"', b"")

    assert expected == sent(TALK, target="m", drop=("messages[].name",))


def test_developers_become_the_system_and_nothing_else_H41() -> None:
    expected = TALK.replace(b':"developer"', b':"system"').replace(b'"dev\\u0065loper"', b'"system"')

    assert expected == sent(TALK, target="m", developer_role=False)


def test_all_edits_of_one_request_at_once() -> None:
    wire = (
        b'{"user":"u","stream":true, "messages":[{"role":"developer","content":"a","name":"n"}],"seed":7e0,"model":"m",'
        b'"max_completion_tokens":5,"vendor_x":{"b":1,"a":2}}'
    )
    out = sent(
        wire,
        params={"temperature": b"0.70", "top_p": b"1"},
        ask_usage=True,
        drop=("user", "messages[].name", "top_p"),
        rename={"seed": "random_seed"},
        max_tokens_field="max_tokens",
        developer_role=False,
        add={"y": 1},
    )

    assert out == (
        b'{"stream":true, "messages":[{"role":"system","content":"a"}],"random_seed":7e0,"model":"up",'
        b'"max_tokens":5,"vendor_x":{"b":1,"a":2},"stream_options":{"include_usage":true},"temperature":0.70,"y":1}'
    )


OPTIONS = [
    pytest.param({"drop": ("stream_options",)}, {"ask_usage": True}, [], id="dropped although asked for"),
    pytest.param({"allow": ()}, {"ask_usage": True}, [], id="not allowed although asked for"),
    pytest.param({"add": {"stream_options": {}}}, {"ask_usage": True}, [ASKED], id="not added beside ours"),
    pytest.param(
        {"drop": ("stream_options.include_usage",)}, {"ask_usage": True}, [b'"stream_options":{}'], id="within"
    ),
    pytest.param({"drop": ("stream_options",)}, {"drop_options": True}, [], id="dropped twice"),
]


@pytest.mark.parametrize(("quirks", "how", "expected"), OPTIONS)
def test_quirks_apply_to_what_the_gateway_adds(
    quirks: dict[str, Any], how: dict[str, Any], expected: list[bytes]
) -> None:
    assert body(*expected) == sent(body(), target="m", **how, **quirks)
