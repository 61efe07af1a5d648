"""Markup: what is text stays text, and nothing can be written that a browser would run."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.web.markup import Child, Html, el, join, prose

HOSTILE = "<script>alert('1')</script>&\""

ELEMENTS = [
    pytest.param(el("p"), "<p></p>", id="empty"),
    pytest.param(el("br"), "<br>", id="void"),
    pytest.param(el("p", "a < b & c"), "<p>a &lt; b &amp; c</p>", id="text"),
    pytest.param(el("p", Html("<b>x</b>")), "<p><b>x</b></p>", id="markup"),
    pytest.param(el("p", None, ["a", [el("i", "b")]], "c"), "<p>a<i>b</i>c</p>", id="lists and nothing"),
    pytest.param(el("p", class_="a", aria_label='"'), '<p class="a" aria-label="&quot;"></p>', id="attributes"),
    pytest.param(el("p", hidden=True, title=None, lang=False), "<p hidden></p>", id="attributes without value"),
    pytest.param(el("p", HOSTILE, title=HOSTILE).count("<"), 2, id="hostile text"),
]


@pytest.mark.parametrize(("made", "expected"), ELEMENTS)
def test_an_element(made: Html, expected: Html) -> None:
    assert made == expected


def test_joining_gives_markup() -> None:
    assert join("<", el("b", ">")) == "&lt;<b>&gt;</b>"


REFUSED: list[Any] = [
    pytest.param("p", [], {"onclick": "x"}, id="handler"),
    pytest.param("p", [], {"OnClick": "x"}, id="handler in another case"),
    pytest.param("p", [], {"style": "x"}, id="style"),
    pytest.param("p", [], {'a"><b': "x"}, id="name of an attribute"),
    pytest.param("script", ["x"], {}, id="script"),
    pytest.param("style", [], {}, id="style element"),
    pytest.param("p><b", [], {}, id="name of an element"),
    pytest.param("a", [], {"href": "javascript:alert(1)"}, id="address"),
    pytest.param("a", [], {"href": " javascript:alert(1)"}, id="address behind a blank"),
    pytest.param("a", [], {"href": "JavaScript:alert(1)"}, id="address in another case"),
    pytest.param("a", [], {"href": "data:text/html,x"}, id="data"),
    pytest.param("a", [], {"href": "//evil.example"}, id="another host"),
    pytest.param("a", [], {"href": "/\\evil.example"}, id="another host behind a backslash"),
    pytest.param("a", [], {"href": "/\t/evil.example"}, id="another host behind a tab"),
    pytest.param("img", [], {"src": "vbscript:x"}, id="source"),
]


@pytest.mark.parametrize(("tag", "children", "attributes"), REFUSED)
def test_what_could_run_is_refused(tag: str, children: list[Child], attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"written here|no address"):
        el(tag, *children, **attributes)


@pytest.mark.parametrize("address", ["#a", "?lang=zh", "openapi.json", "llm/assets/x.css", "https://a.example/x?y=z:1"])
def test_an_address_of_ours_is_written(address: str) -> None:
    assert el("a", href=address) == f'<a href="{address}"></a>'


SENTENCES = [
    pytest.param("Say `GET /` & go", {}, "Say <code>GET /</code> &amp; go", id="code"),
    pytest.param("**No** way", {}, "<strong>No</strong> way", id="strong"),
    pytest.param("See [the `x`](#x).", {}, 'See <a href="#x">the <code>x</code></a>.', id="link"),
    pytest.param("`{model}` {model}", {"model": "<b>"}, "<code>&lt;b&gt;</code> &lt;b&gt;", id="values are text"),
    pytest.param("{a}", {"a": "`x` [y](#z) {b}", "b": "!"}, "`x` [y](#z) {b}", id="values are not read again"),
    pytest.param('`{"a": {x}}`', {}, '<code>{"a": {x}}</code>', id="other braces"),
]


@pytest.mark.parametrize(("text", "values", "expected"), SENTENCES)
def test_a_sentence(text: str, values: dict[str, str], expected: str) -> None:
    assert prose(text, **values) == expected
