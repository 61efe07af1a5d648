from __future__ import annotations

from typing import Any

import pytest

from modelserver.wire.json_text import (
    StringUnwrapper,
    as_object,
    dumps_exact,
    from_object,
    loads_exact,
    unwrap_string,
    wrap_string,
)

DEEP = "[" * 90 + "]" * 90
TOO_DEEP = '{"a":' * 150 + "1" + "}" * 150

OBJECTS = [
    pytest.param("", {}, id="nothing"),
    pytest.param(" \n", {}, id="white space"),
    pytest.param('{"q":"tea"}', {"q": "tea"}, id="an object"),
    pytest.param('{"b":1,"a":2}', {"b": 1, "a": 2}, id="key order"),
    pytest.param('"{\\"q\\":1}"', {"q": 1}, id="a string that holds an object"),
    pytest.param('"\\"{}\\""', {"_raw": '"\\"{}\\""'}, id="a string in a string"),
    pytest.param('"tea"', {"_raw": '"tea"'}, id="a string"),
    pytest.param("[1]", {"_raw": "[1]"}, id="a list"),
    pytest.param("null", {"_raw": "null"}, id="null"),
    pytest.param('{"path": "a.txt', {"_raw": '{"path": "a.txt'}, id="D33 cut at the token limit"),
    pytest.param('{"a":NaN}', {"_raw": '{"a":NaN}'}, id="NaN"),
    pytest.param('{"a":1e999}', {"_raw": '{"a":1e999}'}, id="a number past every float"),
    pytest.param('{"a":"\\ud800"}', {"_raw": '{"a":"\\ud800"}'}, id="half a surrogate pair"),
    pytest.param('{"a":' + "9" * 5000 + "}", {"_raw": '{"a":' + "9" * 5000 + "}"}, id="an absurd integer"),
    pytest.param(TOO_DEEP, {"_raw": TOO_DEEP}, id="too deep"),
    pytest.param('{"a":"' + "[" * 200 + '"}', {"a": "[" * 200}, id="brackets inside a string"),
]


@pytest.mark.parametrize(("arguments", "expected"), OBJECTS)
def test_arguments_become_an_object(arguments: str, expected: dict[str, Any]) -> None:
    actual = as_object(arguments)

    assert expected == actual
    assert list(expected) == list(actual)


TEXTS = [
    pytest.param({}, "{}", id="empty"),
    pytest.param({"b": 1, "a": [True, None]}, '{"b":1,"a":[true,null]}', id="compact, key order"),
    pytest.param({"_raw": '{"path": "a.txt'}, '{"path": "a.txt', id="D33 the text comes back"),
    pytest.param({"_raw": 1}, '{"_raw":1}', id="a number is no text"),
    pytest.param({"_raw": "a", "b": 1}, '{"_raw":"a","b":1}', id="more keys"),
    pytest.param({"n": 12345678901234567890123}, '{"n":12345678901234567890123}', id="D32 digits"),
]


@pytest.mark.parametrize(("value", "expected"), TEXTS)
def test_an_object_becomes_arguments(value: dict[str, Any], expected: str) -> None:
    assert expected == from_object(value)


EXACT = [
    pytest.param("[12345678901234567890]", id="D32 within 64 bits"),
    pytest.param('{"a":{"n":[123456789012345678901234567890]}}', id="D32 beyond"),
    pytest.param("[-9223372036854775809,18446744073709551616]", id="D32 just beyond"),
    pytest.param("[-9223372036854775808,18446744073709551615]", id="D32 just within"),
    pytest.param("[100000000000000000000,1e-7,1.5,1e+300]", id="floats beside it"),
    pytest.param('["😀é",12345678901234567890123]', id="text beside it"),
    pytest.param(DEEP, id="deep"),
]


@pytest.mark.parametrize("text", EXACT)
def test_numbers_keep_their_digits(text: str) -> None:
    value = loads_exact(text)

    assert value == loads_exact(text.encode())
    assert text == dumps_exact(value).decode()


WRITTEN = [
    pytest.param(["\ud800", 2**70], b'["\\ud800",1180591620717411303424]', id="half a surrogate pair"),
    pytest.param({"\ud800": 1}, b'{"\\ud800":1}', id="half a pair in a key"),
    pytest.param((1, 2**70), b"[1,1180591620717411303424]", id="a tuple"),
    pytest.param(loads_exact("[" * 300 + "]" * 300), b"[" * 300 + b"]" * 300, id="deeper than orjson writes"),
]


@pytest.mark.parametrize(("value", "expected"), WRITTEN)
def test_what_orjson_refuses_is_written(value: Any, expected: bytes) -> None:
    assert expected == dumps_exact(value)


UNWRAPPED = [
    pytest.param('{"input":"abc"}', "abc", id="compact"),
    pytest.param(' {\n "input" : "abc" } ', "abc", id="white space"),
    pytest.param('{"input":""}', "", id="empty"),
    pytest.param('{"input":"a\\n\\t\\"\\\\\\/\\b\\f\\r"}', 'a\n\t"\\/\b\f\r', id="D34 escapes"),
    pytest.param('{"input":"\\u00e9\\ud83d\\ude00!"}', "é😀!", id="D34 surrogate pairs"),
    pytest.param('{"input":"é😀"}', "é😀", id="raw characters"),
    pytest.param('{"input":"a\nb"}', "a\nb", id="a raw line end"),
    pytest.param('{"input":"a\\qb"}', "a\\qb", id="an unknown escape"),
    pytest.param('{"input":"\\u12x"}', "\\u12x", id="an escape with a wrong digit"),
    pytest.param('{"input":"\\u1"}', "\\u1", id="an escape that the quote ends"),
    pytest.param('{"input":"\\ud83dx"}', "\ufffdx", id="half a pair, then text"),
    pytest.param('{"input":"\\ud83d\\n"}', "\ufffd\n", id="half a pair, then an escape"),
    pytest.param('{"input":"\\ud83d\\u0041"}', "\ufffdA", id="half a pair, then a letter"),
    pytest.param('{"input":"\\ud83d\\ud83d\\ude00"}', "\ufffd😀", id="half a pair, then a pair"),
    pytest.param('{"input":"\\ude00"}', "\ufffd", id="the other half alone"),
    pytest.param('{"input":"\\ud83d"}', "\ufffd", id="half a pair at the end"),
    pytest.param('{"input":"abc', "abc", id="cut"),
    pytest.param('{"input":"abc\\', "abc", id="cut in an escape"),
    pytest.param('{"input":"abc\\ud83d\\u', "abc\ufffd", id="cut in a pair"),
    pytest.param('{"input":"abc","x":1}', "abc", id="another key behind it"),
]
UNCHANGED = [
    pytest.param("*** Begin Patch", id="no JSON"),
    pytest.param('{"patch":"abc"}', id="another key"),
    pytest.param('{"inputs":"abc"}', id="a longer key"),
    pytest.param('{"x":1,"input":"abc"}', id="another key before it"),
    pytest.param('{"input":1}', id="no string"),
    pytest.param("{}", id="an empty object"),
    pytest.param('"abc"', id="a string"),
    pytest.param('{"inp', id="cut in the key"),
    pytest.param('{"input":', id="cut before the string"),
    pytest.param('{"in put":"abc"}', id="a space in the key"),
]


@pytest.mark.parametrize(("text", "expected"), UNWRAPPED)
def test_a_wrapped_string_is_read_however_it_is_cut(text: str, expected: str) -> None:
    for cut in range(len(text) + 1):
        unwrapper = StringUnwrapper()
        actual = unwrapper.feed(text[:cut]) + unwrapper.feed(text[cut:]) + unwrapper.close()

        assert expected == actual, cut
        assert not unwrapper.failed
    letters = StringUnwrapper()

    assert expected == "".join(map(letters.feed, text)) + letters.close()


@pytest.mark.parametrize("text", UNCHANGED)
def test_other_text_is_itself_however_it_is_cut(text: str) -> None:
    for cut in range(len(text) + 1):
        unwrapper = StringUnwrapper()
        actual = unwrapper.feed(text[:cut]) + unwrapper.feed(text[cut:]) + unwrapper.close()

        assert text == actual, cut
        assert unwrapper.failed


def test_no_text_is_no_failure() -> None:
    unwrapper = StringUnwrapper()

    assert unwrapper.close() == ""
    assert not unwrapper.failed


def test_text_comes_as_soon_as_it_is_certain() -> None:
    # D34
    unwrapper = StringUnwrapper()
    actual = [unwrapper.feed(piece) for piece in ('{"inp', 'ut":"*** Be', "gin\\", "nx\\ud83d", "\\ude00", '"}')]

    assert actual == ["", "*** Be", "gin", "\nx", "😀", ""]
    assert unwrapper.close() == ""


def test_another_key_may_be_named() -> None:
    assert wrap_string("a\nb", key="patch") == '{"patch":"a\\nb"}'
    assert unwrap_string('{"patch":"a\\nb"}', key="patch") == "a\nb"
