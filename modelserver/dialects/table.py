"""The dialects, in one literal: a fifth one is a package of its own and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.gemini import GEMINI
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.ir.parts import DialectName

DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
}
