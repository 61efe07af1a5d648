"""Providers of each dialect."""

from __future__ import annotations

from tests.support.providers.anthropic import ANTHROPIC
from tests.support.providers.chat import CHAT
from tests.support.providers.gemini import GEMINI
from tests.support.providers.responses import RESPONSES

__all__ = ["ANTHROPIC", "CHAT", "GEMINI", "PROVIDERS", "RESPONSES"]

PROVIDERS = (CHAT, RESPONSES, ANTHROPIC, GEMINI)
