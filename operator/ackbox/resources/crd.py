"""Models → CustomResourceDefinitions with structural schemas."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from ackbox.resources.base import Resource, Rule

UNSEEN = {"observedGeneration": -1}
"""The status of an object that nobody has looked at yet: without it kstatus, which Flux and kubectl plug-ins go by, takes
an object with no status for one that is as it should be."""


class StructuralSchema(GenerateJsonSchema):
    """JSON schema as apiextensions/v1 takes it: `X | None` is an optional X, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """An absent field and null mean the same, so only the inner type is declared."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Only scalars: null is no default, and a server would write whole structures into every object."""
        result = super().default_schema(schema)
        if result.get("default") is None or isinstance(result["default"], list | dict):
            result.pop("default", None)
        return result


def custom_resource_definition(resource: type[Resource]) -> dict[str, Any]:
    """The CRD of a kind."""
    kind = resource.KIND
    schema = _schema(resource)
    if resource.RULES:
        schema["properties"]["spec"]["x-kubernetes-validations"] = [_rule(rule) for rule in resource.RULES]
    subresources: dict[str, Any] = {"status": {}}
    if resource.SCALE:
        subresources["scale"] = {
            "specReplicasPath": resource.SCALE.spec_path,
            "statusReplicasPath": resource.SCALE.status_path,
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(resource.SHORT_NAMES),
                "categories": ["ackbox"],
            },
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    "additionalPrinterColumns": [
                        {"name": column.name, "type": column.type, "jsonPath": column.path}
                        | ({"priority": column.priority} if column.priority else {})
                        for column in resource.COLUMNS
                    ],
                }
            ],
        },
    }


def _rule(rule: Rule) -> dict[str, Any]:
    written = {"rule": rule.rule, "message": rule.message}
    return written | ({"fieldPath": f".{rule.field}"} if rule.field else {})


def _schema(resource: type[Resource]) -> dict[str, Any]:
    mode: JsonSchemaMode = "validation"
    whole = resource.model_json_schema(by_alias=True, schema_generator=StructuralSchema, mode=mode)
    definitions = whole.pop("$defs", {})
    schema: dict[str, Any] = _inlined(whole, definitions)
    # metadata belongs to the API server; apiVersion and kind are its own too.
    properties = {name: value for name, value in schema["properties"].items() if name != "metadata"}
    for name in ("spec", "status"):
        properties[name].pop("default", None)
    properties["status"]["default"] = UNSEEN
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": properties,
        **({"required": ["spec"]} if "spec" in schema.get("required", []) else {}),
    }


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """Replace references by what they name, and drop keywords that structural schemas forbid."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        named = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _inlined({**named, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("title", "$defs") and not isinstance(value, dict):
            continue
        if key == "properties":
            result[key] = {name: _inlined(schema, definitions) for name, schema in value.items()}
        elif key == "const":
            result["enum"] = [value]
        elif key == "default":
            result[key] = value
        elif key == "description":
            # `kubectl explain` breaks lines itself, and keeps those of the docstring.
            result[key] = " ".join(value.split())
        elif key == "items":
            result[key] = _without_defaults(_inlined(value, definitions))
        elif (key == "additionalProperties" and isinstance(value, bool)) or key == "propertyNames":
            continue
        else:
            result[key] = _inlined(value, definitions)
    return result


def _without_defaults(node: Any) -> Any:
    """A default written into a list item makes `kubectl apply` see a change for ever, as it compares lists whole."""
    if isinstance(node, dict):
        return {
            key: (
                {name: _without_defaults(child) for name, child in value.items()}
                if key == "properties"
                else _without_defaults(value)
            )
            for key, value in node.items()
            if key != "default"
        }
    return node
