"""Reading `[providers.x]` tables, and making the providers that need none."""

from __future__ import annotations

import re
from typing import Any

import attrs

from modelserver.config.addresses import is_own_address, parse_base_url, parse_ollama_host
from modelserver.config.presets import MOCK, PRESETS, Preset
from modelserver.config.reading import Table, given, shown
from modelserver.config.settings import SETTINGS_LATER, Layer, merge_layers, read_settings, settings_of
from modelserver.config.types import Provider, Secret, Server, UpstreamAuth

SPEAKS = ("chat", "responses", "anthropic", "gemini")
PROVIDER_LATER = SETTINGS_LATER | {"price"}

# Names of headers that belong to the connection or that the transport sets (RFC 9110, section 7.6.1).
_REFUSED_HEADERS = frozenset(
    {
        "connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_NAME = re.compile(r"[^\s/]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_KEY = re.compile(r"[\x21-\x7e]+")
_NO_PRESET = Preset()


def read_provider(name: str, table: Table, *, defaults: Layer, server: Server) -> tuple[Provider, Layer]:
    """A provider, and its settings as a layer to put those of its models upon."""
    if not _NAME.fullmatch(name) or not name.isprintable():
        table.report.fault(table.file, table.path, "a provider's name must hold no / and no spaces")
    if name == MOCK:
        return _read_mock(table, defaults)
    preset = PRESETS.get(name, _NO_PRESET)
    speaks = read_speaks(table) or preset.speaks
    own = read_settings(table)
    layer = merge_layers(defaults, {"quirks": _preset_quirks(preset, table, speaks)}, own)
    settings = settings_of(layer)
    key, missing_key = _read_key(table, preset, needed=settings.quirks.auth is not UpstreamAuth.NONE)
    provider = Provider(
        name=name,
        base_url=_read_base_url(name, table, _preset_for(preset, speaks), server),
        speaks=speaks,
        key=key,
        missing_key=missing_key,
        headers=_read_headers(table),
        settings=settings,
        **_read_line(table),
    )
    table.close(PROVIDER_LATER)
    if not _is_openai(speaks) and provider.base_url.endswith("/openai"):
        table.fault("base_url", 'is an address for OpenAI\'s dialects: end it before /openai, or set speaks = ["chat"]')
    if missing_key is not None and "key" in table:
        table.warn("key", f"${missing_key} is not set, so its models can't be called")
    return provider, layer


def read_speaks(table: Table) -> tuple[str, ...] | None:
    """The dialects that a table lists, None when it lists none."""
    speaks = table.words("speaks", SPEAKS)
    if speaks == () and table.take("speaks") == []:
        table.fault("speaks", f"must hold at least one of {', '.join(SPEAKS)}")
    return speaks or None


def _read_mock(table: Table, defaults: Layer) -> tuple[Provider, Layer]:
    """The built-in provider: it has settings and a waiting line, but no address."""
    layer = merge_layers(defaults, read_settings(table))
    provider = Provider(name=MOCK, mock=True, settings=settings_of(layer), **_read_line(table))
    for key in ("base_url", "speaks", "key", "headers"):
        if table.take(key) is not None:
            table.fault(key, "has no meaning here: mock is the built-in provider, it answers without network")
    table.close(PROVIDER_LATER)
    return provider, layer


def _read_line(table: Table) -> dict[str, Any]:
    return given(concurrency=table.whole("concurrency", least=1), queue=table.whole("queue"))


def _is_openai(speaks: tuple[str, ...]) -> bool:
    """Whether one of the dialects is OpenAI's, whose paths below a base URL have no version."""
    return "chat" in speaks or "responses" in speaks


def _preset_for(preset: Preset, speaks: tuple[str, ...]) -> Preset:
    """The preset with the address that the dialects want: the paths of the other makers carry their version."""
    if not _is_openai(speaks):
        return attrs.evolve(preset, completes=())
    if _is_openai(preset.speaks) or not preset.base_url:
        return preset
    # The OpenAI-compatible endpoint of a maker with a dialect of its own.
    return attrs.evolve(preset, base_url=preset.base_url + preset.version)


def _preset_quirks(preset: Preset, table: Table, speaks: tuple[str, ...]) -> Layer:
    """What the vendor is known for; a server without authentication gets a key where one is given."""
    if _is_openai(speaks) and not _is_openai(preset.speaks):
        return {}
    if "key" in table and preset.quirks.get("auth") is UpstreamAuth.NONE:
        return {name: value for name, value in preset.quirks.items() if name != "auth"}
    return preset.quirks


def _read_key(table: Table, preset: Preset, *, needed: bool) -> tuple[Secret | None, str | None]:
    """The key, and the variable to set where there is none."""
    if type(table.take("key")) is list:
        table.fault("key", "a list of keys is not supported yet")
        return None, None
    key, unset = table.lookup("key")
    source = "key"
    if "key" not in table and needed and preset.key_names:
        environ = table.report.environ
        source = next((name for name in preset.key_names if environ.get(name)), preset.key_names[0])
        value = environ.get(source, "")
        key, unset = (Secret(value), None) if value else (None, source)
    if key is not None and not _KEY.fullmatch(key.reveal()):
        origin = "" if source == "key" else f"${source} "
        table.fault("key", f"{origin}must hold visible ASCII characters only: no spaces, no line ends")
    return key, unset


def _read_base_url(name: str, table: Table, preset: Preset, server: Server) -> str:
    text = table.text("base_url")
    if "base_url" in table:
        return "" if text is None else _parsed_base_url(table, text, preset) or ""
    from_environment = _environment_base_url(table, preset, server)
    if from_environment is not None:
        return from_environment
    if not preset.base_url:
        table.missing("base_url", f"base_url is missing; no address is known for provider {shown(name)}")
    return preset.base_url


def _environment_base_url(table: Table, preset: Preset, server: Server) -> str | None:
    """The address of the preset's variable; None when that is not set or would lead back to this server."""
    text = table.report.environ.get(preset.url_name, "").strip() if preset.url_name else ""
    if not text:
        return None
    source = f"${preset.url_name} "
    url = _parsed_base_url(table, text, preset, source=source)
    if url is not None and is_own_address(
        url, host=server.listen_host, port=server.listen_port, public_url=server.public_url
    ):
        table.warn("base_url", f"{source}is this server's own address and is ignored")
        return None
    return url


def _parsed_base_url(table: Table, text: str, preset: Preset, *, source: str = "") -> str | None:
    try:
        if source and preset.url_may_be_host:
            return parse_ollama_host(text)
        return parse_base_url(text, known=preset.base_url, version=preset.version, completes=preset.completes)
    except ValueError as refusal:
        table.fault("base_url", f"{source}{refusal}")
        return None


def _read_headers(table: Table) -> dict[str, Secret]:
    """Headers by lower-case name."""
    headers = table.table("headers")
    found: dict[str, Secret] = {}
    if headers is None:
        return found
    for name in headers:
        value = headers.secret(name)
        lower = name.lower()
        if not _TOKEN.fullmatch(name):
            headers.fault(name, "is no name of a header")
        elif lower in _REFUSED_HEADERS:
            headers.fault(name, "can't be set: it belongs to the connection")
        elif lower in found:
            headers.fault(name, f"{lower} is in the table already")
        elif value is not None:
            if not _FIELD_VALUE.fullmatch(value.reveal()):
                headers.fault(name, "holds characters that a header can't carry: line ends, controls or beyond Latin-1")
            found[lower] = value
    return found
