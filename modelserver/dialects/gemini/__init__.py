"""Google Gemini, generateContent and streamGenerateContent."""

from __future__ import annotations

from typing import Final

import attrs

from modelserver.dialects.codec import Codec
from modelserver.dialects.dialect import Counter, Dialect, ModelLists
from modelserver.dialects.gemini import counting
from modelserver.dialects.gemini.answer import GeminiStreamEncoder, encode_response
from modelserver.dialects.gemini.ask import decode_request, split_path
from modelserver.dialects.gemini.errors import (
    decode_error,
    encode_array_error,
    encode_array_event,
    encode_error,
    encode_error_event,
)
from modelserver.dialects.gemini.listing import encode_list, encode_one
from modelserver.dialects.gemini.relay import forward, read_answer, read_request, rename
from modelserver.dialects.gemini.relay_stream import open_array_stream, open_stream
from modelserver.dialects.gemini.request import encode_request, place
from modelserver.dialects.gemini.response import decode_response
from modelserver.dialects.gemini.stream import GeminiStreamDecoder
from modelserver.dialects.gemini.vocab import ARRAY_KEEPALIVE, KEEPALIVE_FRAME

__all__ = [
    "CODEC",
    "GEMINI",
    "GEMINI_ARRAY",
    "KEEPALIVE_FRAME",
    "GeminiStreamEncoder",
    "encode_error",
    "encode_error_event",
    "split_path",
]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=GeminiStreamDecoder,
    encode_response=encode_response,
    stream_encoder=GeminiStreamEncoder,
)
"""The way to and from neutral values, where the other side speaks another dialect."""

GEMINI: Final = Dialect(
    name="gemini",
    codec=CODEC,
    prompt_field="contents",
    read_request=read_request,
    forward=forward,
    place=place,
    read_answer=read_answer,
    read_error=decode_error,
    open_stream=open_stream,
    encode_error=encode_error,
    encode_error_event=encode_error_event,
    rename=rename,
    keepalive=KEEPALIVE_FRAME,
    counter=Counter(
        read_request=counting.read_request,
        forward=counting.forward,
        place=counting.place,
        read_answer=counting.read_answer,
        decode_request=counting.decode_request,
        encode_request=counting.encode_request,
        encode_answer=counting.encode_answer,
    ),
    listing=ModelLists(encode_list=encode_list, encode_one=encode_one),
)

GEMINI_ARRAY: Final = attrs.evolve(
    GEMINI,
    codec=attrs.evolve(CODEC, stream_encoder=lambda writing: GeminiStreamEncoder(writing, array=True)),
    open_stream=open_array_stream,
    encode_error=encode_array_error,
    encode_error_event=encode_array_event,
    keepalive=ARRAY_KEEPALIVE,
    stream_type="application/json; charset=utf-8",
)
"""For clients that ask for a stream and not for events: it is one JSON array, and so are its errors."""
