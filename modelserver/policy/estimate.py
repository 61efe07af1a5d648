"""Token counts where a provider reports none."""

from __future__ import annotations

from typing import Final

from modelserver.ir.types import Usage

_CHARS_PER_TOKEN: Final = 4
"""Rule of thumb for English text (OpenAI help centre, "What are tokens", read 2026-11-23); rough for others."""


def estimate_usage(*, prompt_bytes: int, output_chars: int) -> Usage:
    """Usage counted from sizes: the request body's in bytes, the generated text's in characters."""
    return Usage(input=-(-prompt_bytes // _CHARS_PER_TOKEN), output=-(-output_chars // _CHARS_PER_TOKEN))
