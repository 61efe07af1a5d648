"""What `models.toml` and `keys.toml` say, as frozen values: checked, resolved and in our units."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Secret:
    """A value that never prints; `reveal()` is called where a header is built and nowhere else."""

    _value: str = attrs.field(repr=False)

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __str__(self) -> str:
        return "Secret(…)"


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait on an upstream; all in seconds."""

    connect_s: float = 10.0
    first_s: float = 180.0
    """Until the first byte of a streamed answer."""
    whole_s: float = 900.0
    """Until the first byte of an answer that is not streamed."""
    idle_s: float = 300.0
    """Longest silence between two chunks once the answer has begun."""
    total_s: float = 1800.0
    """The whole call, waiting in line, retries and all."""


class StreamUsage(enum.Enum):
    """How an upstream is brought to report usage in a stream."""

    OPTION = "option"
    """By `stream_options.include_usage`."""
    ALWAYS = "always"
    """It does so by itself and refuses or ignores the option."""
    NEVER = "never"
    """Not at all: usage is estimated."""


class UpstreamAuth(enum.Enum):
    """The header that carries our key to an upstream."""

    BEARER = "bearer"
    API_KEY = "api-key"
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    NONE = "none"


@attrs.frozen(kw_only=True)
class Quirks:
    """How a provider that speaks a dialect deviates from it."""

    stream_usage: StreamUsage = StreamUsage.OPTION
    auth: UpstreamAuth = UpstreamAuth.BEARER
    path: str = "/chat/completions"
    """Path of chat completions below `base_url`; `{model}` in it stands for the upstream's model name."""
    query: Mapping[str, str] = attrs.field(factory=dict)
    """Query parameters of every call (`api-version`)."""
    dialect: Mapping[str, Any] = attrs.field(factory=dict)
    """All other quirks by name, for the encoder of the dialect; what is absent has its default."""


@attrs.frozen(kw_only=True)
class CallSettings:
    """What `[defaults]`, a provider and a model may each set; the most specific one wins, key by key."""

    timeouts: Timeouts = Timeouts()
    retries: int = 2
    keepalive_s: float = 15.0
    """Silence on a begun stream after which the client gets a comment."""
    early_commit_s: float | None = None
    """Silence before the first byte after which a stream is begun anyway; None: never."""
    proxy: Secret | None = None
    """URL of an HTTP proxy for this provider; it may hold credentials."""
    quirks: Quirks = Quirks()
    refuse_losses: bool = False
    """`unsupported = "refuse"`: what the upstream's dialect can't say is a 400 instead of being dropped."""
    fetch_urls: str = "inline"
    """`inline`, `forward` or `refuse`: media by URL for an upstream that takes it only in the request itself."""


@attrs.frozen(kw_only=True)
class Provider:
    """A place that answers calls."""

    name: str
    mock: bool = False
    """Answered in process, without network."""
    base_url: str = ""
    """Absolute, version included, no trailing slash; "" only for the mock."""
    speaks: tuple[str, ...] = ("chat",)
    key: Secret | None = None
    missing_key: str | None = None
    """The environment variable that `key` names and that is not set: the provider can't be called."""
    headers: Mapping[str, Secret] = attrs.field(factory=dict)
    concurrency: int | None = None
    queue: int | None = None
    """Calls that may wait for a place when `concurrency` is reached; None: any number."""
    settings: CallSettings = CallSettings()


@attrs.frozen(kw_only=True)
class Pricing:
    """Prices in micro-dollars per million tokens (1.25 dollars is 1_250_000); None means unknown."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


MODEL_TYPES = ("llm", "image_generation", "video", "tts", "stt", "embedding", "rerank")
OLD_MODEL_TYPES = {"t2t": "llm", "t2i": "image_generation", "t2v": "video", "reranking": "rerank"}
FEATURES = ("thinking", "tools", "function_calling", "web", "deepsearch", "long_context", "structured_outputs")
MODALITIES = ("text", "image", "audio", "video", "pdf")


@attrs.frozen(kw_only=True)
class Model:
    """A `[[models]]` entry: what clients ask for."""

    model_id: str
    """May end in `/*`: then it is a pattern and `target` ends in `*` too."""
    provider: str
    target: str
    """The name that the provider knows the model by."""
    desc: str | None = None
    owned_by: str | None = None
    created: date | None = None
    type: str = "llm"
    features: tuple[str, ...] = ()
    input_modalities: tuple[str, ...] = ()
    max_output: int | None = None
    context_length: int | None = None
    pricing: Pricing | None = None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    params: Mapping[str, Any] = attrs.field(factory=dict)
    """Top-level request fields sent where the client sent none."""
    speaks: tuple[str, ...] = ("chat",)
    retires: date | None = None
    card: Mapping[str, Any] = attrs.field(factory=dict)
    """Fields of the model card that the file states; they win over the shipped card."""
    settings: CallSettings = CallSettings()

    @property
    def is_pattern(self) -> bool:
        """Whether the entry stands for whatever its provider has."""
        return self.model_id.endswith("*")


@attrs.frozen(kw_only=True)
class Limits:
    """Rates of a key, a user or a group; None means unlimited."""

    rpm: int | None = None
    concurrency: int | None = None


@attrs.frozen(kw_only=True)
class Group:
    """A set of users."""

    name: str
    models: tuple[str, ...] | None = None
    """Globs over ids, `tag:x`, and `!` to exclude; None: every model."""
    limits: Limits = Limits()


@attrs.frozen(kw_only=True)
class User:
    """A person or program; owns keys."""

    name: str
    group: str = "default"
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()


@attrs.frozen(kw_only=True)
class Key:
    """A credential, known by the digest of its text."""

    name: str
    hash: str
    """Lower-case hexadecimal SHA-256 of the key."""
    user: str = "default"
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    expires: date | None = None
    """The last day, in UTC, on which the key works."""


@attrs.frozen(kw_only=True)
class Server:
    """The `[server]` table; durations in seconds, sizes in bytes."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 8400
    keys: str = "keys.toml"
    open: bool = False
    catalogue: str = "public"
    """`public`, `keys` or `off`."""
    cors: tuple[str, ...] = ()
    drain_s: float = 60.0
    drain_delay_s: float = 0.0
    max_body_bytes: int = 32_000_000
    max_connections: int = 10_000
    secret: Secret | None = None
    log: str | None = None
    """`text` or `json`; None: text on a terminal, JSON otherwise."""
    env_file: str = ".env"
    public_url: str | None = None
    """No trailing slash."""


@attrs.frozen(kw_only=True)
class Config:
    """One immutable reading of the files. Every reference in it (provider, user, group) resolves."""

    server: Server = Server()
    providers: Mapping[str, Provider] = attrs.field(factory=dict)
    models: tuple[Model, ...] = ()
    groups: Mapping[str, Group] = attrs.field(factory=dict)
    """Always holds `default`."""
    users: Mapping[str, User] = attrs.field(factory=dict)
    """Always holds `default`."""
    keys: tuple[Key, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is no fault but worth saying at start: unset provider keys, an ignored base URL."""
    path: Path | None = None
    """The `models.toml` that was read; None for one made in memory."""
    watched: tuple[Path, ...] = ()
    """The files whose change makes this reading old, present or not."""
