"""The dialects, in one literal: a fifth one is a package of its own and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.dialects.anthropic import CODEC as ANTHROPIC
from modelserver.dialects.codec import Codec
from modelserver.dialects.gemini import CODEC as GEMINI
from modelserver.dialects.openai_chat import CODEC as CHAT
from modelserver.dialects.openai_responses import CODEC as RESPONSES
from modelserver.ir.parts import DialectName

CODECS: Final[Mapping[DialectName, Codec]] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
}
