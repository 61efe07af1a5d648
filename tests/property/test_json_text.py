from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from modelserver.wire.json_text import (
    StringUnwrapper,
    as_object,
    dumps_exact,
    from_object,
    loads_exact,
    wrap_string,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def _pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


@given(text=TEXT, escaped=st.booleans(), cuts=st.lists(st.integers(min_value=0), max_size=5))
def test_a_wrapped_string_comes_back(text: str, escaped: bool, cuts: list[int]) -> None:
    # D34
    wire = json.dumps({"input": text}) if escaped else wrap_string(text)
    unwrapper = StringUnwrapper()
    actual = "".join(map(unwrapper.feed, _pieces(wire, cuts))) + unwrapper.close()

    assert text == actual
    assert not unwrapper.failed


@given(text=st.text(alphabet='{}"input:\\ud83dE0x ', max_size=40), cuts=st.lists(st.integers(min_value=0), max_size=5))
def test_cuts_change_nothing(text: str, cuts: list[int]) -> None:
    whole, cut = StringUnwrapper(), StringUnwrapper()
    wire = '{"input":"' + text
    expected = whole.feed(wire) + whole.close()

    assert expected == "".join(map(cut.feed, _pieces(wire, cuts))) + cut.close()


@given(value=JSON)
def test_values_survive_exactly(value: object) -> None:
    # D32
    assert json.dumps(value) == json.dumps(loads_exact(dumps_exact(value)))


@given(value=st.dictionaries(TEXT, JSON, max_size=4).filter(lambda value: set(value) != {"_raw"}))
def test_arguments_survive_as_an_object(value: dict[str, object]) -> None:
    text = dumps_exact(value).decode()

    assert text == from_object(as_object(text))


@given(text=st.text(max_size=30).filter(lambda text: text.strip() and text.strip()[0] not in '{"'))
def test_text_that_is_no_object_survives(text: str) -> None:
    # D33
    assert text == from_object(as_object(text))
