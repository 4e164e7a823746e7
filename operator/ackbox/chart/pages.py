"""The model of the values → `values.yaml`, `values.schema.json`, and the table of the chart's README."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ackbox.chart.values import Values

WIDTH = 118


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        path: names from the outermost section inwards.
        description: what it does, one line.
        default: as in `values.yaml`; None for a section, which has values of its own.
    """

    path: tuple[str, ...]
    description: str
    default: Any


def walk(section: BaseModel, path: tuple[str, ...] = ()) -> Iterator[Value]:
    """Every value in the order of the model, a section before what it holds."""
    for name, field in type(section).model_fields.items():
        inner, here = getattr(section, name), (*path, str(field.alias))
        if isinstance(inner, BaseModel) and not _whole(inner):
            yield Value(here, _description(field), None)
            yield from walk(inner, here)
        else:
            default = inner.model_dump(by_alias=True) if isinstance(inner, BaseModel) else inner
            yield Value(here, _description(field), default)


def values_yaml() -> str:
    """The chart's defaults, each with what it is for."""
    lines = []
    for value in walk(Values()):
        indent = "  " * (len(value.path) - 1)
        if len(value.path) == 1:
            lines.append("")
        lines += [f"{indent}# {line}" for line in textwrap.wrap(value.description, WIDTH - len(indent))]
        lines.append(f"{indent}{value.path[-1]}:" + ("" if value.default is None else f" {json.dumps(value.default)}"))
    return "\n".join(lines[1:]) + "\n"


def values_schema() -> str:
    """What Helm checks values against. `global` belongs to parent charts, which hand it to every chart below them."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_described(Values.model_json_schema(mode="serialization")),
    }
    schema["properties"]["global"] = {
        "type": "object",
        "description": "Values of a parent chart; none of them is read.",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def values_table() -> str:
    """The values as a Markdown table."""
    rows = ["| value | default | what it does |", "| --- | --- | --- |"]
    for value in walk(Values()):
        default = "" if value.default is None else f"`{json.dumps(value.default, ensure_ascii=False)}`"
        rows.append(f"| `{'.'.join(value.path)}` | {default} | {value.description} |")
    return "\n".join(rows) + "\n"


def _whole(section: BaseModel) -> bool:
    """Whether a section reads better on one line: it only holds mappings."""
    return all(isinstance(value, dict) for value in dict(section).values())


def _description(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _described(node: Any) -> Any:
    """Descriptions on one line, and no titles, which only repeat the names."""
    if isinstance(node, list):
        return [_described(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _described(value)
        for key, value in node.items()
        if key != "title" or not isinstance(value, str)
    }
