"""Whatever is written where, the outcome is a configuration or a ConfigError."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.config import ConfigError, parse_config

PLACES = """
    server server.listen server.keys server.open server.catalogue server.cors server.drain server.drain_delay
    server.max_body server.max_connections server.secret server.log server.env_file server.public_url
    defaults defaults.timeout defaults.timeout.idle defaults.retries defaults.keepalive defaults.early_commit
    defaults.proxy defaults.quirks defaults.quirks.auth defaults.quirks.stream_usage defaults.quirks.path
    defaults.quirks.query defaults.quirks.query.v defaults.unsupported defaults.fetch_urls defaults.quirks.drop
    defaults.quirks.add.x defaults.quirks.allow defaults.quirks.rename defaults.quirks.id_pattern
    defaults.quirks.id_max defaults.quirks.temperature_zero defaults.quirks.content_string
    defaults.quirks.reasoning_in defaults.quirks.reasoning_back defaults.quirks.reasoning_ask
    defaults.quirks.effort_map defaults.quirks.effort_map.high defaults.quirks.finish_map.x
    defaults.quirks.top_k providers providers.x providers.openai.key
    providers.openai.base_url providers.openai.speaks providers.openai.headers providers.openai.headers.a
    providers.openai.concurrency providers.openai.queue groups groups.g groups.g.models groups.g.limits
    groups.g.limits.rpm users.u users.u.group keys models unknown
"""
MODEL_KEYS = """
    model_id desc owned_by created types features input_modalities max_output context_length pricing pricing.input
    tags aliases route params params.x speaks retires timeout
    sampling temperature_max stop hosted id_pattern reasoning reasoning.kind reasoning.efforts reasoning.budget_max
"""
KEY_KEYS = "name user hash models limits expires"
VALUES = [
    '""', '" "', '"x"', '"*"', '"$X"', '"!"', "0", "1", "-1", "1.5", "inf", "nan", "true", "false", "[]", '["x"]',
    "[1]", "[[]]", "[{}]", "{}", "{ x = 1 }", "2027-01-31", "2027-01-31T00:00:00Z", "07:00:00", '"\\u0000\\n"', '"é€"',
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("before", "keys"),
    [
        pytest.param("", PLACES, id="tables"),
        pytest.param("[[models]]\n", MODEL_KEYS, id="model"),
        pytest.param("[[keys]]\n", KEY_KEYS, id="key"),
    ],
)
def test_a_value_of_any_kind_is_read_or_refused(before: str, keys: str, value: str) -> None:
    for key in keys.split():
        with contextlib.suppress(ConfigError):
            parse_config(f"{before}{key} = {value}\n", keys_text=f"{before}{key} = {value}\n")


FRAGMENTS = ["[server]\n", "[[models]]\n", "[a.b]\n", "key", " = ", '"x"', '"""', "'''", "[", "]", "{", "}", ",", "\n"]


@given(st.lists(st.sampled_from([*FRAGMENTS, "#", "\\", '"', "1.5", ".", "\r\n", "é", "\u2028"]), max_size=30))
def test_a_text_of_any_kind_is_read_or_refused(pieces: list[str]) -> None:
    with contextlib.suppress(ConfigError):
        parse_config("".join(pieces))
