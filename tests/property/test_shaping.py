from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelserver.dialects.shaping import shape_for_turns
from modelserver.ir.parts import Message, Part, Text, ToolCall, ToolResult
from modelserver.ir.request import Request

TEXTS = st.sampled_from(["a", "b", " ", ""]).map(lambda text: Text(text=text))
IDS = st.sampled_from(["1", "2", "3"])
CALLS = IDS.map(lambda id: ToolCall(id=id, name="f", arguments="{}"))
RESULTS = st.builds(ToolResult, call_id=IDS, content=st.lists(TEXTS, max_size=1).map(tuple))
NAMES = st.none() | st.sampled_from(["ann", "bob"])


def _messages(role: str, parts: st.SearchStrategy[Part], least: int = 0) -> st.SearchStrategy[Message]:
    many = st.lists(parts, min_size=least, max_size=3).map(tuple)
    return st.builds(Message, role=st.just(role), parts=many, name=NAMES)


USERS = _messages("user", TEXTS | RESULTS) | _messages("system", TEXTS, 1)
FIRST = _messages("user", st.just(Text(text="first")), 1)
ASSISTANTS = _messages("assistant", TEXTS | CALLS)
SAYING = ASSISTANTS.filter(lambda one: any(isinstance(part, ToolCall) or part.text.strip() for part in one.parts))


def _turns(assistants: st.SearchStrategy[Message]) -> st.SearchStrategy[list[list[Message]]]:
    """What the client adds to the conversation with each of its requests."""
    return st.lists(
        st.tuples(st.lists(assistants, min_size=1, max_size=2), st.lists(USERS, min_size=1, max_size=3)).map(
            lambda two: two[0] + two[1]
        ),
        max_size=5,
    )


def _shaped(messages: list[Message], mid_system: bool) -> tuple[Message, ...]:
    request = Request(dialect="chat", model="m", messages=tuple(messages))
    return shape_for_turns(request, mid_system=mid_system, keep_signed=False, losses=[]).messages


@given(first=FIRST, turns=_turns(SAYING), mid_system=st.booleans())
def test_a_shape_is_the_beginning_of_the_next(first: Message, turns: list[list[Message]], mid_system: bool) -> None:
    # D4. The last request may end in the assistant's words, to which the user then adds.
    conversation = [first]
    shapes = [_shaped(conversation, mid_system)]
    for turn in turns:
        conversation.extend(turn)
        shapes.append(_shaped(conversation, mid_system))
    ended = [shape for shape in shapes[:-1] if shape[-1].role != "assistant"]

    assert all(shapes[-1][: len(shape)] == shape for shape in ended)


@given(first=FIRST, turns=_turns(ASSISTANTS))
def test_parts_never_move_where_assistants_said_nothing(first: Message, turns: list[list[Message]]) -> None:
    # D4
    conversation = [first]
    shapes = [_flat(_shaped(conversation, False))]
    for turn in turns:
        conversation.extend(turn)
        shapes.append(_flat(_shaped(conversation, False)))

    assert all(shapes[-1][: len(shape)] == shape for shape in shapes)


def _flat(messages: tuple[Message, ...]) -> list[tuple[str, Part]]:
    return [(message.role, part) for message in messages for part in message.parts]


@given(messages=st.lists(USERS | ASSISTANTS, max_size=10), mid_system=st.booleans())
def test_turns_are_strict(messages: list[Message], mid_system: bool) -> None:
    shaped = _shaped(messages, mid_system)
    roles = [message.role for message in shaped]

    assert roles[0] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles))
    assert all(message.parts and message.name is None for message in shaped)
    assert all(roles[at - 1] == "user" for at, role in enumerate(roles) if role == "system")
    assert all(following == "assistant" for role, following in itertools.pairwise(roles) if role == "system")


@given(messages=st.lists(USERS | ASSISTANTS, max_size=10), mid_system=st.booleans())
def test_calls_are_answered_at_once_and_in_order(messages: list[Message], mid_system: bool) -> None:
    # D16, D18, D25
    shaped = (*_shaped(messages, mid_system), Message(role="user", parts=()))
    ids = [part.id for message in shaped for part in message.parts if isinstance(part, ToolCall)]

    assert len(ids) == len(set(ids))
    for message, following in itertools.pairwise(shaped):
        calls = [part.id for part in message.parts if isinstance(part, ToolCall)]
        results = [part.call_id for part in following.parts if isinstance(part, ToolResult)]

        assert results == calls
        assert all(isinstance(part, ToolResult) for part in following.parts[: len(calls)])
