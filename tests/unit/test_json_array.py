"""The incremental reader of JSON arrays."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.errors import UpstreamFailed
from modelserver.wire.json_array import JsonArrayReader
from tests.support.feeding import feed_every_way


class _Feeding:
    """The reader as something whose `close` says nothing unless an element was cut."""

    def __init__(self) -> None:
        self._reader = JsonArrayReader()

    def feed(self, data: bytes) -> list[bytes]:
        return self._reader.feed(data)

    def close(self) -> list[bytes]:
        rest = self._reader.close()
        return [b"cut: " + rest] if rest else []


CASES = [
    pytest.param(b"[]", [], id="no element"),
    pytest.param(b' \n[{"a":1}]\n', [b'{"a":1}'], id="one element"),
    pytest.param(b'[{\n  "a": 1\n}\n,\r\n{\n  "b": 2\n}\n]', [b'{\n  "a": 1\n}', b'{\n  "b": 2\n}'], id="D94 pretty"),
    pytest.param(b'[{"a":"}]\\"{"},{"b":"\\\\"}]', [b'{"a":"}]\\"{"}', b'{"b":"\\\\"}'], id="brackets in strings"),
    pytest.param(b'[1, "x,]", [2,[3]], null]', [b"1", b'"x,]"', b"[2,[3]]", b"null"], id="other values"),
    pytest.param(b'{"error": {"code": 1}}', [b'{"error": {"code": 1}}'], id="no array"),
    pytest.param(b'[{"a":1},{"b', [b'{"a":1}', b'cut: {"b'], id="cut within an element"),
    pytest.param(b'[{"a":1}', [b'{"a":1}'], id="cut between elements"),
    pytest.param(b"", [], id="nothing"),
]


@pytest.mark.parametrize(("wire", "expected"), CASES)
def test_elements_are_the_same_however_the_bytes_are_cut(wire: bytes, expected: list[bytes]) -> None:
    assert expected == feed_every_way(_Feeding, wire)


def test_an_element_is_given_at_its_last_bracket() -> None:
    assert JsonArrayReader().feed(b'[{"a":1}') == [b'{"a":1}']


@pytest.mark.parametrize(("wire", "expected"), [(b"[1]", True), (b"[1", False), (b"{}", True), (b"{", False)])
def test_the_end_is_known(wire: bytes, expected: bool) -> None:
    reader = JsonArrayReader()
    reader.feed(wire)

    assert reader.is_complete is expected


@pytest.mark.parametrize("wire", [b"[1] x", b"{}{}"])
def test_something_after_the_end_is_refused(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        JsonArrayReader().feed(wire)

    assert caught.value.code == "upstream_invalid_response"


def test_an_element_that_is_too_large_is_refused() -> None:
    reader = JsonArrayReader(max_element_bytes=8)
    reader.feed(b'[{"a"')
    with pytest.raises(UpstreamFailed) as caught:
        reader.feed(b':"0123456789')

    assert caught.value.code == "upstream_too_large"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=5), st.integers(0, 200))
def test_every_array_is_read_back(values: list[object], cut: int) -> None:
    wire = orjson.dumps(values, option=orjson.OPT_INDENT_2)
    reader = JsonArrayReader()
    elements = reader.feed(wire[:cut]) + reader.feed(wire[cut:])

    assert [orjson.loads(element) for element in elements] == values
    assert reader.is_complete
