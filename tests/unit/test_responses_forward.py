"""Which of its members a Responses request says once, and what a provider's quirks change in it."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.openai_responses.relay import forward, read_request
from modelserver.errors import InvalidRequest

HELLO = b'{"role":"user","content":"a"}'


def body(*members: bytes, items: bytes = HELLO) -> bytes:
    """A body of a model, one message, and the members given."""
    return b"{" + b",".join((b'"model":"m"', b'"input":[' + items + b"]", *members)) + b"}"


TWICE = [
    pytest.param(b'{"type":"item_reference","id":"theirs","id":"mine"}', "input[1].id", id="two ids"),
    pytest.param(b'{"id":"theirs","id":"mine"}', "input[1].id", id="two ids without a type"),
    pytest.param(b'{"type":"item_reference","id":"theirs","\\u0069d":"mine"}', "input[1].id", id="one of them escaped"),
    pytest.param(
        b'{"type":"item_reference","id":"theirs","type":"message","role":"user"}', "input[1].type", id="two types"
    ),
    pytest.param(
        b'{"type":"item\\u005freference","id":"theirs","type":"message","role":"user"}',
        "input[1].type",
        id="an escaped type",
    ),
    pytest.param(
        b'{"type":null,"role":null,"id":"theirs","role":"user","content":"a"}', "input[1].role", id="two roles"
    ),
    pytest.param(
        b'{"type":null,"id":"theirs","type":"message","role":"user"}', "input[1].type", id="a type that is null first"
    ),
    pytest.param(b'{"type":"item_reference","id":"mine","ID":"theirs"}', "input[1].ID", id="another spelling"),
]


@pytest.mark.parametrize(("item", "param"), TWICE)
def test_what_an_item_refers_to_is_said_once(item: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(body(items=HELLO + b"," + item))

    assert param == refused.value.param


COMPARED = [
    pytest.param(b'"comparison_response_id":"theirs","comparison_response_id":"mine"', id="two ids"),
    pytest.param(b'"comparison_response_id":"theirs","comparison_response_id":null', id="the last one null"),
    pytest.param(b'"comparison_response\\u005fid":"theirs","comparison_response_id":"mine"', id="one escaped"),
]


@pytest.mark.parametrize("members", COMPARED)
def test_what_is_compared_with_is_said_once(members: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(body(b'"prompt_cache_options":{' + members + b"}"))

    assert refused.value.param == "prompt_cache_options.comparison_response_id"


PASSES = [
    pytest.param(b'{"type":"item_reference","id":"a"},{"type":"item_reference","id":"b"}', id="two references"),
    pytest.param(b'{"type":"item_reference","id":"a","x":1,"x":2}', id="another member twice"),
    pytest.param(b'{"role":"user","content":"\\u0069\\u001b \\"type\\": null"}', id="escapes in a text"),
    pytest.param(
        b'{"type":"message","role":"user","content":[{"type":"input_text","text":"item_reference"}],"id":null}',
        id="types at several depths",
    ),
]


@pytest.mark.parametrize("items", PASSES)
def test_items_that_say_everything_once_pass(items: bytes) -> None:
    wire = body(items=items)

    assert read_request(wire).wire is wire


QUIRKS = [
    pytest.param(
        {"drop": ("user", "tools[].strict")},
        [b'"user":"u"', b'"tools":[{"type":"function","name":"f" ,"strict":true}]'],
        [b'"tools":[{"type":"function","name":"f"}]'],
        id="drop",
    ),
    pytest.param({"rename": {"user": "end_user"}}, [b'"user" : "u"'], [b'"end_user" : "u"'], id="rename"),
    pytest.param({"add": {"x": 1, "y": 2}}, [b'"x": null', b'"y":3'], [b'"x": 1', b'"y":3'], id="add"),
    pytest.param({"allow": ("x",)}, [b'"y":1', b'"x":7e0'], [b'"x":7e0'], id="allow"),
    pytest.param({"drop": ("input", "model")}, [], [], id="what is needed stays"),
    pytest.param({"rename": {"x": "model"}}, [b'"x":"other"'], [], id="no other model"),
    pytest.param({"id_max": 9}, [b'"x" : 1'], [b'"x" : 1'], id="quirks that concern other things"),
]


@pytest.mark.parametrize(("quirks", "given", "expected"), QUIRKS)
def test_quirks_edit_fields_and_nothing_else_H41(
    quirks: dict[str, Any], given: list[bytes], expected: list[bytes]
) -> None:
    ask = read_request(body(*given))
    out = forward(ask, target="m", params={}, ask_usage=True, drop_options=False, quirks=quirks)

    assert body(*expected) == out
