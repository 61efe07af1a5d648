"""`keys.toml`: digests of keys and the installation's secret, written by the `key` command."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import tomli

if sys.platform != "win32":
    import fcntl

KEY_PREFIX = "sk-ms-"
KEY_BYTES = 24
"""192 random bits; 160 are promised."""

_HEADER = """\
# Written by `server.py key`: digests only, a key can't be read back from here.
# Limits, models and an expiry date may be added to a key by hand.
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_LEADING_COMMENTS = re.compile(r"(?:[ \t]*#[^\n]*\n)*")
_TABLE_HEAD = re.compile(r"[ \t]*\[")


class KeyFileError(Exception):
    """The file can't be read or changed as asked; the message says why, without anything secret."""


def new_key() -> str:
    """A new key: `sk-ms-` and 192 random bits in letters, digits, `-` and `_`; what follows the prefix is no dash."""
    while True:
        text = secrets.token_urlsafe(KEY_BYTES)
        if text[0].isalnum() and text[-1].isalnum():  # so that a double click or a sentence's end takes it whole
            return KEY_PREFIX + text


def digest(key: str) -> str:
    """What is stored in place of a key: lower-case hexadecimal SHA-256 of its UTF-8 bytes."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KeyFile:
    """The file at `path`, present or not; every change is one atomic replacement, readable by its owner only.

    What a person wrote into it stays: entries always, comments and layout where the change allows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """The names of its keys, in the order of the file.

        Raises:
            KeyFileError: The file is not readable or not TOML of the expected shape.
        """
        return [str(entry.get("name")) for entry in _entries(self._read()[1], self.path)]

    def add(self, name: str, user: str | None = None) -> str:
        """Make a key called `name` and return it: the only time that it can be seen.

        Raises:
            KeyFileError: The name is taken or no proper name, or the file can't be read or written.
        """
        if not name or name != name.strip() or not name.isprintable() or len(name) > 100:
            raise KeyFileError("A key's name is 1 to 100 printable characters without blanks around them.")
        with self._locked():
            text, data = self._read()
            entries = _entries(data, self.path)
            if any(entry.get("name") == name for entry in entries):
                raise KeyFileError(f"There is a key called {name!r} in {self.path} already.")
            key = new_key()
            entry = {"name": name, "hash": f"sha256:{digest(key)}"}
            if user is not None:
                entry = {"name": name, "user": user, "hash": entry["hash"]}
            block = f"[[keys]]\n{_lines(entry)}"
            gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
            self._write(f"{text}{gap}{block}", {**data, "keys": [*entries, entry]})
        return key

    def revoke(self, name: str) -> None:
        """Take the key called `name` out; it stops working as soon as the server has noticed.

        Raises:
            KeyFileError: There is no such key here, or the file can't be read or written.
        """
        with self._locked():
            text, data = self._read()
            entries = _entries(data, self.path)
            index = next((i for i, entry in enumerate(entries) if entry.get("name") == name), None)
            if index is None:
                raise KeyFileError(f"There is no key called {name!r} in {self.path}.")
            self._write(_without_block(text, index), {**data, "keys": entries[:index] + entries[index + 1 :]})

    def ensure_secret(self) -> None:
        """Put a new installation secret into the file unless it has one.

        Raises:
            KeyFileError: The file can't be read or written.
        """
        with self._locked():
            text, data = self._read()
            if "secret" not in data:
                secret = secrets.token_urlsafe(32)
                comments = _LEADING_COMMENTS.match(text)
                end = comments.end() if comments else 0
                line = f"\nsecret = {_value(secret)}\n"
                self._write(f"{text[:end]}{line}{text[end:]}", {"secret": secret, **data})

    def _read(self) -> tuple[str, dict[str, Any]]:
        try:
            text = self.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
            return text, tomli.loads(text)
        except FileNotFoundError:
            return _HEADER, {}
        except OSError as exc:
            raise KeyFileError(f"{self.path} can't be read: {_reason(exc)}.") from None
        except UnicodeDecodeError:
            raise KeyFileError(f"{self.path} is not UTF-8.") from None
        except tomli.TOMLDecodeError as exc:
            # Only the position: the library's message may quote the file.
            raise KeyFileError(f"{self.path} is not TOML (line {exc.lineno}); correct it first.") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other commands out; on Windows two at the same moment are not kept apart."""
        if sys.platform == "win32":
            yield
            return
        # The directory carries the lock: the file itself is replaced, and a lock file would be left lying about.
        directory = self._target().parent
        try:
            descriptor = os.open(directory, os.O_RDONLY)
        except OSError as exc:
            raise KeyFileError(f"{directory} can't be opened: {_reason(exc)}.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _target(self) -> Path:
        # Behind a symbolic link it is the file that is replaced, not the link.
        return self.path.resolve()

    def _write(self, edited: str, data: Mapping[str, Any]) -> None:
        """Replace the file: by `edited` if that says exactly `data`, else by `data` laid out afresh."""
        text = edited if _says(edited, data) else f"{_HEADER}\n{dump(data)}"
        target = self._target()
        try:
            # mkstemp makes it 0600 from the start: there is no moment in which others can read it.
            descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                    _keep_owner(file.fileno(), target)
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            _sync_directory(target.parent)
        except OSError as exc:
            raise KeyFileError(f"{self.path} can't be written: {_reason(exc)}.") from None


def _entries(data: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    entries = data.get("keys", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeyFileError(f"In {path} `keys` is not a list of tables ([[keys]]); correct it first.")
    return entries


def _without_block(text: str, index: int) -> str:
    """The text without its `index`-th `[[keys]]` block; as it was if it has no such block."""
    lines = re.split(r"(?<=\n)", text)
    heads = [i for i, line in enumerate(lines) if re.match(r"[ \t]*\[\[[ \t]*keys[ \t]*\]\]", line)]
    if index >= len(heads):
        return text
    begin = heads[index]
    # Tables below the entry ([keys.limits]) go with it.
    below = re.compile(r"[ \t]*\[{1,2}[ \t]*keys[ \t]*\.")
    end = next(
        (i for i in range(begin + 1, len(lines)) if _TABLE_HEAD.match(lines[i]) and not below.match(lines[i])),
        len(lines),
    )
    return "".join(lines[:begin] + lines[end:]).rstrip("\n") + "\n"


def _says(text: str, data: Mapping[str, Any]) -> bool:
    try:
        return tomli.loads(text) == dict(data)
    except tomli.TOMLDecodeError:
        return False


def _keep_owner(descriptor: int, target: Path) -> None:
    # Run by root, the command would else take the file away from the user whose server reads it.
    with suppress(OSError, AttributeError):
        before = target.stat() if target.exists() else target.parent.stat()
        if os.geteuid() == 0:
            os.fchown(descriptor, before.st_uid, before.st_gid)


def _sync_directory(directory: Path) -> None:
    if sys.platform == "win32":
        return
    with suppress(OSError):  # some file systems can't; the file itself is on the disk
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(exc: OSError) -> str:
    return (exc.strerror or "the system refused").lower()


def dump(data: Mapping[str, Any]) -> str:
    """TOML that reads back as `data`: plain values first, then tables as inline ones, lists of tables as blocks."""
    blocks = {key: value for key, value in data.items() if _is_blocks(value)}
    plain = {key: value for key, value in data.items() if key not in blocks}
    parts = [_lines(plain)] if plain else []
    for key, entries in blocks.items():
        parts += [f"[[{_key(key)}]]\n{_lines(entry)}" for entry in entries]
    return "\n".join(parts)


def _is_blocks(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case float():
            return repr(value)  # inf, nan and 1e+16 are TOML too
        case int():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
        case Sequence():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise TypeError(f"TOML has no {type(value).__name__}")


def _string(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(c) or (c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'
