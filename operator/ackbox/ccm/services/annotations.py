"""Reads a Service's annotations by the table in `catalog/annotations.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import (
    BY_SUFFIX,
    LEGACY_PREFIX,
    PREFIX,
    TABLE,
    TUNNEL_TYPE,
    Annotation,
    Level,
)
from ackbox.ccm.services.values import Value, parse
from ackbox.resources.listener import Protocol


@dataclass(frozen=True)
class Wishes:
    """The annotations that are set and right, by suffix, and what is wrong with the others.

    Attributes:
        problems: a sentence for every wrong value.
        blocked: suffixes whose value is wrong and for which no default would be safe.
        unknown: keys with a CCM prefix that ackbox has no rule for.
    """

    values: Mapping[str, Value]
    problems: tuple[str, ...] = ()
    blocked: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    def text(self, suffix: str) -> str | None:
        """A text, or None when it isn't set."""
        value = self.values.get(suffix)
        assert value is None or isinstance(value, str)
        return value

    def number(self, suffix: str) -> int | None:
        """An integer, or None when it isn't set."""
        value = self.values.get(suffix)
        assert value is None or isinstance(value, int)
        return value

    def labels(self, suffix: str) -> Mapping[str, str]:
        """Labels; empty when it isn't set."""
        return {str(key): item for key, item in self._mapping(suffix).items()}

    def by_port(self, suffix: str) -> Mapping[int, str]:
        """Words by port; empty when it isn't set."""
        return {int(key): item for key, item in self._mapping(suffix).items()}

    def listener_fields(self, protocol: Protocol) -> dict[str, Any]:
        """The listener fields that annotations set for a protocol."""
        return {
            row.field: self.values[row.suffix]
            for row in TABLE
            if row.level is Level.LISTENER
            and row.field is not None
            and row.suffix != "protocol-port"
            and protocol in row.protocols
            and row.suffix in self.values
        }

    def _mapping(self, suffix: str) -> Mapping[Any, str]:
        value = self.values.get(suffix, {})
        assert isinstance(value, Mapping)
        return value


def read(annotations: Mapping[str, str]) -> Wishes:
    """Read all annotations of a Service. An empty value is the same as none."""
    values: dict[str, Value] = {}
    problems: list[str] = []
    blocked = set()
    for row in TABLE:
        key = _key_of(row, annotations)
        if key is None or not annotations[key].strip():
            continue
        parsed = parse(row, key, annotations[key])
        if parsed.value is not None:
            values[row.suffix] = parsed.value
        problems += parsed.problems
        if parsed.value is None and row.blocking:
            blocked.add(row.suffix)
    return Wishes(values, tuple(problems), frozenset(blocked), _unknown(annotations))


def value_of(suffix: str, annotations: Mapping[str, str]) -> str | None:
    """The text of one annotation as written, under the prefix that wins; None when it is absent or empty."""
    key = _key_of(BY_SUFFIX[suffix], annotations)
    return annotations[key].strip() or None if key is not None else None


def _key_of(row: Annotation, annotations: Mapping[str, str]) -> str | None:
    return next((key for key in row.keys if key in annotations), None)


def _unknown(annotations: Mapping[str, str]) -> tuple[str, ...]:
    known = {key for row in TABLE for key in row.keys} | {TUNNEL_TYPE}
    return tuple(sorted(key for key in annotations if key.startswith((PREFIX, LEGACY_PREFIX)) and key not in known))
