"""Providers: presets, keys and addresses from the environment."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import pytest

from modelserver.config import (
    CallSettings,
    Config,
    ConfigError,
    Provider,
    Quirks,
    Secret,
    StreamUsage,
    UpstreamAuth,
    parse_config,
)
from modelserver.config.presets import PRESETS
from modelserver.config.quirks import read_quirks
from modelserver.config.reading import Report, Table


def routed(name: str, **environ: str) -> Config:
    """A configuration in which a route, and nothing else, names a provider."""
    return parse_config(f'[[models]]\nmodel_id = "m"\nroute = "{name}/t"\n', environ=environ)


def test_a_provider_is_read() -> None:
    text = """
        [providers.home]
        base_url = "HTTP://10.0.0.5:8080/v1/"
        speaks = ["chat", "anthropic"]
        key = "${HOME_KEY}"
        headers = { X-Team = "research", x-token = "$TOKEN" }
        concurrency = 1
        queue = 0
        quirks = { auth = "api-key", path = "/d/{model}/chat/completions", query = { api-version = "2025-01-01" } }
    """

    assert parse_config(text, environ={"HOME_KEY": "k", "TOKEN": "t"}).providers["home"] == Provider(
        name="home",
        base_url="http://10.0.0.5:8080/v1",
        speaks=("chat", "anthropic"),
        key=Secret("k"),
        headers={"x-team": Secret("research"), "x-token": Secret("t")},
        concurrency=1,
        queue=0,
        settings=CallSettings(
            quirks=Quirks(
                auth=UpstreamAuth.API_KEY,
                path="/d/{model}/chat/completions",
                query={"api-version": "2025-01-01"},
            )
        ),
    )


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - {"azure"}))
def test_a_well_known_provider_needs_no_table(name: str) -> None:
    keys = dict.fromkeys(PRESETS[name].key_names, "k")

    provider = routed(name, **keys).providers[name]

    assert provider.base_url == PRESETS[name].base_url
    assert (provider.key is None, provider.missing_key) == (not keys, None)


def test_mock_is_built_in() -> None:
    config = routed("mock")

    assert (config.providers, config.warnings) == ({"mock": Provider(name="mock", mock=True)}, ())


def test_mock_has_a_waiting_line() -> None:
    config = parse_config("[providers.mock]\nconcurrency = 2\nretries = 0")

    assert config.providers["mock"] == Provider(name="mock", mock=True, concurrency=2, settings=CallSettings(retries=0))


def test_a_preset_brings_its_quirks() -> None:
    quirks = routed("mistral", MISTRAL_API_KEY="k").models[0].settings.quirks

    assert quirks.stream_usage is StreamUsage.ALWAYS


def test_a_table_overrides_the_quirks_of_a_preset() -> None:
    config = parse_config('[defaults]\nquirks = { stream_usage = "never" }\n[providers.mistral]\n[providers.groq]')

    assert config.providers["mistral"].settings.quirks.stream_usage is StreamUsage.ALWAYS
    assert config.providers["groq"].settings.quirks.stream_usage is StreamUsage.NEVER


KEYS = [
    pytest.param("[providers.openai]", {"OPENAI_API_KEY": "k"}, Secret("k"), None, id="from the preset's variable"),
    pytest.param("[providers.openai]", {}, None, "OPENAI_API_KEY", id="preset's variable is not set"),
    pytest.param("[providers.openai]", {"OPENAI_API_KEY": ""}, None, "OPENAI_API_KEY", id="empty counts as unset"),
    pytest.param('[providers.openai]\nkey = "$K"', {"K": "k"}, Secret("k"), None, id="from a variable"),
    pytest.param('[providers.openai]\nkey = "${K}"', {"K": "k"}, Secret("k"), None, id="from a variable in braces"),
    pytest.param('[providers.openai]\nkey = "$K"', {"OPENAI_API_KEY": "x"}, None, "K", id="variable is not set"),
    pytest.param('[providers.openai]\nkey = "$K"', {"K": ""}, None, "K", id="variable is empty"),
    pytest.param('[providers.openai]\nkey = "sk-1"', {}, Secret("sk-1"), None, id="literal"),
    pytest.param("[providers.google]", {"GOOGLE_API_KEY": "k"}, Secret("k"), None, id="second name"),
    pytest.param("[providers.google]", {}, None, "GEMINI_API_KEY", id="the first name is missed"),
    pytest.param('[providers.openai]\nquirks = { auth = "none" }', {}, None, None, id="no key without authentication"),
    pytest.param('[providers.x]\nbase_url = "http://h"', {}, None, None, id="no preset, no key"),
    pytest.param("[providers.ollama]", {}, None, None, id="local needs none"),
]


@pytest.mark.parametrize(("text", "environ", "key", "missing"), KEYS)
def test_the_key_of_a_provider_is_found(
    text: str, environ: dict[str, str], key: Secret | None, missing: str | None
) -> None:
    (provider,) = parse_config(text, environ=environ).providers.values()

    assert (provider.key, provider.missing_key) == (key, missing)


def test_a_variable_that_the_file_names_and_nobody_has_set_is_a_warning() -> None:
    config = parse_config('[providers.openai]\nkey = "$OPENAI_API_KEY"')

    assert config.warnings == (
        "models.toml: providers.openai.key: $OPENAI_API_KEY is not set, so its models can't be called",
    )


def test_the_missing_key_of_a_preset_that_nobody_asked_for_is_none() -> None:
    assert routed("openai").warnings == ()


def test_a_dollar_inside_a_literal_is_a_warning() -> None:
    config = parse_config('[providers.openai]\nkey = "k"\nheaders = { x = "Basic $TOKEN" }')

    assert config.providers["openai"].headers["x"] == Secret("Basic $TOKEN")
    assert config.warnings == (
        "models.toml: providers.openai.headers.x: "
        "holds a $ that is taken as it stands; a variable is named by the whole value, $NAME",
    )


def test_a_key_of_the_environment_with_a_line_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"providers\.openai\.key: \$OPENAI_API_KEY must hold visible ASCII"):
        routed("openai", OPENAI_API_KEY="k\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[providers.ollama]", UpstreamAuth.NONE, id="without a key"),
        pytest.param('[providers.ollama]\nkey = "k"', UpstreamAuth.BEARER, id="with a key"),
        pytest.param('[providers.ollama]\nkey = "$K"', UpstreamAuth.BEARER, id="with an unset key"),
        pytest.param('[providers.ollama]\nquirks = { auth = "api-key" }', UpstreamAuth.API_KEY, id="as written"),
    ],
)
def test_a_local_provider_authenticates_only_with_a_key(text: str, expected: UpstreamAuth) -> None:
    assert parse_config(text).providers["ollama"].settings.quirks.auth is expected


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        pytest.param("a", "http://h", "http://h/v1", id="an empty path gets the version"),
        pytest.param("a", "http://h/", "http://h/v1", id="so does a slash"),
        pytest.param("a", "https://H.Example:8443/api/v2/", "https://h.example:8443/api/v2", id="a path stays"),
        pytest.param("a", "http://[::1]:80/v1", "http://[::1]:80/v1", id="IPv6"),
        pytest.param("openai", "http://proxy", "http://proxy/v1", id="well-known name elsewhere"),
        pytest.param("groq", "https://api.groq.com", "https://api.groq.com/openai/v1", id="well-known host"),
        pytest.param("perplexity", "https://api.perplexity.ai", "https://api.perplexity.ai", id="host without version"),
        pytest.param("google", "http://proxy", "http://proxy", id="google's paths carry their version"),
        pytest.param("google", "http://proxy/v1beta", "http://proxy/v1beta", id="google with version"),
        pytest.param("anthropic", "http://proxy/", "http://proxy", id="anthropic's too"),
        pytest.param(
            "azure", "https://me.openai.azure.com", "https://me.openai.azure.com/openai/v1", id="azure's newer paths"
        ),
        pytest.param(
            "azure", "https://me.openai.azure.com/openai", "https://me.openai.azure.com/openai", id="azure deployments"
        ),
    ],
)
def test_a_base_url_is_completed(name: str, written: str, expected: str) -> None:
    config = parse_config(f'[providers.{name}]\nbase_url = "{written}"')

    assert config.providers[name].base_url == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[providers.anthropic]", ("https://api.anthropic.com", "x-api-key"), id="anthropic"),
        pytest.param(
            "[providers.gemini]", ("https://generativelanguage.googleapis.com", "x-goog-api-key"), id="gemini"
        ),
        pytest.param(
            '[providers.anthropic]\nspeaks = ["chat"]', ("https://api.anthropic.com/v1", "bearer"), id="anthropic chat"
        ),
        pytest.param(
            '[providers.google]\nspeaks = ["chat"]',
            ("https://generativelanguage.googleapis.com/v1beta/openai", "bearer"),
            id="google chat",
        ),
        pytest.param(
            '[providers.google]\nspeaks = ["chat"]\nbase_url = "http://h/v1beta"',
            ("http://h/v1beta/openai", "bearer"),
            id="google chat elsewhere",
        ),
        pytest.param(
            '[providers.anthropic]\nspeaks = ["chat"]\nbase_url = "https://api.anthropic.com"',
            ("https://api.anthropic.com/v1", "bearer"),
            id="anthropic chat, written",
        ),
        pytest.param(
            '[providers.x]\nspeaks = ["chat", "anthropic"]\nbase_url = "http://h"',
            ("http://h/v1", "bearer"),
            id="both kinds",
        ),
        pytest.param('[providers.x]\nspeaks = ["anthropic"]\nbase_url = "http://h"', ("http://h", "bearer"), id="own"),
        pytest.param(
            '[providers.deepseek]\nspeaks = ["anthropic"]\nbase_url = "https://api.deepseek.com/anthropic"',
            ("https://api.deepseek.com/anthropic", "bearer"),
            id="a second address",
        ),
    ],
)
def test_address_and_authentication_follow_from_the_dialects(text: str, expected: tuple[str, str]) -> None:
    (provider,) = parse_config(text).providers.values()

    assert (provider.base_url, provider.settings.quirks.auth.value) == expected


def plain(value: Any) -> Any:
    """What a preset says, as TOML would have it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    return Decimal(str(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_quirks_of_a_preset_could_be_written(name: str) -> None:
    quirks = PRESETS[name].quirks
    report = Report({})
    read = read_quirks(Table(report, "", "", {key: plain(value) for key, value in quirks.items()}))
    report.raise_faults({})

    assert read == quirks


def test_quirks_of_a_dialect_are_merged_key_by_key() -> None:
    config = parse_config("""
        [defaults]
        quirks = { images = "none", top_k = true, rename = { a = "b" } }
        [providers.groq]
        quirks = { top_k = false, usage_at = "last" }
        [[models]]
        model_id = "m"
        route = "groq/m"
        quirks = { drop = [], rename = { c = "d" } }
    """)

    assert config.models[0].settings.quirks == Quirks(
        dialect={
            "images": "none",
            "top_k": False,
            "rename": {"c": "d"},
            "drop": (),
            "temperature_zero": 1e-8,
            "usage_at": "last",
            "reasoning_in": ("reasoning",),
        }
    )


def test_an_empty_list_takes_back_the_fields_that_are_allowed() -> None:
    config = parse_config('[providers.mistral]\nquirks = { allow = [], reasoning_in = "auto" }')
    quirks = config.providers["mistral"].settings.quirks.dialect

    assert (quirks["allow"], quirks["reasoning_in"]) == (None, "auto")


BASE_URLS = [
    pytest.param("openai", "OPENAI_BASE_URL", "http://h/v1", "http://h/v1", id="with version"),
    pytest.param("openai", "OPENAI_BASE_URL", "http://h/", "http://h/v1", id="without version"),
    pytest.param(
        "anthropic", "ANTHROPIC_BASE_URL", "https://api.anthropic.com", "https://api.anthropic.com", id="anthropic"
    ),
    pytest.param("anthropic", "ANTHROPIC_BASE_URL", "http://h/v1", "http://h/v1", id="anthropic with version"),
    pytest.param("google", "GOOGLE_GEMINI_BASE_URL", "http://h", "http://h", id="google"),
    pytest.param("gemini", "GOOGLE_GEMINI_BASE_URL", "http://h/v1beta", "http://h/v1beta", id="gemini, version"),
    pytest.param("deepseek", "DEEPSEEK_BASE_URL", "http://h", "http://h/v1", id="deepseek"),
    pytest.param("groq", "GROQ_BASE_URL", "https://api.groq.com", "https://api.groq.com/openai/v1", id="groq"),
    pytest.param("mistral", "MISTRAL_BASE_URL", "http://h", "http://h/v1", id="mistral"),
    pytest.param("xai", "XAI_BASE_URL", "http://h", "http://h/v1", id="xai"),
    pytest.param("openrouter", "OPENROUTER_BASE_URL", "http://h/api/v1", "http://h/api/v1", id="openrouter"),
    pytest.param("ollama", "OLLAMA_HOST", "box", "http://box:11434/v1", id="ollama host"),
    pytest.param("ollama", "OLLAMA_HOST", "box:1234", "http://box:1234/v1", id="ollama host and port"),
    pytest.param("ollama", "OLLAMA_HOST", ":1234", "http://127.0.0.1:1234/v1", id="ollama port"),
    pytest.param("ollama", "OLLAMA_HOST", "0.0.0.0", "http://127.0.0.1:11434/v1", id="ollama everywhere"),
    pytest.param("ollama", "OLLAMA_HOST", "0.0.0.0:1", "http://127.0.0.1:1/v1", id="ollama everywhere, port"),
    pytest.param("ollama", "OLLAMA_HOST", "[::]:1", "http://[::1]:1/v1", id="ollama everywhere, IPv6"),
    pytest.param("ollama", "OLLAMA_HOST", "::1", "http://[::1]:11434/v1", id="ollama bare IPv6"),
    pytest.param("ollama", "OLLAMA_HOST", "https://box", "https://box/v1", id="ollama URL has the port of its scheme"),
    pytest.param("ollama", "OLLAMA_HOST", "http://box:9/p/", "http://box:9/p", id="ollama URL with a path"),
]


@pytest.mark.parametrize(("name", "variable", "value", "expected"), BASE_URLS)
def test_the_environment_may_give_the_base_url(name: str, variable: str, value: str, expected: str) -> None:
    assert routed(name, **{variable: value}).providers[name].base_url == expected


def test_the_base_url_of_the_file_wins_over_the_environment() -> None:
    config = parse_config('[providers.openai]\nbase_url = "http://f/v1"', environ={"OPENAI_BASE_URL": "http://e/v1"})

    assert config.providers["openai"].base_url == "http://f/v1"


def test_a_bad_base_url_of_the_environment_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        routed("openai", OPENAI_BASE_URL="http://u:SECRET@h")

    assert str(caught.value) == (
        "models.toml:\n  providers.openai.base_url: "
        "$OPENAI_BASE_URL must not hold credentials: they belong in key or headers"
    )


@pytest.mark.parametrize(
    ("listen", "url", "ignored"),
    [
        pytest.param("127.0.0.1:8400", "http://127.0.0.1:8400/v1", True, id="as written"),
        pytest.param("127.0.0.1:8400", "http://localhost:8400", True, id="by name"),
        pytest.param("localhost:8400", "http://[::1]:8400", True, id="by IPv6"),
        pytest.param(":8400", "http://127.0.0.1:8400", True, id="one of all interfaces"),
        pytest.param("10.0.0.1:80", "http://10.0.0.1", True, id="by the default port"),
        pytest.param("127.0.0.1:1", "https://llm.example.org/v1", True, id="the public address"),
        pytest.param("127.0.0.1:8400", "http://127.0.0.1:8401", False, id="another port"),
        pytest.param("127.0.0.1:8400", "http://10.0.0.1:8400", False, id="another machine"),
    ],
)
def test_our_own_address_is_no_provider(listen: str, url: str, ignored: bool) -> None:
    text = f"""
        [server]
        listen = "{listen}"
        public_url = "https://llm.example.org"
        [providers.openai]
        key = "k"
    """
    config = parse_config(text, environ={"OPENAI_BASE_URL": url})

    assert (config.providers["openai"].base_url == "https://api.openai.com/v1") is ignored
    assert config.warnings == (
        ("models.toml: providers.openai.base_url: $OPENAI_BASE_URL is this server's own address and is ignored",)
        if ignored
        else ()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('route = "openai/m"', ("chat", "responses"), id="of the preset"),
        pytest.param('route = "x/m"', ("gemini",), id="of the provider"),
        pytest.param('route = "x/m"\nspeaks = ["chat"]', ("chat",), id="of the model"),
    ],
)
def test_a_model_speaks_what_its_provider_speaks(text: str, expected: tuple[str, ...]) -> None:
    config = parse_config(f"""
        [providers.x]
        base_url = "http://h"
        speaks = ["gemini"]
        [[models]]
        model_id = "m"
        {text}
    """)

    assert config.models[0].speaks == expected


def test_a_secret_of_a_configuration_does_not_print() -> None:
    text = (
        '[server]\nsecret = "XXX"\n[providers.openai]\nkey = "XXX"\nproxy = "http://a:XXX@h"\nheaders = { a = "XXX" }'
    )

    assert "XXX" not in repr(parse_config(text))
