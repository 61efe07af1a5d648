"""Token counts where no provider counts."""

from __future__ import annotations

import pytest

from modelserver.ir.parts import Document, Image, Inline, Message, Opaque, Part, PlainText, Text, ToolCall, ToolResult
from modelserver.ir.request import CustomTool, FunctionTool, HostedTool, Request, ResponseFormat
from modelserver.policy.estimate import estimate_prompt


def said(*parts: Part, **fields: object) -> Request:
    return Request(dialect="chat", model="m", messages=(Message(role="user", parts=parts),), **fields)  # type: ignore[arg-type]


PNG = Image(source=Inline(media_type="image/png", b64="iVBORw0KGgo="))
REQUESTS = [
    pytest.param(said(Text(text="x" * 36)), 18, id="36 bytes are 10 tokens, a message is 8"),
    pytest.param(said(Text(text="é" * 18)), 18, id="bytes and not characters"),
    pytest.param(said(Text(text="x")), 9, id="a rest counts"),
    pytest.param(Request(dialect="chat", model="m"), 0, id="nothing"),
    pytest.param(
        Request(dialect="chat", model="m", system=(Text(text="x" * 18), Text(text="y" * 18))), 18, id="instructions"
    ),
    pytest.param(said(PNG), 1108, id="an image"),
    pytest.param(said(ToolResult(call_id="c", content=(Text(text="x" * 36), PNG))), 1118, id="within a result"),
    pytest.param(said(ToolCall(id="c", name="find", arguments='{"q":"tea and more of it, please"}')), 19, id="a call"),
    pytest.param(
        said(Document(source=Inline(media_type="application/pdf", b64="A" * 4_000))), 83, id="a document by its bytes"
    ),
    pytest.param(
        said(Document(source=Inline(media_type="application/pdf", b64="A" * 16_000_000))), 200_008, id="up to a limit"
    ),
    pytest.param(said(Document(source=PlainText(text="x" * 36))), 18, id="a text document"),
    pytest.param(said(Opaque(dialect="anthropic", type="x", raw={"type": "x" * 25})), 18, id="a block not known"),
    pytest.param(
        said(tools=(FunctionTool(name="find", description="x" * 15, schema={"type": "object"}),)), 18, id="a function"
    ),
    pytest.param(said(tools=(CustomTool(name="x" * 6, description="y" * 15, grammar="z" * 15),)), 18, id="a grammar"),
    pytest.param(
        said(tools=(HostedTool(family="web_search", dialect="gemini", raw={"googleSearch": {}}),)), 14, id="hosted"
    ),
    pytest.param(said(format=ResponseFormat(kind="schema", schema={"type": "object"})), 13, id="a schema"),
]


@pytest.mark.parametrize(("request_", "tokens"), REQUESTS)
def test_a_prompt_is_about_so_many_tokens(request_: Request, tokens: int) -> None:
    assert estimate_prompt(request_) == tokens
