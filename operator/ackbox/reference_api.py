"""The reference pages of the kinds, made from their CustomResourceDefinitions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ackbox.resources import RESOURCES
from ackbox.resources.base import Resource
from ackbox.resources.crd import custom_resource_definition

FOLDER = Path("docs/reference")

_INTRODUCTION = """# The API

Every object of ackbox is of group `ackbox.dev/v1alpha1` and lives in a namespace, which is an account. The fields carry the
names of the cloud's own APIs; the page of a kind tells what each means and does here. `kubectl explain` tells the same:
`kubectl explain mc.spec`.

| kind | short | is |
| --- | --- | --- |
"""

_BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "length at least {}"),
    ("maxLength", "length at most {}"),
    ("minItems", "entries: at least {}"),
    ("maxItems", "entries: at most {}"),
    ("maxProperties", "entries: at most {}"),
    ("pattern", "matches `{}`"),
    ("format", "{}"),
)


def api_pages() -> dict[Path, str]:
    """A page a kind, and one that lists them, by their paths in the repository."""
    pages = {FOLDER / f"{resource.KIND.kind.lower()}.md": _page(resource) for resource in RESOURCES}
    rows = (
        f"| [{each.KIND.kind}]({each.KIND.kind.lower()}.md) | `{'`, `'.join(each.SHORT_NAMES)}` | {_described(each)} |"
        for each in RESOURCES
    )
    return pages | {FOLDER / "api.md": _INTRODUCTION + "\n".join(rows) + "\n"}


def _described(resource: type[Resource]) -> str:
    schema = custom_resource_definition(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return _line(schema.get("description", ""))


def _page(resource: type[Resource]) -> str:
    definition = custom_resource_definition(resource)["spec"]
    version = definition["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = definition["names"]
    head = [
        f"# {names['kind']}\n",
        f"{schema.get('description', '')}\n",
        f"`apiVersion: {definition['group']}/{version['name']}`, `kind: {names['kind']}`; "
        f"`kubectl get {names['plural']}`, short `{'`, `'.join(names['shortNames'])}`"
        + ("; `kubectl scale` works.\n" if "scale" in version["subresources"] else ".\n"),
    ]
    spec, status = (schema["properties"].get(part, {}) for part in ("spec", "status"))
    sections = [*head, "## spec\n", _table(spec, "spec")]
    rules = spec.get("x-kubernetes-validations", [])
    if rules:
        sections += ["### Rules\n", "\n".join(f"- {_line(rule['message'])}" for rule in rules) + "\n"]
    return "\n".join([*sections, "## status\n", _table(status, "status")])


def _table(schema: dict[str, Any], top: str) -> str:
    lines = ["| field | type | default | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(schema, "")]
    return "\n".join(lines) + "\n" if len(lines) > 2 else f"Nothing stands in `{top}`.\n"


def _rows(schema: dict[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        where = f"{path}{name}"
        inner = _inner(field)
        yield (
            f"`{where}`" + (" (required)" if name in required else ""),
            _type(field),
            f"`{field['default']}`" if "default" in field else "",
            _allowed(field) or _allowed(inner),
            _line(field.get("description") or inner.get("description") or ""),
        )
        yield from _rows(inner, where + _STEPS.get(field.get("type", ""), "."))


_STEPS = {"array": "[]."}


def _inner(field: dict[str, Any]) -> dict[str, Any]:
    """What a field is made of: the items of a list, the values of a map, else the field itself."""
    if field.get("type") == "array":
        found = field["items"]
    elif isinstance(field.get("additionalProperties"), dict):
        found = field["additionalProperties"]
    else:
        return field
    return dict(found)


def _type(field: dict[str, Any]) -> str:
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    return str(field.get("type", "anything"))


def _allowed(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    said = [text.format(_line(str(field[key]))) for key, text in _BOUNDS if key in field]
    said += [_line(rule["message"]) for rule in field.get("x-kubernetes-validations", []) if "message" in rule]
    return "; ".join(said)


def _line(text: str) -> str:
    """A text as a cell of a table; between backquotes `<` stands for itself."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))
