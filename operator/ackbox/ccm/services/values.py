"""Reads what is written in an annotation by its row of the table; every message names the key, the value and what is allowed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ackbox.catalog.annotations import Annotation, Format

Value: TypeAlias = str | int | Mapping[str, str] | Mapping[int, str]


@dataclass(frozen=True)
class Parsed:
    """What a text says, and what is wrong with it. Of a list the right entries count although others are wrong."""

    value: Value | None
    problems: tuple[str, ...] = ()


def parse(row: Annotation, key: str, text: str) -> Parsed:
    """Read a value; `key` is the annotation as the user wrote it, for the messages."""
    return _PARSERS[row.format](row, key, text.strip())


def _problem(row: Annotation, key: str, text: str) -> str:
    return f"Annotation {key} must be {row.allowed}, but got [{text}]"


def _text(row: Annotation, key: str, text: str) -> Parsed:
    if row.pattern is not None and not re.fullmatch(row.pattern, text):
        return Parsed(None, (_problem(row, key, text),))
    return Parsed(text)


def _choice(row: Annotation, key: str, text: str) -> Parsed:
    return Parsed(text) if text in row.choices else Parsed(None, (_problem(row, key, text),))


def _choices(row: Annotation, key: str, text: str) -> Parsed:
    words = [word.strip() for word in text.split(",")]
    return Parsed(",".join(words)) if set(words) <= set(row.choices) else Parsed(None, (_problem(row, key, text),))


def _integer(row: Annotation, key: str, text: str) -> Parsed:
    assert row.limits is not None
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        return Parsed(None, (f"Annotation {key} must be integer, but got [{text}]; allowed is {row.allowed}",))
    number = int(text)
    return Parsed(number) if row.limits[0] <= number <= row.limits[1] else Parsed(None, (_problem(row, key, text),))


def _weight(row: Annotation, key: str, text: str) -> Parsed:
    parsed = _integer(row, key, text)
    if parsed.value is None:
        return Parsed(None, (f"Annotation {key}: weight must be integer in range [0,100] , got [{text}]",))
    return parsed


def _labels(_row: Annotation, key: str, text: str) -> Parsed:
    labels: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = pair.strip().partition("=")
        if not equals or not name or "=" in value:
            return Parsed(None, (f"Annotation {key}: parse backend label: {text}, [k1=v1,k2=v2]",))
        labels[name] = value
    return Parsed(labels)


def _port(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535 else None


def _protocol_ports(row: Annotation, key: str, text: str) -> Parsed:
    protocols: dict[int, str] = {}
    problems = []
    for pair in (pair.strip() for pair in text.split(",")):
        protocol, _, port_text = pair.partition(":")
        port = _port(port_text)
        if protocol not in row.choices or port is None or port in protocols:
            problems.append(_problem(row, key, pair))
        else:
            protocols[port] = protocol
    return Parsed(protocols, tuple(problems))


def _group_ports(_row: Annotation, key: str, text: str) -> Parsed:
    groups: dict[int, str] = {}
    problems = []
    for pair in (pair.strip() for pair in text.split(",")):
        group, _, port_text = pair.rpartition(":")
        port = _port(port_text)
        if not group or port is None or port in groups:
            problems.append(f"Annotation {key}: [{pair}] must be like 'vsp-xxx:443' with colon separated")
        else:
            groups[port] = group
    return Parsed(groups, tuple(problems))


_PARSERS: Mapping[Format, Callable[[Annotation, str, str], Parsed]] = {
    Format.TEXT: _text,
    Format.CHOICE: _choice,
    Format.CHOICES: _choices,
    Format.INTEGER: _integer,
    Format.WEIGHT: _weight,
    Format.LABELS: _labels,
    Format.PROTOCOL_PORTS: _protocol_ports,
    Format.GROUP_PORTS: _group_ports,
}
