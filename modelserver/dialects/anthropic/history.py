"""The parts of a conversation that this API can read; what only others can is gone, before turns are shaped."""

from __future__ import annotations

import attrs

from modelserver.errors import Unsupported
from modelserver.ir.parts import Audio, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from modelserver.ir.profile import Profile, can_read
from modelserver.ir.request import Loss, Request


def readable(request: Request, profile: Profile, losses: list[Loss]) -> tuple[Message, ...]:
    """The messages with seals opened, and without what another provider alone can read.

    Raises:
        Unsupported: There is sound in a user's message.
    """
    messages: list[Message] = []
    for message in request.messages:
        parts = tuple(
            kept for part in message.parts if (kept := _readable(part, message.role, profile, losses)) is not None
        )
        if parts or not message.parts:
            messages.append(message if parts == message.parts else attrs.evolve(message, parts=parts))
    return tuple(messages)


def is_bare_loop(messages: tuple[Message, ...]) -> bool:
    """Whether the last assistant turn waits for its results and does not begin with its thinking.

    Manual thinking is refused then: "Expected `thinking` or `redacted_thinking`, but found `tool_use`".
    """
    if len(messages) < 2 or not any(isinstance(part, ToolResult) for part in messages[-1].parts):
        # A reminder may stand behind the results.
        if len(messages) < 3 or messages[-1].role != "system":
            return False
        return is_bare_loop(messages[:-1])
    turn = messages[-2].parts
    has_calls = any(isinstance(part, ToolCall) for part in turn)
    return has_calls and not isinstance(turn[0], Reasoning)


def has_sealed(messages: tuple[Message, ...]) -> bool:
    """Whether thinking of earlier turns goes back."""
    return any(isinstance(part, Reasoning) for message in messages for part in message.parts)


def _readable(part: Part, role: str, profile: Profile, losses: list[Loss]) -> Part | None:
    match part:
        case Reasoning():
            return _reasoning(part, profile, losses)
        case Opaque(dialect="anthropic"):
            return part
        case Opaque(fallback=fallback):
            return Text(text=fallback) if fallback else None
        case Audio(transcript=transcript) if role == "assistant":
            return Text(text=transcript) if transcript else None
        case Audio():
            raise Unsupported("Audio input is not supported by this model.", param="messages", code="unsupported_value")
        case _:
            return part


def _reasoning(part: Reasoning, profile: Profile, losses: list[Loss]) -> Reasoning | None:
    """The reasoning with the payload that its maker gave it; None where the target did not make it."""
    seal = part.seal
    if seal is None:
        wants = profile.quirks.get("reasoning_back", "none") != "none"
        if wants and part.text:
            return part
        losses.append(Loss(path="messages", code="reasoning_dropped"))
        return None
    if profile.sealer.is_envelope(seal.payload):
        opened = profile.sealer.open(seal.payload, part.text)
        # Payloads of unknown origin are native ones of the dialect that has this kind.
        seal = opened if opened is not None and opened.origin is not None else None
    if seal is None or seal.kind not in ("signature", "redacted") or not can_read(profile, seal):
        losses.append(Loss(path="messages", code="seal_dropped"))
        return None
    return attrs.evolve(part, seal=seal)
