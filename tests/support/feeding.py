"""Runs a decoder over the same bytes cut in different ways."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Protocol

RANDOM_CUTS = 12


class Decoder(Protocol):
    """Something that is fed; what it returns is bytes, a list, one result or None."""

    def feed(self, data: bytes, /) -> Any: ...

    def close(self) -> Any: ...


def feed_every_way(make: Callable[[], Decoder], wire: bytes, *, seed: int = 0) -> Any:
    """What `make()` decodes from `wire`, the same for every way of cutting it.

    The bytes are fed whole, byte by byte, and `RANDOM_CUTS` times at random places. Results of all `feed` calls and of
    `close` are joined: bytes to bytes, lists to a list, single results are appended, None is skipped.

    Raises:
        AssertionError: One way gave another result; the message holds the pieces.
    """
    expected = _run(make(), [wire])
    for pieces in _cuts(wire, random.Random(seed)):
        actual = _run(make(), pieces)

        assert expected == actual, f"cut into {_shown(pieces)}"
    return expected


def _cuts(wire: bytes, chance: random.Random) -> Iterator[list[bytes]]:
    yield [wire[at : at + 1] for at in range(len(wire))]
    for _ in range(RANDOM_CUTS if len(wire) > 1 else 0):
        count = chance.randint(1, min(len(wire) - 1, 10))
        places = [0, *sorted(chance.sample(range(1, len(wire)), count)), len(wire)]
        yield [wire[start:end] for start, end in itertools.pairwise(places)]


def _run(decoder: Decoder, pieces: list[bytes]) -> Any:
    results = [decoder.feed(piece) for piece in pieces]
    results.append(decoder.close())
    said = [result for result in results if result is not None]
    if said and all(isinstance(result, bytes) for result in said):
        return b"".join(said)
    joined: list[Any] = []
    for result in said:
        if isinstance(result, (list, tuple)):
            joined.extend(result)
        else:
            joined.append(result)
    return joined


def _shown(pieces: list[bytes]) -> str:
    return f"{pieces[:20]}" + (f" and {len(pieces) - 20} more" if len(pieces) > 20 else "")
