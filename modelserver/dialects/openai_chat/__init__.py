"""OpenAI Chat Completions."""

from __future__ import annotations

from functools import partial
from typing import Final

from modelserver.dialects.codec import Codec
from modelserver.dialects.dialect import Dialect, ModelLists
from modelserver.dialects.forwarding import rename_model
from modelserver.dialects.openai_chat.chunks import decode_response, stream_decoder
from modelserver.dialects.openai_chat.client_request import decode_request
from modelserver.dialects.openai_chat.listing import encode_list, encode_one
from modelserver.dialects.openai_chat.request import forward, read_request
from modelserver.dialects.openai_chat.response import (
    encode_error,
    encode_error_event,
    read_answer,
    read_error,
)
from modelserver.dialects.openai_chat.stream import ChatStreamRelay, replay
from modelserver.dialects.openai_chat.stream_writing import ChatStreamEncoder
from modelserver.dialects.openai_chat.upstream_request import encode_request
from modelserver.dialects.openai_chat.vocab import KEEPALIVE_FRAME
from modelserver.dialects.openai_chat.writing import encode_response

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

CHAT: Final = Dialect(
    name="chat",
    codec=CODEC,
    prompt_field="messages",
    model_fields=("models",),  # OpenRouter
    read_request=read_request,
    forward=forward,
    place=lambda target, stream: ("/chat/completions", {}),
    passed_headers=("openai-beta",),
    read_answer=read_answer,
    read_error=read_error,
    open_stream=ChatStreamRelay,
    replay=replay,
    encode_error=encode_error,
    encode_error_event=encode_error_event,
    rename=partial(rename_model, even_null=True),
    keepalive=KEEPALIVE_FRAME,
    listing=ModelLists(encode_list=encode_list, encode_one=encode_one),
)
