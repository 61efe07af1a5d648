"""Clients of each dialect."""

from __future__ import annotations

from tests.support.speakers.anthropic import ANTHROPIC
from tests.support.speakers.chat import CHAT
from tests.support.speakers.gemini import GEMINI, GEMINI_ARRAY
from tests.support.speakers.responses import RESPONSES

__all__ = ["ALL_SPEAKERS", "ANTHROPIC", "CHAT", "GEMINI", "GEMINI_ARRAY", "RESPONSES", "SPEAKERS"]

SPEAKERS = (CHAT, RESPONSES, ANTHROPIC, GEMINI)
ALL_SPEAKERS = (*SPEAKERS, GEMINI_ARRAY)
"""With the second form of a stream that Gemini has."""
