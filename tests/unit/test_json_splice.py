"""Edits to JSON text that leave every other byte as it was."""

from __future__ import annotations

import orjson
import pytest

from modelserver.wire.json_splice import (
    Edit,
    append_member,
    elements,
    get_member,
    members,
    remove_member,
    remove_members,
    repeated_member,
    splice,
)

MEMBERS = [
    pytest.param(b"{}", [], id="an empty object"),
    pytest.param(b" { } ", [], id="an empty object with spaces"),
    pytest.param(b'{"a":1}', [("a", b"1")], id="one member"),
    pytest.param(b' {\n "a" : 1 ,\t"b"\r:\n"x" } ', [("a", b"1"), ("b", b'"x"')], id="space wherever it may stand"),
    pytest.param(b'{"a":1,"a":2}', [("a", b"1"), ("a", b"2")], id="a member twice"),
    pytest.param(b'{"a":{"a":[{"a":1}]},"b":2}', [("a", b'{"a":[{"a":1}]}'), ("b", b"2")], id="nested members"),
    pytest.param(b'{"a":"}","b":"\\"{","c":"\\\\"}', [("a", b'"}"'), ("b", b'"\\"{"'), ("c", b'"\\\\"')], id="strings"),
    pytest.param(b'{"a":["]","[\\"]"],"b":1}', [("a", b'["]","[\\"]"]'), ("b", b"1")], id="brackets inside of strings"),
    pytest.param(b'{"\\u0061":1,"\\"":2,"":3}', [("a", b"1"), ('"', b"2"), ("", b"3")], id="escaped and empty keys"),
    pytest.param('{"é中":1}'.encode(), [("é中", b"1")], id="keys beyond ASCII"),
    pytest.param(
        b'{"a":-1.5e+10,"b":true,"c":null,"d":[],"e":{}}',
        [("a", b"-1.5e+10"), ("b", b"true"), ("c", b"null"), ("d", b"[]"), ("e", b"{}")],
        id="every kind of value",
    ),
    pytest.param(b'{"a":1\n}', [("a", b"1")], id="space after a number"),
]


@pytest.mark.parametrize(("raw", "expected"), MEMBERS)
def test_members_are_found(raw: bytes, expected: list[tuple[str, bytes]]) -> None:
    actual = [(member.key, raw[member.start : member.end]) for member in members(raw)]

    assert expected == actual


@pytest.mark.parametrize("raw", [b"{", b'{"a"}', b'{"a":[1', b"{a:1}", b'{"a":'], ids=repr)
def test_text_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        members(raw)


LAST = [
    pytest.param(b'{"model":"a"}', b'"a"', id="the only one"),
    pytest.param(b'{"model" :\n"a"}', b'"a"', id="space around the colon"),
    pytest.param(b'{"model":"a","model":"b"}', b'"b"', id="the last of two"),
    pytest.param(b'{"model":"a","mod\\u0065l":"b"}', b'"b"', id="the last of two, escaped"),
    pytest.param(b'{"\\u006dodel":"b","model":"a"}', b'"a"', id="the last of two, the first escaped"),
    pytest.param(b'{"mode\\u006C":"b"}', b'"b"', id="escaped with a capital digit"),
    pytest.param(b'{"x":{"model":"n"},"model":"a"}', b'"a"', id="a nested one before"),
    pytest.param(b'{"model":"a","x":{"model":"n"}}', b'"a"', id="a nested one after"),
    pytest.param(b'{"x":[{"model":"n"}],"\\u006dodel":"a"}', b'"a"', id="a nested one and an escaped one"),
    pytest.param(b'{"x":"\\"model\\":1","model":"a"}', b'"a"', id="a string that looks like one"),
    pytest.param(b'{"\\"model":1,"model":"a"}', b'"a"', id="a key that ends like it"),
    pytest.param(b'{"model":"a","\\"model":1}', b'"a"', id="a key that ends like it, after it"),
    pytest.param(b'{"x":"model","model":"a"}', b'"a"', id="a value that says it"),
    pytest.param(b'{"x":"\\u0026","model":"a"}', b'"a"', id="an escape that hides nothing"),
    pytest.param(b'{"model":{"a":[1,2]}}', b'{"a":[1,2]}', id="an object"),
    pytest.param(b'{"model":null}', b"null", id="null"),
]


@pytest.mark.parametrize(("raw", "expected"), LAST)
def test_the_member_that_parsers_keep_is_got(raw: bytes, expected: bytes) -> None:
    member = get_member(raw, "model")

    assert expected == raw[member.start : member.end]


HIDDEN = [
    pytest.param("A_1", b'{"x":{"A_1":0},"\\u0041_1":1}', id="a capital letter"),
    pytest.param("A_1", b'{"x":{"A_1":0},"A\\u005F1":1}', id="an underscore"),
    pytest.param("A_1", b'{"x":{"A_1":0},"A_\\u0031":1}', id="a digit"),
    pytest.param("a-b.c", b'{"x":{"a-b.c":0},"a\\u002db.c":1}', id="a hyphen"),
    pytest.param("a-b.c", b'{"x":{"a-b.c":0},"a-b\\u002Ec":1}', id="a dot"),
    pytest.param("é", '{"x":{"é":0},"\\u00e9":1}'.encode(), id="a letter beyond ASCII"),
    pytest.param("a/b", b'{"x":{"a/b":0},"a\\/b":1}', id="a slash"),
]


@pytest.mark.parametrize(("key", "raw"), HIDDEN)
def test_a_key_does_not_hide_behind_an_escape(key: str, raw: bytes) -> None:
    member = get_member(raw, key)

    assert raw[member.start : member.end] == b"1"


REPEATED = [
    pytest.param(b'{"a":1,"b":2}', None, id="none"),
    pytest.param(b'{"a":1,"a":1}', "a", id="one twice"),
    pytest.param(b'{"a":1,"b":1,"b":2,"a":2}', "b", id="the first to repeat"),
    pytest.param(b'{"a":1,"\\u0061":2}', "a", id="escaped"),
    pytest.param(b'{"\\u0061":1,"\\u0061":2}', "a", id="both escaped"),
    pytest.param(b'{"a" :1,"a"\n:2}', "a", id="space before the colon"),
    pytest.param(b'{"a":{"a":1}}', None, id="nested in itself"),
    pytest.param(b'{"a":"\\"a\\":"}', None, id="named in a string"),
    pytest.param(b'{"a":["a","a"]}', None, id="named in a list"),
    pytest.param('{"é":1,"\\u00e9":2}'.encode(), "é", id="escaped, beyond ASCII"),
    pytest.param(b'{"x":1,"x":2}', None, id="a key that is of no interest"),
]


@pytest.mark.parametrize("strings", [0, 2000], ids=["few strings", "many strings"])
@pytest.mark.parametrize(("raw", "expected"), REPEATED)
def test_a_repeated_member_is_named(raw: bytes, expected: str | None, strings: int) -> None:
    raw = b'{"many":[' + b",".join([b'"x"'] * strings) + b"]," + raw[1:]

    assert expected == repeated_member(raw, orjson.loads(raw), frozenset({"a", "b", "é"}))


@pytest.mark.parametrize(("times", "expected"), [(1000, None), (1002, "x")])
def test_other_keys_may_repeat_a_thousand_times_where_each_is_looked_at(times: int, expected: str | None) -> None:
    raw = b'{"\\u0061":1' + b',"x":1' * times + b"}"

    assert expected == repeated_member(raw, orjson.loads(raw), frozenset({"a"}))


def test_a_value_of_many_escapes_is_passed_over_whole() -> None:
    text = b'"' + b"\\\\" * 100_000 + b'\\""'
    member = get_member(b'{"\\u0061":1,"b":' + text + b',"c":2}', "b")

    assert member.end - member.start == len(text)


REMOVED = [
    pytest.param(b'{"a":1}', b"{}", id="the only one"),
    pytest.param(b'{"a":1,"b":2}', b'{"b":2}', id="the first"),
    pytest.param(b'{"b":2,"a":1}', b'{"b":2}', id="the last"),
    pytest.param(b'{"b":2,"a":1,"c":3}', b'{"b":2,"c":3}', id="one between"),
    pytest.param(b'{ "b" : 2 , "a" : {"x":[1]} , "c" : 3 }', b'{ "b" : 2 , "c" : 3 }', id="one between with spaces"),
    pytest.param(b'{ "a" : 1 , "c" : 3 }', b'{ "c" : 3 }', id="the first with spaces"),
    pytest.param(b'{"b":2,"\\u0061":1}', b'{"b":2}', id="an escaped one"),
]


@pytest.mark.parametrize(("raw", "expected"), REMOVED)
def test_a_member_is_removed_with_its_comma(raw: bytes, expected: bytes) -> None:
    assert expected == splice(raw, [remove_member(raw, "a")])


APPENDED = [
    pytest.param(b'{"a":1}', "k", b'{"a":1,"k":2}', id="at the end"),
    pytest.param(b'{"a":1 } \n', "k", b'{"a":1 ,"k":2} \n', id="before the space that follows"),
    pytest.param(b'{"a":{"b":1}}', "k", b'{"a":{"b":1},"k":2}', id="to the outer object"),
    pytest.param(b'{"a":"}"}', "k", b'{"a":"}","k":2}', id="after a string with a bracket"),
    pytest.param(b'{"a":1}', 'k"', b'{"a":1,"k\\"":2}', id="a key that must be escaped"),
]


@pytest.mark.parametrize(("raw", "key", "expected"), APPENDED)
def test_a_member_is_appended(raw: bytes, key: str, expected: bytes) -> None:
    assert expected == splice(raw, [append_member(raw, key, b"2")])


SPLICED = [
    pytest.param([], b"0123456789", id="no edit"),
    pytest.param([Edit(2, 4, b"xyz")], b"01xyz456789", id="one edit"),
    pytest.param([Edit(6, 8, b""), Edit(2, 4, b"x")], b"01x4589", id="edits in any order"),
    pytest.param([Edit(2, 4, b"x"), Edit(4, 6, b"y")], b"01xy6789", id="edits side by side"),
    pytest.param([Edit(5, 5, b"x"), Edit(5, 5, b"y")], b"01234xy56789", id="two at one place, in the order given"),
    pytest.param([Edit(0, 10, b"")], b"", id="everything"),
]


@pytest.mark.parametrize(("edits", "expected"), SPLICED)
def test_edits_are_made(edits: list[Edit], expected: bytes) -> None:
    assert expected == splice(b"0123456789", edits)


ELEMENTS = [
    pytest.param(b"[]", [], id="an empty array"),
    pytest.param(b" [ ] ", [], id="an empty array with spaces"),
    pytest.param(b'[1 , "]" ,{"a":[1,2]},[ ],null\n]', [b"1", b'"]"', b'{"a":[1,2]}', b"[ ]", b"null"], id="each kind"),
]


@pytest.mark.parametrize(("raw", "expected"), ELEMENTS)
def test_elements_are_found(raw: bytes, expected: list[bytes]) -> None:
    assert expected == [raw[start:end] for start, end in elements(raw)]


REMOVED = [
    pytest.param(b'{"b":1}', b'{"b":1}', id="none"),
    pytest.param(b'{ "a":1 , "b":1}', b'{ "b":1}', id="the first"),
    pytest.param(b'{"a":1,"c":2,"b":1,"d":2}', b'{"b":1,"d":2}', id="the first two"),
    pytest.param(b'{"b":1 ,"a":1, "d":1}', b'{"b":1, "d":1}', id="in the middle"),
    pytest.param(b'{"b":1 ,"a":1, "\\u0061":1 }', b'{"b":1 }', id="the last two, one name"),
    pytest.param(b'{ "a":1 }', b"{  }", id="the only one"),
    pytest.param(b'{"a":1,"c":1}', b"{}", id="all"),
    pytest.param(b'{"a":1,"b":{"a":1},"c":1,"e":"a"}', b'{"b":{"a":1},"e":"a"}', id="in turns"),
]


@pytest.mark.parametrize(("raw", "expected"), REMOVED)
def test_members_are_removed_with_their_commas(raw: bytes, expected: bytes) -> None:
    assert expected == splice(raw, remove_members(raw, {"a", "c"}))
