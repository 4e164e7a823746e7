"""Addons: which ones a cluster gets, in which versions, and how far they are."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ackbox.catalog.addons import Addon, AddonVersion, addons, minor_of
from ackbox.cloud.clusters.addon_objects import ADDON_LABEL, CONFIG_ANNOTATION, objects
from ackbox.cloud.clusters.addon_plan import Installation, choose, parse_config, rolled_out, state_of
from ackbox.resources import ManagedCluster
from ackbox.resources.addon_policy import NESTED, json_object
from ackbox.resources.managedcluster import AddonStatus

FIXTURE = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "addons.yaml").read_text())
NOW = (1, 36)


def cluster(*wishes, profile="Default", status=None):
    spec = {"regionId": "cn-hangzhou", "profile": profile, "addons": list(wishes)}
    return ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": spec, "status": status or {}})


def names(choice):
    return {each.addon.name for each in choice.installations}


def version_of(choice, name):
    return next(each.version for each in choice.installations if each.addon.name == name)


@pytest.mark.parametrize(("name", "text"), FIXTURE["configs"].items())
def test_the_configs_in_aliyuns_reference_are_taken(name, text):
    assert parse_config(addons()[name], text) == json.loads(text)
    assert re.search(json_object(NESTED), text)


@pytest.mark.parametrize(("name", "versions"), FIXTURE["versions"].items())
def test_the_versions_in_aliyuns_reference_are_there_in_their_order(name, versions):
    assert [each for each in addons()[name].version_names if each in versions] == versions


def test_a_version_needs_the_cluster_version_that_the_reference_says():
    for name, versions in FIXTURE["minimum_cluster_version"].items():
        for version, minimum in versions.items():
            found = next(each for each in addons()[name].versions if each.name == version)
            assert found.minimum == minor_of(minimum)


def test_the_catalogue_holds_together():
    every = addons()
    for addon in every.values():
        assert addon.category in FIXTURE["categories"]
        assert set(addon.requires) | set(addon.instead) <= set(every)
        assert len(set(addon.version_names)) == len(addon.versions) > 0
        assert bool(addon.workloads) != addon.managed
        assert {service.workload for service in addon.services} <= {workload.name for workload in addon.workloads}
    workloads = [workload.name for addon in every.values() for workload in addon.workloads]
    assert len(set(workloads)) == len(workloads)


@pytest.mark.parametrize("profile", ["Default", "Edge", "Serverless"])
def test_every_kind_of_cluster_gets_defaults_that_hold_together(profile):
    choice = choose(cluster(profile=profile), addons(), NOW)
    assert choice.problems == {}
    assert {"coredns", "metrics-server"} <= names(choice)
    assert ("flannel" in names(choice)) == (profile != "Serverless")


def test_a_network_and_a_storage_plug_in_take_the_place_of_the_defaults():
    found = names(choose(cluster({"name": "terway-eniip"}, {"name": "flexvolume"}), addons(), NOW))
    assert found & {"flannel", "terway-eniip"} == {"terway-eniip"}
    assert found & {"csi-plugin", "csi-provisioner", "flexvolume"} == {"flexvolume"}


def test_a_disabled_default_is_left_out_and_what_requires_it_is_not_installed():
    choice = choose(cluster({"name": "coredns", "disabled": True}, {"name": "ack-node-local-dns"}), addons(), NOW)
    assert not names(choice) & {"coredns", "ack-node-local-dns"}
    assert choice.problems == {"ack-node-local-dns": "it requires coredns"}


def test_the_newest_version_is_installed_and_stays_until_another_is_asked_for():
    newest = addons()["coredns"].version_names[-1]
    assert version_of(choose(cluster(), addons(), NOW), "coredns") == newest
    there = {"addons": [{"name": "coredns", "version": "1.7.0", "state": "active"}]}
    assert version_of(choose(cluster(status=there), addons(), NOW), "coredns") == "1.7.0"
    asked = {"name": "coredns", "version": newest}
    assert version_of(choose(cluster(asked, status=there), addons(), NOW), "coredns") == newest


def test_an_old_cluster_gets_the_newest_version_that_runs_on_it():
    one = Addon("one", "core", (AddonVersion("v1"), AddonVersion("v2", (1, 36)), AddonVersion("v3", (1, 37))))
    catalogue = {"one": one}
    wish = {"name": "one"}
    assert version_of(choose(cluster(wish), catalogue, (1, 36)), "one") == "v2"
    assert version_of(choose(cluster(wish), catalogue, (1, 35)), "one") == "v1"
    refused = choose(cluster({**wish, "version": "v3"}), catalogue, (1, 36))
    assert refused.problems == {"one": "version v3 needs Kubernetes 1.37 or newer"}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"name": "nope"}, ["AddonNotFound", "coredns"]),
        ({"name": "coredns", "version": "9"}, ["no version 9", "1.6.7"]),
        ({"name": "coredns", "config": "{"}, ["config: not JSON"]),
        ({"name": "coredns", "config": "[]"}, ["no JSON object"]),
        ({"name": "coredns", "config": '{"Cpu":"1"}'}, ["Cpu is no setting", "CpuRequest"]),
        ({"name": "coredns", "config": '{"CpuRequest":"much"}'}, ['CpuRequest: "much"', "800m"]),
        ({"name": "terway-eniip", "config": '{"IPVlan":true}'}, ["IPVlan: true", '"true", "false"']),
        ({"name": "nginx-ingress-controller", "config": '{"IngressSlbNetworkType":"x"}'}, ["internet", "intranet"]),
        ({"name": "cloud-controller-manager", "config": '{"CpuRequest":"1"}'}, ["there are: none"]),
    ],
)
def test_what_can_not_be_had_is_told_and_the_rest_is_installed(wish, words):
    choice = choose(cluster(wish), addons(), NOW)
    assert set(choice.problems) == {wish["name"]}
    assert all(word in choice.problems[wish["name"]] for word in words), choice.problems
    assert "metrics-server" in names(choice)


def made(name, version=None, **config):
    addon = addons()[name]
    installation = Installation(addon, version or addon.version_names[-1], config)
    return {each["kind"]: each for each in objects(installation, "172.19.0.0/20", "127.5.1.2", "Q0E=")}


def pod(obj):
    return obj["spec"]["template"]["spec"]


def test_a_version_is_the_tag_of_the_image_and_everything_carries_its_addons_name():
    found = made("coredns", "1.7.0")
    assert set(found) == {"ConfigMap", "Service", "Deployment"}
    assert pod(found["Deployment"])["containers"][0]["image"] == "acs/coredns:1.7.0"
    assert {each["metadata"]["labels"][ADDON_LABEL] for each in found.values()} == {"coredns"}
    assert found["Service"]["spec"]["clusterIP"] == "172.19.0.10"


def test_a_config_is_kept_felt_and_brings_new_pods():
    plain, other = made("coredns"), made("coredns", CpuRequest="800m", MemoryLimit="1Gi")
    assert other["ConfigMap"]["data"] == {"CpuRequest": "800m", "MemoryLimit": "1Gi"}
    resources = pod(other["Deployment"])["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "800m", "memory": "100Mi"}, "limits": {"memory": "1Gi"}}
    digests = [
        each["Deployment"]["spec"]["template"]["metadata"]["annotations"][CONFIG_ANNOTATION] for each in (plain, other)
    ]
    assert digests[0] != digests[1]


def test_daemon_sets_that_every_cluster_has_leave_emulated_nodes_alone():
    def avoids(name):
        (term,) = pod(made(name)["DaemonSet"])["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]["nodeSelectorTerms"]
        return term["matchExpressions"] == [{"key": "ackbox.dev/emulated", "operator": "NotIn", "values": ["true"]}]

    assert avoids("flannel")
    assert "affinity" not in pod(made("logtail-ds")["DaemonSet"])


def test_what_is_managed_leaves_nothing_in_the_cluster():
    assert made("cloud-controller-manager") == {}


def test_the_metrics_api_is_served_at_the_clusters_address_and_verified():
    found = made("metrics-server")
    assert found["Service"]["spec"] == {"type": "ExternalName", "externalName": "127.5.1.2"}
    spec = found["APIService"]["spec"]
    assert (spec["caBundle"], spec["service"]["port"]) == ("Q0E=", 4443)
    assert "insecureSkipTLSVerify" not in spec


def deployment(generation=2, observed=2, updated=2, replicas=2):
    status = {"observedGeneration": observed, "updatedReplicas": updated, "replicas": replicas}
    return {"metadata": {"name": "d", "generation": generation}, "spec": {"replicas": 2}, "status": status}


@pytest.mark.parametrize(
    ("workload", "done"),
    [
        (deployment(), True),
        (deployment(observed=1), False),
        (deployment(updated=1), False),
        (deployment(replicas=3), False),
        ({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 1}}, False),
        ({"metadata": {"name": "s", "generation": 1}, "spec": {}, "status": {"observedGeneration": 1}}, True),
        (
            {
                "metadata": {"name": "s", "generation": 1},
                "spec": {},
                "status": {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 2},
            },
            False,
        ),
    ],
)
def test_a_workload_is_rolled_out_when_no_pod_is_of_another_template(workload, done):
    assert rolled_out(workload) is done


@pytest.mark.parametrize(
    ("before", "workload", "word"),
    [
        (None, deployment(), "active"),
        (None, deployment(updated=0), "updating"),
        (("v1", "active"), deployment(updated=0), "upgrading"),
        (("v2", "upgrading"), deployment(updated=0), "upgrading"),
        (("v2", "active"), deployment(updated=0), "updating"),
        (("v2", "upgrading"), deployment(), "active"),
    ],
)
def test_an_addon_has_the_state_word_that_its_pods_tell(before, workload, word):
    status = AddonStatus(name="a", version=before[0], state=before[1]) if before else None
    state, message = state_of(status, "v2", [workload])
    assert state == word
    assert (message is None) == (word == "active")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(st.text(), SCALARS | st.lists(SCALARS, max_size=2), max_size=3)
)


@given(st.dictionaries(st.text(), VALUES, max_size=3), st.booleans())
def test_every_flat_json_object_is_taken_for_one(value, ascii_only):
    assert re.search(json_object(NESTED), json.dumps(value, ensure_ascii=ascii_only))


@given(st.text(alphabet='{}[]":,\\u0aefnrtl1-. \n', max_size=12).map(lambda text: "{" + text + "}"))
def test_what_json_refuses_is_refused(text):
    if re.search(json_object(NESTED), text):
        assert isinstance(json.loads(text), dict)
