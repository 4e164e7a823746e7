"""What ackbox's own processes may do: written out by hand, and no more than they read."""

from itertools import product

import pytest

from ackbox.ccm.management import management_store, watched
from ackbox.cloud.world import World
from ackbox.dataplane.caches import Caches
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection
from ackbox.resources import RESOURCES
from ackbox.resources.base import GROUP
from ackbox.runtime.management import OWN_PROCESSES, RBAC, user_name
from ackbox.runtime.manifests import documents

OBJECTS = list(documents([RBAC]))
READ = {"get", "list", "watch"}
WATCHED = {
    "operator": World().caches(),
    "ccm": watched(management_store(Client(Connection("https://127.0.0.1", "")))),
    "slb": Caches().all(),
}


def rules(process: str):
    return [
        rule
        for each in OBJECTS
        if each["kind"] in {"Role", "ClusterRole"} and each["metadata"]["name"] == user_name(process)
        for rule in each["rules"]
    ]


def granted(process: str) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb) of a process."""
    return {each for rule in rules(process) for each in product(rule["apiGroups"], rule["resources"], rule["verbs"])}


@pytest.mark.parametrize("process", OWN_PROCESSES)
def test_a_right_names_what_it_is_for(process):
    known = {kind for each in RESOURCES for kind in (each.KIND.plural, f"{each.KIND.plural}/status")}
    for group, resource, verb in granted(process):
        assert group in {GROUP, ""}
        assert group == "" or resource in known
        assert verb in READ | {"create", "patch", "delete"}


@pytest.mark.parametrize("process", OWN_PROCESSES)
def test_a_process_may_watch_what_it_keeps_in_its_caches_and_nothing_else(process):
    kept = {(cache.kind.group, cache.kind.plural) for cache in WATCHED[process]}
    for verb in READ:
        allowed = {(group, resource) for group, resource, v in granted(process) if v == verb and group == GROUP}
        assert allowed == kept


@pytest.mark.parametrize("process", OWN_PROCESSES)
def test_a_role_is_bound_to_its_process_alone(process):
    roles = {(each["kind"], each["metadata"].get("namespace")) for each in OBJECTS if "rules" in each}
    bindings = [each for each in OBJECTS if "roleRef" in each and each["roleRef"]["name"] == user_name(process)]
    for each in bindings:
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user_name(process)}
        assert each["subjects"] == [subject]
        assert (each["roleRef"]["kind"], each["metadata"].get("namespace")) in roles
    assert bindings
