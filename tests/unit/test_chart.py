"""What the chart is made of: its values, and rights and policies for ServiceAccounts."""

from pathlib import Path

import pytest
import yaml

from ackbox.catalog.policies import admission_policies
from ackbox.chart import install
from ackbox.chart.files import RBAC_IN_CLUSTER, chart_files
from ackbox.chart.objects import CCM, OPERATOR, in_cluster
from ackbox.chart.pages import values_schema, values_table, values_yaml, walk
from ackbox.chart.values import Values
from ackbox.runtime.management import RBAC, USER_ROLES
from ackbox.runtime.manifests import documents

SOURCES = [*documents([RBAC, RBAC_IN_CLUSTER, USER_ROLES]), *admission_policies()]
OBJECTS = in_cluster(SOURCES)


def expressions(node):
    """Every CEL expression that decides something."""
    if isinstance(node, list):
        return [found for each in node for found in expressions(each)]
    if not isinstance(node, dict):
        return []
    own = [node["expression"]] if isinstance(node.get("expression"), str) else []
    return own + [found for each in node.values() for found in expressions(each)]


def test_values_yaml_holds_the_defaults_of_the_model():
    assert yaml.safe_load(values_yaml()) == Values().model_dump(by_alias=True)


def test_every_value_says_what_it_does():
    for value in walk(Values()):
        assert value.description.endswith("."), value.path
        assert f"`{'.'.join(value.path)}`" in values_table()


def test_a_value_that_is_not_known_is_refused_but_for_those_of_a_parent_chart():
    schema = yaml.safe_load(values_schema())
    sections = [schema, *schema["$defs"].values()]
    assert all(section["additionalProperties"] is False for section in sections)
    assert "global" in schema["properties"]


def test_policies_know_the_processes_by_their_service_accounts():
    before, after = expressions(SOURCES), expressions(OBJECTS)
    assert [text for text in before if "'ackbox:operator'" in text or "'ackbox:ccm'" in text]
    assert not [text for text in after if "'ackbox:operator'" in text or "'ackbox:ccm'" in text]
    assert sum(text.count(f"'{OPERATOR}'") for text in after) == sum(text.count("'ackbox:operator'") for text in before)
    assert sum(text.count(CCM) for text in after) == sum(text.count("'ackbox:ccm'") for text in before)


def test_every_role_is_bound_to_the_service_account_of_its_process_and_the_ccms_to_nobody():
    bound = {each["roleRef"]["name"]: each["subjects"] for each in OBJECTS if "roleRef" in each}
    account = {"kind": "ServiceAccount", "namespace": "ackbox-system"}
    assert bound == {
        "ackbox:operator": [account | {"name": "ackbox-operator"}],
        "ackbox:control-planes": [account | {"name": "ackbox-operator"}],
        "ackbox:operator-in-cluster": [account | {"name": "ackbox-operator"}],
        "ackbox:slb": [account | {"name": "ackbox-slb"}],
        "ackbox:slb-in-cluster": [account | {"name": "ackbox-slb"}],
    }


@pytest.mark.parametrize(
    "role", [each for each in OBJECTS if "rules" in each], ids=lambda each: each["metadata"]["name"]
)
def test_no_role_has_a_wildcard(role):
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_ccms_rights_are_all_that_the_operator_may_hand_on():
    rules = [rule for each in OBJECTS for rule in each.get("rules", ()) if {"bind", "escalate"} & set(rule["verbs"])]
    assert [(rule["resources"], rule["resourceNames"], rule["verbs"]) for rule in rules] == [
        (["clusterroles"], ["ackbox:ccm"], ["bind"])
    ]


def test_the_operator_reads_a_secret_by_its_name_and_lists_none():
    roles = {
        each["roleRef"]["name"] for each in OBJECTS if "roleRef" in each and "operator" in each["subjects"][0]["name"]
    }
    rules = [rule for each in OBJECTS if each["metadata"]["name"] in roles for rule in each.get("rules", ())]
    verbs = {verb for rule in rules if "secrets" in rule["resources"] for verb in rule["verbs"]}
    assert "get" in verbs
    assert not verbs & {"list", "watch", "deletecollection"}


def test_what_kustomize_and_helm_read_from_the_chart_is_the_same():
    files = chart_files(yaml.safe_dump_all, "")
    listed = yaml.safe_load(files[Path("charts/ackbox/files/kustomization.yaml")])["resources"]
    folder = Path("charts/ackbox/files")
    assert {folder / name for name in listed} == {
        path for path in files if folder in path.parents and path.name != "kustomization.yaml"
    }


def test_the_plain_manifests_are_stale_once_a_template_changes(tmp_path):
    templates = tmp_path / "charts/ackbox/templates"
    templates.mkdir(parents=True)
    for path in (templates / "a.yaml", templates.parent / "Chart.yaml", templates.parent / "values.yaml"):
        path.write_text("a: 1\n")
    target = tmp_path / install.INSTALL
    assert install.is_stale(tmp_path)
    target.parent.mkdir(parents=True)
    target.write_text(install.header(tmp_path) + "a: 1\n")
    assert not install.is_stale(tmp_path)
    (templates / "a.yaml").write_text("a: 2\n")
    assert install.is_stale(tmp_path)


def test_plain_manifests_belong_to_no_release():
    labels = {"app.kubernetes.io/name": "ackbox", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "ackbox-1"}
    deployment = {"metadata": {"labels": labels}, "spec": {"template": {"metadata": {"labels": labels}}}}
    (found,) = install.plain([deployment, None])
    kept = {"app.kubernetes.io/name": "ackbox"}
    assert found["metadata"]["labels"] == found["spec"]["template"]["metadata"]["labels"] == kept
