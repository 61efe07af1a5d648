from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from modelserver.ir.parts import Origin, Seal
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"k" * 32)
WORDS = st.text(max_size=20)
PAYLOADS = (
    st.text(max_size=60)
    | st.text(alphabet="ABab01+/-_=", max_size=24)
    | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode())
    | st.binary(max_size=200).map(lambda data: base64.urlsafe_b64encode(data).decode())
)
ORIGINS = st.builds(
    Origin,
    dialect=st.sampled_from(["chat", "responses", "anthropic", "gemini"]),
    provider=WORDS,
    account=WORDS,
    model=WORDS,
)
SEALS = st.builds(
    Seal,
    kind=st.sampled_from(["signature", "redacted", "encrypted", "thought"]),
    payload=PAYLOADS,
    item_id=st.none() | st.text(min_size=1, max_size=20),
    origin=ORIGINS,
)


@given(seal=SEALS, visible=st.text(st.characters(), max_size=20))
def test_every_seal_comes_back_exactly(seal: Seal, visible: str) -> None:
    text = SEALER.wrap(seal, visible)

    assert seal == SEALER.open(text, visible)
    assert seal == SEALER.open(text.replace("+", "-").replace("/", "_").rstrip("="), visible)


@given(seal=SEALS, at=st.integers(min_value=0), letter=st.sampled_from("ABxyz019+/-_= é"))
def test_a_changed_character_is_noticed(seal: Seal, at: int, letter: str) -> None:
    # D51
    text = SEALER.wrap(seal, "")
    at %= len(text)
    changed = text[:at] + letter + text[at + 1 :]
    opened = SEALER.open(changed, None)

    assert opened is None or changed.replace("-", "+").replace("_", "/").rstrip("=") == text.rstrip("=")


@given(text=st.text(max_size=40) | st.text(alphabet="ABC123+/=", max_size=80).map(lambda rest: f"msE1{rest}"))
def test_any_text_is_taken(text: str) -> None:
    assert SEALER.open(text, None) is None
