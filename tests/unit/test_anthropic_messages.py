"""Conversations as the Anthropic encoder sends them."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.request import encode_request
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import (
    CacheHint,
    Document,
    Image,
    Inline,
    Message,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    Url,
)
from modelserver.wire.json_text import loads_exact
from tests.support.anthropic import (
    ADAPTIVE,
    FOREIGN,
    JPEG,
    MANUAL,
    OTHER_ACCOUNT,
    PDF,
    PLAIN,
    PNG,
    REDACTED,
    SEALER,
    SIGNED,
    TEA,
    TEA_USE,
    answered,
    assistant,
    call,
    chat,
    check_types,
    envelope,
    profile,
    result,
    sent,
    system,
    text,
    tool,
    turn,
    use,
    user,
)

MESSAGES = [
    pytest.param(
        PLAIN,
        [user("a"), user("b"), assistant("c"), user("d")],
        [turn("user", text("a"), text("b")), turn("assistant", text("c")), turn("user", text("d"))],
        id="D13 H2 neighbours of one role are one message",
    ),
    pytest.param(
        ADAPTIVE,
        [user("u1"), assistant("a1"), user("u2"), system("B")],
        [turn("user", text("u1")), turn("assistant", text("a1")), turn("user", text("u2")), turn("system", text("B"))],
        id="D11 H1 an instruction in the middle stays, at the end",
    ),
    pytest.param(
        ADAPTIVE,
        [user("u1"), system("B"), user("u2"), assistant("a1"), user("u3")],
        [
            turn("user", text("u1"), text("u2")),
            turn("system", text("B")),
            turn("assistant", text("a1")),
            turn("user", text("u3")),
        ],
        id="D11 H1 an instruction moves forward to the assistant turn",
    ),
    pytest.param(
        PLAIN,
        [user("u1"), system("B")],
        [turn("user", text("u1"), text("<system-reminder>\nB\n</system-reminder>"))],
        id="D11 H1 an instruction in the middle is a reminder where there is no such role",
    ),
    pytest.param(
        ADAPTIVE,
        [user("q"), assistant(TEA), system("B"), user(result("t1", "42"))],
        [
            turn("user", text("q")),
            turn("assistant", TEA_USE),
            turn("user", answered("t1", "42")),
            turn("system", text("B")),
        ],
        id="D12 an instruction never separates a call from its result",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(TEA), system("B"), user(result("t1", "42"))],
        [
            turn("user", text("q")),
            turn("assistant", TEA_USE),
            turn("user", answered("t1", "42"), text("<system-reminder>\nB\n</system-reminder>")),
        ],
        id="D12 a reminder comes after the results",
    ),
    pytest.param(
        PLAIN,
        [user("hi"), assistant(""), user("  ", "again")],
        [turn("user", text("hi"), text("again"))],
        id="D14 H3 blank text is not sent",
    ),
    pytest.param(
        PLAIN,
        [user("hi", Text(text=" ", cache=CacheHint()))],
        [turn("user", text("hi", cache_control={"type": "ephemeral"}))],
        id="D14 the hint of a blank part moves to the part before",
    ),
    pytest.param(
        PLAIN,
        [assistant("hello"), user("hi")],
        [turn("user", text("(conversation continues)")), turn("assistant", text("hello")), turn("user", text("hi"))],
        id="D15 H2 a user begins",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(call("c1"), call("c2")), user(result("c2", "B")), user(result("c1", "A")), user("go on")],
        [
            turn("user", text("q")),
            turn("assistant", use("c1"), use("c2")),
            turn("user", answered("c1", "A"), answered("c2", "B"), text("go on")),
        ],
        id="D16 H4 results go in call order, before the text",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(TEA), user("well?")],
        [
            turn("user", text("q")),
            turn("assistant", TEA_USE),
            turn("user", answered("t1", "No result was provided for this call.", is_error=True), text("well?")),
        ],
        id="D18 H4 a missing result is an error result",
    ),
    pytest.param(
        PLAIN,
        [user(result("zz", "late")), assistant("a"), user(result("yy"), "b")],
        [turn("user", text("Tool result: late")), turn("assistant", text("a")), turn("user", text("b"))],
        id="D19 H4 a result without a call is text, or nothing",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(TEA), user(result("t1", "shot", Image(source=Inline(media_type="image/png", b64=PNG))))],
        [
            turn("user", text("q")),
            turn("assistant", TEA_USE),
            turn(
                "user",
                answered(
                    "t1",
                    [
                        text("shot"),
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                ),
            ),
        ],
        id="D21 H6 an image stays inside its result",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(TEA), user(result("t1", "no such tea", is_error=True))],
        [
            turn("user", text("q")),
            turn("assistant", TEA_USE),
            turn("user", answered("t1", "no such tea", is_error=True)),
        ],
        id="D22 H6 an error is a flag",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(TEA), user(result("t1"))],
        [turn("user", text("q")), turn("assistant", TEA_USE), turn("user", answered("t1"))],
        id="H3 an empty result has no content",
    ),
    pytest.param(
        PLAIN,
        [
            user("q"),
            assistant(call("call_0")),
            user(result("call_0", "1")),
            assistant(call("call_0")),
            user(result("call_0", "2")),
        ],
        [
            turn("user", text("q")),
            turn("assistant", use("call_0")),
            turn("user", answered("call_0", "1")),
            turn("assistant", use("cpQAY6SLWvndo1uohc2hgaRsnPqPajVnlr2bG6EUJj2f")),
            turn("user", answered("cpQAY6SLWvndo1uohc2hgaRsnPqPajVnlr2bG6EUJj2f", "2")),
        ],
        id="D25 H5 one id used twice becomes two",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(call("t", arguments='{"n": 12345678901234567890123}')), user(result("t", "x"))],
        [
            turn("user", text("q")),
            turn("assistant", use("t", input={"n": 12345678901234567890123})),
            turn("user", answered("t", "x")),
        ],
        id="D32 H9 integers keep all their digits",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(call("t", arguments='{"path": "a.txt')), user(result("t", "x"))],
        [
            turn("user", text("q")),
            turn("assistant", use("t", input={"_raw": '{"path": "a.txt'})),
            turn("user", answered("t", "x")),
        ],
        id="D33 H9 arguments that are no JSON are kept as text",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(call("t", arguments="")), user(result("t", "x"))],
        [turn("user", text("q")), turn("assistant", use("t")), turn("user", answered("t", "x"))],
        id="H9 no arguments are an empty object",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(call("t", "apply", "*** Begin\nx", kind="custom")), user(result("t", "ok"))],
        [
            turn("user", text("q")),
            turn("assistant", use("t", "apply", {"input": "*** Begin\nx"})),
            turn("user", answered("t", "ok")),
        ],
        id="D34 H10 free text is wrapped in history",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(Refusal(text="I can't."), Opaque(dialect="gemini", type="x", raw={})), user("why?")],
        [turn("user", text("q")), turn("assistant", text("I can't.")), turn("user", text("why?"))],
        id="H25 H27 a refusal is text, another provider's parts are gone",
    ),
    pytest.param(
        PLAIN,
        [user("q"), assistant(Opaque(dialect="gemini", type="x", raw={}, fallback="ran it")), user("why?")],
        [turn("user", text("q")), turn("assistant", text("ran it")), turn("user", text("why?"))],
        id="an opaque part shows its fallback",
    ),
    pytest.param(
        MANUAL,
        [user("Greek sun god?"), assistant("The answer is ( \n")],
        [turn("user", text("Greek sun god?")), turn("assistant", text("The answer is ("))],
        id="H3 a prefill is sent without trailing space",
    ),
    pytest.param(
        PLAIN,
        [
            user(
                Image(source=Inline(media_type="image/jpg", b64=JPEG), detail="low"),
                Image(source=Inline(media_type="image/jpeg", b64=PNG)),
                Image(source=Url(url="https://img.example/cat.png")),
                Document(source=Inline(media_type="application/pdf", b64=PDF), title="a.pdf"),
                Document(source=Url(url="https://doc.example/a.pdf")),
                Document(source=PlainText(text="line"), title="Notes", context="mine", citations_enabled=True),
                Document(source=Inline(media_type="text/plain", b64="bGluZQ=="), title="n.txt"),
            )
        ],
        [
            turn(
                "user",
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://img.example/cat.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "a.pdf",
                },
                {"type": "document", "source": {"type": "url", "url": "https://doc.example/a.pdf"}},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "line"},
                    "title": "Notes",
                    "context": "mine",
                    "citations": {"enabled": True},
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "line"},
                    "title": "n.txt",
                },
            )
        ],
        id="D77 H21 H23 media keep every base64 character",
    ),
]


@pytest.mark.parametrize(("card", "messages", "expected"), MESSAGES)
def test_a_conversation_is_written(card: ModelCard, messages: list[Message], expected: list[dict[str, Any]]) -> None:
    encoded = encode_request(chat(*messages), profile(card))
    actual = loads_exact(encoded.body)["messages"]

    assert expected == actual
    check_types(orjson.loads(encoded.body), beta=False)


@pytest.mark.parametrize("card", [PLAIN, ADAPTIVE])
def test_d4_a_conversation_is_the_beginning_of_its_continuation(card: ModelCard) -> None:
    turns: list[list[Message]] = [
        [user("u1")],
        [assistant("a1", call("c1"), call("c2")), user(result("c2", "B"), result("c1", "A"))],
        [assistant(call("c1")), user(result("c1", "x"), "more")],
        [assistant("done"), user(" "), system("S"), user("next")],
        [assistant("a3"), user("u3")],
    ]
    bodies = [
        sent(chat(*(each for piece in turns[:count] for each in piece)), profile(card))[0]["messages"]
        for count in range(1, len(turns) + 1)
    ]

    for shorter, longer in itertools.pairwise(bodies):
        assert shorter == longer[: len(shorter)]


def test_d3_the_same_request_is_the_same_bytes() -> None:
    request = chat(user("q"), assistant(TEA), user(result("t1", "x")), tools=(tool(),))

    assert encode_request(request, profile()).body == encode_request(request, profile()).body


SEALS = [
    pytest.param(
        MANUAL,
        Reasoning(text="I look.", seal=SIGNED),
        [{"type": "thinking", "thinking": "I look.", "signature": "EqQB"}],
        id="D45a H17 a native seal goes back",
    ),
    pytest.param(
        MANUAL,
        Reasoning(text="I look.", seal=envelope(SIGNED, "I look.")),
        [{"type": "thinking", "thinking": "I look.", "signature": "EqQB"}],
        id="D48 an envelope is opened",
    ),
    pytest.param(
        MANUAL, Reasoning(text="I l00k.", seal=envelope(SIGNED, "I look.")), [], id="D87 edited text drops the block"
    ),
    pytest.param(
        MANUAL,
        Reasoning(text="x", seal=envelope(OTHER_ACCOUNT, "x")),
        [],
        id="D50 another account's envelope is dropped",
    ),
    pytest.param(
        MANUAL, Reasoning(text="x", seal=envelope(FOREIGN, "x")), [], id="another dialect's envelope is dropped"
    ),
    pytest.param(
        MANUAL,
        Reasoning(text="x", seal=Seal(kind="signature", payload="EqQB")),
        [{"type": "thinking", "thinking": "x", "signature": "EqQB"}],
        id="a native payload of unknown account is sent",
    ),
    pytest.param(
        MANUAL,
        Reasoning(text="x", seal=Seal(kind="thought", payload="CiQ")),
        [],
        id="a native payload of another dialect is not",
    ),
    pytest.param(
        MANUAL,
        Reasoning(text="x", seal=Seal(kind="signature", payload=SEALER.wrap(SIGNED, "x")[:-6] + "AAAAAA")),
        [],
        id="D51 a forged envelope is absent",
    ),
    pytest.param(
        MANUAL,
        Reasoning(form="hidden", seal=attrs.evolve(envelope(REDACTED, ""), kind="redacted")),
        [{"type": "redacted_thinking", "data": "EmwK"}],
        id="D49 H42 redacted thinking comes back as such",
    ),
    pytest.param(
        MANUAL,
        Reasoning(form="hidden", seal=attrs.evolve(envelope(SIGNED, ""), kind="redacted")),
        [{"type": "thinking", "thinking": "", "signature": "EqQB"}],
        id="D52 H42 omitted thinking comes back empty and signed",
    ),
    pytest.param(MANUAL, Reasoning(text="loose thoughts"), [], id="reasoning that nobody sealed is not sent"),
]


@pytest.mark.parametrize(("card", "part", "expected"), SEALS)
def test_reasoning_goes_back_to_its_maker_only(card: ModelCard, part: Reasoning, expected: list[Any]) -> None:
    body, codes = sent(chat(user("q"), assistant(part, "said"), user("go on")), profile(card))

    assert [*expected, text("said")] == body["messages"][1]["content"]
    assert bool(expected) is not bool({"seal_dropped", "reasoning_dropped"} & set(codes))


def test_unsealed_reasoning_goes_back_where_the_provider_wants_it() -> None:
    target = profile(quirks={"reasoning_back": "thinking"})
    body, codes = sent(chat(user("q"), assistant(Reasoning(text="hm"), "said"), user("go on")), target)

    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert codes == []
