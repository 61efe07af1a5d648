"""What a Chat request may say, field by field, and by which path a wrong one is named."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_chat.request import ChatAsk, check_request
from modelserver.dialects.reading import MAX_DEPTH, MAX_FIELDS, MAX_VALUES, parse_body
from modelserver.errors import InvalidRequest

USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object"}, "strict": True}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [USER], **fields}


def saying(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def part(value: Any) -> dict[str, Any]:
    return saying({"role": "user", "content": [value]})


def image(url: Any) -> dict[str, Any]:
    return part({"type": "image_url", "image_url": {"url": url}})


def called(call: Any) -> dict[str, Any]:
    return saying({"role": "assistant", "content": None, "tool_calls": [call]})


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key}


ASKS = [
    pytest.param(request(), ChatAsk(model="m", stream=False, include_usage=False, n=1), id="the least there can be"),
    pytest.param(request(stream=True), ChatAsk(model="m", stream=True, include_usage=False, n=1), id="a stream"),
    pytest.param(
        request(stream=True, stream_options={"include_usage": True}),
        ChatAsk(model="m", stream=True, include_usage=True, n=1),
        id="a stream with usage",
    ),
    pytest.param(
        request(stream_options={"include_usage": True}),
        ChatAsk(model="m", stream=False, include_usage=True, n=1),
        id="usage asked of an answer that is no stream",
    ),
    pytest.param(
        request(stream=True, stream_options={"include_usage": False}),
        ChatAsk(model="m", stream=True, include_usage=False, n=1),
        id="usage declined",
    ),
    pytest.param(request(n=3), ChatAsk(model="m", stream=False, include_usage=False, n=3), id="three choices"),
    pytest.param(
        request(n=None, stream=None, stream_options=None),
        ChatAsk(model="m", stream=False, include_usage=False, n=1),
        id="null is absent",
    ),
]


@pytest.mark.parametrize(("body", "expected"), ASKS)
def test_a_request_says_what_the_gateway_must_know(body: dict[str, Any], expected: ChatAsk) -> None:
    actual = check_request(body)

    assert expected == actual


GOOD_FIELDS = [
    pytest.param({"temperature": 0}, id="temperature 0"),
    pytest.param({"temperature": 2}, id="temperature 2"),
    pytest.param({"temperature": 0.7}, id="temperature between"),
    pytest.param({"top_p": 0}, id="top_p 0"),
    pytest.param({"top_p": 1.0}, id="top_p 1"),
    pytest.param({"presence_penalty": -2, "frequency_penalty": 2.0}, id="penalties at their bounds"),
    pytest.param({"max_tokens": 1, "max_completion_tokens": 1}, id="limits of one token"),
    pytest.param({"n": 128}, id="as many choices as OpenAI gives"),
    pytest.param({"seed": -5}, id="a negative seed"),
    pytest.param({"seed": 7.0}, id="a seed that is a whole number written with a point"),
    pytest.param(orjson.loads(b'{"seed":123456789012345678901234}'), id="a seed past 64 bits"),
    pytest.param({"logprobs": True, "top_logprobs": 20}, id="log probabilities"),
    pytest.param({"logprobs": 1}, id="log probabilities by count, as Together has it"),
    pytest.param({"top_logprobs": 0}, id="no top log probabilities"),
    pytest.param({"logit_bias": {"50256": -100, "1": 0.5}}, id="a logit bias"),
    pytest.param({"stop": "END"}, id="a stop string"),
    pytest.param({"stop": []}, id="no stop strings"),
    pytest.param({"stop": ["a", "b", "c", "d", "e"]}, id="five stop strings, which Gemini takes"),
    pytest.param({"stream_options": {"include_usage": None, "include_obfuscation": False}}, id="stream options"),
    pytest.param({"tools": []}, id="an empty list of tools"),
    pytest.param({"tools": [TOOL]}, id="a function"),
    pytest.param({"tools": [{"type": "function", "function": {"name": "f"}}]}, id="a function without parameters"),
    pytest.param(
        {"tools": [{"type": "function", "function": {"name": "a.b:c", "description": None, "strict": None}}]},
        id="a function whose optional fields are null",
    ),
    pytest.param({"tools": [without(TOOL, "type")]}, id="a function without type, as clients of Mistral send it"),
    pytest.param({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]}, id="custom"),
    pytest.param({"tools": [{"type": "openrouter:web_search", "parameters": {}}]}, id="a vendor's tool"),
    pytest.param({"tool_choice": "none"}, id="no tool"),
    pytest.param({"tool_choice": "auto"}, id="any tool or none"),
    pytest.param({"tool_choice": "required"}, id="some tool"),
    pytest.param({"tool_choice": "any"}, id="some tool, as Mistral says it"),
    pytest.param({"tool_choice": {"type": "function", "function": {"name": "f"}}}, id="one function"),
    pytest.param({"tool_choice": {"function": {"name": "f"}}}, id="one function, type left out"),
    pytest.param({"tool_choice": {"type": "custom", "custom": {"name": "c"}}}, id="one custom tool"),
    pytest.param(
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}}},
        id="allowed tools",
    ),
    pytest.param({"tool_choice": {"type": "web_search"}}, id="a vendor's tool chosen"),
    pytest.param({"parallel_tool_calls": False}, id="one call at a time"),
    pytest.param({"functions": [{"name": "f", "parameters": {}}], "function_call": "auto"}, id="functions of old"),
    pytest.param({"function_call": {"name": "f"}}, id="a function of old chosen"),
    pytest.param({"response_format": {"type": "text"}}, id="text"),
    pytest.param({"response_format": {"type": "json_object"}}, id="JSON"),
    pytest.param({"response_format": SCHEMA}, id="a schema"),
    pytest.param({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, id="a nameless schema"),
    pytest.param({"response_format": {"type": "json_schema", "schema": {}}}, id="a schema as Together has it"),
    pytest.param({"response_format": {"type": "grammar", "grammar": "g"}}, id="a vendor's format"),
    pytest.param({"reasoning_effort": "default"}, id="an effort that only one vendor has"),
    pytest.param({"verbosity": "low"}, id="verbosity"),
    pytest.param({"modalities": ["text", "image"]}, id="modalities"),
    pytest.param({"audio": {"voice": "alloy", "format": "opus"}}, id="audio"),
    pytest.param({"audio": {"voice": {"id": "v_1"}, "format": "wav"}}, id="audio in a voice of one's own"),
    pytest.param({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}, id="cache"),
    pytest.param({"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}, id="cache options"),
    pytest.param({"prediction": {"type": "content", "content": "x"}}, id="a prediction"),
    pytest.param({"prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]}}, id="in parts"),
    pytest.param({"web_search_options": {"search_context_size": "low", "user_location": {}}}, id="web search"),
    pytest.param({"web_search_options": {}}, id="web search as it comes"),
    pytest.param({"metadata": {"k": "v", "tags": ["a"]}}, id="metadata"),
    pytest.param({"user": "u", "safety_identifier": "s", "service_tier": "on_demand", "store": True}, id="the rest"),
    pytest.param({"moderation": {"model": "omni-moderation-latest"}}, id="moderation"),
    pytest.param({"top_k": -1, "thinking": [], "reasoning": 5, "x": {"y": [None]}}, id="fields that are not ours"),
]


@pytest.mark.parametrize("fields", GOOD_FIELDS)
def test_a_field_as_documented_passes(fields: dict[str, Any]) -> None:
    assert check_request(request(**fields)).model == "m"


OPTIONAL = [
    "stream",
    "stream_options",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "audio",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "prediction",
    "web_search_options",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "store",
    "moderation",
]


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_equals_absent(field: str) -> None:
    assert check_request(request(**{field: None})) == check_request(request())


BAD_FIELDS = [
    pytest.param({"messages": [USER]}, "model", id="no model"),
    pytest.param(request(model=None), "model", id="model null"),
    pytest.param(request(model=""), "model", id="model empty"),
    pytest.param(request(model=4), "model", id="model a number"),
    pytest.param({"model": "m"}, "messages", id="no messages"),
    pytest.param(request(messages=None), "messages", id="messages null"),
    pytest.param(request(messages=[]), "messages", id="messages empty"),
    pytest.param(request(messages="hi"), "messages", id="messages a string"),
    pytest.param(request(messages={"role": "user"}), "messages", id="messages an object"),
    pytest.param(request(temperature=2.1), "temperature", id="temperature too high"),
    pytest.param(request(temperature=-0.1), "temperature", id="temperature too low"),
    pytest.param(request(temperature="1"), "temperature", id="temperature a string"),
    pytest.param(request(temperature=True), "temperature", id="temperature a boolean"),
    pytest.param(request(temperature=float("nan")), "temperature", id="temperature no number"),
    pytest.param(request(top_p=1.01), "top_p", id="top_p too high"),
    pytest.param(request(top_p=-0.01), "top_p", id="top_p too low"),
    pytest.param(request(presence_penalty=2.5), "presence_penalty", id="presence penalty too high"),
    pytest.param(request(frequency_penalty=-2.5), "frequency_penalty", id="frequency penalty too low"),
    pytest.param(request(max_tokens=0), "max_tokens", id="max_tokens zero"),
    pytest.param(request(max_tokens=-1), "max_tokens", id="max_tokens negative"),
    pytest.param(request(max_tokens=100.0), "max_tokens", id="max_tokens a float"),
    pytest.param(request(max_tokens="100"), "max_tokens", id="max_tokens a string"),
    pytest.param(request(max_tokens=True), "max_tokens", id="max_tokens a boolean"),
    pytest.param(request(max_completion_tokens=0), "max_completion_tokens", id="max_completion_tokens zero"),
    pytest.param(request(seed=1.5), "seed", id="seed a fraction"),
    pytest.param(request(seed="7"), "seed", id="seed a string"),
    pytest.param(request(seed=False), "seed", id="seed a boolean"),
    pytest.param(request(seed=float("inf")), "seed", id="seed infinite"),
    pytest.param(request(n=0), "n", id="n zero"),
    pytest.param(request(n=129), "n", id="n past the bound"),
    pytest.param(request(n=1.0), "n", id="n a float"),
    pytest.param(request(stream=1), "stream", id="stream a number"),
    pytest.param(request(stream="true"), "stream", id="stream a string"),
    pytest.param(request(stream_options=True), "stream_options", id="stream options a boolean"),
    pytest.param(
        request(stream_options={"include_usage": 1}), "stream_options.include_usage", id="include_usage a number"
    ),
    pytest.param(
        request(stream_options={"include_obfuscation": "no"}), "stream_options.include_obfuscation", id="obfuscation"
    ),
    pytest.param(request(stop=5), "stop", id="stop a number"),
    pytest.param(request(stop=["a", 5]), "stop[1]", id="a stop string that is a number"),
    pytest.param(request(stop=["a", None]), "stop[1]", id="a stop string that is null"),
    pytest.param(request(logprobs="yes"), "logprobs", id="logprobs a string"),
    pytest.param(request(logprobs=-1), "logprobs", id="logprobs negative"),
    pytest.param(request(top_logprobs=21), "top_logprobs", id="top_logprobs too high"),
    pytest.param(request(top_logprobs=-1), "top_logprobs", id="top_logprobs negative"),
    pytest.param(request(logit_bias=[]), "logit_bias", id="logit bias a list"),
    pytest.param(request(logit_bias={"1": 101}), "logit_bias", id="logit bias too high"),
    pytest.param(request(logit_bias={"1": "5"}), "logit_bias", id="logit bias a string"),
    pytest.param(request(tools={}), "tools", id="tools an object"),
    pytest.param(request(tools=["f"]), "tools[0]", id="a tool that is a string"),
    pytest.param(request(tools=[TOOL, {}]), "tools[1].type", id="a tool without type"),
    pytest.param(request(tools=[{"type": 5}]), "tools[0].type", id="a tool whose type is a number"),
    pytest.param(request(tools=[{"type": ""}]), "tools[0].type", id="a tool whose type is empty"),
    pytest.param(request(tools=[{"type": "function"}]), "tools[0].function", id="a function tool without function"),
    pytest.param(request(tools=[{"function": None}]), "tools[0].function", id="a tool that is a null function"),
    pytest.param(
        request(tools=[{"type": "function", "name": "f"}]), "tools[0].function", id="a tool of the Responses shape"
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {}}]), "tools[0].function.name", id="a function without name"
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {"name": ""}}]), "tools[0].function.name", id="an empty name"
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        id="parameters a list",
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {"name": "f", "parameters": "{}"}}]),
        "tools[0].function.parameters",
        id="parameters a string",
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {"name": "f", "description": 1}}]),
        "tools[0].function.description",
        id="description a number",
    ),
    pytest.param(
        request(tools=[{"type": "function", "function": {"name": "f", "strict": "true"}}]),
        "tools[0].function.strict",
        id="strict a string",
    ),
    pytest.param(request(tools=[{"type": "custom"}]), "tools[0].custom", id="a custom tool without custom"),
    pytest.param(request(tools=[{"type": "custom", "custom": {}}]), "tools[0].custom.name", id="a nameless custom"),
    pytest.param(
        request(tools=[{"type": "custom", "custom": {"name": "c", "description": 5}}]),
        "tools[0].custom.description",
        id="a custom tool's description a number",
    ),
    pytest.param(
        request(tools=[{"type": "custom", "custom": {"name": "c", "format": "text"}}]),
        "tools[0].custom.format",
        id="a custom tool's format a string",
    ),
    pytest.param(request(tool_choice="f"), "tool_choice", id="a choice by bare name"),
    pytest.param(request(tool_choice=True), "tool_choice", id="a choice that is a boolean"),
    pytest.param(request(tool_choice={}), "tool_choice.type", id="a choice without type"),
    pytest.param(request(tool_choice={"type": "function"}), "tool_choice.function", id="a choice without function"),
    pytest.param(
        request(tool_choice={"type": "function", "function": {}}), "tool_choice.function.name", id="a nameless choice"
    ),
    pytest.param(
        request(tool_choice={"type": "custom", "custom": {"name": 5}}),
        "tool_choice.custom.name",
        id="a custom choice whose name is a number",
    ),
    pytest.param(
        request(tool_choice={"type": "allowed_tools"}), "tool_choice.allowed_tools", id="allowed tools left out"
    ),
    pytest.param(
        request(tool_choice={"type": "allowed_tools", "allowed_tools": {"tools": []}}),
        "tool_choice.allowed_tools.mode",
        id="allowed tools without mode",
    ),
    pytest.param(
        request(tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}),
        "tool_choice.allowed_tools.tools",
        id="allowed tools without tools",
    ),
    pytest.param(
        request(tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ["f"]}}),
        "tool_choice.allowed_tools.tools[0]",
        id="an allowed tool that is a string",
    ),
    pytest.param(request(parallel_tool_calls="no"), "parallel_tool_calls", id="parallel calls a string"),
    pytest.param(request(functions={}), "functions", id="functions an object"),
    pytest.param(request(functions=["f"]), "functions[0]", id="a function that is a string"),
    pytest.param(request(functions=[{}]), "functions[0].name", id="a function of old without name"),
    pytest.param(request(function_call="f"), "function_call", id="a function of old chosen by bare name"),
    pytest.param(request(function_call=[]), "function_call", id="a function of old chosen by list"),
    pytest.param(request(function_call={}), "function_call.name", id="a function of old chosen without name"),
    pytest.param(request(response_format="json"), "response_format", id="response format a string"),
    pytest.param(request(response_format={}), "response_format.type", id="response format without type"),
    pytest.param(request(response_format={"type": "json_schema"}), "response_format.json_schema", id="schema left out"),
    pytest.param(
        request(response_format={"type": "json_schema", "json_schema": {"name": 5}}),
        "response_format.json_schema.name",
        id="schema name a number",
    ),
    pytest.param(
        request(response_format={"type": "json_schema", "json_schema": {"name": "p", "description": []}}),
        "response_format.json_schema.description",
        id="schema description a list",
    ),
    pytest.param(
        request(response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": "{}"}}),
        "response_format.json_schema.schema",
        id="schema a string",
    ),
    pytest.param(
        request(response_format={"type": "json_schema", "json_schema": {"name": "p", "strict": 1}}),
        "response_format.json_schema.strict",
        id="schema strictness a number",
    ),
    pytest.param(request(reasoning_effort=5), "reasoning_effort", id="effort a number"),
    pytest.param(request(verbosity={}), "verbosity", id="verbosity an object"),
    pytest.param(request(modalities="text"), "modalities", id="modalities a string"),
    pytest.param(request(modalities=["text", 1]), "modalities[1]", id="a modality that is a number"),
    pytest.param(request(audio="alloy"), "audio", id="audio a string"),
    pytest.param(request(audio={"voice": "alloy"}), "audio.format", id="audio without format"),
    pytest.param(request(audio={"format": "wav"}), "audio.voice", id="audio without voice"),
    pytest.param(request(prompt_cache_key=1), "prompt_cache_key", id="cache key a number"),
    pytest.param(request(prompt_cache_options=[]), "prompt_cache_options", id="cache options a list"),
    pytest.param(request(prompt_cache_options={"mode": 1}), "prompt_cache_options.mode", id="cache mode a number"),
    pytest.param(request(prompt_cache_options={"ttl": 30}), "prompt_cache_options.ttl", id="cache ttl a number"),
    pytest.param(request(prompt_cache_retention=24), "prompt_cache_retention", id="cache retention a number"),
    pytest.param(request(prediction="x"), "prediction", id="prediction a string"),
    pytest.param(request(prediction={"content": "x"}), "prediction.type", id="prediction without type"),
    pytest.param(
        request(prediction={"type": "content", "content": 5}), "prediction.content", id="prediction of a number"
    ),
    pytest.param(request(web_search_options=True), "web_search_options", id="web search a boolean"),
    pytest.param(
        request(web_search_options={"search_context_size": 1}),
        "web_search_options.search_context_size",
        id="web search size a number",
    ),
    pytest.param(
        request(web_search_options={"user_location": "here"}),
        "web_search_options.user_location",
        id="web search place a string",
    ),
    pytest.param(request(metadata="x"), "metadata", id="metadata a string"),
    pytest.param(request(user=5), "user", id="user a number"),
    pytest.param(request(safety_identifier=5), "safety_identifier", id="safety identifier a number"),
    pytest.param(request(service_tier=True), "service_tier", id="service tier a boolean"),
    pytest.param(request(store="yes"), "store", id="store a string"),
    pytest.param(request(moderation="yes"), "moderation", id="moderation a string"),
    pytest.param(request(moderation={"model": 1}), "moderation.model", id="moderation model a number"),
    pytest.param(request(moderation={"policy": "p"}), "moderation.policy", id="moderation policy a string"),
]


@pytest.mark.parametrize(("body", "param"), BAD_FIELDS)
def test_a_wrong_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(body)

    assert caught.value.param == param


GOOD_MESSAGES = [
    pytest.param({"role": "system", "content": "be brief"}, id="system"),
    pytest.param({"role": "developer", "content": [{"type": "text", "text": "be brief"}]}, id="developer in parts"),
    pytest.param({"role": "user", "content": ""}, id="an empty string"),
    pytest.param({"role": "user", "content": "hi", "name": "ann"}, id="a user with a name"),
    pytest.param({"role": "user", "content": "hi", "name": None, "tool_calls": None}, id="what is null is absent"),
    pytest.param({"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}}, id="a cache mark"),
    pytest.param({"role": "assistant", "content": "hi"}, id="an answer"),
    pytest.param({"role": "assistant", "content": ""}, id="an empty answer"),
    pytest.param({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, id="a refusal part"),
    pytest.param({"role": "assistant", "tool_calls": [CALL]}, id="calls, content absent"),
    pytest.param({"role": "assistant", "content": None, "tool_calls": [CALL]}, id="calls, content null"),
    pytest.param({"role": "assistant", "content": [], "tool_calls": [CALL]}, id="calls, content an empty list"),
    pytest.param({"role": "assistant", "content": "x", "tool_calls": []}, id="text, calls an empty list"),
    pytest.param({"role": "assistant", "tool_calls": [without(CALL, "id")]}, id="a call without id"),
    pytest.param({"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}, id="a call with an empty id"),
    pytest.param({"role": "assistant", "tool_calls": [without(CALL, "type")]}, id="a call without type"),
    pytest.param(
        {"role": "assistant", "tool_calls": [{**CALL, "index": 0, "extra_content": {"google": {}}}]},
        id="a call with a vendor's fields",
    ),
    pytest.param(
        {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
        id="two calls",
    ),
    pytest.param(
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "c", "input": ""}}]},
        id="a custom call",
    ),
    pytest.param({"role": "assistant", "tool_calls": [{"id": "c", "type": "vendor"}]}, id="a vendor's call"),
    pytest.param({"role": "assistant", "function_call": {"name": "f", "arguments": "{"}}, id="a call of old, cut"),
    pytest.param({"role": "assistant", "audio": {"id": "a_1"}}, id="spoken before"),
    pytest.param({"role": "assistant", "content": None, "refusal": "no"}, id="refused before"),
    pytest.param({"role": "assistant", "content": None, "reasoning_content": "hm"}, id="reasoning only"),
    pytest.param({"role": "assistant", "content": None, "reasoning_details": [{}]}, id="reasoning details only"),
    pytest.param({"role": "assistant", "content": "x", "refusal": None, "audio": None}, id="an answer given back"),
    pytest.param(
        {"role": "assistant", "content": "x", "reasoning": "r", "thinking_blocks": [], "annotations": []},
        id="an answer with a vendor's fields",
    ),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": "4"}, id="a result"),
    pytest.param({"role": "tool", "tool_call_id": "", "content": ""}, id="a result for an empty id"),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": []}, id="a result without parts"),
    pytest.param(
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
        id="a picture as result",
    ),
    pytest.param({"role": "function", "name": "f", "content": None}, id="a result of old"),
]


@pytest.mark.parametrize("message", GOOD_MESSAGES)
def test_a_message_as_clients_send_it_passes(message: dict[str, Any]) -> None:
    assert check_request(saying(USER, message)).model == "m"


BAD_MESSAGES = [
    pytest.param("hi", "", id="no object"),
    pytest.param(None, "", id="null"),
    pytest.param({"content": "hi"}, ".role", id="no role"),
    pytest.param({"role": "model", "content": "hi"}, ".role", id="an unknown role"),
    pytest.param({"role": ["user"], "content": "hi"}, ".role", id="role a list"),
    pytest.param({"role": "user"}, ".content", id="user without content"),
    pytest.param({"role": "user", "content": None}, ".content", id="user content null"),
    pytest.param({"role": "user", "content": []}, ".content", id="user content an empty list"),
    pytest.param({"role": "user", "content": {"type": "text"}}, ".content", id="user content an object"),
    pytest.param({"role": "user", "content": "hi", "name": 5}, ".name", id="name a number"),
    pytest.param({"role": "system", "content": None}, ".content", id="system content null"),
    pytest.param({"role": "assistant"}, ".content", id="assistant with nothing"),
    pytest.param({"role": "assistant", "content": None}, ".content", id="assistant content null"),
    pytest.param({"role": "assistant", "content": None, "tool_calls": []}, ".content", id="assistant with no calls"),
    pytest.param({"role": "assistant", "content": 5, "tool_calls": [CALL]}, ".content", id="content a number"),
    pytest.param({"role": "assistant", "content": "x", "refusal": 5}, ".refusal", id="refusal a number"),
    pytest.param({"role": "assistant", "content": "x", "audio": "a"}, ".audio", id="audio a string"),
    pytest.param({"role": "assistant", "content": "x", "audio": {}}, ".audio.id", id="audio without id"),
    pytest.param({"role": "assistant", "content": "x", "function_call": "f"}, ".function_call", id="call a string"),
    pytest.param(
        {"role": "assistant", "function_call": {"arguments": ""}}, ".function_call.name", id="a call of old, nameless"
    ),
    pytest.param({"role": "assistant", "tool_calls": CALL}, ".tool_calls", id="calls an object"),
    pytest.param({"role": "tool", "content": "4"}, ".tool_call_id", id="a result without id"),
    pytest.param({"role": "tool", "tool_call_id": 1, "content": "4"}, ".tool_call_id", id="a result's id a number"),
    pytest.param({"role": "tool", "tool_call_id": "c1"}, ".content", id="a result without content"),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": None}, ".content", id="a result that is null"),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": {"a": 1}}, ".content", id="a result as object"),
    pytest.param({"role": "function", "content": "4"}, ".name", id="a result of old without name"),
    pytest.param({"role": "function", "name": "f", "content": 4}, ".content", id="a result of old, a number"),
]


@pytest.mark.parametrize(("message", "path"), BAD_MESSAGES)
def test_a_wrong_message_is_named(message: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(saying(USER, message))

    assert caught.value.param == f"messages[1]{path}"


BAD_CALLS = [
    pytest.param("f", "", id="no object"),
    pytest.param({**CALL, "id": 5}, ".id", id="id a number"),
    pytest.param({**CALL, "type": 5}, ".type", id="type a number"),
    pytest.param({"id": "c"}, ".function", id="neither type nor function"),
    pytest.param({"id": "c", "type": "function", "function": "f"}, ".function", id="function a string"),
    pytest.param(
        {"id": "c", "type": "function", "function": {"arguments": "{}"}}, ".function.name", id="a call without name"
    ),
    pytest.param(
        {"id": "c", "type": "function", "function": {"name": "f"}}, ".function.arguments", id="a call without arguments"
    ),
    pytest.param(
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}},
        ".function.arguments",
        id="arguments an object",
    ),
    pytest.param({"id": "c", "type": "custom", "function": {}}, ".custom", id="custom left out"),
    pytest.param({"id": "c", "type": "custom", "custom": {"input": ""}}, ".custom.name", id="a nameless custom call"),
    pytest.param({"id": "c", "type": "custom", "custom": {"name": "c"}}, ".custom.input", id="custom without input"),
]


@pytest.mark.parametrize(("call", "path"), BAD_CALLS)
def test_a_wrong_call_is_named(call: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(called(call))

    assert caught.value.param == f"messages[0].tool_calls[0]{path}"


GOOD_PARTS = [
    pytest.param({"type": "text", "text": ""}, id="empty text"),
    pytest.param({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, id="text with a cache mark"),
    pytest.param({"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}, id="a breakpoint"),
    pytest.param({"type": "text", "text": "x", "image_url": None}, id="text with the other fields null"),
    pytest.param({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}, id="a picture with detail"),
    pytest.param({"type": "image_url", "image_url": PNG}, id="a picture as Mistral has it"),
    pytest.param({"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}, id="sound"),
    pytest.param({"type": "input_audio", "input_audio": "UklGR"}, id="sound as Mistral has it"),
    pytest.param({"type": "file", "file": {"file_id": "file-1"}}, id="a file by id"),
    pytest.param({"type": "file", "file": {"file_data": "data:;base64,AA", "filename": "a.pdf"}}, id="a file"),
    pytest.param({"type": "file", "file_id": "file-1"}, id="a file as Mistral has it"),
    pytest.param({"type": "video_url", "video_url": {"url": "gs://x"}}, id="a vendor's part"),
    pytest.param({"type": "thinking", "thinking": []}, id="a part that reasons"),
]


@pytest.mark.parametrize("value", GOOD_PARTS)
def test_a_part_as_clients_send_it_passes(value: dict[str, Any]) -> None:
    assert check_request(part(value)).model == "m"


BAD_PARTS = [
    pytest.param("hi", "", id="no object"),
    pytest.param(None, "", id="null"),
    pytest.param({}, ".type", id="no type"),
    pytest.param({"text": "x"}, ".type", id="text without type"),
    pytest.param({"type": None}, ".type", id="type null"),
    pytest.param({"type": ""}, ".type", id="type empty"),
    pytest.param({"type": ["text"]}, ".type", id="type a list"),
    pytest.param({"type": "text"}, ".text", id="text left out"),
    pytest.param({"type": "text", "text": None}, ".text", id="text null"),
    pytest.param({"type": "refusal", "refusal": 5}, ".refusal", id="refusal a number"),
    pytest.param(
        {"type": "text", "text": "x", "prompt_cache_breakpoint": True}, ".prompt_cache_breakpoint", id="breakpoint"
    ),
    pytest.param({"type": "image_url"}, ".image_url", id="picture left out"),
    pytest.param({"type": "image_url", "image_url": None}, ".image_url", id="picture null"),
    pytest.param({"type": "image_url", "image_url": []}, ".image_url", id="picture a list"),
    pytest.param({"type": "image_url", "image_url": "cat.png"}, ".image_url", id="a bare file name"),
    pytest.param({"type": "image_url", "image_url": {}}, ".image_url.url", id="picture without url"),
    pytest.param({"type": "image_url", "image_url": {"url": 5}}, ".image_url.url", id="url a number"),
    pytest.param(
        {"type": "image_url", "image_url": {"url": PNG, "detail": 1}}, ".image_url.detail", id="detail a number"
    ),
    pytest.param({"type": "input_audio"}, ".input_audio", id="sound left out"),
    pytest.param({"type": "input_audio", "input_audio": {"format": "wav"}}, ".input_audio.data", id="no data"),
    pytest.param({"type": "input_audio", "input_audio": {"data": "AA"}}, ".input_audio.format", id="no format"),
    pytest.param({"type": "file"}, ".file", id="file left out"),
    pytest.param({"type": "file", "file": "a.pdf"}, ".file", id="file a string"),
    pytest.param({"type": "file", "file": {"file_data": 5}}, ".file.file_data", id="file data a number"),
    pytest.param({"type": "file", "file": {"file_id": 5}}, ".file.file_id", id="file id a number"),
    pytest.param({"type": "file", "file": {"filename": 5}}, ".file.filename", id="file name a number"),
]


@pytest.mark.parametrize(("value", "path"), BAD_PARTS)
def test_a_wrong_part_is_named(value: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(part(value))

    assert caught.value.param == f"messages[0].content[0]{path}"


def test_a_wrong_part_is_named_by_its_place() -> None:
    text = {"type": "text", "text": "x"}

    with pytest.raises(InvalidRequest) as caught:
        check_request(saying(USER, USER, {"role": "user", "content": [text, text, {"type": "text"}]}))

    assert caught.value.param == "messages[2].content[2].text"


GOOD_URLS = [
    pytest.param("https://example.org/cat.png", id="https"),
    pytest.param("http://example.org", id="http"),
    pytest.param("HTTPS://EXAMPLE.ORG/C", id="capitals"),
    pytest.param("https://[::1]/c", id="an address of IPv6"),
    pytest.param(PNG, id="png"),
    pytest.param("data:image/jpeg;base64,/9j/", id="jpeg"),
    pytest.param("data:image/jpg;base64,/9j/", id="jpg, which is no media type"),
    pytest.param("data:image/webp;base64,UklG", id="webp"),
    pytest.param("data:image/gif;base64,R0lG", id="gif"),
    pytest.param("data:image/svg+xml;base64,PHN2", id="an image type that others may know"),
    pytest.param("data:image/png;charset=utf-8;base64,iVBO", id="a parameter before base64"),
    pytest.param("DATA:IMAGE/PNG;BASE64,iVBO", id="a data URL in capitals"),
    pytest.param("data:;base64,iVBO", id="no media type"),
    pytest.param("data:application/octet-stream;base64,iVBO", id="any bytes"),
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_an_image_url_of_the_right_shape_passes(url: str) -> None:
    assert check_request(image(url)).model == "m"


BAD_URLS = [
    pytest.param("", id="empty"),
    pytest.param("cat.png", id="a file name"),
    pytest.param("/etc/passwd", id="a path"),
    pytest.param("file:///etc/passwd", id="a file URL"),
    pytest.param("ftp://example.org/cat.png", id="ftp"),
    pytest.param("gs://bucket/cat.png", id="a bucket"),
    pytest.param("javascript:alert(1)", id="a script"),
    pytest.param("https://", id="no host"),
    pytest.param("https:///cat.png", id="a path for a host"),
    pytest.param("https:example.org", id="no slashes"),
    pytest.param(" https://example.org", id="a space before it"),
    pytest.param("iVBORw0KGgo=", id="bare base64"),
    pytest.param("data:image/png;base64,", id="a data URL without data"),
    pytest.param("data:image/png,abc", id="a data URL without base64"),
    pytest.param("data:text/html;base64,PGI+", id="a data URL of HTML"),
    pytest.param("data:application/pdf;base64,JVBE", id="a data URL of a PDF"),
    pytest.param("data:image;base64,iVBO", id="half a media type"),
    pytest.param("data:image/png;base64", id="a data URL that stops"),
    pytest.param("data:" + ";a" * 50_000, id="a data URL of parameters only"),
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_image_url_of_another_shape_is_named(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(image(url))

    assert caught.value.param == "messages[0].content[0].image_url.url"


MESSAGES = [
    pytest.param({"model": "m"}, "messages is required.", id="missing"),
    pytest.param(request(stream="yes"), "stream must be a boolean, not a string.", id="wrong type"),
    pytest.param(request(temperature=3), "temperature must be a number from 0 to 2.", id="out of range"),
    pytest.param(request(max_tokens=0), "max_tokens must be an integer of at least 1.", id="too small"),
    pytest.param(request(max_tokens=1.0), "max_tokens must be an integer of at least 1.", id="a float"),
    pytest.param(request(n="2"), "n must be an integer from 1 to 128, not a string.", id="an integer's type"),
    pytest.param(
        saying({"role": "ROBOT", "content": "x"}),
        "messages[0].role must be one of assistant, developer, function, system, tool, user.",
        id="a choice",
    ),
    pytest.param(
        saying({"role": "user", "content": None}),
        "messages[0].content must be a string or a list of content parts, not null.",
        id="null where a value is needed",
    ),
    pytest.param(saying({"role": "user"}), "messages[0].content is required.", id="no content"),
    pytest.param(
        part({"type": "image_url"}), "messages[0].content[0].image_url is required.", id="a picture that is missing"
    ),
    pytest.param(
        request(stop=5), "stop must be a string or a list of strings, not a number.", id="either of two types"
    ),
    pytest.param(
        request(tools=[{"type": ""}]), "tools[0].type must be a string that is not empty.", id="an empty string"
    ),
    pytest.param(
        image("SECRET"),
        "messages[0].content[0].image_url.url must be an http or https URL or a base64 data URL of an image.",
        id="a URL, which is not repeated",
    ),
]


@pytest.mark.parametrize(("body", "expected"), MESSAGES)
def test_a_refusal_says_what_is_wanted(body: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(body)

    assert expected == caught.value.message


def nested(levels: int, open_: bytes = b"[", close: bytes = b"]") -> bytes:
    """An object that is `levels` deep, itself included."""
    return b'{"a":' + open_ * (levels - 1) + b"1" + close * (levels - 1) + b"}"


GOOD_BODIES = [
    pytest.param(b"{}", {}, id="an empty object"),
    pytest.param(b' \n{"a": 1}\r\n', {"a": 1}, id="space around it"),
    pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="the last of two equal keys"),
    pytest.param('{"a":"grüß 😀"}'.encode(), {"a": "grüß 😀"}, id="text beyond ASCII"),
    pytest.param(b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}, id="a whole surrogate pair"),
    pytest.param(b'{"a":18446744073709551615}', {"a": 2**64 - 1}, id="the largest exact integer"),
    pytest.param(b'{"a":"' + b"[{" * 500 + b'"}', {"a": "[{" * 500}, id="brackets in a string"),
    pytest.param(b'{"a":[' + b"[[]]," * 500 + b"[]]}", {"a": [[[]]] * 500 + [[]]}, id="many brackets, none deep"),
]


@pytest.mark.parametrize(("body", "expected"), GOOD_BODIES)
def test_a_json_object_is_parsed(body: bytes, expected: dict[str, Any]) -> None:
    actual = parse_body(body)

    assert expected == actual


BAD_BODIES = [
    pytest.param(b"", "The request body is empty; send a JSON object.", id="empty"),
    pytest.param(b" \r\n", "The request body is empty; send a JSON object.", id="blank"),
    pytest.param(b"[]", "The request body must be a JSON object, not a list.", id="a list"),
    pytest.param(b'"{}"', "The request body must be a JSON object, not a string.", id="a string"),
    pytest.param(b"null", "The request body must be a JSON object, not null.", id="null"),
    pytest.param(b"1", "The request body must be a JSON object, not a number.", id="a number"),
    pytest.param(
        b"\xef\xbb\xbf{}", "The request body begins with a byte order mark; send UTF-8 without one.", id="a BOM"
    ),
    pytest.param(b'{"a":"\xff"}', "The request body is not valid UTF-8 at byte 6.", id="a byte that is not UTF-8"),
    pytest.param(
        b'{"a":"\xed\xa0\x80"}', "The request body is not valid UTF-8 at byte 6.", id="a surrogate written as bytes"
    ),
    pytest.param('{"a":1}'.encode("utf-16"), "The request body is not valid UTF-8 at byte 0.", id="UTF-16"),
    pytest.param(
        b'{"a":NaN}',
        "The request body is not valid JSON: NaN and Infinity are not JSON numbers (line 1, column 6).",
        id="NaN",
    ),
    pytest.param(
        b'{"a":-Infinity}',
        "The request body is not valid JSON: NaN and Infinity are not JSON numbers (line 1, column 7).",
        id="Infinity",
    ),
    pytest.param(
        b'{"a":1e999}', "The request body is not valid JSON: a number is too large (line 1, column 6).", id="1e999"
    ),
    pytest.param(
        b'{\n"a":"x\\ud83dy"}',
        "The request body is not valid JSON: a \\u escape is half of a surrogate pair (line 2, column 7).",
        id="a high surrogate alone",
    ),
    pytest.param(
        b'{"a":"x\\ud83d\\u0041"}',
        "The request body is not valid JSON: a \\u escape is half of a surrogate pair (line 1, column 8).",
        id="a high surrogate before a letter",
    ),
    pytest.param(
        b'{"a":"a\nb"}',
        "The request body is not valid JSON: a string has a control character that is not escaped (line 1, column 8).",
        id="a raw line feed in a string",
    ),
    pytest.param(
        b'{"a":1,}',
        "The request body is not valid JSON: a comma stands before a closing bracket (line 1, column 7).",
        id="a trailing comma",
    ),
    pytest.param(
        b'{"a":"b', "The request body is not valid JSON: the text ends too early (line 1, column 8).", id="cut short"
    ),
    pytest.param(
        b"{}{}",
        "The request body is not valid JSON: something follows the JSON object (line 1, column 3).",
        id="two objects",
    ),
    pytest.param(b"{'a':1}", "The request body is not valid JSON (line 1, column 2).", id="single quotes"),
    pytest.param(b"model=m", "The request body is not valid JSON (line 1, column 1).", id="a form"),
    pytest.param(
        nested(MAX_DEPTH + 1), "The request body is nested too deeply; at most 100 levels are accepted.", id="lists"
    ),
    pytest.param(
        nested(MAX_DEPTH + 1, b'{"a":', b"}"),
        "The request body is nested too deeply; at most 100 levels are accepted.",
        id="objects",
    ),
    pytest.param(
        nested(5000),
        "The request body is nested too deeply; at most 100 levels are accepted.",
        id="deeper than the parser goes",
    ),
    pytest.param(
        b'{"b":"]","a":' + b'["]",' * 150 + b"1" + b',"["]' * 150 + b"}",
        "The request body is nested too deeply; at most 100 levels are accepted.",
        id="depth hidden by brackets in strings",
    ),
    pytest.param(
        b'{"a":[' + b"0," * MAX_VALUES + b"0]}",
        "The request body holds too many values; at most 200,000 are accepted.",
        id="numbers without end",
    ),
    pytest.param(
        b'{"a":[' + rb'"\\",' * MAX_VALUES + b"0]}",
        "The request body holds too many values; at most 200,000 are accepted.",
        id="strings without end, each of a backslash",
    ),
    pytest.param(
        b'{"a":' + b"[" * MAX_VALUES,
        "The request body holds too many values; at most 200,000 are accepted.",
        id="brackets without end",
    ),
    pytest.param(
        orjson.dumps({str(number): 0 for number in range(MAX_FIELDS + 1)}),
        "The request body has too many fields; at most 1,000 are accepted.",
        id="fields without end",
    ),
]


@pytest.mark.parametrize(("body", "expected"), BAD_BODIES)
def test_what_is_no_json_object_is_refused(body: bytes, expected: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(body)

    assert expected == caught.value.message


@pytest.mark.parametrize(
    ("open_", "close"), [pytest.param(b"[", b"]", id="lists"), pytest.param(b'{"a":', b"}", id="objects")]
)
def test_the_deepest_nesting_allowed_passes(open_: bytes, close: bytes) -> None:
    assert list(parse_body(nested(MAX_DEPTH, open_, close))) == ["a"]


MANY = [
    pytest.param(b'{"a":["' + rb"[,{\",\\" * MAX_VALUES + b'"]}', id="in a string"),
    pytest.param(b'{"a":[' + b"0," * (MAX_VALUES - 3) + b"0]}", id="as many as may be"),
]


@pytest.mark.parametrize("body", MANY)
def test_a_long_body_of_few_values_passes(body: bytes) -> None:
    assert list(parse_body(body)) == ["a"]
