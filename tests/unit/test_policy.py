"""Admission policies: their shape, their binding and what they are made of. What they refuse is tried end to end."""

import re

import pytest

from ackbox.catalog.policies import admission_policies
from ackbox.resources import CLOUD_QUOTA, MANAGED_CLUSTER, VPC, policy


def policies():
    return [each for each in admission_policies() if each["kind"] == "ValidatingAdmissionPolicy"]


def bindings():
    return {each["metadata"]["name"]: each for each in admission_policies() if each["kind"].endswith("Binding")}


def refusals(each):
    """The expression that lists everything that is wrong with an object."""
    return " ".join(row["expression"] for row in each["spec"]["variables"] if row["name"].startswith(policy.REFUSALS))


@pytest.mark.parametrize("each", policies(), ids=lambda each: each["metadata"]["name"])
def test_a_policy_denies_by_its_binding_and_names_the_field(each):
    binding = bindings()[each["metadata"]["name"]]
    assert binding["spec"]["policyName"] == each["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert each["spec"]["failurePolicy"] == "Fail"
    assert "spec." in refusals(each)


@pytest.mark.parametrize("each", policies(), ids=lambda each: each["metadata"]["name"])
def test_what_is_stored_can_always_be_finished(each):
    """Updates of status, finalizers and labels pass, and so does the deletion of what isn't protected; `scale` doesn't."""
    (rule,) = each["spec"]["matchConstraints"]["resourceRules"]
    assert all(resource.partition("/")[2] in ("", "scale") for resource in rule["resources"])
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
    regions, _ = policy.region_policy(VPC, ["mars-north-1"])
    assert regions["spec"]["variables"][0]["expression"] == "['mars-north-1']"
    held = policy.policy("held", (MANAGED_CLUSTER,), [policy.Check("true", "'spec'")], parameter=CLOUD_QUOTA)
    assert held[1]["spec"]["paramRef"] == {"name": "default", "parameterNotFoundAction": "Allow"}


def test_all_checks_of_a_policy_are_one_validation():
    """The API server tells of the first validation that fails, and of no other."""
    checks = [policy.Check("object.spec.a", "'spec.a'"), policy.Check("object.spec.b", "'spec.b'")]
    made, _ = policy.policy("letters", (MANAGED_CLUSTER,), checks)
    (validation,) = made["spec"]["validations"]
    assert validation["expression"] == "variables.refusals.size() == 0"
    told = "[(object.spec.a) ? '' : ('spec.a'), (object.spec.b) ? '' : ('spec.b')].filter(m, m != '')"
    assert made["spec"]["variables"] == [{"name": "refusals", "expression": told}]


def test_merged_policies_keep_their_variables_apart():
    one = policy.policy("a", (MANAGED_CLUSTER,), [policy.Check("variables.x == 1", "'spec.a'")], {"x": "1"})
    two = policy.policy("b", (MANAGED_CLUSTER,), [policy.Check("variables.x == 2", "'spec.b'")], {"x": "2"})
    made, binding = policy.merged("both", [one, two])
    variables = {row["name"]: row["expression"] for row in made["spec"]["variables"]}
    assert (variables["x0"], variables["x1"]) == ("1", "2")
    assert "variables.x1 == 2" in variables["refusals1"]
    assert variables["refusals"] == "variables.refusals0 + variables.refusals1"
    assert binding["spec"]["policyName"] == made["metadata"]["name"] == "both.ackbox.dev"
