"""Reading the fields of a model card that a `[[models]]` entry states."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from modelserver.config.quirks import read_pattern
from modelserver.config.reading import Table
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.request import EFFORTS

CARD_LATER: Final = frozenset({"max_inline_bytes", "max_images"})

_NAMES: Final = {"stop_max": "stop", "n_max": "n"}
"""What the file calls a field where that is not its name."""
_ELSEWHERE: Final = ("max_output",)
"""Said by a setting that the catalogue shows, too."""
_MAY_BE_ZERO: Final = ("stop_max", "budget_min")
_HINTS: Final = get_type_hints(ModelCard)
_REASONING_HINTS: Final = get_type_hints(ReasoningCard)
_MAX_NUMBER: Final = 100


def read_card(table: Table) -> dict[str, Any]:
    """What a model's table says, by the names of `ModelCard`; `reasoning` is a dict by those of `ReasoningCard`."""
    found = {name: _read(table, name, hint) for name, hint in _HINTS.items() if name not in _ELSEWHERE}
    return {name: value for name, value in found.items() if value is not None}


def _read_reasoning(table: Table | None) -> dict[str, Any] | None:
    if table is None:
        return None
    found = {name: _read(table, name, hint) for name, hint in _REASONING_HINTS.items()}
    table.close()
    return {name: value for name, value in found.items() if value is not None}


def _read(table: Table, name: str, hint: Any) -> Any:
    """The value of a field, read as its type says."""
    key = _NAMES.get(name, name)
    if name == "reasoning":
        return _read_reasoning(table.table(key))
    if name == "efforts":
        efforts = table.words(key, EFFORTS)
        return None if efforts is None else tuple(sorted(efforts, key=EFFORTS.index))
    if name == "hosted":
        families = table.words(key)
        return None if families is None else frozenset(families)
    if name == "id_pattern":
        return read_pattern(table, key)
    if get_origin(hint) is Literal:
        return table.word(key, get_args(hint))
    if hint is bool:
        return table.flag(key)
    if hint is float:
        return table.number(key, most=_MAX_NUMBER)
    return table.whole(key, least=0 if name in _MAY_BE_ZERO else 1)
