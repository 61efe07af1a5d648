"""Typed reads from TOML tables that note every problem instead of stopping at the first."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import attrs

from modelserver.config.lines import find_line, index_lines, join_path
from modelserver.config.types import Secret

MAX_INTEGER = 2**53 - 1
"""What every JSON reader of ours and others can hold."""
MAX_DURATION_S = 366 * 86_400.0

# Looking for near misses is the only dear thing about a fault: bounded, so that a wholly wrong file still fails fast.
_MAX_HINTS = 100
_MAX_HINT_OPTIONS = 2_000
_MAX_HINT_CHARS = 100

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86_400)}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMG]?B|[KMG]iB)")
_SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")

_KINDS: Sequence[tuple[type, str]] = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "an integer"),
    (Decimal, "a float"),
    (list, "a list"),
    (dict, "a table"),
    (datetime, "a date with a time"),
    (date, "a date"),
    (time, "a time of day"),
)


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong in one file."""

    file: str
    path: str
    """As TOML would write it (`models[3].pricing.input`); "" for the file as a whole."""
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{where}{self.message}{line}"


class ConfigError(Exception):
    """The configuration can't be used; `problems` holds everything that is wrong with it, file by file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        by_file: dict[str, list[str]] = {}
        for problem in self.problems:
            by_file.setdefault(problem.file, []).append(f"  {problem}")
        return "\n".join(f"{file}:\n" + "\n".join(rows) for file, rows in by_file.items())


def parse_duration(text: str) -> float:
    """Seconds of `10s`, `1.5s`, `250ms`, `15m`, `2h` or `1d`.

    Raises:
        ValueError: The text has another form or means more than 366 days; worded for the person who wrote it.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'{shown(text)} is not a duration like "10s", "250ms", "15m", "2h" or "1d"')
    seconds = float(Decimal(match[1]) * _DURATION_UNITS[match[2]])
    if seconds > MAX_DURATION_S:
        raise ValueError(f"{shown(text)} is more than 366d")
    return seconds


def parse_size(text: str) -> int:
    """Bytes of `512KB`, `32MB`, `1GB` (powers of 1000) or `1MiB` and the like (powers of 1024).

    Raises:
        ValueError: The text has another form or is no whole number of bytes; worded for the person who wrote it.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'{shown(text)} is not a size like "512KB", "32MB" or "1MiB"')
    size = Decimal(match[1]) * _SIZE_UNITS[match[2]]
    if size != int(size):
        raise ValueError(f"{shown(text)} is not a whole number of bytes")
    return int(size)


def shown(value: str) -> str:
    """A value as a message quotes it: escaped and not too long. Never for what may be a secret."""
    return repr(value if len(value) <= 80 else value[:77] + "…")


def kind_of(value: object) -> str:
    """What a TOML value is, with its article."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "something else")


class Report:
    """What is wrong or worth saying so far; nothing is raised before everything was read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.warnings: list[str] = []
        self._faults: list[tuple[str, str, str, str]] = []
        self._hints_left = _MAX_HINTS

    def fault(self, file: str, path: str, message: str, *, at: str | None = None) -> None:
        """Note a problem; `at` is the path to look for when the line of `path` itself is not the right one."""
        self._faults.append((file, path, message, path if at is None else at))

    def hint(self, word: str, options: Collection[str]) -> str:
        """The words ` (did you mean x?)`, or "" when nothing is near."""
        if self._hints_left <= 0 or len(options) > _MAX_HINT_OPTIONS or len(word) > _MAX_HINT_CHARS:
            return ""
        self._hints_left -= 1
        near = difflib.get_close_matches(word, options, n=1)
        return f" (did you mean {near[0]}?)" if near else ""

    def raise_faults(self, texts: Mapping[str, str]) -> None:
        """Raise what was noted, with lines looked up in the text of each file; nothing noted, nothing happens.

        Raises:
            ConfigError: There was a fault.
        """
        if not self._faults:
            return
        lines = {file: index_lines(texts[file]) for file in {fault[0] for fault in self._faults} if file in texts}
        order = {file: place for place, file in enumerate(texts)}
        problems = [
            Problem(file=file, path=path, message=message, line=find_line(lines.get(file, {}), at))
            for file, path, message, at in self._faults
        ]
        problems.sort(key=lambda found: (order.get(found.file, -1), MAX_INTEGER if found.line is None else found.line))
        raise ConfigError(problems)


class Table:
    """One TOML table being read.

    Every read gives None for a key that is absent, and for one that is wrong after noting why: callers put their
    default in its place and go on. `close` refuses the keys that nobody asked for.
    """

    __slots__ = ("_raw", "_taken", "file", "path", "report")

    def __init__(self, report: Report, file: str, path: str, raw: Mapping[str, Any]) -> None:
        self.report = report
        self.file = file
        self.path = path
        self._raw = raw
        self._taken: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def where(self, key: str) -> str:
        """The path of a key."""
        return join_path(self.path, key)

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with the value of `key`."""
        self.report.fault(self.file, self.where(key), message)

    def fault_item(self, key: str, item: str, message: str) -> None:
        """Note what is wrong with an item that `words` found in the list at `key`."""
        self._fault_at(key, self._raw[key].index(item), message)

    def _fault_at(self, key: str, index: int, message: str) -> None:
        self.report.fault(self.file, f"{self.where(key)}[{index}]", message)

    def missing(self, key: str, message: str = "") -> None:
        """Note that a key that is needed is absent."""
        self.report.fault(self.file, self.path, message or f"{key} is missing")

    def refuse(self, key: str, wanted: str, value: object) -> None:
        """Note that the value of `key` is of another kind than the one that is wanted."""
        self.fault(key, f"must be {wanted}, not {kind_of(value)}")

    def warn(self, key: str, message: str) -> None:
        """Note something that is worth saying but no fault."""
        self.report.warnings.append(f"{self.file}: {self.where(key)}: {message}")

    def take(self, key: str) -> Any:
        """The value as TOML has it, of any kind."""
        self._taken.append(key)
        return self._raw.get(key)

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is not str:
            self.refuse(key, "a string", value)
            return None
        if not value.strip():
            self.fault(key, "must not be empty")
            return None
        return value

    def word(self, key: str, options: Collection[str]) -> str | None:
        """One of the `options`."""
        value = self.text(key)
        if value is None or value in options:
            return value
        self.fault(key, self.not_one_of(value, options))
        return None

    def not_one_of(self, value: str, options: Collection[str]) -> str:
        """The message for a word outside its vocabulary."""
        return f"{shown(value)} is not one of {', '.join(options)}{self.report.hint(value, options)}"

    def flag(self, key: str) -> bool | None:
        """True or false."""
        value = self.take(key)
        if value is None or type(value) is bool:
            return value
        self.refuse(key, "true or false", value)
        return None

    def whole(self, key: str, *, least: int = 0) -> int | None:
        """An integer from `least` to 2^53 - 1."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is not int:
            self.refuse(key, "an integer", value)
        elif not least <= value <= MAX_INTEGER:
            self.fault(key, f"must be at least {least}" if value < least else f"must be at most {MAX_INTEGER}")
        else:
            return value
        return None

    def number(self, key: str, *, most: int) -> float | None:
        """A number above 0 and at most `most`."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is not int and type(value) is not Decimal:
            self.refuse(key, "a number", value)
        elif (type(value) is Decimal and not value.is_finite()) or not 0 < value <= most:
            self.fault(key, f"must be a number above 0 and at most {most}")
        else:
            return float(value)
        return None

    def json(self, key: str) -> Any:
        """The value as JSON has it: floats as floats; noted where JSON has no such value."""
        return self._json_value(self.where(key), self.take(key))

    def _json_value(self, path: str, value: Any) -> Any:
        kind = type(value)
        if kind is Decimal:
            number = float(value)
            if math.isfinite(number):
                return number
            self.report.fault(self.file, path, "must be a finite number")
        elif kind is list:
            return [self._json_value(f"{path}[{index}]", item) for index, item in enumerate(value)]
        elif kind is dict:
            return {key: self._json_value(join_path(path, key), item) for key, item in value.items()}
        elif kind is int and abs(value) > MAX_INTEGER:
            self.report.fault(self.file, path, f"must be at most {MAX_INTEGER}")
        elif kind not in (str, bool, int):
            self.report.fault(self.file, path, f"must be a value that JSON has, not {kind_of(value)}")
        return value

    def duration(self, key: str, *, zero: bool = False) -> float | None:
        """Seconds; 0 only where `zero` allows it."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is int or type(value) is Decimal:
            self.fault(key, 'must be a duration with its unit, like "10s", "250ms" or "15m", not a plain number')
        elif type(value) is not str:
            self.refuse(key, 'a duration like "10s"', value)
        else:
            try:
                seconds = parse_duration(value)
            except ValueError as refusal:
                self.fault(key, str(refusal))
                return None
            if seconds > 0 or zero:
                return seconds
            self.fault(key, "must be more than 0s")
        return None

    def size(self, key: str) -> int | None:
        """Bytes, from a text with a unit or a plain integer; at least 1."""
        if type(self._raw.get(key)) is not str:
            return self.whole(key, least=1)
        try:
            size = parse_size(self.take(key))
        except ValueError as refusal:
            self.fault(key, str(refusal))
            return None
        if 1 <= size <= MAX_INTEGER:
            return size
        self.fault(key, "must be at least 1 byte" if size < 1 else f"must be at most {MAX_INTEGER} bytes")
        return None

    def day(self, key: str) -> date | None:
        """A date without a time."""
        value = self.take(key)
        if value is None or type(value) is date:
            return value
        self.refuse(key, "a date like 2027-01-31 (without quotes)", value)
        return None

    def words(self, key: str, options: Collection[str] | None = None) -> tuple[str, ...] | None:
        """A list of different strings, none empty, each one of the `options` where there are any."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is not list:
            self.refuse(key, "a list of strings", value)
            return None
        found: dict[str, None] = {}
        for index, item in enumerate(value):
            if type(item) is not str:
                self._fault_at(key, index, f"must be a string, not {kind_of(item)}")
            elif not item.strip():
                self._fault_at(key, index, "must not be empty")
            elif options is not None and item not in options:
                self._fault_at(key, index, self.not_one_of(item, options))
            elif item in found:
                self._fault_at(key, index, f"{shown(item)} is in the list already")
            else:
                found[item] = None
        return tuple(found)

    def table(self, key: str) -> Table | None:
        """A table below this one."""
        value = self.take(key)
        if value is None:
            return None
        if type(value) is dict:
            return Table(self.report, self.file, self.where(key), value)
        self.refuse(key, "a table", value)
        return None

    def named_tables(self, key: str) -> dict[str, Table]:
        """The tables `[key.NAME]`, by name."""
        outer = self.table(key)
        if outer is None:
            return {}
        found = {name: outer.table(name) for name in outer}
        return {name: table for name, table in found.items() if table is not None}

    def tables(self, key: str) -> list[Table]:
        """The tables `[[key]]`, in order."""
        value = self.take(key)
        if value is None:
            return []
        if type(value) is not list:
            self.fault(key, f"must be a list of tables, each under [[{key}]], not {kind_of(value)}")
            return []
        found: list[Table] = []
        for index, item in enumerate(value):
            if type(item) is dict:
                found.append(Table(self.report, self.file, f"{self.where(key)}[{index}]", item))
            else:
                self._fault_at(key, index, f"must be a table, not {kind_of(item)}")
        return found

    def lookup(self, key: str) -> tuple[Secret | None, str | None]:
        """A secret, and the name of the environment variable that it should have come from when that is not set."""
        value = self.text(key)
        if value is None:
            return None, None
        match = _REFERENCE.fullmatch(value)
        if match is None:
            if _REFERENCE.search(value):
                self.warn(key, "holds a $ that is taken as it stands; a variable is named by the whole value, $NAME")
            return Secret(value), None
        name = match[1] or match[2]
        found = self.report.environ.get(name, "")
        return (Secret(found), None) if found else (None, name)

    def secret(self, key: str) -> Secret | None:
        """A secret that is needed where it is named."""
        secret, unset = self.lookup(key)
        if unset is not None:
            self.fault(key, f"${unset} is not set, neither in the environment nor in the env file")
        return secret

    def close(self, later: Collection[str] = ()) -> None:
        """Refuse every key that was not asked for; `later` names those that are meant but not built."""
        if len(self._raw) == 0:
            return
        for key in self._raw:
            if key in self._taken:
                continue
            if key in later:
                self.fault(key, "not supported yet")
                continue
            message = f"unknown key {join_path('', key)}{self.report.hint(key, self._taken)}"
            self.report.fault(self.file, self.path, message, at=self.where(key))


def given(**values: Any) -> dict[str, Any]:
    """The arguments that are not None, so that a type's own defaults stand for the others."""
    return {name: value for name, value in values.items() if value is not None}
