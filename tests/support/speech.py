"""What clients and providers say to each other, in no dialect: what the drivers of both sides speak of.

`speakers` asks as a client of each dialect does, `providers` answers as a provider of each does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

Json: TypeAlias = Mapping[str, Any]

ASKED = "What is the weather in Paris?"
REASONING = "I should look it up."
TOOL = "weather"
TOOL_SAYS = "Says the weather."
PARAMETERS: Json = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Its name."}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA: Json = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["age", "name"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel."""


@attrs.frozen(kw_only=True)
class Tokens:
    """Token counts as the neutral model has them: totals that include everything, and parts of them; None: not said."""

    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    reasoning: int | None = None


TOKENS = Tokens(input=1200, cached=1000, written=100, output=50, reasoning=20)
TOTALS = Tokens(input=7, output=2)
"""Of a provider that tells nothing but totals."""


@attrs.frozen
class Call:
    """A call of a tool; its id says nothing to those who compare."""

    name: str
    arguments: Json
    id: str = attrs.field(default="", eq=False)


PARIS = Call(TOOL, {"city": "Paris"})
ROME = Call(TOOL, {"city": "Rome", "days": 12345678901234567890})


@attrs.frozen(kw_only=True)
class Turn:
    """An answer of a model, as its provider is to say it. Reasoning is sealed."""

    text: str = ""
    reasoning: str = ""
    hides: bool = False
    """There was reasoning, of which nothing is shown but its seal."""
    refusal: str = ""
    calls: Sequence[Call] = attrs.field(default=(), converter=tuple)
    is_cut: bool = False
    """It has reached the limit of its length."""
    tokens: Tokens | None = TOKENS
    """None: nobody counts, which Anthropic always does."""


@attrs.frozen(kw_only=True)
class Said:
    """An answer as a client has read it."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: Sequence[Call] = attrs.field(default=(), converter=tuple)
    finish: str = ""
    """The dialect's own word."""
    tokens: Tokens | None = None
    echo: Any = attrs.field(default=None, eq=False)
    """What the client puts into its next request for it."""


@attrs.frozen
class Result:
    """What a tool has said to a call."""

    call: Call
    text: str


@attrs.frozen
class Reminder:
    """What whoever made the client says in the middle of a conversation."""

    text: str


Step: TypeAlias = Said | Sequence[Result] | Reminder | str
"""How a conversation goes on: an answer, results of its calls, words of the user."""


@attrs.frozen(kw_only=True)
class Ask:
    """How a conversation begins, and what is wanted of every answer in it."""

    text: str = ASKED
    picture: str = ""
    """Base64 of a PNG."""
    system: str = ""
    tools: bool = False
    """The weather is offered."""
    schema: Json | None = None
    """Of the answer."""
    thinks: bool = False
    """Reasoning is wanted, and shown."""


@attrs.frozen(kw_only=True)
class Heard:
    """A request as its provider reads it."""

    model: str
    stream: bool = False
    system: str = ""
    texts: Sequence[tuple[str, str]] = attrs.field(default=(), converter=tuple)
    """Role, `user` or `assistant`, and text."""
    tools: Json = attrs.field(factory=dict)
    """Schemas by name."""
    calls: Sequence[Call] = attrs.field(default=(), converter=tuple)
    results: Sequence[tuple[Call | None, str]] = attrs.field(default=(), converter=tuple)
    """Each with its call, found by the id."""
    pictures: Sequence[tuple[str, str]] = attrs.field(default=(), converter=tuple)
    """Media type and base64."""
    schema: Json | None = None
    thinks: bool = False
    seals: Sequence[str] = attrs.field(default=(), converter=tuple)


class Speaker(Protocol):
    """A client of one dialect."""

    @property
    def dialect(self) -> str:
        """The dialect's name; a second way to speak it has a name of its own."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """With its key."""
        ...

    @property
    def words(self) -> Mapping[str, str]:
        """What the dialect calls the ends `stop`, `length`, `calls`, `refusal` and `filter`."""
        ...

    @property
    def keepalive(self) -> bytes:
        """What it gets while nothing is said."""
        ...

    def path(self, *, stream: bool) -> str:
        """Where it asks the model `m`."""
        ...

    def body(self, ask: Ask, *steps: Step, stream: bool = False) -> dict[str, Any]:
        """What it asks."""
        ...

    def echo(self, turn: Turn) -> Any:
        """What it would echo for an answer that it got whole; without its reasoning."""
        ...

    def read(self, body: bytes) -> Said:
        """A whole answer."""
        ...

    def read_stream(self, body: bytes) -> Said:
        """A stream that is complete: it is asserted to end as such."""
        ...

    def events(self, body: bytes) -> list[Any]:
        """The objects of a stream."""
        ...

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        """Status and the word that says most of an error; its form is asserted."""
        ...

    def broken(self, body: bytes) -> str:
        """The word of the error that a stream ends with; asserted is that nothing in it says that it is complete."""
        ...


class Provider(Protocol):
    """A provider of one dialect."""

    @property
    def dialect(self) -> str:
        """The dialect's name."""
        ...

    @property
    def model(self) -> str:
        """The model's name there."""
        ...

    @property
    def quirks(self) -> str:
        """TOML of the quirks that it is configured with."""
        ...

    @property
    def seal(self) -> str:
        """What its reasoning is sealed with."""
        ...

    def whole(self, turn: Turn) -> dict[str, Any]:
        """The answer at once."""
        ...

    def frames(self, turn: Turn) -> list[bytes]:
        """The answer as a stream, an item for each event."""
        ...

    def is_content(self, frame: bytes) -> bool:
        """Whether an event holds something of the answer itself."""
        ...

    def is_finish(self, frame: bytes) -> bool:
        """Whether an event says how the answer ended."""
        ...

    def refusal(self, status: int) -> dict[str, Any]:
        """The error body with which it answers a request with this status: 400, 401, 404, 429, 500 or 503."""
        ...

    def failure(self, status: int) -> bytes:
        """The event that says in a stream what that status says: 429 or 500."""
        ...

    def hear(self, path: str, body: Json) -> Heard:
        """A request as it reads it."""
        ...
