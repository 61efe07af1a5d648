"""Markup that is safe by construction: text is escaped, and there is no way to write a script or a style into it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final, TypeAlias

VOID: Final = frozenset(("br", "hr", "img", "input", "link", "meta"))
_REFUSED_TAGS: Final = frozenset(("style", "iframe", "object", "embed", "base"))
_ADDRESSES: Final = frozenset(("href", "src", "action", "formaction", "poster"))
_TAG: Final = re.compile(r"[a-z][a-z0-9]*")
_ATTRIBUTE: Final = re.compile(r"[a-zA-Z][a-zA-Z-]*")
_SAFE_ADDRESS: Final = re.compile(r"https?://|#|\?|(?!//)[A-Za-z0-9._~%/?-][^:\\\s]*\Z|\Z")
"""Absolute by HTTP, or within this server; nothing that a browser would run."""
_INLINE: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)]+)\)")
_VALUE: Final = re.compile(r"\{([a-z_]+)\}")


class Html(str):
    """Text that is markup already; everything else is escaped where it is put in."""

    __slots__ = ()


Child: TypeAlias = "str | Html | Iterable[Child] | None"
Value: TypeAlias = "str | int | bool | None"


def el(tag: str, /, *children: Child, **attributes: Value) -> Html:
    """An element; strings in it become text, None is nothing, lists are their items in order.

    `class_` is `class`, `aria_label` is `aria-label`; True is an attribute without value, None and False are none.

    Raises:
        ValueError: The element or an attribute could run or style something, or an address is not one of ours.
    """
    if tag in _REFUSED_TAGS or not _TAG.fullmatch(tag) or (tag == "script" and children):
        raise ValueError(f"The element {tag} is not written here.")
    head = "".join(_attribute(name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{head}>")
    return Html(f"<{tag}{head}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Children one behind the other, without an element around them."""
    return Html("".join(_flat(children)))


def prose(text: str, **values: str) -> Html:
    """A sentence with `code`, **strong words**, [links](#to) and `{values}`, which are text whatever they hold."""
    pieces: list[str] = []
    at = 0
    for found in _INLINE.finditer(text):
        pieces.append(_filled(text[at : found.start()], values))
        code, strong, label, address = found.groups()
        if code is not None:
            pieces.append(f"<code>{_filled(code, values)}</code>")
        elif strong is not None:
            pieces.append(f"<strong>{_filled(strong, values)}</strong>")
        else:
            pieces.append(el("a", prose(label, **values), href=address))
        at = found.end()
    pieces.append(_filled(text[at:], values))
    return Html("".join(pieces))


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str):
            yield escape(child, quote=False)
        elif child is not None:
            yield from _flat(child)


def _attribute(name: str, value: Value) -> str:
    if not _ATTRIBUTE.fullmatch(name) or name == "style" or name.lower().startswith("on"):
        raise ValueError(f"The attribute {name} is not written here.")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = str(value)
    if name in _ADDRESSES and not _SAFE_ADDRESS.match(text):
        raise ValueError(f"{text!r} is no address to link to.")
    return f' {name}="{escape(text)}"'


def _filled(text: str, values: dict[str, str]) -> str:
    """The text escaped, with its values; a brace that names none is a brace."""
    return _VALUE.sub(lambda found: escape(values.get(found[1], found[0]), quote=False), escape(text, quote=False))
