"""The one catalogue of what the pages say, both languages side by side.

`code` is written between back-ticks, **strong** between stars, and links as `[text](#target)`; `{name}` is a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.web.pages.text import Text
from modelserver.web.pages.words_chat import CHAT
from modelserver.web.pages.words_reference import REFERENCE
from modelserver.web.pages.words_start import START

MESSAGES: Final[Mapping[str, Text]] = {**START, **CHAT, **REFERENCE}
