"""Who may call: keys, users and groups, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import attrs

from modelserver.config import Config, Group, Key, Limits, Model, User
from modelserver.policy.access import ModelRule


@attrs.frozen(kw_only=True, slots=True)
class Scope:
    """A thing that has limits: a key, a user or a group."""

    kind: str
    name: str
    limits: Limits


@attrs.frozen(kw_only=True, slots=True)
class Principal:
    """A caller. Lists of models and limits only ever narrow: group, then user, then key."""

    key: str | None
    """Name of its key; None without one."""
    user: str
    group: str
    rules: tuple[ModelRule, ...] = ()
    scopes: tuple[Scope, ...] = ()
    """Only those that have a limit."""
    expires: date | None = None

    def allows(self, model_id: str, model: Model) -> bool:
        """Whether it may call the model; `model_id` is the concrete id where the entry is a pattern."""
        return all(rule.allows(model_id, model.tags) for rule in self.rules)


LOCAL: Final = Principal(key=None, user="local", group="default")
"""The unlimited caller: in-process calls, and anyone under `open`."""


class Directory:
    """Every principal of one configuration, found by the digest of its key."""

    def __init__(self, config: Config) -> None:
        self._config = config
        rules: dict[tuple[str, ...], ModelRule] = {}
        self._rules = rules
        self._by_digest: Mapping[str, Principal] = {key.hash: self._principal(key) for key in config.keys}
        self.anonymous = self._member(None, config.users["default"])
        """Who calls without a key: may look at lists only."""

    def find(self, digest: str) -> Principal | None:
        """The principal of the key with this SHA-256 (lower-case hexadecimal), expired or not."""
        return self._by_digest.get(digest)

    def __len__(self) -> int:
        return len(self._by_digest)

    def _principal(self, key: Key) -> Principal:
        return self._member(key, self._config.users[key.user])

    def _member(self, key: Key | None, user: User) -> Principal:
        group = self._config.groups[user.group]
        holders: tuple[tuple[str, Group | User | Key], ...] = (("group", group), ("user", user))
        if key is not None:
            holders += (("key", key),)
        return Principal(
            key=None if key is None else key.name,
            user=user.name,
            group=group.name,
            rules=tuple(self._rule(holder.models) for _, holder in holders if holder.models is not None),
            scopes=tuple(
                Scope(kind=kind, name=holder.name, limits=holder.limits)
                for kind, holder in holders
                if holder.limits != Limits()
            ),
            expires=None if key is None else key.expires,
        )

    def _rule(self, patterns: tuple[str, ...]) -> ModelRule:
        rule = self._rules.get(patterns)
        if rule is None:
            rule = self._rules[patterns] = ModelRule(patterns)
        return rule
