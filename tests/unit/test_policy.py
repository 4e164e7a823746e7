"""Admission policies: their shape, their binding and what they are made of. What they refuse is tried end to end."""

import re
from ipaddress import IPv4Network

import pytest

from ackbox.catalog.policies import admission_policies
from ackbox.resources import policy


def policies():
    return [each for each in admission_policies() if each["kind"] == "ValidatingAdmissionPolicy"]


def bindings():
    return {each["metadata"]["name"]: each for each in admission_policies() if each["kind"].endswith("Binding")}


@pytest.mark.parametrize("each", policies(), ids=lambda each: each["metadata"]["name"])
def test_a_policy_denies_by_its_binding_and_names_the_field(each):
    binding = bindings()[each["metadata"]["name"]]
    assert binding["spec"]["policyName"] == each["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert each["spec"]["failurePolicy"] == "Fail"
    assert all("spec." in check["messageExpression"] for check in each["spec"]["validations"])


@pytest.mark.parametrize("each", policies(), ids=lambda each: each["metadata"]["name"])
def test_what_is_stored_can_always_be_finished(each):
    """Updates of status, finalizers and labels pass, and so does the deletion of what isn't protected."""
    (rule,) = each["spec"]["matchConstraints"]["resourceRules"]
    assert all("/" not in resource for resource in rule["resources"])
    if "DELETE" not in rule["operations"]:
        assert each["spec"]["matchConditions"] == [policy.SPEC_CHANGED]


def test_variables_are_declared_before_they_are_used():
    for each in policies():
        known: set[str] = set()
        for variable in each["spec"].get("variables", []):
            assert set(re.findall(r"variables\.(\w+)", variable["expression"])) <= known
            known.add(variable["name"])
        for check in each["spec"]["validations"]:
            text = check["expression"] + check["messageExpression"]
            assert set(re.findall(r"variables\.(\w+)", text)) <= known


def test_texts_are_quoted():
    assert policy.text("it's\\") == "'it\\'s\\\\'"
    assert policy.texts(["a", "b"]) == "['a', 'b']"


def test_arguments_end_up_in_the_rules():
    regions, _ = policy.region_policy(["mars-north-1"])
    assert regions["spec"]["variables"][0]["expression"] == "['mars-north-1']"
    cidrs, _ = policy.cidr_policy([IPv4Network("10.0.0.0/8")], [IPv4Network("172.16.0.0/12")], (16, 24))
    assert "10.0.0.0/8" in cidrs["spec"]["validations"][1]["expression"]
    backends, binding = policy.backend_policy(7)
    assert backends["spec"]["variables"][0]["expression"].endswith(": 7")
    assert binding["spec"]["paramRef"] == {"name": "default", "parameterNotFoundAction": "Allow"}
