"""What a configuration means when nothing is wrong with it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.catalog.cards import card_for
from modelserver.config import (
    CallSettings,
    Config,
    Group,
    Key,
    Limits,
    Model,
    Pricing,
    Secret,
    Server,
    StreamUsage,
    Timeouts,
    UpstreamAuth,
    User,
    is_loopback,
    parse_config,
)

HASH = "sha256:" + "aB" * 32


def one_model(lines: str) -> Model:
    """The only model of a configuration, with more lines."""
    return parse_config(f'[[models]]\nmodel_id = "m"\nroute = "mock/t"\n{lines}').models[0]


def test_an_empty_text_is_the_built_in_configuration() -> None:
    assert parse_config("") == Config(
        groups={"default": Group(name="default")}, users={"default": User(name="default")}
    )


def test_a_server_table_is_read() -> None:
    text = """
        [server]
        listen = "[::1]:9000"
        keys = "k.toml"
        open = true
        catalogue = "keys"
        cors = ["https://App.example.org:443", "http://localhost:3000"]
        drain = "5s"
        drain_delay = "250ms"
        max_body = "1MiB"
        max_connections = 5
        secret = "$SECRET"
        log = "json"
        env_file = "env"
        public_url = "https://llm.example.org/base/"
    """

    assert parse_config(text, environ={"SECRET": "s"}).server == Server(
        listen_host="::1",
        listen_port=9000,
        keys="k.toml",
        open=True,
        catalogue="keys",
        cors=("https://app.example.org", "http://localhost:3000"),
        drain_s=5.0,
        drain_delay_s=0.25,
        max_body_bytes=1_048_576,
        max_connections=5,
        secret=Secret("s"),
        log="json",
        env_file="env",
        public_url="https://llm.example.org/base",
    )


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        pytest.param("127.0.0.1:8400", ("127.0.0.1", 8400), id="IPv4"),
        pytest.param("localhost:0", ("localhost", 0), id="any free port"),
        pytest.param("[::]:80", ("::", 80), id="IPv6"),
        pytest.param(":8400", ("", 8400), id="all interfaces"),
    ],
)
def test_a_listen_address_is_read(listen: str, expected: tuple[str, int]) -> None:
    server = parse_config(f'[server]\nlisten = "{listen}"').server

    assert (server.listen_host, server.listen_port) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("cors", ['"*"', '["*"]'])
def test_every_origin_may_be_let_in(cors: str) -> None:
    assert parse_config(f"[server]\ncors = {cors}").server.cors == ("*",)


def test_a_size_may_be_plain_bytes() -> None:
    assert parse_config("[server]\nmax_body = 1_000").server.max_body_bytes == 1000


def test_the_secret_of_the_table_wins_over_that_of_the_keys_file() -> None:
    config = parse_config('[server]\nsecret = "a"', keys_text='secret = "b"')

    assert config.server.secret == Secret("a")


def test_the_secret_may_come_from_the_keys_file() -> None:
    assert parse_config("", keys_text='secret = "b"').server.secret == Secret("b")


def test_a_model_is_read() -> None:
    model = one_model("""
        desc = "A model."
        owned_by = "us"
        created = 2025-08-07
        types = "embedding"
        features = ["tools", "web"]
        input_modalities = ["text", "pdf"]
        max_output = 128_000
        context_length = 400_000
        pricing = { input = 1.25, output = 10, cache_read = 0.125, cache_write = 0 }
        tags = ["new"]
        aliases = ["a/b:c.d"]
        params = { temperature = 0.7, n = 1, deep = { top = [0.1, "x", true] } }
        speaks = ["responses", "chat"]
        retires = 2027-01-31
    """)

    assert model == Model(
        model_id="m",
        provider="mock",
        target="t",
        desc="A model.",
        owned_by="us",
        created=date(2025, 8, 7),
        type="embedding",
        features=("tools", "web"),
        input_modalities=("text", "pdf"),
        max_output=128_000,
        context_length=400_000,
        pricing=Pricing(input=1_250_000, output=10_000_000, cache_read=125_000, cache_write=0),
        tags=("new",),
        aliases=("a/b:c.d",),
        params={"temperature": 0.7, "n": 1, "deep": {"top": [0.1, "x", True]}},
        speaks=("responses", "chat"),
        retires=date(2027, 1, 31),
    )


def test_a_model_card_is_read() -> None:
    model = one_model("""
        stop = 0
        n = 8
        parallel_tools = false
        temperature_max = 1
        schema = "anthropic"
        cache = "explicit_anthropic"
        hosted = []
        id_pattern = "[a-z]+"
        reasoning = { kind = "budget", efforts = ["high", "none", "low"], budget_min = 0 }
        max_output = 5
    """)

    assert model.card == {
        "stop_max": 0,
        "n_max": 8,
        "parallel_tools": False,
        "temperature_max": 1.0,
        "schema": "anthropic",
        "cache": "explicit_anthropic",
        "hosted": frozenset(),
        "id_pattern": "[a-z]+",
        "reasoning": {"kind": "budget", "efforts": ("none", "low", "high"), "budget_min": 0},
    }
    assert card_for("unknown", "chat", model.card).reasoning.efforts == ("none", "low", "high")


def test_floats_in_params_stay_floats() -> None:
    params = one_model("params = { a = 1.0, b = [0.1] }").params

    assert [type(params["a"]), type(params["b"][0])] == [float, float]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("t2t", "llm"), ("t2i", "image_generation"), ("t2v", "video"), ("reranking", "rerank"), ("tts", "tts")],
)
def test_old_names_of_types_mean_the_new_ones(word: str, expected: str) -> None:
    assert one_model(f'types = "{word}"').type == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10", 10_000_000),
        ("10.0", 10_000_000),
        ("0.1", 100_000),
        ("0.000001", 1),
        ("1.2500000000", 1_250_000),
        ("1e2", 100_000_000),
        ("25e-6", 25),
        ("0", 0),
        ("0e99", 0),
        ("-0.0", 0),
        ("999999.999999", 999_999_999_999),
    ],
)
def test_a_price_is_exact(written: str, expected: int) -> None:
    assert one_model(f"pricing = {{ input = {written} }}").pricing == Pricing(input=expected)


@given(st.integers(min_value=0, max_value=10**12))
def test_every_price_of_six_decimals_is_exact(micro_usd: int) -> None:
    written = f"{Decimal(micro_usd).scaleb(-6):f}"

    assert one_model(f"pricing = {{ output = {written} }}").pricing == Pricing(output=micro_usd)


def test_a_pattern_routes_to_a_pattern() -> None:
    model = parse_config('[[models]]\nmodel_id = "ollama/*"\nroute = "ollama/lib/*"').models[0]

    assert (model.is_pattern, model.target) == (True, "lib/*")


def test_a_target_may_hold_slashes() -> None:
    model = parse_config('[[models]]\nmodel_id = "x"\nroute = "groq/openai/gpt-oss:1"').models[0]

    assert (model.provider, model.target) == ("groq", "openai/gpt-oss:1")


def test_the_most_specific_setting_wins_key_by_key() -> None:
    config = parse_config("""
        [defaults]
        timeout = { connect = "1s", first = "2s", idle = "3s" }
        retries = 5
        early_commit = "4s"
        unsupported = "refuse"
        fetch_urls = "refuse"
        quirks = { path = "/d", stream_usage = "never" }
        [providers.openai]
        timeout = { first = "20s", idle = "30s" }
        keepalive = "7s"
        quirks = { path = "/p" }
        [[models]]
        model_id = "m"
        route = "openai/m"
        timeout = { idle = "300s" }
        early_commit = false
        unsupported = "drop"
        fetch_urls = "forward"
        proxy = "http://u:p@proxy:3128"
        quirks = { auth = "x-api-key" }
    """)
    settings = config.models[0].settings

    assert settings.timeouts == Timeouts(connect_s=1.0, first_s=20.0, idle_s=300.0)
    assert (settings.retries, settings.keepalive_s, settings.early_commit_s) == (5, 7.0, None)
    assert (settings.refuse_losses, settings.fetch_urls) == (False, "forward")
    assert config.providers["openai"].settings.refuse_losses
    assert settings.proxy == Secret("http://u:p@proxy:3128")
    assert (settings.quirks.path, settings.quirks.stream_usage) == ("/p", StreamUsage.NEVER)
    assert settings.quirks.auth is UpstreamAuth.X_API_KEY


def test_a_more_specific_place_does_not_change_a_more_general_one() -> None:
    config = parse_config("""
        [defaults]
        retries = 1
        [[models]]
        model_id = "m"
        route = "openai/m"
        retries = 3
        [[models]]
        model_id = "n"
        route = "openai/n"
    """)

    assert [config.models[0].settings.retries, config.models[1].settings.retries] == [3, 1]
    assert config.providers["openai"].settings == CallSettings(retries=1)


def test_access_is_read() -> None:
    config = parse_config(
        f"""
        [[models]]
        model_id = "m"
        route = "mock/m"
        tags = ["cheap"]
        [groups.friends]
        models = ["tag:cheap", "m*", "!m"]
        limits = {{ rpm = 30, concurrency = 4 }}
        [users.alice]
        group = "friends"
        models = []
        [[keys]]
        name = "laptop"
        user = "alice"
        hash = "{HASH}"
        models = ["m"]
        limits = {{ rpm = 10 }}
        expires = 2027-01-31
    """,
        keys_text=f'[[keys]]\nname = "phone"\nhash = "{HASH.replace("aB", "cB")}"\n',
    )

    assert config.groups["friends"] == Group(
        name="friends", models=("tag:cheap", "m*", "!m"), limits=Limits(rpm=30, concurrency=4)
    )
    assert config.users["alice"] == User(name="alice", group="friends", models=())
    assert config.keys == (
        Key(
            name="laptop",
            hash="ab" * 32,
            user="alice",
            models=("m",),
            limits=Limits(rpm=10),
            expires=date(2027, 1, 31),
        ),
        Key(name="phone", hash="cb" * 32),
    )


def test_default_group_and_user_may_be_written() -> None:
    config = parse_config('[groups.default]\nmodels = []\n[groups.a]\n[users.default]\ngroup = "a"')

    assert config.groups["default"].models == ()
    assert config.users["default"].group == "a"


LISTED = """
    [[models]]
    model_id = "gpt-5"
    route = "mock/m"
    aliases = ["gpt5"]
    [[models]]
    model_id = "local/*"
    route = "mock/*"
    [groups.g]
"""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param("gpt-5", "gpt-5", id="an id"),
        pytest.param("gpt5", "gpt-5", id="an alias means its id"),
        pytest.param("!gpt5", "!gpt-5", id="an excluded alias means its id"),
        pytest.param("local/*", "local/*", id="a pattern"),
        pytest.param("local/llama:8b", "local/llama:8b", id="an id that a pattern stands for"),
        pytest.param("local/q*", "local/q*", id="a glob below a pattern"),
        pytest.param("gpt-?", "gpt-?", id="a glob"),
    ],
)
def test_a_list_of_models_names_what_there_is(entry: str, expected: str) -> None:
    config = parse_config(f'{LISTED}models = ["{entry}"]')

    assert (config.groups["g"].models, config.warnings) == ((expected,), ())


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param("claude-*", "models.toml: groups.g.models: 'claude-*' matches no model", id="a glob"),
        pytest.param("!pt-*", "models.toml: groups.g.models: '!pt-*' matches no model", id="no match inside an id"),
        pytest.param("tag:x", "models.toml: groups.g.models: no model has the tag of 'tag:x'", id="a tag"),
    ],
)
def test_what_matches_nothing_is_a_warning(entry: str, expected: str) -> None:
    assert parse_config(f'{LISTED}models = ["{entry}"]').warnings == (expected,)
