"""One reading of the configuration, compiled: what a call looks at, never changed, replaced as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import attrs
import orjson

from modelserver.catalog.cards import card_for
from modelserver.catalog.catalog import Catalog, Offer, close_matches
from modelserver.catalog.query import CatalogueView
from modelserver.config import CallSettings, Config, Model, Provider
from modelserver.dialects.table import DIALECTS
from modelserver.errors import NotFound, Unavailable, Unsupported
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import DialectName
from modelserver.policy.principals import Directory, Principal
from modelserver.policy.redaction import Redactor
from modelserver.policy.seals import account_tag
from modelserver.upstream.credentials import EVENT_STREAM, JSON, upstream_headers

T = TypeVar("T")

_MEMO_SIZE: Final = 128
_VERSION: Final = re.compile(r"(/v[0-9]+[a-z0-9]*)/")


@attrs.frozen(kw_only=True, slots=True)
class Route:
    """Where a model's calls go, ready to dispatch."""

    provider: Provider
    target: str
    settings: CallSettings
    json_url: str
    stream_url: str
    params: Mapping[str, bytes]
    """Request fields sent where the client sent none, as JSON text."""
    json_headers: Mapping[str, str]
    stream_headers: Mapping[str, str]
    dialect: DialectName
    """Spoken to the upstream."""
    card: ModelCard
    account: str
    """A keyed hash of the provider's credential: whose seals the upstream can read."""

    def url_of(self, path: str, query: Mapping[str, str]) -> str:
        """The address of a path of the upstream's dialect; where the path has a version, that of the base gives way."""
        return _joined(without_version(self.provider.base_url, path), path, {**query, **self.settings.quirks.query})


class Snapshot:
    """The configuration with everything that is derived from it."""

    def __init__(self, config: Config, *, user_agent: str, key: bytes) -> None:
        self.config = config
        self.key = key
        """The installation's secret."""
        self.catalog = Catalog(config.models)
        self.directory = Directory(config)
        self.redactor = Redactor(*_sensitive(config))
        self.user_agent = user_agent
        self._routes: dict[tuple[str, str, DialectName | None, bool], Route] = {}
        self._view = CatalogueView(config.models)
        self._memo: dict[Hashable, Any] = {}

    def offer(self, name: str, principal: Principal) -> Offer:
        """The model that a caller means.

        Raises:
            NotFound: `model_not_found`; what the caller may not use is answered exactly like what does not exist.
        """
        offer = self.catalog.find(name)
        if offer is None or not self.may_call(principal, offer):
            raise self.unknown_model(name, principal)
        return offer

    def unknown_model(self, name: str, principal: Principal) -> NotFound:
        """The error for a name that this caller can't call; names near misses that it can."""
        offers = map(self.catalog.find, self.catalog.neighbours(name))
        usable = (offer.name for offer in offers if offer is not None and self.may_call(principal, offer))
        near = close_matches(name, usable)
        hint = f" Did you mean {' or '.join(near)}?" if near else " GET /v1/models lists the models."
        shown = name if len(name) <= 100 else f"{name[:100]}…"
        return NotFound(f"The model {shown!r} does not exist here.{hint}", param="model", code="model_not_found")

    @staticmethod
    def may_call(principal: Principal, offer: Offer) -> bool:
        """Whether the caller's lists of models allow it."""
        return principal.allows(offer.root, offer.model)

    def view(self, principal: Principal | None = None) -> CatalogueView:
        """The rich catalogue, narrowed to what a caller may call; whole for None."""
        if principal is None or not principal.rules:
            return self._view
        return self.memo(
            ("view", principal.rules),
            lambda: self._view.narrowed(lambda model: principal.allows(model.model_id, model)),
        )

    def offers(self, principal: Principal, lists: Mapping[str, Sequence[str]]) -> Mapping[str, Offer]:
        """What the caller can call now, by name; `lists` has the names that providers listed, by pattern."""
        return self.memo(
            ("offers", principal.rules, tuple(lists.items())),
            lambda: {
                offer.name: offer
                for offer in self.catalog.listed(lists)
                if self.is_callable(offer.model) and self.may_call(principal, offer)
            },
        )

    def memo(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes, kept under a key for as long as the snapshot lives; the oldest of too many goes."""
        if key in self._memo:
            kept: T = self._memo[key]
            return kept
        if len(self._memo) >= _MEMO_SIZE:
            del self._memo[next(iter(self._memo))]
        made = self._memo[key] = make()
        return made

    def is_callable(self, model: Model) -> bool:
        """Whether a call of the model can be tried now."""
        provider = self.config.providers[model.provider]
        return model.type == "llm" and provider.missing_key is None

    @staticmethod
    def card(offer: Offer) -> ModelCard:
        """What the model can do, by the first dialect that it speaks."""
        return _card(offer.model, offer.target, spoken(offer.model, None))

    def route(self, offer: Offer, client: DialectName | None, *, counting: bool = False) -> Route:
        """Where the model's calls go, for a client of a dialect (None: of none); with `counting`, its token counts.

        Raises:
            Unsupported: The model is not one for generating text.
            Unavailable: `no_provider_key`, names the environment variable that is missing.
        """
        key = (offer.model.model_id, offer.target, client, counting)
        route = self._routes.get(key)
        if route is None:
            dialect = counting_dialect(offer.model, client) if counting else spoken(offer.model, client)
            route = self._make_route(offer, dialect)
            if not offer.model.is_pattern:  # the names that a pattern matches have no bound
                self._routes[key] = route
        return route

    def _make_route(self, offer: Offer, dialect: DialectName) -> Route:
        model = offer.model
        if model.type != "llm":
            raise Unsupported(
                f"{offer.name} is a model of type {model.type}; this server does not serve that type yet.",
                param="model",
            )
        provider = self.config.providers[model.provider]
        if provider.missing_key is not None:
            raise Unavailable(
                f"{offer.name} needs a key of {provider.name}: set the environment variable {provider.missing_key}.",
                code="no_provider_key",
                retry_after_s=60,
            )
        urls = [_url(model, provider, offer.target, dialect, stream) for stream in (False, True)]
        json_headers, stream_headers = (
            self._headers(provider, dialect, accept=accept) for accept in (JSON, EVENT_STREAM)
        )
        return Route(
            provider=provider,
            target=offer.target,
            settings=model.settings,
            json_url=urls[0],
            stream_url=urls[1],
            params={name: orjson.dumps(value) for name, value in model.params.items()},
            json_headers=json_headers,
            stream_headers=stream_headers,
            dialect=dialect,
            card=_card(model, offer.target, dialect),
            account=account_tag("" if provider.key is None else provider.key.reveal(), self.key),
        )

    def _headers(self, provider: Provider, dialect: DialectName, *, accept: str) -> dict[str, str]:
        headers = upstream_headers(provider, user_agent=self.user_agent, accept=accept)
        configured = {name.lower() for name in headers}
        own = DIALECTS[dialect].headers
        return headers | {name: value for name, value in own.items() if name not in configured}


def _url(model: Model, provider: Provider, target: str, dialect: DialectName, stream: bool) -> str:
    quirks = model.settings.quirks
    path, query = DIALECTS[dialect].place(target, stream)
    base = without_version(provider.base_url, path)
    if dialect == "chat":
        path = quirks.path.replace("{model}", quote(target, safe=""))
    return _joined(base, path, {**query, **quirks.query})


def _joined(base: str, path: str, query: Mapping[str, str]) -> str:
    return f"{base}{path}?{urlencode(query)}" if query else f"{base}{path}"


def without_version(base_url: str, path: str) -> str:
    """The base of a path that carries its own version.

    OpenAI's dialects want the version in the base, and get `/v1` where none was written (at Google `/v1beta/openai`):
    another dialect of the same provider does without it.
    """
    version = _VERSION.match(path)
    if version is None:
        return base_url
    return re.sub(rf"(?:/v1|{version.group(1)})(?:/openai)?\Z", "", base_url)


def spoken(model: Model, client: DialectName | None) -> DialectName:
    """The dialect of a client's dispatch: its own where the model speaks it, else the first listed."""
    wanted = client if client in model.speaks else model.speaks[0]
    return next(name for name in DIALECTS if name == wanted)


def counting_dialect(model: Model, client: DialectName | None) -> DialectName:
    """The dialect in which tokens are counted: the first that can, the client's own before others."""
    able = [name for name in DIALECTS if name in model.speaks and DIALECTS[name].counter is not None]
    own = spoken(model, client)
    return own if own in able or not able else able[0]


def _card(model: Model, target: str, dialect: DialectName) -> ModelCard:
    stated = dict(model.card)
    if model.max_output is not None:
        stated.setdefault("max_output", model.max_output)
    return card_for(target, dialect, stated)


def _sensitive(config: Config) -> tuple[list[str], list[str]]:
    """Secrets and hosts of the configuration."""
    secrets: list[str] = []
    hosts: list[str] = []
    for provider in config.providers.values():
        held = [provider.key, provider.settings.proxy, *provider.headers.values()]
        secrets += [secret.reveal() for secret in held if secret is not None]
        if provider.base_url:
            parts = urlsplit(provider.base_url)
            hosts += [parts.netloc, parts.hostname or ""]
    if config.server.secret is not None:
        secrets.append(config.server.secret.reveal())
    return secrets, hosts
