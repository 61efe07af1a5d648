"""Configuration: what `models.toml`, `keys.toml` and `.env` say, checked and resolved."""

from __future__ import annotations

from modelserver.config.addresses import is_loopback, parse_listen
from modelserver.config.lines import locate
from modelserver.config.load import load_config, parse_config
from modelserver.config.reading import ConfigError, Problem, parse_duration, parse_size
from modelserver.config.types import (
    FEATURES,
    MODALITIES,
    MODEL_TYPES,
    OLD_MODEL_TYPES,
    CallSettings,
    Config,
    Group,
    Key,
    Limits,
    Model,
    Pricing,
    Provider,
    Quirks,
    Secret,
    Server,
    StreamUsage,
    Timeouts,
    UpstreamAuth,
    User,
)

__all__ = [
    "FEATURES",
    "MODALITIES",
    "MODEL_TYPES",
    "OLD_MODEL_TYPES",
    "CallSettings",
    "Config",
    "ConfigError",
    "Group",
    "Key",
    "Limits",
    "Model",
    "Pricing",
    "Problem",
    "Provider",
    "Quirks",
    "Secret",
    "Server",
    "StreamUsage",
    "Timeouts",
    "UpstreamAuth",
    "User",
    "is_loopback",
    "load_config",
    "locate",
    "parse_config",
    "parse_duration",
    "parse_listen",
    "parse_size",
]
