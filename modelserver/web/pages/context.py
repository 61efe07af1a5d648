"""What a page is made of: the facts of the running server, and its words in the reader's language."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import attrs

from modelserver.config.types import Model
from modelserver.version import __version__
from modelserver.web.markup import Html, prose
from modelserver.web.pages.code import code_block
from modelserver.web.pages.messages import MESSAGES
from modelserver.web.pages.samples import SAMPLES
from modelserver.web.pages.text import Language

PLACEHOLDER: Final = "MODEL_ID"
"""Stands in examples where no model can be called."""
_SLOT: Final = re.compile("«([a-z_.]+)»")


@attrs.frozen(kw_only=True)
class Facts:
    """What the page shows of a configuration."""

    models: tuple[Model, ...] = ()
    """None where the catalogue is not public."""
    catalogue: str = "public"
    model: str | None = None
    """One that can be called now, for the examples."""
    eyes: str | None = None
    """One that takes images."""


@attrs.frozen(kw_only=True)
class Context:
    """Everything that one rendering depends on."""

    facts: Facts
    language: Language
    root: str
    """The server's address, without a trailing slash and without a version."""
    here: str = ""
    """What relative links begin with: nothing, or the last part of the prefix where the address lacks its slash."""
    today: date
    draining: bool = False
    style: str = "page.css"
    script: str = "page.js"
    icon: str = "icon.svg"

    @property
    def version(self) -> str:
        """Of the running server."""
        return __version__

    @property
    def example_model(self) -> str:
        """The model of the examples, or what stands for one."""
        return self.facts.model or PLACEHOLDER

    def t(self, key: str) -> str:
        """A message as plain text."""
        return MESSAGES[key].within(self.language)

    def p(self, key: str, **values: str) -> Html:
        """A message with its code and links as markup; the values are text."""
        return prose(self.t(key), **values)

    def sample(self, name: str, language: str, *, label: str | None = None) -> Html:
        """An example as a block of code."""
        return code_block(_SLOT.sub(self._slot, SAMPLES[name]), language, label=label)

    def _slot(self, found: re.Match[str]) -> str:
        match found[1]:
            case "root":
                return self.root
            case "model":
                return self.example_model
            case "eyes":
                return self.facts.eyes or self.example_model
            case "version":
                return self.version
            case key:
                return self.t(key)
