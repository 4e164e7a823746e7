"""The generated schemas keep the rules of apiextensions/v1, and the models read what the schemas accept."""

from typing import Any

import pytest

from ackbox.resources import RESOURCES, ManagedCluster
from ackbox.resources.crd import custom_resource_definition

FORBIDDEN = {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "patternProperties", "propertyNames"}
ALL = [pytest.param(resource, id=resource.KIND.kind) for resource in RESOURCES]


def schema_of(resource) -> dict[str, Any]:
    return custom_resource_definition(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], path: str = ""):
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


@pytest.mark.parametrize("resource", ALL)
def test_the_schema_is_structural(resource):
    for path, node in nodes(schema_of(resource)):
        assert "type" in node, path
        assert not FORBIDDEN & set(node), path
        assert node.get("default", 0) is not None, path


@pytest.mark.parametrize("resource", ALL)
def test_every_name_is_camel_case(resource):
    for path, _ in nodes(schema_of(resource)):
        assert "_" not in path


@pytest.mark.parametrize("resource", ALL)
def test_every_field_has_a_meaning(resource):
    without = [
        f"{path}.{name}"
        for path, node in nodes(schema_of(resource))
        for name, field in node.get("properties", {}).items()
        if not field.get("description", "").strip()
    ]
    assert without == [], "write each a docstring in `ackbox.resources`: `kubectl explain` shows nothing else"


@pytest.mark.parametrize("resource", ALL)
def test_a_user_sees_whether_it_is_ready_and_how_old_it_is(resource):
    names = [column.name for column in resource.COLUMNS]
    assert "Ready" in names
    assert names[-1] == "Age"


@pytest.mark.parametrize("resource", ALL)
def test_conditions_are_a_map_by_type(resource):
    conditions = schema_of(resource)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_a_defaulted_cluster_has_flannel():
    spec = {"regionId": "cn-hangzhou", "vpcId": "net"}
    cluster = ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": spec})
    assert cluster.spec.network_plugin == "flannel"
    terway = spec | {"addons": [{"name": "terway-eniip"}]}
    cluster = ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": terway})
    assert cluster.spec.network_plugin == "terway-eniip"
