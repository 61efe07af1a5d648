"""OpenAI Chat Completions."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.dialect import Dialect
from modelserver.dialects.openai_chat.request import forward, read_request
from modelserver.dialects.openai_chat.response import (
    encode_error,
    encode_error_event,
    read_answer,
    read_error,
    rename,
)
from modelserver.dialects.openai_chat.stream import ChatStreamRelay, replay
from modelserver.dialects.openai_chat.vocab import KEEPALIVE_FRAME

CHAT: Final = Dialect(
    name="chat",
    read_request=read_request,
    forward=forward,
    read_answer=read_answer,
    read_error=read_error,
    open_stream=ChatStreamRelay,
    replay=replay,
    encode_error=encode_error,
    encode_error_event=encode_error_event,
    rename=rename,
    keepalive=KEEPALIVE_FRAME,
)
