from __future__ import annotations

import pytest

from modelserver.ir.parts import Opaque, Part, Reasoning, Seal, Text, ToolCall
from modelserver.stores.side_store import SideStore

THOUGHT = (Reasoning(text="I should look.", seal=Seal(kind="signature", payload="RXFC")),)
ENTRY_BYTES = 12_000
HEAVY = (Reasoning(text="x" * 10_000),)


def test_reasoning_comes_back_to_its_tenant_and_call() -> None:
    # D45
    store = SideStore()
    store.put("a", "call_1", THOUGHT, 0.0)

    assert store.get("a", "call_1", 1.0) == THOUGHT
    assert store.get("b", "call_1", 1.0) is None
    assert store.get("a", "call_2", 1.0) is None


def test_a_later_turn_replaces_an_earlier_one() -> None:
    store = SideStore()
    store.put("a", "call_1", HEAVY, 0.0)
    store.put("a", "call_1", THOUGHT, 1.0)

    assert store.get("a", "call_1", 1.0) == THOUGHT
    assert len(store) == 1
    assert store.held_bytes < ENTRY_BYTES


def test_an_entry_ages_from_when_it_was_written() -> None:
    store = SideStore(max_age_s=10.0)
    store.put("a", "1", THOUGHT, 0.0)
    store.put("a", "2", THOUGHT, 5.0)

    assert store.get("a", "1", 9.9) == THOUGHT
    assert store.get("a", "1", 10.0) is None
    assert store.get("a", "2", 10.0) == THOUGHT
    assert len(store) == 1


def test_writing_forgets_what_is_old() -> None:
    store = SideStore(max_age_s=10.0)
    store.put("a", "1", THOUGHT, 0.0)
    store.put("a", "2", THOUGHT, 20.0)

    assert len(store) == 1


def test_what_was_not_used_for_longest_goes_first() -> None:
    store = SideStore(max_bytes=3 * ENTRY_BYTES)
    for call_id in ("1", "2", "3"):
        store.put("a", call_id, HEAVY, 0.0)
    store.get("a", "1", 1.0)
    store.put("a", "4", HEAVY, 2.0)
    kept = [call_id for call_id in ("1", "2", "3", "4") if store.get("a", call_id, 3.0)]

    assert kept == ["1", "3", "4"]
    assert store.held_bytes <= 3 * ENTRY_BYTES


NOT_KEPT = [
    pytest.param(HEAVY, 9_000, id="heavier than the store"),
    pytest.param((), 10**6, id="no parts"),
    pytest.param(THOUGHT, 0, id="a store that is turned off"),
]


@pytest.mark.parametrize(("parts", "max_bytes"), NOT_KEPT)
def test_some_parts_are_not_kept(parts: tuple[Part, ...], max_bytes: int) -> None:
    store = SideStore(max_bytes=max_bytes)
    store.put("a", "1", parts, 0.0)

    assert store.get("a", "1", 0.0) is None
    assert store.held_bytes == 0


WEIGHTY = [
    pytest.param(Reasoning(text="x" * 10_000), id="reasoning"),
    pytest.param(Reasoning(seal=Seal(kind="encrypted", payload="x" * 10_000)), id="its seal"),
    pytest.param(Text(text="x" * 10_000), id="text"),
    pytest.param(ToolCall(id="1", name="f", arguments="x" * 10_000), id="arguments"),
    pytest.param(Opaque(dialect="chat", type="t", raw={"a": "x" * 10_000}), id="anything else"),
]


@pytest.mark.parametrize("part", WEIGHTY)
def test_text_weighs(part: Part) -> None:
    store = SideStore()
    store.put("a", "1", (part,), 0.0)

    assert 10_000 < store.held_bytes < 13_000


def test_nothing_is_held_when_all_is_forgotten() -> None:
    store = SideStore(max_age_s=10.0)
    for number in range(100):
        store.put("a", str(number), THOUGHT, float(number) / 100)
    store.get("a", "0", 1000.0)

    assert (len(store), store.held_bytes) == (0, 0)
