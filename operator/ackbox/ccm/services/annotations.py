"""Reads a Service's annotations by the tables in `catalog/annotations.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import LEGACY_PREFIX, PREFIX, TABLES, Annotation, Level
from ackbox.ccm.services.values import Value, parse
from ackbox.resources.listener import Protocol
from ackbox.resources.loadbalancer import LoadBalancerType


@dataclass(frozen=True)
class Wishes:
    """The annotations that are set and right, by suffix, and what is wrong with the others.

    Attributes:
        kind: the kind of load balancer that they are read for.
        problems: a sentence for every wrong value.
        blocked: suffixes whose value is wrong and for which no default would be safe.
        unknown: keys with a CCM prefix that mean nothing for this kind of load balancer.
    """

    values: Mapping[str, Value]
    problems: tuple[str, ...] = ()
    blocked: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    kind: LoadBalancerType = LoadBalancerType.CLB

    def __contains__(self, suffix: str) -> bool:
        return suffix in self.values

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

    def by_port(self, suffix: str) -> Mapping[int, Any]:
        """What is said by port of the Service; empty when it isn't set."""
        return {int(key): item for key, item in self._mapping(suffix).items()}

    def fields(self, level: Level, protocol: Protocol | None = None) -> dict[str, Any]:
        """The fields that annotations of a level set, for listeners of a protocol if one is given."""
        return {
            row.field: self.values[row.suffix]
            for row in TABLES[self.kind].values()
            if row.level is level
            and row.field is not None
            and row.suffix != "protocol-port"
            and (protocol is None or protocol in row.protocols)
            and row.suffix in self.values
        }

    def _mapping(self, suffix: str) -> Mapping[Any, Any]:
        value = self.values.get(suffix, {})
        assert isinstance(value, Mapping)
        return value


def read(annotations: Mapping[str, str], kind: LoadBalancerType = LoadBalancerType.CLB) -> Wishes:
    """Read all annotations of a Service. An empty value is the same as none, except where a row says otherwise."""
    values: dict[str, Value] = {}
    problems: list[str] = []
    blocked = set()
    for row in TABLES[kind].values():
        key = _key_of(row, annotations)
        if key is None or row.level is Level.SELECTION:
            continue
        if not annotations[key].strip():
            if row.empty_counts:
                values[row.suffix] = [] if row.takes_several else ""
            continue
        parsed = parse(row, key, annotations[key])
        if parsed.value is not None:
            values[row.suffix] = parsed.value
        problems += parsed.problems
        if parsed.value is None and row.blocking:
            blocked.add(row.suffix)
    return Wishes(values, tuple(problems), frozenset(blocked), _unknown(annotations, kind), kind)


def value_of(suffix: str, annotations: Mapping[str, str], kind: LoadBalancerType = LoadBalancerType.CLB) -> str | None:
    """The text of one annotation as written, under the prefix that wins; None when it is absent or empty."""
    key = _key_of(TABLES[kind][suffix], annotations)
    return annotations[key].strip() or None if key is not None else None


def _key_of(row: Annotation, annotations: Mapping[str, str]) -> str | None:
    return next((key for key in row.keys if key in annotations), None)


def _unknown(annotations: Mapping[str, str], kind: LoadBalancerType) -> tuple[str, ...]:
    known = {key for row in TABLES[kind].values() for key in row.keys}
    return tuple(sorted(key for key in annotations if key.startswith((PREFIX, LEGACY_PREFIX)) and key not in known))
