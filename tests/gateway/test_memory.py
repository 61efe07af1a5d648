"""What is remembered of a turn with calls, for whom, and when it is put back."""

from __future__ import annotations

import attrs
import pytest

from modelserver.gateway.memory import TurnMemory, without_seals
from modelserver.ir.parts import Message, Origin, Part, Reasoning, Seal, Text, ToolCall, ToolResult
from modelserver.ir.request import Request
from modelserver.policy.principals import LOCAL
from modelserver.stores.side_store import SideStore

ORIGIN = Origin(dialect="anthropic", provider="p", account="a", model="claude-x")
SIGNED = Seal(kind="signature", payload="EqQB", origin=ORIGIN)
THOUGHT = Seal(kind="thought", payload="CqAB", origin=ORIGIN)
THINKING = Reasoning(text="I should look.", seal=SIGNED)
CALL = ToolCall(id="call_1", name="look", arguments='{"a":1}')
OTHER_CALL = ToolCall(id="call_2", name="look", arguments="{}")
OTHER = attrs.evolve(LOCAL, user="somebody else")


def asked(*parts: Part, role: str = "assistant") -> Request:
    """A request whose second message has these parts."""
    return Request(
        dialect="chat",
        model="m",
        messages=(
            Message(role="user", parts=(Text(text="Hi"),)),
            Message(role=role, parts=parts),  # type: ignore[arg-type]
            Message(role="user", parts=(ToolResult(call_id="call_1", content=(Text(text="21"),)),)),
        ),
    )


def restored(memory: TurnMemory, *parts: Part, role: str = "assistant", now_s: float = 1.0) -> tuple[Part, ...]:
    return memory.restored(asked(*parts, role=role), LOCAL, now_s).messages[1].parts


def remembering(*parts: Part) -> TurnMemory:
    memory = TurnMemory(SideStore())
    memory.remember(LOCAL, parts, 0.0)
    return memory


SEALED = attrs.evolve(CALL, seal=THOUGHT)
RETOLD = Reasoning(text="I should look.")
EDITED = Reasoning(text="I should book.")
OWN = Reasoning(text="Mine.", seal=SIGNED)
IN_SECTIONS = Reasoning(text="I should look.", sections=(0, 8), seal=SIGNED)
APART = Reasoning(text="I should\n\n look.")

CASES = [
    pytest.param((THINKING, CALL), (CALL,), (THINKING, CALL), id="D45 b: reasoning, before its call"),
    pytest.param((THINKING, Text(text="Look:"), CALL), (CALL,), (THINKING, CALL), id="the client's text, not ours"),
    pytest.param(
        (THINKING, CALL), (Text(text="Look:"), CALL), (THINKING, Text(text="Look:"), CALL), id="reasoning comes first"
    ),
    pytest.param((SEALED,), (CALL,), (SEALED,), id="D46 b: the seal of a call"),
    pytest.param((SEALED, OTHER_CALL), (CALL, OTHER_CALL), (SEALED, OTHER_CALL), id="of the first of two"),
    pytest.param((THINKING, CALL, OTHER_CALL), (OTHER_CALL,), (THINKING, OTHER_CALL), id="found by any call"),
    pytest.param((THINKING, CALL), (RETOLD, CALL), (THINKING, CALL), id="text echoed without its seal"),
    pytest.param((IN_SECTIONS, CALL), (APART, CALL), (IN_SECTIONS, CALL), id="its sections set apart"),
    pytest.param((THINKING, CALL), (EDITED, CALL), (EDITED, CALL), id="D87: text that was edited"),
    pytest.param((THINKING, CALL), (OWN, CALL), (OWN, CALL), id="a seal came back"),
    pytest.param(
        (RETOLD, SEALED), (THINKING, CALL), (THINKING, SEALED), id="the seal of the reasoning, not of its call"
    ),
    pytest.param((SEALED,), (attrs.evolve(CALL, seal=SIGNED),), (attrs.evolve(CALL, seal=SIGNED),), id="on its call"),
    pytest.param((THINKING, CALL), (OTHER_CALL,), (OTHER_CALL,), id="another call"),
    pytest.param((THINKING, CALL), (Text(text="Hi"),), (Text(text="Hi"),), id="no call"),
    pytest.param((Text(text="Hi"), CALL), (CALL,), (CALL,), id="nothing to remember"),
    pytest.param((THINKING, Text(text="Hi")), (CALL,), (CALL,), id="a turn without calls"),
]


@pytest.mark.parametrize(("turn", "echoed", "expected"), CASES)
def test_a_turn_is_put_together_again(
    turn: tuple[Part, ...], echoed: tuple[Part, ...], expected: tuple[Part, ...]
) -> None:
    assert restored(remembering(*turn), *echoed) == expected


def test_arguments_are_the_clients_own() -> None:
    edited = attrs.evolve(CALL, arguments='{"a":2}')

    assert restored(remembering(SEALED), edited) == (attrs.evolve(edited, seal=THOUGHT),)


def test_only_the_caller_that_got_the_turn_finds_it() -> None:
    memory = remembering(THINKING, CALL)

    assert memory.restored(asked(CALL), OTHER, 1.0).messages[1].parts == (CALL,)


def test_it_is_forgotten_in_time() -> None:
    assert restored(remembering(THINKING, CALL), CALL, now_s=7200.0) == (CALL,)


def test_only_turns_of_the_assistant_are_restored() -> None:
    assert restored(remembering(THINKING, CALL), CALL, role="user") == (CALL,)


def test_without_seals_nothing_is_left_that_needs_one() -> None:
    signed = Text(text="Hi", seal=THOUGHT)
    bare = without_seals(asked(THINKING, signed, SEALED))

    assert bare.messages[1].parts == (Text(text="Hi"), CALL)
    assert without_seals(bare) == bare
