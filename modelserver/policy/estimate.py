"""Token counts where a provider reports none."""

from __future__ import annotations

from typing import Final

import attrs

from modelserver.ir.usage import Usage

_CHARS_PER_TOKEN: Final = 4
"""Rule of thumb for English text (OpenAI help centre, "What are tokens", read 2026-11-23); rough for others."""


def estimate_usage(*, prompt_bytes: int, output_chars: int) -> Usage:
    """Usage counted from sizes: the request body's in bytes, the generated text's in characters."""
    return Usage(input=-(-prompt_bytes // _CHARS_PER_TOKEN), output=-(-output_chars // _CHARS_PER_TOKEN))


def completed(usage: Usage | None, *, prompt_bytes: int, output_chars: int) -> tuple[Usage, bool]:
    """The reported usage with each total that is missing counted from sizes, and whether any was."""
    if usage is not None and usage.input is not None and usage.output is not None:
        return usage, False
    counted = estimate_usage(prompt_bytes=prompt_bytes, output_chars=output_chars)
    if usage is None:
        return counted, True
    return attrs.evolve(
        usage,
        input=counted.input if usage.input is None else usage.input,
        output=counted.output if usage.output is None else usage.output,
    ), True
