"""A conversation made to fit dialects of strict turns: IR in, IR out.

    pair_results        every call answered once, directly after its turn
    names_as_prefix     speakers' names, where there are several
    drop_blank          no empty text
    place_reminders     instructions in the middle, where they may stand
    merge_adjacent      user and assistant in turn
    user_first          a user begins
    shape_for_turns     all of it in this order
    known_choice, filter_tools      a tool choice that names only tools that exist
    offered_tools       the tools and the choice that are left where the target can't restrict as wished

Everything here looks at a message, the ones before it, and the others of its batch (the user-side messages between
two assistant messages), never further. So the shape of a conversation is the beginning of the shape of its
continuation, on which prompt caches and the binding of reasoning to what stands before it depend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from modelserver.dialects.names import unique_ids
from modelserver.ir.parts import (
    CacheHint,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import BuiltinTool, HostedTool, Loss, Request, Tool, ToolChoice

MISSING_RESULT: Final = "No result was provided for this call."
CONTINUES: Final = "(conversation continues)"
NEVER_DROPPED: Final = frozenset(("mcp", "computer"))
"""Hosted families that act outside the conversation: without one of them a request means something else."""


def shape_for_turns(
    request: Request, *, mid_system: bool, keep_signed: bool, losses: list[Loss], path: str = "messages"
) -> Request:
    """The request with a conversation of strict turns; parts that the target can't read should be gone already.

    `mid_system`: instructions may stand in the middle. `keep_signed`: empty text that carries a seal stays. `path` is
    that of the conversation in the client's body, for the losses.
    """
    messages = names_as_prefix(unique_ids(request.messages))
    messages = drop_blank(pair_results(messages, losses, path=path), keep_signed=keep_signed)
    messages = merge_adjacent(place_reminders(messages, mid_system=mid_system))
    system, messages = user_first(messages, _drop_blank_system(request.system))
    return attrs.evolve(request, system=system, messages=messages)


def pair_results(messages: Sequence[Message], losses: list[Loss], *, path: str = "messages") -> tuple[Message, ...]:
    """The conversation with the results of each assistant turn directly after it, one for each call, in call order.

    A missing result is made up, and said in `losses`; several for one call become one; a result without a call in the
    turn before it becomes user text, or nothing when it is empty. Adjacent assistant messages are one when the earlier
    one has calls, since nothing may stand between calls and results.
    """
    shaped: list[Message] = []
    for turn, batch in _turns(messages):
        shaped.extend(_paired(_joined(turn), batch, losses, path))
    return tuple(shaped)


def _turns(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], Sequence[Message]]]:
    """Runs of assistant messages, each with the messages up to the next run; the first one may be empty."""
    at, count = 0, len(messages)
    while at < count:
        start = at
        while at < count and messages[at].role == "assistant":
            at += 1
        middle = at
        while at < count and messages[at].role != "assistant":
            at += 1
        yield messages[start:middle], messages[middle:at]


def _joined(turn: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in turn:
        if joined and any(isinstance(part, ToolCall) for part in joined[-1].parts):
            joined[-1] = _merged(joined[-1], message)
        else:
            joined.append(message)
    return joined


def _paired(turn: list[Message], batch: Sequence[Message], losses: list[Loss], path: str) -> Iterator[Message]:
    yield from turn
    calls = {part.id: part for message in turn for part in message.parts if isinstance(part, ToolCall)}
    found: dict[str, list[ToolResult]] = {id: [] for id in calls}
    rest: list[Message] = []
    for message in batch:
        if not any(isinstance(part, ToolResult) for part in message.parts):
            rest.append(message)
            continue
        others: list[Part] = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                others.append(part)
            elif part.call_id in found:
                found[part.call_id].append(part)
            else:
                others.extend(_orphan(part))
        if others:
            rest.append(attrs.evolve(message, parts=tuple(others)))
    if calls:
        results = tuple(_result(calls[id], given) for id, given in found.items())
        losses.extend(Loss(path=path, code="tool_result_missing") for given in found.values() if not given)
        yield Message(role="user", parts=results)
    yield from rest


def _result(call: ToolCall, given: list[ToolResult]) -> ToolResult:
    if not given:
        return ToolResult(call_id=call.id, name=call.name, content=(Text(text=MISSING_RESULT),), is_error=True)
    first = given[0]
    if len(given) > 1:
        return attrs.evolve(
            first,
            name=first.name or call.name,
            content=tuple(part for result in given for part in result.content),
            is_error=any(result.is_error for result in given),
            cache=next((result.cache for result in reversed(given) if result.cache), None),
        )
    return first if first.name else attrs.evolve(first, name=call.name)


def _orphan(result: ToolResult) -> list[Part]:
    """What a result without a call says to the model."""
    said = "\n".join(part.text for part in result.content if isinstance(part, Text) and part.text.strip())
    media = [part for part in result.content if not isinstance(part, Text)]
    if not said and not media:
        return []
    hint = result.cache or next((part.cache for part in reversed(result.content) if part.cache), None)
    parts: list[Part] = [Text(text=f"Tool result: {said}" if said else "Tool result:"), *media]
    if hint is not None:
        _give_hint(parts, hint)
    return parts


def names_as_prefix(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without names; where a role has had two different ones, the text begins with `name: `.

    Text before the second name appeared stays as it was sent then.
    """
    if all(message.name is None for message in messages):
        return tuple(messages)
    names: dict[str, set[str]] = {}
    shaped: list[Message] = []
    for turn, batch in _turns(messages):
        for run in (turn, batch):
            for message in run:
                if message.name is not None:
                    names.setdefault(message.role, set()).add(message.name)
            for message in run:
                several = message.name is not None and len(names[message.role]) > 1
                shaped.append(_prefixed(message) if several else attrs.evolve(message, name=None))
    return tuple(shaped)


def _prefixed(message: Message) -> Message:
    parts = list(message.parts)
    for index, part in enumerate(parts):
        # A sealed text must stay what it was when it was sealed.
        if isinstance(part, Text) and part.text.strip() and part.seal is None:
            parts[index] = attrs.evolve(part, text=f"{message.name}: {part.text}")
            break
    return attrs.evolve(message, name=None, parts=tuple(parts))


def drop_blank(messages: Sequence[Message], *, keep_signed: bool = False) -> tuple[Message, ...]:
    """The messages without empty text, and without those that become empty; cache hints move to the part before."""
    kept: list[Message] = []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            if not _is_blank(part, keep_signed):
                parts.append(_without_blank_content(part) if isinstance(part, ToolResult) else part)
            elif isinstance(part, Text) and part.cache is not None and not _give_hint(parts, part.cache) and kept:
                before = list(kept[-1].parts)
                _give_hint(before, part.cache)
                kept[-1] = attrs.evolve(kept[-1], parts=tuple(before))
        if parts:
            same = len(parts) == len(message.parts) and all(a is b for a, b in zip(parts, message.parts, strict=True))
            kept.append(message if same else attrs.evolve(message, parts=tuple(parts)))
    return tuple(kept)


def _is_blank(part: Part, keep_signed: bool) -> bool:
    match part:
        case Text(text=text, seal=seal):
            return not text.strip() and not (keep_signed and seal is not None)
        case Refusal(text=text):
            return not text.strip()
        case Reasoning(text=text, seal=seal):
            return seal is None and not text
        case _:
            return False


def _without_blank_content(result: ToolResult) -> ToolResult:
    content = [part for part in result.content if not isinstance(part, Text) or part.text.strip()]
    if len(content) == len(result.content):
        return result
    hint = next((part.cache for part in reversed(result.content) if part.cache), None)
    return attrs.evolve(result, content=tuple(content), cache=result.cache or hint)


def _give_hint(parts: list[Part], hint: CacheHint) -> bool:
    """Put the hint on the last part that can carry one and has none; False when no part can."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if isinstance(part, Text | Image | Document | ToolCall | ToolResult):
            if part.cache is None:
                parts[index] = attrs.evolve(part, cache=hint)
            return True
    return False


def _drop_blank_system(system: Sequence[Text]) -> tuple[Text, ...]:
    kept: list[Part] = []
    for part in system:
        if part.text.strip():
            kept.append(part)
        elif part.cache is not None:
            _give_hint(kept, part.cache)
    return tuple(part for part in kept if isinstance(part, Text))


def place_reminders(messages: Sequence[Message], *, mid_system: bool) -> tuple[Message, ...]:
    """The instructions in the middle as messages of role `system`, or as user text that is marked as a reminder.

    With `mid_system` those of one batch become one, after its user messages (Anthropic takes it only there); where a
    batch has no user message they become reminders all the same, since waiting for a later turn would change the
    prefix. Results of calls must stand first in their batch already.
    """
    shaped: list[Message] = []
    for turn, batch in _turns(messages):
        shaped.extend(turn)
        systems = [message for message in batch if message.role == "system"]
        users = [message for message in batch if message.role == "user"]
        if not systems:
            shaped.extend(batch)
        elif mid_system and users:
            merged = systems[0]
            for later in systems[1:]:
                merged = _merged(merged, later)
            shaped.extend((*users, merged))
        else:
            for message in batch:
                shaped.extend((message,) if message.role == "user" else _reminder(message))
    return tuple(shaped)


def _reminder(message: Message) -> Iterator[Message]:
    texts = [part for part in message.parts if isinstance(part, Text) and part.text.strip()]
    if texts:
        said = "\n".join(part.text for part in texts)
        hint = next((part.cache for part in reversed(texts) if part.cache), None)
        yield Message(role="user", parts=(Text(text=f"<system-reminder>\n{said}\n</system-reminder>", cache=hint),))


def merge_adjacent(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with neighbours of one role joined."""
    runs: list[list[Message]] = []
    for message in messages:
        if runs and runs[-1][0].role == message.role:
            runs[-1].append(message)
        else:
            runs.append([message])
    return tuple(_run_merged(run) for run in runs)


def _run_merged(run: Sequence[Message]) -> Message:
    # By halves: one after the other copies the parts as often as there are messages.
    if len(run) == 1:
        return run[0]
    middle = len(run) // 2
    return _merged(_run_merged(run[:middle]), _run_merged(run[middle:]))


def _merged(first: Message, second: Message) -> Message:
    return attrs.evolve(
        first,
        parts=first.parts + second.parts,
        name=first.name if first.name == second.name else None,
        phase=first.phase if first.phase == second.phase else None,
        extra={**first.extra, **second.extra} if second.extra else first.extra,
    )


def user_first(messages: Sequence[Message], system: tuple[Text, ...]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """System and messages, of which the first is the user's.

    A conversation that holds nothing but a system text asks what that text asks: the user repeats it.
    """
    if messages and messages[0].role == "user":
        return system, tuple(messages)
    said = CONTINUES if messages or not system else system[-1].text
    return system, (Message(role="user", parts=(Text(text=said),)), *messages)


def known_choice(tools: Sequence[Tool], choice: ToolChoice | None, losses: list[Loss]) -> ToolChoice | None:
    """The choice without names that were not declared; when none is left it restricts nothing, said in `losses`."""
    if choice is None or choice.only is None:
        return choice
    declared = {name for tool in tools for name in _names(tool)}
    only = tuple(dict.fromkeys(name for name in choice.only if name in declared))
    if only == choice.only:
        return choice
    if not only:
        losses.append(Loss(path="tool_choice", code="tool_choice_relaxed"))
    return attrs.evolve(choice, only=only or None)


def filter_tools(
    tools: Sequence[Tool], choice: ToolChoice | None, losses: list[Loss]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Only the tools that the choice allows, and the choice as of `known_choice`; for targets that can't restrict.

    A hosted tool stays where its family is the one that is forced.
    """
    choice = known_choice(tools, choice, losses)
    if choice is None or choice.only is None:
        return tuple(tools), choice
    allowed = frozenset(choice.only)
    return tuple(tool for tool in tools if _is_allowed(tool, allowed, choice.hosted)), choice


def offered_tools(
    tools: Sequence[Tool], choice: ToolChoice | None, profile: Profile, losses: list[Loss]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The tools to declare and the choice, as far as the target can restrict it by its card and its quirks."""
    choice = known_choice(tools, choice, losses)
    if choice is None:
        return tuple(tools), None
    card, words = profile.card, profile.quirks.get("tool_choice", "full")
    unforced = not card.forced_tools or words in ("no_required", "auto_only")
    several = choice.only is not None and (len(choice.only) > 1 or choice.mode == "auto")
    offered = tuple(tools)
    if choice.only is not None and (unforced or words == "string_only" or (several and not card.allowed_tools)):
        offered, filtered = filter_tools(tools, choice, losses)
        choice = attrs.evolve(filtered or choice, only=None)
    if unforced and choice.mode == "required":
        losses.append(Loss(path="tool_choice", code="tool_choice_relaxed"))
        choice = ToolChoice(mode="auto")
    if words == "auto_only" and choice.mode == "none":
        # A server that knows `auto` alone calls no tool only when it has none.
        return (), None
    return offered, choice


def _is_allowed(tool: Tool, allowed: frozenset[str], hosted: str | None) -> bool:
    if isinstance(tool, HostedTool):
        return tool.family == hosted
    return not allowed.isdisjoint(_names(tool))


def _names(tool: Tool) -> tuple[str, ...]:
    """What a choice may call a tool."""
    if isinstance(tool, HostedTool):
        return ()
    if isinstance(tool, BuiltinTool) or tool.namespace is None:
        return (tool.name,)
    return (tool.name, f"{tool.namespace}__{tool.name}")
