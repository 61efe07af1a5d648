"""OpenAI Responses."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.codec import Codec
from modelserver.dialects.dialect import Counter, Dialect
from modelserver.dialects.forwarding import rename_model
from modelserver.dialects.openai_responses import counting
from modelserver.dialects.openai_responses.answer import KEEPALIVE_FRAME, encode_error, encode_error_event
from modelserver.dialects.openai_responses.client_request import decode_request
from modelserver.dialects.openai_responses.relay import forward, read_answer, read_request
from modelserver.dialects.openai_responses.relay_stream import open_stream
from modelserver.dialects.openai_responses.report import decode_error
from modelserver.dialects.openai_responses.request import encode_request
from modelserver.dialects.openai_responses.response import decode_response
from modelserver.dialects.openai_responses.stream import stream_decoder
from modelserver.dialects.openai_responses.stream_writing import (
    ResponsesStreamEncoder,
    encode_response,
)
from modelserver.dialects.openai_responses.vocab import PATH

__all__ = ["CODEC", "COUNTER", "RESPONSES", "encode_error", "encode_error_event"]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=stream_decoder,
    encode_response=encode_response,
    stream_encoder=ResponsesStreamEncoder,
)
"""The way to and from neutral values, where the other side speaks another dialect."""

COUNTER: Final = Counter(
    read_request=counting.read_request,
    forward=counting.forward,
    place=counting.place,
    read_answer=counting.read_answer,
    decode_request=decode_request,
    encode_request=counting.encode_request,
    encode_answer=counting.encode_answer,
)

RESPONSES: Final = Dialect(
    name="responses",
    codec=CODEC,
    prompt_field="input",
    read_request=read_request,
    forward=forward,
    place=lambda target, stream: (PATH, {}),
    passed_headers=("openai-beta",),
    read_answer=read_answer,
    read_error=decode_error,
    open_stream=open_stream,
    encode_error=encode_error,
    encode_error_event=encode_error_event,
    rename=rename_model,
    keepalive=KEEPALIVE_FRAME,
    counter=COUNTER,
)
