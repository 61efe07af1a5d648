"""Anthropic Messages."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.anthropic import counting
from modelserver.dialects.anthropic.client_request import decode_request
from modelserver.dialects.anthropic.listing import encode_list, encode_one
from modelserver.dialects.anthropic.relay import forward, read_answer, read_request
from modelserver.dialects.anthropic.relay_stream import open_stream
from modelserver.dialects.anthropic.request import encode_request
from modelserver.dialects.anthropic.response import decode_error, decode_response
from modelserver.dialects.anthropic.stream import AnthropicStreamDecoder
from modelserver.dialects.anthropic.stream_writing import PING_FRAME, AnthropicStreamEncoder
from modelserver.dialects.anthropic.vocab import PATH, VERSION
from modelserver.dialects.anthropic.writing import encode_error, encode_error_event, encode_response
from modelserver.dialects.codec import Codec
from modelserver.dialects.dialect import Counter, Dialect, ModelLists
from modelserver.dialects.forwarding import rename_model

__all__ = ["ANTHROPIC", "CODEC", "encode_error", "encode_error_event"]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=AnthropicStreamDecoder,
    encode_response=encode_response,
    stream_encoder=AnthropicStreamEncoder,
)
"""The way to and from neutral values, where the other side speaks another dialect."""

COUNTER: Final = Counter(
    read_request=counting.read_request,
    forward=counting.forward,
    place=counting.place,
    read_answer=counting.read_answer,
    decode_request=counting.decode_request,
    encode_request=counting.encode_request,
    encode_answer=counting.encode_answer,
)

ANTHROPIC: Final = Dialect(
    name="anthropic",
    codec=CODEC,
    prompt_field="messages",
    model_fields=("fallbacks",),
    read_request=read_request,
    forward=forward,
    place=lambda target, stream: (PATH, {}),
    headers={"anthropic-version": VERSION},
    passed_headers=("anthropic-beta", "anthropic-version"),
    read_answer=read_answer,
    read_error=decode_error,
    open_stream=open_stream,
    encode_error=encode_error,
    encode_error_event=encode_error_event,
    rename=rename_model,
    keepalive=PING_FRAME,
    counter=COUNTER,
    listing=ModelLists(encode_list=encode_list, encode_one=encode_one),
)
