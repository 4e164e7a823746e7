"""Reads an Ingress' annotations by the table in `catalog/ingress_annotations.py`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import Format, Level
from ackbox.catalog.ingress_annotations import ALB_PREFIX, INGRESS_ANNOTATIONS, IngressAnnotation
from ackbox.ccm.services.values import Value, parse
from ackbox.resources.listener import Protocol

LISTEN_PORTS, ACCESS_LOG = "listen-ports", "access-log"
PROTOCOLS: Mapping[str, Protocol] = {"HTTP": Protocol.HTTP, "HTTPS": Protocol.HTTPS}


@dataclass(frozen=True)
class IngressWishes:
    """The annotations that are set and right, by suffix, and what is wrong with the others.

    Attributes:
        problems: a sentence for every wrong value.
        blocked: suffixes whose value is wrong and for which no default would be safe.
        unknown: keys with the controller's prefix that mean nothing here.
    """

    values: Mapping[str, Value]
    problems: tuple[str, ...] = ()
    blocked: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    def __contains__(self, suffix: str) -> bool:
        return suffix in self.values

    def text(self, suffix: str) -> str | None:
        """A text, or None when it isn't set."""
        value = self.values.get(suffix)
        return str(value) if value is not None else None

    def number(self, suffix: str) -> int | None:
        """An integer, or None when it isn't set."""
        value = self.values.get(suffix)
        return int(value) if value is not None else None

    def on(self, suffix: str) -> bool:
        """Whether a switch is on."""
        return self.values.get(suffix) in ("true", "on")

    def labels(self, suffix: str) -> Mapping[str, str]:
        """Labels; empty when it isn't set."""
        return dict(self.values.get(suffix, {}))

    def ports(self) -> Mapping[int, Protocol]:
        """The listeners that `listen-ports` names; empty when it isn't set."""
        return dict(self.values.get(LISTEN_PORTS, {}))

    def fields(self, level: Level) -> dict[str, Any]:
        """The fields that annotations of a level set, with the table's defaults for those that aren't set."""
        rows = [row for row in INGRESS_ANNOTATIONS.values() if row.level is level and row.field is not None]
        defaults = {row.field: _typed(row, row.default) for row in rows if row.default is not None}
        said = {row.field: _typed(row, self.values[row.suffix]) for row in rows if row.suffix in self.values}
        return {str(field): value for field, value in {**defaults, **said}.items()}


def read(annotations: Mapping[str, str]) -> IngressWishes:
    """Read all annotations of an Ingress. An empty value is the same as none."""
    values: dict[str, Value] = {}
    problems: list[str] = []
    blocked = set()
    for row in INGRESS_ANNOTATIONS.values():
        key = next((key for key in row.keys if annotations.get(key, "").strip()), None)
        if key is None:
            continue
        value, wrong = _value(row, key, annotations[key].strip())
        problems += wrong
        if value is not None:
            values[row.suffix] = value
        elif row.blocking:
            blocked.add(row.suffix)
    return IngressWishes(values, tuple(problems), frozenset(blocked), _unknown(annotations))


def _value(row: IngressAnnotation, key: str, text: str) -> tuple[Value | None, tuple[str, ...]]:
    if row.suffix == LISTEN_PORTS:
        return _listen_ports(key, text)
    if row.suffix == ACCESS_LOG:
        return _access_log(key, text)
    parsed = parse(row, key, text)
    return parsed.value, parsed.problems


def _listen_ports(key: str, text: str) -> tuple[dict[int, Protocol] | None, tuple[str, ...]]:
    """Listeners by port. One wrong entry doesn't keep the others from counting."""
    try:
        entries = json.loads(text)
    except ValueError:
        return None, (
            f"failed to parse listen-ports configuration: `{text}`; allowed in {key} is {_allowed(LISTEN_PORTS)}",
        )
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        return None, (f"empty listen-ports configuration: `{text}`; allowed in {key} is {_allowed(LISTEN_PORTS)}",)
    ports: dict[int, Protocol] = {}
    problems = []
    for word, port in [pair for entry in entries for pair in entry.items()]:
        if word not in PROTOCOLS:
            problems.append(f"listen protocol must be within [{', '.join(PROTOCOLS)}]: {word}")
        elif not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            problems.append(f"listen port must be within [1, 65535]: {port}")
        elif ports.setdefault(port, PROTOCOLS[word]) is not PROTOCOLS[word]:
            problems.append(
                f"listen port {port} is both HTTP and HTTPS in {key}: HTTP and HTTPS need ports of their own"
            )
    return ports or None, tuple(problems)


def _access_log(key: str, text: str) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and set(found) <= {"logProject", "logStore"}:
        return {name: str(value) for name, value in found.items()}, ()
    return None, (f"Annotation {key} must be {_allowed(ACCESS_LOG)}, but got [{text}]",)


def _allowed(suffix: str) -> str:
    return INGRESS_ANNOTATIONS[suffix].allowed


def _typed(row: IngressAnnotation, value: Value) -> Value:
    """A value as its field takes it."""
    if row.choices == ("true", "false"):
        return value == "true"
    if row.format is Format.CHOICES:
        return str(value).split(",")
    return int(value) if row.format is Format.INTEGER else value


def _unknown(annotations: Mapping[str, str]) -> tuple[str, ...]:
    known = {key for row in INGRESS_ANNOTATIONS.values() for key in row.keys}
    return tuple(sorted(key for key in annotations if key.startswith(ALB_PREFIX) and key not in known))
