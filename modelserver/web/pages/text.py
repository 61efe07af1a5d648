"""A text in both languages of the pages."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

Language: TypeAlias = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
TAGS: Final = {"zh": "zh-CN", "en": "en"}
"""What `lang` and `Content-Language` say."""
NAMES: Final = {"zh": "中文", "en": "English"}


@attrs.frozen(slots=True)
class Text:
    """The same in English and in Chinese."""

    en: str
    zh: str

    def within(self, language: Language) -> str:
        """The text in a language."""
        return self.zh if language == "zh" else self.en
