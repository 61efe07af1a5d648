"""Every edit to JSON text changes what it should and no other byte, judged by two parsers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from modelserver.wire.json_splice import (
    Edit,
    Member,
    append_member,
    get_member,
    members,
    remove_member,
    repeated_member,
    splice,
)

NAMES = ["model", "models", "mode", '"model', "stream_options", "a", "", "é", "mod\nel", "\\", "model\\"]
KEYS = st.sampled_from(NAMES)
SPACES = st.sampled_from(["", " ", "\n\t ", "\r\n"])
WORDS = st.sampled_from([*NAMES, '"model":', '{"model":"x"}', "}", "]", ",", ":", "\u2028", "&<>", "🙂"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.just(1.5) | WORDS


def written_string(draw: Callable[[st.SearchStrategy[Any]], Any], text: str) -> str:
    """A string as JSON text, some of its letters as escapes."""
    chars = []
    for char in text:
        plain = json.dumps(char, ensure_ascii=False)[1:-1]
        escaped = "".join(f"\\u{unit:04x}" for unit in units(char))
        chars.append(draw(st.sampled_from([plain, plain, plain, escaped, escaped.upper().replace("\\U", "\\u")])))
    return f'"{"".join(chars)}"'


def units(char: str) -> list[int]:
    wide = char.encode("utf-16-be")
    return [int.from_bytes(wide[at : at + 2], "big") for at in range(0, len(wide), 2)]


def written(draw: Callable[[st.SearchStrategy[Any]], Any], depth: int) -> str:
    """A value as JSON text, with space and duplicates."""
    kind = draw(st.sampled_from(["scalar", "scalar", "list", "object"])) if depth else "scalar"
    if kind == "object":
        return written_object(draw, depth - 1)
    if kind == "list":
        items = [written(draw, depth - 1) for _ in range(draw(st.integers(0, 3)))]
        return f"[{draw(SPACES)}{','.join(items)}{draw(SPACES)}]"
    value = draw(SCALARS)
    return written_string(draw, value) if isinstance(value, str) else json.dumps(value)


def written_object(draw: Callable[[st.SearchStrategy[Any]], Any], depth: int) -> str:
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        key = written_string(draw, draw(KEYS))
        value = written(draw, depth)
        rows.append(f"{draw(SPACES)}{key}{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}")
    return f"{{{','.join(rows) or draw(SPACES)}}}"


@st.composite
def objects(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """The text of an object, duplicates at every level and escapes in every string included."""
    return f"{draw(SPACES)}{written_object(draw, 3)}{draw(SPACES)}".encode()


def pairs(raw: bytes) -> list[tuple[str, Any]]:
    """The members that the standard library sees at top level, duplicates included."""
    seen: list[list[tuple[str, Any]]] = []

    def keep(found: list[tuple[str, Any]]) -> dict[str, Any]:
        seen.append(found)
        return dict(found)

    json.loads(raw, object_pairs_hook=keep)
    return seen[-1]


@given(raw=objects())
def test_members_are_those_of_the_parser(raw: bytes) -> None:
    actual = [(member.key, json.loads(raw[member.start : member.end])) for member in members(raw)]

    assert pairs(raw) == actual


@given(raw=objects(), key=KEYS)
def test_the_member_got_is_the_one_that_parsers_keep(raw: bytes, key: str) -> None:
    parsed = orjson.loads(raw)
    expected = [parsed[key]] if key in parsed else []

    actual = [orjson.loads(raw[member.start : member.end]) for member in got(raw, key)]

    assert expected == actual


@given(raw=objects(), key=KEYS)
def test_a_replaced_value_is_what_both_parsers_see_and_the_rest_stays(raw: bytes, key: str) -> None:
    for member in got(raw, key):
        edited = splice(raw, [Edit(member.start, member.end, b'"new"')])

        assert orjson.loads(raw) | {key: "new"} == orjson.loads(edited) == json.loads(edited)
        assert (raw[: member.start], raw[member.end :]) == (edited[: member.start], edited[member.start + 5 :])


@given(raw=objects(), wanted=st.sets(KEYS))
def test_a_repeated_member_is_the_first_that_the_parser_sees_again(raw: bytes, wanted: set[str]) -> None:
    keys = [key for key, _ in pairs(raw)]
    again = [key for at, key in enumerate(keys) if key in wanted and key in keys[:at]]
    expected = again[0] if again else None

    assert expected == repeated_member(raw, orjson.loads(raw), frozenset(wanted))


@given(raw=objects(), key=KEYS)
def test_a_removed_member_is_gone_and_the_others_stay_in_order(raw: bytes, key: str) -> None:
    before = pairs(raw)
    if [name for name, _ in before].count(key) == 1:
        after = pairs(splice(raw, [remove_member(raw, key)]))

        assert [pair for pair in before if pair[0] != key] == after


@given(raw=objects(), key=KEYS)
def test_an_appended_member_comes_last(raw: bytes, key: str) -> None:
    before = pairs(raw)
    if before:
        assert [*before, (key, 7)] == pairs(splice(raw, [append_member(raw, key, b"7")]))


def got(raw: bytes, key: str) -> list[Member]:
    """The member of that name, where the object has one."""
    return [get_member(raw, key)] if key in orjson.loads(raw) else []
