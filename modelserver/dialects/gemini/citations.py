"""Where text comes from: Google's grounding and citation metadata, read and written. Offsets on the wire are bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelserver.ir.parts import Citation


def read_citations(candidate: Mapping[str, Any], texts: Sequence[str], *, last: bool) -> Iterator[Citation]:
    """The citations of a candidate that lie in the last of the texts; with `last` also those that lie nowhere.

    `texts` are the visible texts so far, in order. Offsets count from the beginning of a part; where they do not fit
    there, from the beginning of all text (streams, text around code). Which it is tells the text that a segment quotes.
    """
    grounding = candidate.get("groundingMetadata")
    if isinstance(grounding, dict):
        yield from _grounded(grounding, texts, last)
    metadata = candidate.get("citationMetadata")
    cited = metadata.get("citations", metadata.get("citationSources")) if isinstance(metadata, dict) else None
    for entry in cited if isinstance(cited, list) else ():
        found = _offsets(entry, texts, len(texts) - 1) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and (found or last):
            start, end = found or (None, None)
            yield Citation(
                kind="url" if entry.get("uri") else "other",
                url=_text(entry.get("uri")),
                title=_text(entry.get("title")),
                start=start,
                end=end,
                raw=entry,
            )


def _grounded(grounding: Mapping[str, Any], texts: Sequence[str], last: bool) -> Iterator[Citation]:
    chunks = grounding.get("groundingChunks")
    if not isinstance(chunks, list):
        return
    supports = grounding.get("groundingSupports")
    if not isinstance(supports, list) or not supports:
        if last:
            yield from (_citation(chunk, None, None) for chunk in chunks if isinstance(chunk, dict))
        return
    for support in supports:
        if not isinstance(support, dict):
            continue
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        found = _offsets(segment, texts, len(texts) - 1)
        if found is None and (not last or any(_offsets(segment, texts, at) for at in range(len(texts) - 1))):
            continue
        start, end = found or (None, None)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is int and 0 <= index < len(chunks) and isinstance(chunks[index], dict):
                yield _citation(chunks[index], start, end)


def _offsets(segment: Mapping[str, Any], texts: Sequence[str], block: int) -> tuple[int, int] | None:
    """The segment in code points of `texts[block]`; None when it lies elsewhere or nowhere."""
    start, end = segment.get("startIndex", 0), segment.get("endIndex")
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        return None
    quoted = segment.get("text")
    data = texts[block].encode("utf-8", "surrogatepass")
    before = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts[:block])
    for base in dict.fromkeys((0, before)):
        piece = data[max(start - base, 0) : end - base] if start >= base and end - base <= len(data) else b""
        if not piece or (quoted is None and base != before):
            continue
        try:
            text = piece.decode()
            lead = len(data[: start - base].decode())
        except UnicodeDecodeError:  # an offset within a character
            continue
        if quoted is None or quoted == text:
            return lead, lead + len(text)
    return None


def _citation(chunk: Mapping[str, Any], start: int | None, end: int | None) -> Citation:
    for key in ("web", "maps", "retrievedContext", "image"):
        source = chunk.get(key)
        if isinstance(source, dict):
            url = _text(source.get("uri"))
            return Citation(
                kind="document" if key == "retrievedContext" else "url" if url else "other",
                url=url,
                title=_text(source.get("title")),
                cited_text=_text(source.get("text")) if key == "retrievedContext" else None,
                start=start,
                end=end,
                raw=chunk,
            )
    return Citation(kind="other", start=start, end=end, raw=chunk)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


class GroundingWriter:
    """Collects citations of one candidate for its `groundingMetadata`."""

    def __init__(self) -> None:
        self._chunks: list[dict[str, Any]] = []
        self._supports: list[dict[str, Any]] = []
        self._indices: dict[tuple[str | None, str | None, str | None], int] = {}

    def add(self, text: str, citations: Sequence[Citation], *, part_index: int = 0, before: int = 0) -> None:
        """Take the citations of a text that is the part `part_index`, or that has `before` bytes of text before it."""
        for citation in citations:
            key = (citation.url, citation.title, citation.cited_text)
            index = self._indices.setdefault(key, len(self._chunks))
            if index == len(self._chunks):
                self._chunks.append(_chunk(citation))
            start, end = citation.start or 0, len(text) if citation.end is None else citation.end
            segment: dict[str, Any] = {"partIndex": part_index} if part_index else {}
            if start + before:
                segment["startIndex"] = before + len(text[:start].encode("utf-8", "surrogatepass"))
            segment["endIndex"] = before + len(text[:end].encode("utf-8", "surrogatepass"))
            segment["text"] = text[start:end]
            self._supports.append({"segment": segment, "groundingChunkIndices": [index]})

    def metadata(self) -> dict[str, Any] | None:
        """What there is to say; None when nothing was cited."""
        if not self._chunks:
            return None
        return {"groundingChunks": self._chunks, "groundingSupports": self._supports}


def _chunk(citation: Citation) -> dict[str, Any]:
    source = {"uri": citation.url, "title": citation.title}
    if citation.kind == "url":
        return {"web": {key: value for key, value in source.items() if value is not None}}
    source["text"] = citation.cited_text
    return {"retrievedContext": {key: value for key, value in source.items() if value is not None}}
