"""The fingerprint that the CCM writes as label `service.beta.kubernetes.io/hash`: SHA-224 over YAML as Go writes it.

Rule source: the CCM's `pkg/util/hash`. The YAML must equal, byte for byte, what Go's yaml.v2 writes, or the same Service would
have another fingerprint here than in a real cluster. PyYAML's emitter has the same ancestor (libyaml) and agrees with
it; which style a text gets and how keys are ordered is decided here.
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import yaml

Json: TypeAlias = Any

IGNORED_KEY = "alibabacloud.com/reconcile.hash"


def service_hash(service: Mapping[str, Any]) -> str:
    """The fingerprint of a Service, as lower-case hex."""
    spec, metadata = service.get("spec") or {}, service.get("metadata") or {}
    parts: list[Json] = [
        spec.get("ports"),
        spec.get("type"),
        spec.get("externalTrafficPolicy"),
        spec.get("loadBalancerClass"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
    ]
    if spec.get("loadBalancerSourceRanges"):
        parts.append(spec["loadBalancerSourceRanges"])
    return hash_of(parts)


def hash_of(parts: list[Json]) -> str:
    """The fingerprint of a list of JSON values."""
    cleaned = [part for part in map(_clean, parts) if not _is_zero(part)]
    return hashlib.sha224(to_yaml(cleaned).encode()).hexdigest()


def _clean(value: Json) -> Json:
    """Without the zero values in maps; items of lists stay, cleaned inside."""
    if isinstance(value, Mapping):
        cleaned = {key: _clean(item) for key, item in value.items() if key != IGNORED_KEY}
        return {key: item for key, item in cleaned.items() if not _is_zero(item)}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _is_zero(value: Json) -> bool:
    return value is None or value in (0, "", [], {})


def to_yaml(value: Json) -> str:
    """YAML of a JSON value as Go's yaml.v2 writes it."""
    events = [
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_events(value),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    ]
    text: str = yaml.emit(events, allow_unicode=True, width=80)
    return text


def _events(value: Json) -> Iterator[yaml.Event]:
    if isinstance(value, Mapping):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=not value)
        for key in sorted(value, key=functools.cmp_to_key(_compare_keys)):
            yield from _events(key)
            yield from _events(value[key])
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=not value)
        for item in value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    else:
        yield yaml.ScalarEvent(None, None, (True, True), _scalar(value), style=_style(value))


def _scalar(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _style(value: Json) -> str | None:
    """Block for texts of several lines, double quotes for those that would be read as something else, else plain."""
    if not isinstance(value, str):
        return None
    if "\n" in value:
        return "|"
    return '"' if _reads_as_another_type(value) else None


_WORDS = frozenset(
    word
    for line in (
        "y Y yes Yes YES on On ON true True TRUE n N no No NO off Off OFF false False FALSE ~ null Null NULL",
        ".nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF",
    )
    for word in line.split()
)
_WHOLE = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|[0-9]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})"
    r"| ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]+)?)"
)


def _reads_as_another_type(text: str) -> bool:
    if not text or text in _WORDS or _BASE_60.fullmatch(text) or _is_time(text):
        return True
    if not text[0].isascii() or text[0] not in "+-.0123456789":
        return False
    number = text.replace("_", "") if text[0] != "." else text
    if _FLOAT.fullmatch(number):
        return True
    return bool(_WHOLE.fullmatch(number)) and _fits(number)


def _fits(number: str) -> bool:
    """Whether a 64-bit integer holds it; Go reads no larger ones."""
    digits = number.lstrip("+-")
    value = int(digits, {"x": 16, "b": 2, "o": 8}.get(digits[1:2].lower(), 10))
    return value <= (2**63 if number.startswith("-") else 2**64 - 1)


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    date = found.group(1) if found else text
    match = _DATE.fullmatch(date)
    if match is None:
        return False
    clock = (found.group(2, 3, 4) if found.group(2) else found.group(7, 8, 9)) if found else ("0", "0", "0")
    year, month, day, hour, minute, second = (int(part) for part in match.groups() + clock)
    try:
        datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return False
    return True


def _compare_keys(left: str, right: str) -> int:
    """The natural order of yaml.v2: numbers inside keys by value, letters after everything else."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return _compare_at(left, right, index)
    return len(left) - len(right)


def _compare_at(left: str, right: str, index: int) -> int:
    a, b = left[index], right[index]
    if a.isalpha() or b.isalpha():
        if a.isalpha() and b.isalpha():
            return -1 if a < b else 1
        return -1 if b.isalpha() else 1
    prefix = "1" if "0" in (a, b) and _follows_a_number(left, index) else ""
    digits = [re.match(r"[0-9]*", text[index:]).group() for text in (left, right)]  # type: ignore[union-attr]
    numbers = [int(prefix + run or "0") for run in digits]
    if numbers[0] != numbers[1]:
        return numbers[0] - numbers[1]
    if len(digits[0]) != len(digits[1]):
        return len(digits[0]) - len(digits[1])
    return -1 if a < b else 1


def _follows_a_number(text: str, index: int) -> bool:
    """Whether a digit other than 0 stands before, so that a 0 here has a value of its own."""
    before = re.search(r"[0-9]*$", text[:index])
    return before is not None and before.group().strip("0") != ""
