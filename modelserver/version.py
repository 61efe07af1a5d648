"""The version of this program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("modelserver")
    except PackageNotFoundError:  # run from a checkout, not installed
        return "1.1.0"


__version__: Final = _installed()

USER_AGENT: Final = f"modelserver/{__version__}"
