"""What a configuration is refused for, and in which words."""

from __future__ import annotations

import pytest

from modelserver.config import ConfigError, parse_config

MODEL = '[[models]]\nmodel_id = "m"\nroute = "mock/m"\n'
HASH = "sha256:" + "0" * 64


def faults(text: str, keys_text: str | None = None, **environ: str) -> list[str]:
    """What is wrong with a text, without file names."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, keys_text=keys_text, environ=environ)
    return [str(problem) for problem in caught.value.problems]


SERVER = [
    pytest.param('listen = "8400"', 'server.listen: must be "host:port"', id="a port alone is ambiguous"),
    pytest.param('listen = "localhost"', "server.listen: must be", id="a host alone"),
    pytest.param('listen = "::1:8400"', "server.listen: must have its IPv6 address in brackets", id="IPv6 unbracketed"),
    pytest.param('listen = "h:65536"', "server.listen: must be", id="port out of range"),
    pytest.param('listen = "[x]:1"', "server.listen: holds no IPv6", id="brackets around something else"),
    pytest.param('listen = "a b:1"', "server.listen: must be", id="space in a host"),
    pytest.param("listen = 8400", "server.listen: must be a string, not an integer", id="no coercion to text"),
    pytest.param("open = 1", "server.open: must be true or false, not an integer", id="no coercion to boolean"),
    pytest.param('open = "true"', "server.open: must be true or false, not a string", id="true in quotes"),
    pytest.param('open = true\nlisten = "0.0.0.0:1"', "server.open: lets in everyone", id="open to the world"),
    pytest.param('open = true\nlisten = ":1"', "server.open: lets in everyone", id="open on all interfaces"),
    pytest.param("drain = 60", 'server.drain: must be a duration with its unit, like "10s"', id="duration as a number"),
    pytest.param("drain = 1.5", "server.drain: must be a duration with its unit", id="duration as a float"),
    pytest.param("drain = true", "server.drain: must be a duration like", id="duration as a boolean"),
    pytest.param('drain = "60"', "server.drain: '60' is not a duration", id="duration without unit"),
    pytest.param('max_body = "32"', "server.max_body: '32' is not a size", id="size without unit in quotes"),
    pytest.param("max_body = 0", "server.max_body: must be at least 1", id="no bytes"),
    pytest.param('max_body = "0MB"', "server.max_body: must be at least 1 byte", id="no megabytes"),
    pytest.param("max_body = 1.5", "server.max_body: must be an integer, not a float", id="float for a size"),
    pytest.param(
        "max_connections = true", "server.max_connections: must be an integer, not a boolean", id="true is no 1"
    ),
    pytest.param('max_connections = "5"', "server.max_connections: must be an integer, not a string", id="5 in quotes"),
    pytest.param("max_connections = 0", "server.max_connections: must be at least 1", id="no connections"),
    pytest.param("max_connections = 9007199254740992", "at most 9007199254740991", id="beyond 2^53"),
    pytest.param('catalogue = "pubic"', "'pubic' is not one of public, keys, off (did you mean public?)", id="word"),
    pytest.param('log = "xml"', "server.log: 'xml' is not one of text, json", id="log format"),
    pytest.param('keys = ""', "server.keys: must not be empty", id="empty file name"),
    pytest.param('secret = "$S"', "server.secret: $S is not set", id="unset secret"),
    pytest.param('public_url = "llm.example.org"', "server.public_url: must be an http:// or https://", id="no scheme"),
    pytest.param('public_url = "https://h?x=1"', "server.public_url: must not have a query", id="query in public_url"),
    pytest.param('cors = "https://a"', "server.cors: must be a list of strings", id="one origin without a list"),
    pytest.param('cors = ["https://a/"]', "server.cors[0]: must be an origin", id="origin with a path"),
    pytest.param('cors = ["https://a", "null"]', "server.cors[1]: must be an origin", id="the null origin"),
    pytest.param('cors = ["https://a", "*"]', "server.cors[1]: must be an origin", id="star among others"),
    pytest.param('lisen = "x"', "server: unknown key lisen (did you mean listen?)", id="unknown key"),
    pytest.param('"odd key" = "x"', 'server: unknown key "odd key"', id="unknown quoted key"),
    pytest.param('state = "x.db"', "server.state: not supported yet", id="state is for later"),
    pytest.param("metrics = true", "server.metrics: not supported yet", id="metrics are for later"),
]


@pytest.mark.parametrize(("line", "expected"), SERVER)
def test_a_server_table_is_refused(line: str, expected: str) -> None:
    found = faults(f"[server]\n{line}\n")

    assert len(found) == 1
    assert expected in found[0]


SETTINGS = [
    pytest.param('timeout = "10s"', "timeout: must be a table, not a string", id="timeout without a table"),
    pytest.param('timeout = { first = "0s" }', "timeout.first: must be more than 0s", id="no time"),
    pytest.param('timeout = { conect = "1s" }', "timeout: unknown key conect (did you mean connect?)", id="near miss"),
    pytest.param("timeout = { idle = 3 }", "timeout.idle: must be a duration with its unit", id="plain number"),
    pytest.param("retries = -1", "retries: must be at least 0", id="negative retries"),
    pytest.param("retries = 2.0", "retries: must be an integer, not a float", id="2.0 is no integer"),
    pytest.param('keepalive = "0s"', "keepalive: must be more than 0s", id="keepalive of nothing"),
    pytest.param("early_commit = true", 'early_commit: must be a duration like "5s", or false', id="true early_commit"),
    pytest.param("early_commit = 5", "early_commit: must be a duration with its unit", id="plain early_commit"),
    pytest.param('proxy = "socks5://u:pw@h:1"', "proxy: must be an http:// or https:// URL", id="SOCKS"),
    pytest.param('proxy = "http://h:1/path"', "proxy: must be a proxy like", id="proxy with a path"),
    pytest.param('proxy = "$P"', "proxy: $P is not set", id="unset proxy"),
    pytest.param('quirks = { auth = "basic" }', "quirks.auth: 'basic' is not one of bearer, api-key", id="auth"),
    pytest.param('quirks = { stream_usage = "often" }', "quirks.stream_usage: 'often' is not one of", id="usage"),
    pytest.param('quirks = { path = "chat" }', 'quirks.path: must be a path like "/chat', id="relative path"),
    pytest.param('quirks = { path = "/a?b" }', "quirks.path: must be a path", id="query in a path"),
    pytest.param('quirks = { path = "/{deployment}" }', "quirks.path: must be a path", id="unknown placeholder"),
    pytest.param("quirks = { query = { v = 1 } }", "quirks.query.v: must be a string, not an integer", id="query"),
    pytest.param('unsupported = "keep"', "unsupported: 'keep' is not one of drop, refuse", id="unsupported"),
    pytest.param("fetch_urls = true", "fetch_urls: must be a string, not a boolean", id="fetch_urls"),
    pytest.param('sticky = "key"', "sticky: not supported yet", id="sticky is for later"),
    pytest.param('on_disconnect = "finish"', "on_disconnect: not supported yet", id="on_disconnect is for later"),
    pytest.param('cooldown = "30s"', "cooldown: not supported yet", id="cooldown is for later"),
    pytest.param('hedge = "1s"', "hedge: not supported yet", id="hedge is for later"),
]


@pytest.mark.parametrize(("line", "expected"), SETTINGS)
@pytest.mark.parametrize(
    ("before", "path"),
    [
        pytest.param("[defaults]\n", "defaults.", id="defaults"),
        pytest.param("[providers.openai]\n", "providers.openai.", id="provider"),
        pytest.param(MODEL, "models[0].", id="model"),
    ],
)
def test_a_setting_is_refused_wherever_it_stands(before: str, path: str, line: str, expected: str) -> None:
    found = faults(before + line)

    assert len(found) == 1
    assert found[0].startswith((path + expected, path.rstrip(".") + ": " + expected))


QUIRKS = [
    pytest.param('drop = "logprobs"', "drop: must be a list of strings", id="drop"),
    pytest.param('drop = ["a..b"]', "drop[0]: 'a..b' must be a field like", id="field to drop"),
    pytest.param("rename = { seed = 1 }", "rename.seed: must be a string, not an integer", id="rename"),
    pytest.param("add = { a = 2025-01-01 }", "add.a: must be a value that JSON has", id="add"),
    pytest.param('add = { model = "x" }', "add.model: is the client's to say", id="add chooses the model"),
    pytest.param("allow = true", "allow: must be a list of strings", id="allow"),
    pytest.param('max_tokens_field = "max"', "max_tokens_field: 'max' is not one of", id="word"),
    pytest.param('developer_role = "no"', "developer_role: must be true or false", id="flag"),
    pytest.param('content_string = "tool"', "content_string: must be true, false or \"tools\", not 'tool'", id="or"),
    pytest.param("assistant_null = 1", 'assistant_null: must be true, false or "omit", not an integer', id="or a word"),
    pytest.param('id_pattern = "("', "id_pattern: '(' is no regular expression", id="pattern"),
    pytest.param("id_max = 0", "id_max: must be at least 1", id="length"),
    pytest.param("temperature_zero = 3", "temperature_zero: must be a number above 0 and at most 2", id="number"),
    pytest.param("effort_map = { hi = 'x' }", "effort_map: 'hi' is not one of none, minimal", id="effort"),
    pytest.param("effort_map = { high = 1 }", "effort_map.high: must be a string", id="word for an effort"),
    pytest.param("finish_map = { eos = 'end' }", "finish_map.eos: must be one of stop", id="finish"),
    pytest.param('reasoning_in = "reasoning"', "reasoning_in: must be a list of strings", id="reasoning_in"),
    pytest.param('reasoning_in = ["x"]', "reasoning_in[0]: 'x' is not one of", id="place of reasoning"),
    pytest.param('reasoning_back = "x"', "reasoning_back: 'x' is not one of none, reasoning_content", id="back"),
    pytest.param('reasoning_back = "reasoning:all"', 'may end in ":tools" only', id="back with"),
    pytest.param('reasoning_back = "none:tools"', 'may end in ":tools" only', id="nothing back with"),
    pytest.param('reasoning_ask = "none+thinking_type"', "reasoning_ask: 'none' is not one of", id="none and more"),
    pytest.param("tool_chioce = 'any'", "unknown key tool_chioce (did you mean tool_choice?)", id="near miss"),
]


@pytest.mark.parametrize(("line", "expected"), QUIRKS)
def test_a_quirk_is_refused(line: str, expected: str) -> None:
    found = faults(f"[providers.openai.quirks]\n{line}\n")

    assert len(found) == 1
    assert expected in found[0]


PROVIDERS = [
    pytest.param(
        "[providers.home]",
        "providers.home: base_url is missing; no address is known for provider 'home'",
        id="no address known",
    ),
    pytest.param("[providers.azure]", "providers.azure: base_url is missing", id="azure has no common address"),
    pytest.param('[providers."a/b"]\nbase_url = "http://h"', "must hold no /", id="slash in a name"),
    pytest.param("[providers]\na = 5", "providers.a: must be a table, not an integer", id="not a table"),
    pytest.param("providers = []", "providers: must be a table, not a list", id="a list of providers"),
    pytest.param('[providers.a]\nbase_url = "ftp://h"', "base_url: must be an http:// or https://", id="ftp"),
    pytest.param('[providers.a]\nbase_url = "h:80/v1"', "base_url: must be an http:// or https://", id="no scheme"),
    pytest.param('[providers.a]\nbase_url = "http://"', "base_url: must be an http:// or https://", id="no host"),
    pytest.param('[providers.a]\nbase_url = "http://u:p@h"', "base_url: must not hold credentials", id="credentials"),
    pytest.param('[providers.a]\nbase_url = "http://h/?a"', "base_url: must not have a query", id="query"),
    pytest.param('[providers.a]\nbase_url = "http://h/#a"', "base_url: must not have a query", id="fragment"),
    pytest.param('[providers.a]\nbase_url = "http://h:0"', "base_url: must be an http", id="port 0"),
    pytest.param('[providers.a]\nbase_url = "http://h:99999"', "base_url: must be an http", id="port out of range"),
    pytest.param('[providers.a]\nbase_url = "http://a b"', "base_url: must be an http", id="space"),
    pytest.param('[providers.a]\nbase_url = "http://h\\n/"', "base_url: must be an http", id="line end"),
    pytest.param('[providers.a]\nbase_url = "http://h/\\\\x"', "base_url: must be an http", id="backslash"),
    pytest.param('[providers.a]\nbase_url = "http://[::1"', "base_url: must be an http", id="open bracket"),
    pytest.param(
        '[providers.a]\nbase_url = "http://h/v1/chat/completions"', "must end before /chat/completions", id="whole path"
    ),
    pytest.param(
        '[providers.a]\nbase_url = "http://h/v1/messages"', "must end before /v1/messages", id="path of messages"
    ),
    pytest.param(
        '[providers.google]\nbase_url = "https://generativelanguage.googleapis.com/v1beta/openai/"',
        'google.base_url: is an address for OpenAI\'s dialects: end it before /openai, or set speaks = ["chat"]',
        id="compatible address for the native dialect",
    ),
    pytest.param("[providers.openai]\nspeaks = []", "openai.speaks: must hold at least one", id="speaks nothing"),
    pytest.param(
        '[providers.openai]\nspeaks = ["chat", "antropic"]',
        "speaks[1]: 'antropic' is not one of chat, responses, anthropic, gemini (did you mean anthropic?) (line 2)",
        id="near miss of a dialect",
    ),
    pytest.param(
        '[providers.openai]\nspeaks = ["chat", "chat"]', "speaks[1]: 'chat' is in the list already", id="twice"
    ),
    pytest.param("[providers.openai]\nspeaks = [1]", "speaks[0]: must be a string, not an integer", id="number"),
    pytest.param('[providers.openai]\nspeaks = "chat"', "speaks: must be a list of strings", id="one word"),
    pytest.param('[providers.openai]\nkey = ["a"]', "key: a list of keys is not supported yet", id="keys for later"),
    pytest.param('[providers.openai]\nkey = ""', "openai.key: must not be empty", id="empty key"),
    pytest.param('[providers.openai]\nkey = "a\\nb"', "openai.key: must hold visible ASCII", id="line end in a key"),
    pytest.param('[providers.openai]\nprice = "reported"', "openai.price: not supported yet", id="price for later"),
    pytest.param("[providers.openai]\nconcurrency = 0", "concurrency: must be at least 1", id="no calls at all"),
    pytest.param("[providers.openai]\nqueue = -1", "queue: must be at least 0", id="negative queue"),
    pytest.param('[providers.openai]\nheaders = { Host = "h" }', "headers.Host: can't be set", id="Host"),
    pytest.param('[providers.openai]\nheaders = { content-length = "1" }', "can't be set", id="Content-Length"),
    pytest.param('[providers.openai]\nheaders = { Transfer-Encoding = "a" }', "can't be set", id="Transfer-Encoding"),
    pytest.param('[providers.openai]\nheaders = { connection = "a" }', "can't be set", id="Connection"),
    pytest.param('[providers.openai]\nheaders = { "a b" = "c" }', "is no name of a header", id="no token"),
    pytest.param('[providers.openai]\nheaders = { a = "b", A = "c" }', "a is in the table already", id="twice by case"),
    pytest.param('[providers.openai]\nheaders = { a = "b\\r\\nc: d" }', "that a header can't carry", id="CR LF"),
    pytest.param('[providers.openai]\nheaders = { a = "€" }', "that a header can't carry", id="beyond Latin-1"),
    pytest.param('[providers.openai]\nheaders = { a = "$A" }', "headers.a: $A is not set", id="unset header"),
    pytest.param("[providers.openai]\nheaders = { a = 1 }", "headers.a: must be a string", id="number in a header"),
    pytest.param('[providers.mock]\nbase_url = "http://h"', "mock.base_url: has no meaning here", id="mock address"),
]


@pytest.mark.parametrize(("text", "expected"), PROVIDERS)
def test_a_provider_is_refused(text: str, expected: str) -> None:
    found = faults(text)

    assert len(found) == 1
    assert expected in found[0]


MODELS = [
    pytest.param('route = "mock/m"', "models[0]: model_id is missing (line 1)", id="no id"),
    pytest.param('model_id = "m"', "models[0]: route is missing", id="no route"),
    pytest.param('model_id = ""\nroute = "mock/m"', "model_id: must not be empty", id="empty id"),
    pytest.param('model_id = "a b"\nroute = "mock/m"', "without spaces", id="space in an id"),
    pytest.param('model_id = "a\\u0007"\nroute = "mock/m"', "printable", id="control in an id"),
    pytest.param('model_id = "!a"\nroute = "mock/m"', "must not begin with !", id="exclamation mark"),
    pytest.param('model_id = "tag:a"\nroute = "mock/m"', "must not begin with ! or tag:", id="looks like a tag"),
    pytest.param('model_id = "a*"\nroute = "mock/m"', "must not hold * or ?", id="star without slash"),
    pytest.param('model_id = "a/*/b"\nroute = "mock/m"', "must not hold * or ?", id="star in the middle"),
    pytest.param('model_id = "a/*"\nroute = "mock/m"', "must end in * too", id="pattern with a plain route"),
    pytest.param('model_id = "a"\nroute = "mock/*"', "must not end in *", id="plain id with a pattern route"),
    pytest.param('model_id = "a/*"\nroute = "mock/*/*"', "a * at its end only", id="two stars"),
    pytest.param('model_id = "a"\nroute = "mock"', 'must be "provider/target"', id="route without a target"),
    pytest.param('model_id = "a"\nroute = "mock/"', 'must be "provider/target"', id="route with an empty target"),
    pytest.param('model_id = "a"\nroute = "opnai/a"', "no provider 'opnai' (did you mean openai?)", id="near miss"),
    pytest.param('model_id = "a"\nroute = { to = "x" }', "long form of route is not supported yet", id="long form"),
    pytest.param('model_id = "a"\nroute = ["mock/m"]', "route: must be a string, not a list", id="list of routes"),
]


@pytest.mark.parametrize(("text", "expected"), MODELS)
def test_a_model_is_refused(text: str, expected: str) -> None:
    found = faults(f"[[models]]\n{text}\n")

    assert len(found) == 1
    assert expected in found[0]


FIELDS = [
    pytest.param('types = "lm"', "types: 'lm' is not one of llm, image_generation", id="type"),
    pytest.param('types = ["llm"]', "types: must be a string, not a list", id="list of types"),
    pytest.param('features = ["tool"]', "features[0]: 'tool' is not one of", id="feature"),
    pytest.param('features = "tools,web"', "features: must be a list of strings", id="joined features"),
    pytest.param('input_modalities = ["smell"]', "input_modalities[0]: 'smell' is not one of", id="modality"),
    pytest.param('max_output = "5"', "max_output: must be an integer, not a string", id="5 in quotes"),
    pytest.param("context_length = 0", "context_length: must be at least 1", id="no context"),
    pytest.param('created = "2025-08-07"', "created: must be a date like", id="date in quotes"),
    pytest.param("created = 2025-08-07T00:00:00Z", "created: must be a date like", id="date with a time"),
    pytest.param("retires = 2025", "retires: must be a date like", id="year alone"),
    pytest.param("pricing = 1", "pricing: must be a table", id="one price"),
    pytest.param("pricing = { input = -0.5 }", "pricing.input: must be a number of dollars from 0", id="negative"),
    pytest.param("pricing = { input = inf }", "pricing.input: must be a number of dollars from 0", id="infinite"),
    pytest.param("pricing = { input = nan }", "pricing.input: must be a number of dollars from 0", id="not a number"),
    pytest.param("pricing = { input = 1e999999999999999999999 }", "pricing.input: must be a number", id="absurd"),
    pytest.param("pricing = { input = 1e-999999999 }", "pricing.input: must have at most six decimals", id="tiny"),
    pytest.param("pricing = { input = 0.1234567 }", "pricing.input: must have at most six decimals", id="7 decimals"),
    pytest.param('pricing = { input = "1" }', "pricing.input: must be a number of dollars per", id="1 in quotes"),
    pytest.param("pricing = { input = true }", "pricing.input: must be a number of dollars per", id="true is no 1"),
    pytest.param("pricing = { inptu = 1 }", "pricing: unknown key inptu (did you mean input?)", id="price name"),
    pytest.param("pricing = { tiers = [] }", "pricing.tiers: not supported yet", id="tiers are for later"),
    pytest.param('tags = ["a b"]', "tags[0]: 'a b' must hold printable", id="tag with a space"),
    pytest.param('aliases = ["m"]', "aliases[0]: 'm' is the id of models[0] already", id="alias is the id"),
    pytest.param('aliases = ["a/*"]', "aliases[0]: an alias can't be a pattern", id="alias as a pattern"),
    pytest.param("params = { t = [1, { d = 2025-01-01 }] }", "params.t[1].d: must be a value that JSON has", id="date"),
    pytest.param("params = { t = nan }", "params.t: must be a finite number", id="NaN in params"),
    pytest.param("params = { t = 18446744073709551616 }", "params.t: must be at most", id="beyond 2^53 in params"),
    pytest.param('params = { model = "x" }', "params.model: is the client's to say", id="params choose the model"),
    pytest.param('speaks = ["chatt"]', "speaks[0]: 'chatt' is not one of", id="speaks"),
    pytest.param('fallback = ["a"]', "fallback: not supported yet", id="fallback is for later"),
    pytest.param("max_images = 5", "max_images: not supported yet", id="card field for later"),
    pytest.param('parallel_tools = "yes"', "parallel_tools: must be true or false", id="flag of a card"),
    pytest.param('sampling = "ful"', "sampling: 'ful' is not one of full, no_temperature", id="word of a card"),
    pytest.param("stop = -1", "stop: must be at least 0", id="fewer than no stop strings"),
    pytest.param("n = 0", "n: must be at least 1", id="no choices"),
    pytest.param("temperature_max = 0.0", "temperature_max: must be a number above 0", id="no temperature"),
    pytest.param("temperature_max = nan", "temperature_max: must be a number above 0", id="no number"),
    pytest.param('id_pattern = "["', "id_pattern: '[' is no regular expression", id="pattern of a card"),
    pytest.param("hosted = true", "hosted: must be a list of strings", id="families of a card"),
    pytest.param('cache = "5m"', "cache: '5m' is not one of auto, explicit_anthropic", id="cache of a card"),
    pytest.param('reasoning = "effort"', "reasoning: must be a table, not a string", id="reasoning in one word"),
    pytest.param('reasoning = { kind = "efort" }', "reasoning.kind: 'efort' is not one of none", id="kind"),
    pytest.param('reasoning = { efforts = ["hi"] }', "reasoning.efforts[0]: 'hi' is not one of none", id="efforts"),
    pytest.param("reasoning = { effort = 1 }", "reasoning: unknown key effort (did you mean efforts?)", id="near"),
    pytest.param("model_di = 1", "models[0]: unknown key model_di (did you mean model_id?) (line 4)", id="unknown"),
]


@pytest.mark.parametrize(("line", "expected"), FIELDS)
def test_a_field_of_a_model_is_refused(line: str, expected: str) -> None:
    found = faults(MODEL + line)

    assert len(found) == 1
    assert expected in found[0]


ACCESS = [
    pytest.param('[users.u]\ngroup = "g"', "users.u.group: there is no group 'g'", id="unknown group"),
    pytest.param(
        '[groups.friends]\n[users.u]\ngroup = "freinds"', "'freinds' (did you mean friends?)", id="near miss of a group"
    ),
    pytest.param(f'[[keys]]\nname = "k"\nhash = "{HASH}"\nuser = "u"', "keys[0].user: there is no user 'u'", id="user"),
    pytest.param(f'[[keys]]\nhash = "{HASH}"', "keys[0]: name is missing", id="key without a name"),
    pytest.param('[[keys]]\nname = "k"', "keys[0]: hash is missing", id="key without a hash"),
    pytest.param('[[keys]]\nname = "k"\nhash = "sk-ms-1"', 'hash: must be "sha256:" and 64', id="the key itself"),
    pytest.param(f'[[keys]]\nname = "k"\nhash = "{HASH}0"', 'hash: must be "sha256:" and 64', id="65 digits"),
    pytest.param(
        f'[[keys]]\nname = "k"\nhash = "{HASH}"\nexpires = "2027-01-31"', "expires: must be a date", id="expires"
    ),
    pytest.param("[keys]", "keys: must be a list of tables, each under [[keys]], not a table", id="single brackets"),
    pytest.param("keys = [1]", "keys[0]: must be a table, not an integer", id="list of numbers"),
    pytest.param("[groups.g]\nlimits = { rpm = 0 }", "limits.rpm: must be at least 1", id="no requests at all"),
    pytest.param("[groups.g]\nlimits = { tpm = 5 }", "limits.tpm: not supported yet", id="tpm is for later"),
    pytest.param("[groups.g]\nadmin = true", "groups.g.admin: not supported yet", id="admin is for later"),
    pytest.param("[users.u]\nbudget = { usd = 1 }", "users.u.budget: not supported yet", id="budget is for later"),
    pytest.param('[groups.g]\nmodels = ["gpt"]', "models[0]: there is no model 'gpt'", id="unmatched name"),
    pytest.param('[groups.g]\nmodels = ["!gpt"]', "models[0]: there is no model 'gpt'", id="unmatched exclusion"),
    pytest.param('[groups.g]\nmodels = ["!"]', "models[0]: '!' names nothing", id="nothing excluded"),
    pytest.param('[groups.g]\nmodels = ["tag:"]', "models[0]: 'tag:' names nothing", id="no tag"),
    pytest.param('[groups.g]\nmodels = "gpt-*"', "models: must be a list of strings", id="one glob"),
    pytest.param("[goups.g]", "unknown key goups (did you mean groups?)", id="unknown table"),
]


@pytest.mark.parametrize(("text", "expected"), ACCESS)
def test_access_is_refused(text: str, expected: str) -> None:
    found = faults(text)

    assert len(found) == 1
    assert expected in found[0]


def test_an_id_is_taken_once() -> None:
    assert faults(MODEL + MODEL) == ["models[1].model_id: 'm' is the id of models[0] already (line 5)"]


def test_an_alias_is_taken_once() -> None:
    other = '[[models]]\nmodel_id = "n"\nroute = "mock/n"\naliases = ["x", "y"]\n'

    assert faults(MODEL + 'aliases = ["y"]\n' + other) == [
        "models[1].aliases[1]: 'y' is an alias of models[0] already (line 8)"
    ]


def test_an_alias_is_no_later_id() -> None:
    other = '[[models]]\nmodel_id = "n"\nroute = "mock/n"\n'

    assert faults(MODEL + 'aliases = ["n"]\n' + other) == [
        "models[0].aliases[0]: 'n' is the id of models[1] already (line 4)"
    ]


def test_names_and_hashes_of_keys_are_taken_once_over_both_files() -> None:
    key = f'[[keys]]\nname = "k"\nhash = "{HASH}"\n'

    assert faults(key, keys_text=key) == [
        "keys[0].name: is that of keys[0] in models.toml already (line 2)",
        "keys[0].hash: is that of keys[0] in models.toml already (line 3)",
    ]


def test_all_faults_of_both_files_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("[server]\nopen = 1\nx = 2\n[[models]]\n", keys_text="secret = 1\nusers = {}\n")

    assert str(caught.value) == (
        "models.toml:\n"
        "  server.open: must be true or false, not an integer (line 2)\n"
        "  server: unknown key x (line 3)\n"
        "  models[0]: model_id is missing (line 4)\n"
        '  models[0]: route is missing; it says who answers, as "provider/target" (line 4)\n'
        "keys.toml:\n"
        "  secret: must be a string, not an integer (line 1)\n"
        "  unknown key users (line 2)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (line 2)", id="a key twice"),
        pytest.param("\n[a]\n[a]\n", "not valid TOML: Cannot declare ('a',) twice (line 3)", id="a table twice"),
        pytest.param("a = 1\nb =", "not valid TOML: Invalid value (line 2)", id="broken off"),
        pytest.param("a = " + "[" * 5000, "lists or tables are nested too deeply", id="too deep"),
        pytest.param("a = " + "1" * 5000, "holds a number or a date that can't be", id="too long a number"),
    ],
)
def test_a_syntax_error_is_one_problem(text: str, expected: str) -> None:
    assert faults(text) == [expected]


def test_syntax_errors_of_both_files_are_named() -> None:
    assert faults("a", keys_text="b") == [
        "not valid TOML: Expected '=' after a key in a key/value pair (line 1)",
        "not valid TOML: Expected '=' after a key in a key/value pair (line 1)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[providers.openai]\nkey = "SECRET\\n"', id="provider key"),
        pytest.param('[providers.openai]\nheaders = { a = "SECRET\\n" }', id="header"),
        pytest.param('[providers.openai]\nproxy = "SECRET"', id="proxy"),
        pytest.param('[providers.openai]\nbase_url = "http://u:SECRET@h"', id="address with credentials"),
        pytest.param('[[keys]]\nname = "k"\nhash = "SECRET"', id="key in place of its hash"),
    ],
)
def test_an_error_shows_no_secret(text: str) -> None:
    assert "SECRET" not in " ".join(faults(text))
