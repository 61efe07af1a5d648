"""Reasoning that a server leaves in the content, between tags."""

from __future__ import annotations

from typing import Final

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
_BEFORE, _INSIDE, _AFTER = range(3)


class ThinkTags:
    """Content in, thoughts and text out: a thought is what stands between tags at the very beginning."""

    def __init__(self) -> None:
        self._state = _BEFORE
        self._held = ""
        self._fresh = False
        """A tag has just come: line ends after it are layout."""

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """What is certain now, in order: whether it is a thought, and the text."""
        pieces: list[tuple[bool, str]] = []
        text = self._held + text
        self._held = ""
        if self._state == _BEFORE:
            begun = text.lstrip()
            if begun.startswith(_OPEN):
                self._state, self._fresh, text = _INSIDE, True, begun[len(_OPEN) :]
            elif _OPEN.startswith(begun):
                self._held = text
                return pieces
            else:
                self._state = _AFTER
        if self._state == _INSIDE:
            thought, closed, rest = text.partition(_CLOSE)
            if not closed:
                keep = _overlap(text)
                thought, self._held = text[: len(text) - keep], text[len(text) - keep :]
            if self._fresh:
                thought = thought.lstrip("\n")
                self._fresh = not thought
            if thought:
                pieces.append((True, thought))
            if not closed:
                return pieces
            self._state, self._fresh, text = _AFTER, True, rest
        if self._fresh:
            text = text.lstrip("\n")
            self._fresh = not text
        if text:
            pieces.append((False, text))
        return pieces

    def close(self) -> list[tuple[bool, str]]:
        """What was held back."""
        held, self._held = self._held, ""
        return [(self._state == _INSIDE, held)] if held else []


def _overlap(text: str) -> int:
    """How many characters at the end may begin the closing tag."""
    return next((length for length in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:length])), 0)
