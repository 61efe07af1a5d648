"""OpenAI Chat Completions."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.codec import Codec
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.openai_chat.chunks import decode_response, stream_decoder
from modelserver.dialects.openai_chat.client_request import decode_request
from modelserver.dialects.openai_chat.request import forward, read_request
from modelserver.dialects.openai_chat.response import (
    encode_error,
    encode_error_event,
    read_answer,
    read_error,
    rename,
)
from modelserver.dialects.openai_chat.stream import ChatStreamRelay, replay
from modelserver.dialects.openai_chat.stream_writing import ChatStreamEncoder
from modelserver.dialects.openai_chat.upstream_request import encode_request
from modelserver.dialects.openai_chat.vocab import KEEPALIVE_FRAME
from modelserver.dialects.openai_chat.writing import encode_response

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
"""What the relay between a client and an upstream of this dialect needs."""

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=read_error,
    stream_decoder=stream_decoder,
    encode_response=encode_response,
    stream_encoder=ChatStreamEncoder,
)
"""The way to and from neutral values, where the other side speaks another dialect."""
