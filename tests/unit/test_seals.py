from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from modelserver.ir.parts import Origin, Seal
from modelserver.ir.profile import Sealer
from modelserver.policy.seals import EnvelopeSealer, account_tag, pseudonym

KEY = b"k" * 32
SEALER: Sealer = EnvelopeSealer(KEY)
ORIGIN = Origin(dialect="anthropic", provider="anthropic", account="0123456789abcdef", model="claude-opus-5")


def seal(payload: str = "RXFCa2lnbmF0dXJl", **fields: Any) -> Seal:
    return Seal(**{"kind": "signature", "payload": payload, "origin": ORIGIN, **fields})


SEALS = [
    pytest.param(seal("RXFC"), id="standard base64 without padding to need"),
    pytest.param(seal("RXFCaw=="), id="standard base64, padded"),
    pytest.param(seal("+/+/"), id="standard base64, its own letters"),
    pytest.param(seal("gAAAAABo-_-_AA=="), id="URL-safe base64, padded"),
    pytest.param(seal("+_+_"), id="both alphabets"),
    pytest.param(seal("RXFCaw"), id="base64 without its padding"),
    pytest.param(seal("RXFCax=="), id="base64 with bits that mean nothing"),
    pytest.param(seal("RXFC\n"), id="base64 with a line end"),
    pytest.param(seal("rsn_0é😀"), id="text"),
    pytest.param(seal("skip_thought_signature_validator"), id="a word"),
    pytest.param(seal(""), id="no payload, only the origin"),
    pytest.param(seal("QUJD" * 5000), id="long"),
    pytest.param(seal(item_id="rs_1", kind="encrypted"), id="D47 bound to an item"),
    pytest.param(seal(kind="redacted"), id="D49 redacted"),
    pytest.param(seal(kind="thought"), id="a thought signature"),
]


@pytest.mark.parametrize("sealed", SEALS)
def test_an_envelope_gives_back_what_went_in(sealed: Seal) -> None:
    text = SEALER.wrap(sealed, "I should look.")

    assert sealed == SEALER.open(text, "I should look.")
    assert sealed == SEALER.open(text, None)


@pytest.mark.parametrize("sealed", SEALS)
def test_an_envelope_is_standard_base64_of_known_beginning(sealed: Seal) -> None:
    # D47
    text = SEALER.wrap(sealed, "")

    assert text.startswith("msE1")
    assert SEALER.is_envelope(text)
    assert text == base64.b64encode(base64.b64decode(text, validate=True)).decode()
    assert text == EnvelopeSealer(KEY).wrap(sealed, "")


@pytest.mark.parametrize("payload", ["QUJD" * 1000, "-_-_" * 1000], ids=["standard", "URL-safe"])
def test_an_envelope_is_hardly_longer_than_its_payload(payload: str) -> None:
    assert len(SEALER.wrap(seal(payload, item_id="rs_" + "a" * 48), "x")) - len(payload) < 250


TEXT = SEALER.wrap(seal(), "I should look.")
REWRITTEN = [
    pytest.param(TEXT.replace("+", "-").replace("/", "_"), id="the URL alphabet"),
    pytest.param(TEXT.rstrip("="), id="no padding"),
]


@pytest.mark.parametrize("text", REWRITTEN)
def test_a_library_may_spell_the_bytes_otherwise(text: str) -> None:
    assert seal() == SEALER.open(text, "I should look.")


def test_one_flipped_bit_makes_it_none() -> None:
    # D51
    raw = base64.b64decode(TEXT)
    opened = []
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        opened.append(SEALER.open(base64.b64encode(flipped).decode(), None))

    assert set(opened) == {None}


NONE = [
    pytest.param("", id="empty"),
    pytest.param("EqQBCkgIBRABGAI=", id="a native payload"),
    pytest.param("msE1", id="nothing but the beginning"),
    pytest.param("msE1" + "A" * 200, id="made up"),
    pytest.param("msE1 not base64", id="not base64"),
    pytest.param("msE1é", id="not ASCII"),
    pytest.param(TEXT[:-8], id="cut"),
    pytest.param(TEXT + "AAAA", id="longer"),
    pytest.param(TEXT + "\n", id="a line end behind it"),
    pytest.param(EnvelopeSealer(b"other").wrap(seal(), "I should look."), id="of another installation"),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_envelope_opens_to_nothing(text: str) -> None:
    assert SEALER.open(text, None) is None


def test_bits_that_mean_nothing_are_not_ignored() -> None:
    # D51
    text = next(text for n in range(3) if (text := SEALER.wrap(seal("a" * n), "")).endswith("="))
    last = text.rstrip("=")[-1]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text.rstrip("=")[:-1] + letters[letters.index(last) ^ 1]

    assert SEALER.open(other + "=" * text.count("="), None) is None


EDITED = [
    pytest.param("I should look!", id="D87 one character"),
    pytest.param("I should look. ", id="D87 a space"),
    pytest.param("", id="D87 all of it"),
]


@pytest.mark.parametrize("visible", EDITED)
def test_edited_text_drops_the_seal(visible: str) -> None:
    assert SEALER.open(TEXT, visible) is None


def test_a_seal_of_unknown_origin_has_no_envelope() -> None:
    with pytest.raises(ValueError, match="unknown origin"):
        SEALER.wrap(Seal(kind="signature", payload="x"), "")


def test_an_account_tag_tells_accounts_apart() -> None:
    # D50
    tags = {account_tag("sk-1", KEY), account_tag("sk-2", KEY), account_tag("sk-1", b"other")}

    assert len(tags) == 3
    assert all(re.fullmatch(r"[0-9a-f]{16}", tag) for tag in tags)
    assert account_tag("sk-1", KEY) in tags


def test_a_pseudonym_is_one_user_of_one_tenant() -> None:
    names = [pseudonym(KEY, tenant)(user) for tenant in ("a", "b") for user in ("ann@example.org", "bob")]

    assert len(set(names)) == 4
    assert all(re.fullmatch(r"u_[0-9a-f]{32}", name) for name in names)
    assert pseudonym(KEY, "a")("ann@example.org") == names[0]


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        EnvelopeSealer(b"")
