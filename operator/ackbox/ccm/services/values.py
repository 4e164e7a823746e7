"""Reads what is written in an annotation by its row of the table; every message names the key, the value and what is allowed."""

import re
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Any, TypeAlias

from ackbox.catalog.annotations import IPV4, Annotation, Format

Value: TypeAlias = Any
"""A text, number or truth value; a list of texts or of items as the API takes them; or a mapping by port or label."""

MAX_TAGS = 20


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


def _texts(row: Annotation, key: str, text: str) -> Parsed:
    words = [word.strip() for word in text.split(",")]
    bad = [word for word in words if row.pattern is not None and not re.fullmatch(row.pattern, word)]
    bad += [text] if _too_many(row, words) else []
    return Parsed(None, (_problem(row, key, bad[0]),)) if bad else Parsed(list(dict.fromkeys(words)))


def _too_many(row: Annotation, items: Sized) -> bool:
    return row.most is not None and len(items) > row.most


def _word(row: Annotation, text: str) -> str | None:
    """The choice that a text means."""
    fold = str.lower if row.any_case else str
    return next((choice for choice in row.choices if fold(choice) == fold(text)), None)


def _choice(row: Annotation, key: str, text: str) -> Parsed:
    word = _word(row, text)
    return Parsed(word) if word is not None else Parsed(None, (_problem(row, key, text),))


def _switch(row: Annotation, key: str, text: str) -> Parsed:
    word = _word(row, text)
    return Parsed(word == "on") if word is not None else Parsed(None, (_problem(row, key, text),))


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
        word, _, port_text = pair.partition(":")
        protocol, port = _word(row, word), _port(port_text)
        if protocol is None or port is None or port in protocols:
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


def _tags(row: Annotation, key: str, text: str) -> Parsed:
    tags: dict[str, str] = {}
    for pair in (pair.strip() for pair in text.split(",")):
        name, _, value = pair.partition("=")
        if not 1 <= len(name) <= 64 or len(value) > 128:
            return Parsed(None, (_problem(row, key, pair),))
        tags[name] = value
    if len(tags) > MAX_TAGS:
        return Parsed(None, (_problem(row, key, text),))
    return Parsed([{"key": name, "value": value} for name, value in tags.items()])


def _forward_ports(row: Annotation, key: str, text: str) -> Parsed:
    ports: dict[int, int] = {}
    problems = []
    for pair in (pair.strip() for pair in text.split(",")):
        left, _, right = pair.partition(":")
        source, target = _port(left), _port(right)
        if source is None or target is None or source in ports or source == target:
            problems.append(_problem(row, key, pair))
        else:
            ports[source] = target
    return Parsed(ports, tuple(problems))


def _port_ranges(row: Annotation, key: str, text: str) -> Parsed:
    """Ranges by port of the Service."""
    ranges: dict[int, tuple[int, int]] = {}
    problems = []
    for item in (item.strip() for item in text.split(",")):
        span, _, port_text = item.rpartition(":")
        first_text, _, last_text = span.partition("-")
        first, last, port = _port(first_text), _port(last_text), _port(port_text)
        if first is None or last is None or port is None or first > last or port in ranges:
            problems.append(_problem(row, key, item))
        else:
            ranges[port] = (first, last)
    return Parsed(ranges, tuple(problems))


def _domains(row: Annotation, key: str, text: str) -> Parsed:
    certificates: dict[str, str] = {}
    problems = []
    for pair in (pair.strip() for pair in text.split(",")):
        domain, _, certificate = pair.partition(":")
        if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.\-]{0,250})", domain) or not certificate:
            problems.append(_problem(row, key, pair))
        else:
            certificates[domain] = certificate
    if _too_many(row, certificates):
        return Parsed(None, (_problem(row, key, text),))
    items = [{"domain": domain, "server_certificate_id": item} for domain, item in certificates.items()]
    # No right entry at all must not read as "none", which would take every certificate away.
    return Parsed(items or None, tuple(problems))


ZONE_FIELDS = ("zone_id", "v_switch_id", "private_ipv4_address", "allocation_id")


def _zones(row: Annotation, key: str, text: str) -> Parsed:
    zones: dict[str, dict[str, str]] = {}
    for item in (item.strip() for item in text.split(",")):
        parts = item.split(":")
        if not 2 <= len(parts) <= len(ZONE_FIELDS) or not parts[0] or not parts[1] or parts[0] in zones:
            return Parsed(None, (_problem(row, key, item),))
        if len(parts) > 2 and parts[2] and not re.fullmatch(IPV4, parts[2]):
            return Parsed(None, (_problem(row, key, item),))
        zones[parts[0]] = {name: part for name, part in zip(ZONE_FIELDS, parts, strict=False) if part}
    return Parsed(None, (_problem(row, key, text),)) if _too_many(row, zones) else Parsed(list(zones.values()))


_PARSERS: Mapping[Format, Callable[[Annotation, str, str], Parsed]] = {
    Format.TEXT: _text,
    Format.CHOICE: _choice,
    Format.SWITCH: _switch,
    Format.TEXTS: _texts,
    Format.CHOICES: _choices,
    Format.INTEGER: _integer,
    Format.WEIGHT: _weight,
    Format.LABELS: _labels,
    Format.PROTOCOL_PORTS: _protocol_ports,
    Format.GROUP_PORTS: _group_ports,
    Format.TAGS: _tags,
    Format.FORWARD_PORTS: _forward_ports,
    Format.PORT_RANGES: _port_ranges,
    Format.DOMAINS: _domains,
    Format.ZONES: _zones,
}
