"""The rest of what the Anthropic encoder sends, and what it refuses."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.request import encode_request
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    Citation,
    Document,
    FileRef,
    Inline,
    Opaque,
    Text,
)
from modelserver.ir.request import (
    CacheSpec,
    HostedTool,
    Identity,
    Ignored,
    Rejected,
    Request,
    StateRef,
    ToolChoice,
)
from tests.support.anthropic import (
    OBJECT,
    TEA,
    F,
    G,
    answered,
    assistant,
    chat,
    profile,
    result,
    sent,
    text,
    tool,
    turn,
    user,
)


def test_h20_of_many_marks_four_stay() -> None:
    hint, long = CacheHint(), CacheHint(ttl_s=3600)
    marked = [user(Text(text=str(index), cache=hint)) for index in range(5)]
    request = chat(
        *[each for index, one in enumerate(marked) for each in (one, assistant(f"a{index}"))][:-1],
        tools=(attrs.evolve(F, cache=hint), attrs.evolve(G, cache=hint)),
        system=(Text(text="S", cache=long), Text(text="T")),
    )
    body, _ = sent(request, profile())

    assert [each.get("cache_control") for each in body["tools"]] == [None, {"type": "ephemeral", "ttl": "1h"}]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert ["cache_control" in each["content"][0] for each in body["messages"] if each["role"] == "user"] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_h20_a_hint_on_a_result_marks_the_result() -> None:
    body, _ = sent(chat(user("q"), assistant(TEA), user(result("t1", Text(text="x", cache=CacheHint())))), profile())

    assert body["messages"][2]["content"] == [answered("t1", "x", cache_control={"type": "ephemeral"})]


def test_h20_the_request_as_a_whole_is_marked() -> None:
    body, _ = sent(chat(cache=CacheSpec(auto_mark=True)), profile())

    assert body["cache_control"] == {"type": "ephemeral"}


def test_h31_a_user_becomes_a_pseudonym() -> None:
    request = chat(identity=Identity(user="ann@example.org"), service_tier="flex")
    body, codes = sent(request, profile())

    assert body["metadata"] == {"user_id": "u_0000000000000000000000000000000f"}
    assert codes == ["service_tier_dropped"]


def test_h31_the_default_tier_is_the_standard_one() -> None:
    body, _ = sent(chat(service_tier="default"), profile())

    assert body["service_tier"] == "standard_only"


def test_h3_a_prefill_that_can_t_be_sent_is_followed_by_a_user() -> None:
    body, codes = sent(chat(user("q"), assistant("The")), profile())

    assert body["messages"][-1] == turn("user", text("Continue."))
    assert codes == ["prefill_dropped"]


def test_h44_a_paused_answer_goes_back_as_it_came() -> None:
    search = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
    location = {
        "type": "web_search_result_location",
        "url": "https://e.example",
        "title": "E",
        "cited_text": "c",
        "encrypted_index": "Ei",
    }
    answer = assistant(
        Opaque(dialect="anthropic", type="server_tool_use", raw=search),
        Text(text="Part", citations=(Citation(kind="url", raw=location), Citation(kind="url", raw={"type": "other"}))),
    )
    body, codes = sent(chat(user("q"), answer), profile())

    assert body["messages"][1] == turn("assistant", search, text("Part", citations=[location]))
    assert codes == ["citations_dropped"]


def test_a_file_needs_a_beta() -> None:
    request = attrs.evolve(chat(user(Document(source=FileRef(provider="anthropic", id="file_1")))), dialect="anthropic")
    encoded = encode_request(request, profile())

    assert encoded.headers["anthropic-beta"] == "files-api-2025-04-14"


REFUSED = [
    pytest.param({"n": 2}, "n", id="D41 H14 more than one answer"),
    pytest.param({"state": StateRef(previous_response_id="resp_1")}, "previous_response_id", id="H32 state"),
    pytest.param(
        {"rejected": (Rejected(param="prediction", why="x"),)},
        "prediction",
        id="D9 what the client's dialect says can't cross",
    ),
    pytest.param({"modalities": frozenset(("text", "audio"))}, "modalities", id="H24 sound wanted"),
    pytest.param(
        {"messages": (user(Audio(source=Inline(media_type="audio/wav", b64="UklGR"))),)},
        "messages",
        id="H24 sound given",
    ),
    pytest.param(
        {"messages": (user(Document(source=FileRef(provider="responses", id="file-1"))),)},
        "messages",
        id="another provider's file",
    ),
    pytest.param(
        {"messages": (user(Document(source=Inline(media_type="application/msword", b64="AAAA"))),)},
        "messages",
        id="H23 another type of document",
    ),
    pytest.param({"tools": (HostedTool(family="mcp", dialect="responses", raw={}),)}, "tools", id="H27 MCP"),
    pytest.param(
        {
            "tools": (F, HostedTool(family="file_search", dialect="responses", raw={})),
            "tool_choice": ToolChoice(mode="required", hosted="file_search"),
        },
        "tools",
        id="D79 H27 a hosted tool that is forced",
    ),
    pytest.param({"tools": (F, attrs.evolve(F, description="other"))}, "tools[1]", id="H7 one name for two tools"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_can_t_be_asked_is_refused(fields: dict[str, Any], param: str) -> None:
    request = Request(dialect="chat", model="m", **{"messages": (user("hi"),), **fields})
    with pytest.raises(InvalidRequest) as caught:
        encode_request(request, profile())

    assert caught.value.param == param


def test_d10_a_loss_is_refused_where_losses_are() -> None:
    with pytest.raises(Unsupported) as caught:
        encode_request(chat(service_tier="flex"), profile(refuse_losses=True))

    assert caught.value.param == "service_tier"


def test_what_the_client_loses_is_named() -> None:
    _, codes = sent(chat(ignored=(Ignored(name="store"),)), profile())

    assert codes == ["field_dropped:store"]


def test_quirks_take_out_and_add() -> None:
    target = profile(
        quirks={"drop": ["cache_control", "metadata", "tools[].description", "betas"], "add": {"region": "eu"}}
    )
    request = chat(
        user(Text(text="a", cache=CacheHint())), tools=(tool(description="d"),), identity=Identity(user="ann")
    )
    body = orjson.loads(encode_request(request, target).body)

    assert body == {
        "model": "claude-x",
        "max_tokens": 8192,
        "tools": [{"name": "f", "input_schema": OBJECT}],
        "messages": [turn("user", text("a"))],
        "region": "eu",
    }
