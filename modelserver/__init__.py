"""A lightweight, OpenAI-compatible gateway in front of model providers.

from modelserver import Gateway, create_app, load_config, serve
"""

from __future__ import annotations

from modelserver.config import Config, ConfigError, load_config, parse_config
from modelserver.errors import GatewayError
from modelserver.gateway.gateway import Gateway
from modelserver.policy.principals import LOCAL, Principal
from modelserver.version import __version__
from modelserver.web.app import create_app
from modelserver.web.server import serve

__all__ = [
    "LOCAL",
    "Config",
    "ConfigError",
    "Gateway",
    "GatewayError",
    "Principal",
    "__version__",
    "create_app",
    "load_config",
    "parse_config",
    "serve",
]
