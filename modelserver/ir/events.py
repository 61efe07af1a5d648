"""A streamed answer as a sequence of events; which may follow which is in `grammar`."""

from __future__ import annotations

import attrs

from modelserver.errors import GatewayError
from modelserver.ir.parts import Citation, Finish, Part, Seal, TokenLogprob
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage


@attrs.frozen(slots=True)
class Start:
    """The stream begins; exactly one, first (pings may precede it)."""

    id: str
    model: str
    created: int
    usage: Usage | None = None


@attrs.frozen(slots=True)
class BlockStart:
    """A part begins; `part` is empty but for what a call must have: id, name, kind, namespace."""

    choice: int
    block: int
    part: Part


@attrs.frozen(slots=True)
class Delta:
    """More text of the open block: of `Text`, `Reasoning`, `Refusal`, arguments of a `ToolCall`, base64 of `Audio`."""

    choice: int
    block: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@attrs.frozen(slots=True)
class Section:
    """A new summary section begins inside a `Reasoning` block."""

    choice: int
    block: int


@attrs.frozen(slots=True)
class Cite:
    """A citation on the open `Text` block."""

    choice: int
    block: int
    citation: Citation


@attrs.frozen(slots=True)
class SealEvent:
    """The seal of the open block."""

    choice: int
    block: int
    seal: Seal


@attrs.frozen(slots=True)
class BlockEnd:
    """The part is complete; `part` is authoritative."""

    choice: int
    block: int
    part: Part


@attrs.frozen(slots=True)
class UsageUpdate:
    """Usage so far, merged by `merge_usage`; final at most once."""

    usage: Usage
    final: bool = False


@attrs.frozen(slots=True)
class FinishEvent:
    """A choice has ended; one for each choice."""

    choice: int
    finish: Finish


@attrs.frozen(slots=True)
class Ping:
    """The upstream says that it is alive."""


@attrs.frozen(slots=True)
class Fail:
    """The stream failed; terminal."""

    error: GatewayError | Complaint


@attrs.frozen(slots=True)
class End:
    """The stream is complete; terminal."""


StreamEvent = (
    Start | BlockStart | Delta | Section | Cite | SealEvent | BlockEnd | UsageUpdate | FinishEvent | Ping | Fail | End
)
