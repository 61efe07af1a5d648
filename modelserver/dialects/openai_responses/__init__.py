"""OpenAI Responses."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.codec import Codec
from modelserver.dialects.openai_responses.answer import KEEPALIVE_FRAME, encode_error, encode_error_event
from modelserver.dialects.openai_responses.client_request import decode_request
from modelserver.dialects.openai_responses.report import decode_error
from modelserver.dialects.openai_responses.request import encode_request
from modelserver.dialects.openai_responses.response import decode_response
from modelserver.dialects.openai_responses.stream import stream_decoder
from modelserver.dialects.openai_responses.stream_writing import (
    ResponsesStreamEncoder,
    encode_response,
)

__all__ = ["CODEC", "KEEPALIVE_FRAME", "encode_error", "encode_error_event"]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=stream_decoder,
    encode_response=encode_response,
    stream_encoder=ResponsesStreamEncoder,
)
