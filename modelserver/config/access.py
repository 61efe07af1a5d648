"""Reading `[groups.x]`, `[users.x]` and `[[keys]]`, and the lists of models in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from modelserver.config.lines import join_path
from modelserver.config.reading import Table, given, shown
from modelserver.config.types import Group, Key, Limits, Model, User

DEFAULT = "default"
GROUP_LATER = frozenset({"admin", "budget"})
USER_LATER = frozenset({"budget"})
KEY_LATER = frozenset({"budget"})
LIMITS_LATER = frozenset({"tpm"})

_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_WILDCARD = re.compile(r"[*?]")
_MAX_GLOBS = 1_000
"""Globs that are tried against the ids; more of them are believed, so that start-up stays fast."""


class ModelNames:
    """What the entries of a list of models can mean: ids, aliases, tags and patterns."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._ids = dict.fromkeys(model.model_id for model in models)
        self._id_by_alias = {alias: model.model_id for model in models for alias in model.aliases}
        self._tags = {tag for model in models for tag in model.tags}
        self._prefixes = tuple(model.model_id[:-1] for model in models if model.is_pattern)
        self._names = {**self._ids, **dict.fromkeys(self._id_by_alias)}
        self._all_ids = "\n".join(self._ids)
        self._globs: dict[str, bool] = {}

    def read(self, table: Table, key: str = "models") -> tuple[str, ...] | None:
        """A list of models, aliases replaced by their ids; a name that means nothing is a fault, a glob a warning."""
        entries = table.words(key)
        if entries is None:
            return None
        return tuple(dict.fromkeys(self._entry(table, key, entry) for entry in entries))

    def _entry(self, table: Table, key: str, entry: str) -> str:
        sign, name = ("!", entry[1:]) if entry.startswith("!") else ("", entry)
        if not name or name == "tag:":
            table.fault_item(key, entry, f"{shown(entry)} names nothing")
        elif name.startswith("tag:"):
            if name[4:] not in self._tags:
                table.warn(key, f"no model has the tag of {shown(entry)}")
        elif _WILDCARD.search(name):
            if not self._matches(name):
                table.warn(key, f"{shown(entry)} matches no model")
        elif name in self._id_by_alias and name not in self._ids:
            return sign + self._id_by_alias[name]
        elif name not in self._ids and not name.startswith(self._prefixes):
            table.fault_item(key, entry, f"there is no model {shown(name)}{table.report.hint(name, self._names)}")
        return entry

    def _matches(self, glob: str) -> bool:
        if glob not in self._globs:
            if len(self._globs) >= _MAX_GLOBS:
                return True
            self._globs[glob] = self._search(glob)
        return self._globs[glob]

    def _search(self, glob: str) -> bool:
        """Whether an id matches, or an id that a pattern stands for may."""
        literal = _WILDCARD.split(glob, maxsplit=1)[0]
        if any(prefix.startswith(literal) or literal.startswith(prefix) for prefix in self._prefixes):
            return True
        # Runs of * mean what one does, and would make the search slow.
        parts = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", glob))
        return re.search(f"^{'.*'.join(parts)}$", self._all_ids, re.MULTILINE) is not None


def read_groups(tables: Mapping[str, Table], names: ModelNames) -> dict[str, Group]:
    """Groups by name, `default` among them."""
    groups: dict[str, Group] = {}
    for name, table in tables.items():
        _check_name(table, name)
        groups[name] = Group(name=name, models=names.read(table), limits=_read_limits(table))
        table.close(GROUP_LATER)
    groups.setdefault(DEFAULT, Group(name=DEFAULT))
    return groups


def read_users(tables: Mapping[str, Table], groups: Collection[str], names: ModelNames) -> dict[str, User]:
    """Users by name, `default` among them."""
    users: dict[str, User] = {}
    for name, table in tables.items():
        _check_name(table, name)
        group = _read_reference(table, "group", groups)
        users[name] = User(name=name, group=group, models=names.read(table), limits=_read_limits(table))
        table.close(USER_LATER)
    users.setdefault(DEFAULT, User(name=DEFAULT))
    return users


def read_keys(tables: Sequence[Table], users: Collection[str], names: ModelNames) -> tuple[Key, ...]:
    """Keys in the order of their tables, of whichever files; no two have one name or one hash."""
    keys: list[Key] = []
    owners: dict[tuple[str, str], Table] = {}
    for table in tables:
        key = Key(
            name=_needed(table, "name"),
            hash=_read_hash(table),
            user=_read_reference(table, "user", users),
            models=names.read(table),
            limits=_read_limits(table),
            expires=table.day("expires"),
        )
        table.close(KEY_LATER)
        for field, value in (("name", key.name), ("hash", key.hash)):
            owner = owners.setdefault((field, value), table)
            if value and owner is not table:
                table.fault(field, f"is that of {owner.path} in {owner.file} already")
        keys.append(key)
    return tuple(keys)


def _check_name(table: Table, name: str) -> None:
    if not name.strip() or not name.isprintable():
        table.report.fault(table.file, table.path, "a name must hold printable characters")


def _needed(table: Table, key: str) -> str:
    value = table.text(key)
    if value is None and key not in table:
        table.missing(key)
    if value is not None and not value.isprintable():
        table.fault(key, "must hold printable characters")
    return value or ""


def _read_hash(table: Table) -> str:
    text = _needed(table, "hash")
    match = _HASH.fullmatch(text)
    if match is not None:
        return match[1].lower()
    if text:  # never shown: someone may have put the key itself here
        table.fault("hash", 'must be "sha256:" and 64 hexadecimal digits, as key new writes it')
    return ""


def _read_reference(table: Table, key: str, known: Collection[str]) -> str:
    """The name of a user or a group that exists."""
    name = table.text(key)
    if name is None:
        return DEFAULT
    if name not in known:
        hint = table.report.hint(name, known)
        table.fault(key, f"there is no {key} {shown(name)}{hint}; it needs a table [{key}s.{join_path('', name)}]")
    return name


def _read_limits(table: Table) -> Limits:
    limits = table.table("limits")
    if limits is None:
        return _UNLIMITED
    found = Limits(**given(rpm=limits.whole("rpm", least=1), concurrency=limits.whole("concurrency", least=1)))
    limits.close(LIMITS_LATER)
    return found


_UNLIMITED = Limits()
