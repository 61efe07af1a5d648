from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from modelserver.dialects.shaping import (
    drop_blank,
    filter_tools,
    known_choice,
    merge_adjacent,
    names_as_prefix,
    pair_results,
    place_reminders,
    shape_for_turns,
    user_first,
)
from modelserver.ir.parts import (
    CacheHint,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.request import BuiltinTool, FunctionTool, HostedTool, Loss, Request, Tool, ToolChoice

HINT = CacheHint(ttl_s=300)
SEAL = Seal(kind="thought", payload="AbC=")
PICTURE = Image(source=Url(url="https://img.example/a.png"))
MISSING = "No result was provided for this call."


def user(*parts: str | Part, **fields: Any) -> Message:
    return Message(role="user", parts=_parts(parts), **fields)


def assistant(*parts: str | Part, **fields: Any) -> Message:
    return Message(role="assistant", parts=_parts(parts), **fields)


def system(*parts: str | Part, **fields: Any) -> Message:
    return Message(role="system", parts=_parts(parts), **fields)


def _parts(parts: Sequence[str | Part]) -> tuple[Part, ...]:
    return tuple(Text(text=part) if isinstance(part, str) else part for part in parts)


def call(id: str) -> ToolCall:
    return ToolCall(id=id, name=f"tool_{id}", arguments="{}")


def result(id: str, *content: str | Image, named: bool = True, **fields: Any) -> ToolResult:
    said: Any = _parts(content)
    return ToolResult(call_id=id, name=f"tool_{id}" if named else None, content=said, **fields)


def made_up(id: str) -> ToolResult:
    return result(id, MISSING, is_error=True)


PAIRED = [
    pytest.param([user("a"), assistant("b")], [user("a"), assistant("b")], 0, id="no tools"),
    pytest.param(
        [assistant(call("1"), call("2")), user(result("2", "B"), result("1", "A"), "go on")],
        [assistant(call("1"), call("2")), user(result("1", "A"), result("2", "B")), user("go on")],
        0,
        id="D16 call order, results first",
    ),
    pytest.param(
        [assistant(call("1"), call("2")), user(result("2", "B")), user("x"), user(result("1", "A"))],
        [assistant(call("1"), call("2")), user(result("1", "A"), result("2", "B")), user("x")],
        0,
        id="D16 results of several messages",
    ),
    pytest.param(
        [assistant(call("1")), system("S"), user(result("1", "A"))],
        [assistant(call("1")), user(result("1", "A")), system("S")],
        0,
        id="D12 an instruction between call and result",
    ),
    pytest.param(
        [assistant(call("1")), user(result("1", "A", named=False))],
        [assistant(call("1")), user(result("1", "A"))],
        0,
        id="the name comes from the call",
    ),
    pytest.param(
        [assistant(call("1"), call("2")), user(result("2", "B"))],
        [assistant(call("1"), call("2")), user(made_up("1"), result("2", "B"))],
        1,
        id="D18 a missing result",
    ),
    pytest.param([assistant(call("1"))], [assistant(call("1")), user(made_up("1"))], 1, id="D18 the last turn"),
    pytest.param(
        [assistant(call("1")), assistant("b"), user("c")],
        [assistant(call("1"), "b"), user(made_up("1")), user("c")],
        1,
        id="D18 text after a call is of its turn",
    ),
    pytest.param([user(result("9", "A"), "b")], [user("Tool result: A", "b")], 0, id="D19 an orphan becomes text"),
    pytest.param([user(result("9", " "))], [], 0, id="D19 an empty orphan disappears, and its message"),
    pytest.param(
        [user(result("9", "A", PICTURE, "B"))],
        [user("Tool result: A\nB", PICTURE)],
        0,
        id="D19 an orphan with a picture",
    ),
    pytest.param([user(result("9", PICTURE))], [user("Tool result:", PICTURE)], 0, id="D19 an orphan without text"),
    pytest.param(
        [user(result("9", "A", cache=HINT))],
        [user(Text(text="Tool result: A", cache=HINT))],
        0,
        id="D19 an orphan keeps its cache hint",
    ),
    pytest.param(
        [assistant(call("1")), user(result("1", "A"), result("1", "B", is_error=True, cache=HINT))],
        [assistant(call("1")), user(result("1", "A", "B", is_error=True, cache=HINT))],
        0,
        id="two results for one call",
    ),
    pytest.param(
        [assistant(call("1")), user("x"), assistant("y"), user(result("1", "A"))],
        [assistant(call("1")), user(made_up("1")), user("x"), assistant("y"), user("Tool result: A")],
        1,
        id="a late result is text where it came",
    ),
    pytest.param(
        [assistant(call("1")), assistant(call("2")), user(result("1", "A")), user(result("2", "B"))],
        [assistant(call("1"), call("2")), user(result("1", "A"), result("2", "B"))],
        0,
        id="a turn of two messages",
    ),
]


@pytest.mark.parametrize(("messages", "expected", "missing"), PAIRED)
def test_every_call_has_its_result(messages: list[Message], expected: list[Message], missing: int) -> None:
    losses: list[Loss] = []
    actual = pair_results(messages, losses)

    assert tuple(expected) == actual
    assert [Loss(path="messages", code="tool_result_missing")] * missing == losses
    assert actual == pair_results(actual, [])


BLANK = [
    pytest.param([user("a", "  "), user("\n")], [user("a")], id="D14 empty text and an empty message"),
    pytest.param([user()], [], id="a message without parts"),
    pytest.param([user(Text(text="a"), Text(text="", cache=HINT))], [user(Text(text="a", cache=HINT))], id="D14 hint"),
    pytest.param(
        [user("a"), user(Text(text="", cache=HINT), "b")],
        [user(Text(text="a", cache=HINT)), user("b")],
        id="D14 a hint goes to the message before",
    ),
    pytest.param(
        [assistant(call("1"), Reasoning(text="r"), Text(text="", cache=HINT))],
        [assistant(ToolCall(id="1", name="tool_1", arguments="{}", cache=HINT), Reasoning(text="r"))],
        id="D14 a hint passes over reasoning",
    ),
    pytest.param([user(Text(text="", cache=HINT))], [], id="D14 a hint with nothing before it"),
    pytest.param([user(result("1", ""))], [user(result("1"))], id="an empty result stays, without text"),
    pytest.param([assistant(Text(text="", seal=SEAL))], [], id="D54 signed empty text goes elsewhere"),
    pytest.param([assistant(Refusal(text=""))], [], id="an empty refusal"),
    pytest.param(
        [assistant(Reasoning(seal=SEAL))], [assistant(Reasoning(seal=SEAL))], id="D52 sealed empty reasoning stays"
    ),
    pytest.param([assistant(Reasoning())], [], id="reasoning without text or seal"),
]


@pytest.mark.parametrize(("messages", "expected"), BLANK)
def test_empty_text_goes(messages: list[Message], expected: list[Message]) -> None:
    assert tuple(expected) == drop_blank(messages)


def test_signed_empty_text_stays_where_it_counts() -> None:
    # D54
    messages = (assistant("a", Text(text="", seal=SEAL)),)

    assert messages == drop_blank(messages, keep_signed=True)


def reminder(text: str, cache: CacheHint | None = None) -> Message:
    return user(Text(text=f"<system-reminder>\n{text}\n</system-reminder>", cache=cache))


REMINDERS = [
    pytest.param(
        [user("a"), system("S"), user("b")], [user("a"), reminder("S"), user("b")], id="D11 between two users"
    ),
    pytest.param(
        [assistant("a"), system("S"), assistant("b")], [assistant("a"), reminder("S"), assistant("b")], id="alone"
    ),
    pytest.param([user("a"), system("S", "T")], [user("a"), reminder("S\nT")], id="several parts"),
    pytest.param([user("a"), system(" ")], [user("a")], id="empty"),
    pytest.param([user("a"), system(Text(text="S", cache=HINT))], [user("a"), reminder("S", HINT)], id="cache hint"),
]


@pytest.mark.parametrize(("messages", "expected"), REMINDERS)
def test_instructions_become_reminders(messages: list[Message], expected: list[Message]) -> None:
    assert tuple(expected) == place_reminders(messages, mid_system=False)


PLACED = [
    pytest.param([user("a"), system("S")], [user("a"), system("S")], id="D11 at the end"),
    pytest.param(
        [user("a"), system("S"), user("b"), assistant("c")],
        [user("a"), user("b"), system("S"), assistant("c")],
        id="D11 before the assistant turn",
    ),
    pytest.param(
        [user("a"), system("S"), user("b"), system("T")], [user("a"), user("b"), system("S", "T")], id="several are one"
    ),
    pytest.param(
        [user("a"), assistant("b"), system("S"), user("c")],
        [user("a"), assistant("b"), user("c"), system("S")],
        id="after an assistant turn",
    ),
    pytest.param(
        [user("a"), assistant("b"), system("S"), assistant("c"), user("d")],
        [user("a"), assistant("b"), reminder("S"), assistant("c"), user("d")],
        id="no user turn there",
    ),
    pytest.param([system("S"), assistant("b")], [reminder("S"), assistant("b")], id="never the first"),
]


@pytest.mark.parametrize(("messages", "expected"), PLACED)
def test_instructions_stay_in_the_middle(messages: list[Message], expected: list[Message]) -> None:
    assert tuple(expected) == place_reminders(messages, mid_system=True)


def test_neighbours_of_one_role_become_one_message() -> None:
    # D13
    messages = [
        user("a", extra={"x": 1}),
        user("b", extra={"y": 2}),
        assistant("c", phase="commentary"),
        assistant("d"),
    ]

    assert (user("a", "b", extra={"x": 1, "y": 2}), assistant("c", "d")) == merge_adjacent(messages)


FIRST = [
    pytest.param([user("a")], (Text(text="S"),), [user("a")], id="a user already"),
    pytest.param([assistant("a")], (), [user("(conversation continues)"), assistant("a")], id="D15 an assistant"),
    pytest.param([], (Text(text="R"), Text(text="S")), [user("S")], id="only system"),
    pytest.param([], (), [user("(conversation continues)")], id="nothing"),
]


@pytest.mark.parametrize(("messages", "texts", "expected"), FIRST)
def test_a_user_comes_first(messages: list[Message], texts: tuple[Text, ...], expected: list[Message]) -> None:
    assert (texts, tuple(expected)) == user_first(messages, texts)


NAMED = [
    pytest.param([user("a", name="ann"), user("b", name="ann")], [user("a"), user("b")], id="one name"),
    pytest.param(
        [user("a", name="ann"), assistant("b", name="bob")], [user("a"), assistant("b")], id="one for each role"
    ),
    pytest.param(
        [user("a", name="ann"), user("b", name="bob"), user("c")],
        [user("ann: a"), user("bob: b"), user("c")],
        id="two names",
    ),
    pytest.param(
        [user("a", name="ann"), assistant("x"), user("b", name="bob"), assistant("y"), user("c", name="ann")],
        [user("a"), assistant("x"), user("bob: b"), assistant("y"), user("ann: c")],
        id="D4 what was sent stays",
    ),
    pytest.param(
        [user("a", name="ann"), user(PICTURE, "b", name="bob")],
        [user("ann: a"), user(PICTURE, "bob: b")],
        id="picture first",
    ),
    pytest.param([user("a", name="ann"), user(" ", name="bob")], [user("ann: a"), user(" ")], id="no text to name"),
]


@pytest.mark.parametrize(("messages", "expected"), NAMED)
def test_names_stand_before_the_text_where_there_are_several(messages: list[Message], expected: list[Message]) -> None:
    assert tuple(expected) == names_as_prefix(messages)


SHAPED = [
    pytest.param(
        [user("hi"), assistant(""), user("  ", "again")],
        [user("hi", "again")],
        id="an empty assistant between two users",
    ),
    pytest.param(
        [user("a"), assistant(call("1")), system("S"), user(result("1", "A"), "b")],
        [user("a"), assistant(call("1")), user(result("1", "A"), *reminder("S").parts, "b")],
        id="D12 results first, then the reminder",
    ),
    pytest.param(
        [assistant(call("x")), user(result("x", "A", named=False)), assistant(call("x")), user(result("x", "B"))],
        [
            user("(conversation continues)"),
            assistant(call("x")),
            user(result("x", "A")),
            assistant(ToolCall(id="x#2", name="tool_x", arguments="{}")),
            user(ToolResult(call_id="x#2", name="tool_x", content=(Text(text="B"),))),
        ],
        id="D25 one id for two calls",
    ),
]


@pytest.mark.parametrize(("messages", "expected"), SHAPED)
def test_a_conversation_has_strict_turns(messages: list[Message], expected: list[Message]) -> None:
    request = Request(
        dialect="chat", model="m", system=(Text(text="S"), Text(text="", cache=HINT)), messages=tuple(messages)
    )
    actual = shape_for_turns(request, mid_system=False, keep_signed=False, losses=[])

    assert tuple(expected) == actual.messages
    assert (Text(text="S", cache=HINT),) == actual.system


def test_an_instruction_never_follows_a_turn_that_vanished() -> None:
    messages = (user("a"), assistant("b"), user(" "), system("S"), assistant("c"), user("d"))
    request = Request(dialect="chat", model="m", messages=messages)
    actual = shape_for_turns(request, mid_system=True, keep_signed=False, losses=[])

    assert (user("a"), assistant("b"), reminder("S"), assistant("c"), user("d")) == actual.messages


F, G = FunctionTool(name="f"), FunctionTool(name="g", namespace="crm")
SEARCH = HostedTool(family="web_search", dialect="chat", raw={})
BASH = BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw={})
TOOLS = (F, G, SEARCH, BASH)


def only(*names: str, mode: Any = "auto", hosted: str | None = None) -> ToolChoice:
    return ToolChoice(mode=mode, only=names or None, hosted=hosted)


CHOICES = [
    pytest.param(None, TOOLS, None, 0, id="no choice"),
    pytest.param(only(mode="required"), TOOLS, only(mode="required"), 0, id="no restriction"),
    pytest.param(only("f"), (F,), only("f"), 0, id="D36 one name"),
    pytest.param(only("g", "bash"), (G, BASH), only("g", "bash"), 0, id="a bare name and a built-in"),
    pytest.param(only("crm__g"), (G,), only("crm__g"), 0, id="a name with its namespace"),
    pytest.param(only("f", "x"), (F,), only("f"), 0, id="D36 unknown names are ignored"),
    pytest.param(only("x", mode="required"), TOOLS, only(mode="required"), 1, id="D36 nothing known keeps all"),
    pytest.param(only("f", hosted="web_search"), (F, SEARCH), only("f", hosted="web_search"), 0, id="a hosted family"),
]


@pytest.mark.parametrize(("choice", "tools", "expected", "relaxed"), CHOICES)
def test_a_choice_filters_tools(
    choice: ToolChoice | None, tools: tuple[Tool, ...], expected: ToolChoice | None, relaxed: int
) -> None:
    losses: list[Loss] = []

    assert (tools, expected) == filter_tools(TOOLS, choice, losses)
    assert [Loss(path="tool_choice", code="tool_choice_relaxed")] * relaxed == losses
    assert expected == known_choice(TOOLS, choice, [])
