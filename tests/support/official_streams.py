"""Streams that the official Python clients read as if they came from the network, every event with their parsers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final
from unittest.mock import patch

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types

_ASKED: Final[Any] = [{"role": "user", "content": "Hi"}]


def read_stream(dialect: str, body: bytes) -> Any:
    """What the client of a dialect makes of a whole stream, in its own type: the answer, of Gemini's every chunk.

    Raises:
        openai.APIError, anthropic.APIError, genai.errors.APIError: The stream ends with an error, as the client says
            it. Responses has none: there the answer itself is one that failed.
    """
    return _READ[dialect](body)


def _chat(body: bytes) -> Any:
    with _openai(body).chat.completions.stream(model="m", messages=_ASKED) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()


def _responses(body: bytes) -> Any:
    last: Any = None
    with _openai(body).responses.stream(model="m", input="Hi") as stream:
        for event in stream:
            last = event
    return last.response


def _anthropic(body: bytes) -> Any:
    client = anthropic.Anthropic(
        api_key="k", base_url="http://gateway.invalid", http_client=_answering(body), max_retries=0
    )
    with client.messages.stream(model="m", max_tokens=9, messages=_ASKED) as stream:
        return stream.get_final_message()


def _gemini(body: bytes) -> Any:
    with patch.object(_REPEATING, "body", body):
        return list(_google().models.generate_content_stream(model="m", contents="Hi"))


_READ: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "chat": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}


def _openai(body: bytes) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://gateway.invalid/v1", http_client=_answering(body), max_retries=0)


@cache
def _google() -> genai.Client:
    """One for all streams: making it takes longer than reading them."""
    options = types.HttpOptions(base_url="http://gateway.invalid", httpx_client=httpx2.Client(transport=_REPEATING))
    return genai.Client(api_key="k", http_options=options)


def _answering(body: bytes) -> httpx2.Client:
    return httpx2.Client(transport=_Repeating(body))


class _Repeating(httpx2.BaseTransport):
    """A connection on which a stream is all that is ever said."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=self.body)


_REPEATING: Final = _Repeating()
