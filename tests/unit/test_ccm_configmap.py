"""The ConfigMap of the cloud config: made where it is missing, read often, and said what is wrong with it."""

import json
from dataclasses import replace

import pytest
from small_cluster import World
from test_ccm_nodes import FACTS

from ackbox.ccm.config import KEY, current
from ackbox.ccm.configmap import CloudConfigMap
from ackbox.kube.errors import Forbidden, Unavailable

CLUSTER = {
    "apiVersion": "ackbox.dev/v1alpha1",
    "kind": "ManagedCluster",
    "metadata": {"name": "one", "namespace": "team"},
    "spec": {"regionId": "cn-hangzhou", "vpcId": "net"},
    "status": {"clusterId": "c1"},
}
PLACE = ("ConfigMap", "kube-system", "cloud-config")


def keeper(world, facts=FACTS):
    return CloudConfigMap(facts, world.management, world.workload, world.events)


def written(text):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cloud-config", "namespace": "kube-system"},
        "data": {KEY: text},
    }


async def test_a_missing_config_is_made_and_counts_at_once():
    world = World(CLUSTER)
    await keeper(world).look()
    assert json.loads(world.cluster.objects[PLACE]["data"][KEY])["Global"]["clusterID"] == "c1"
    assert current(world.workload).region == "cn-hangzhou"
    assert world.events.said == []


async def test_what_a_user_wrote_stays_and_a_change_is_seen_at_the_next_look():
    world = World(CLUSTER, workload=[written('{"Global": {"resourceGroupID": "rg-1"}}')])
    config = keeper(world)
    await config.look()
    assert current(world.workload).resource_group_id == "rg-1"
    world.cluster.put(written('{"Global": {"resourceGroupID": "rg-2"}}'))
    await config.look()
    assert current(world.workload).resource_group_id == "rg-2"
    assert world.cluster.calls == []


async def test_a_deleted_config_comes_back():
    world = World(CLUSTER)
    config = keeper(world)
    await config.look()
    world.cluster.objects.pop(PLACE)
    await config.look()
    assert PLACE in world.cluster.objects
    assert current(world.workload).cluster_id == "c1"


async def test_a_registered_clusters_config_is_read_and_never_written():
    world, facts = World(CLUSTER), replace(FACTS, external=True)
    await keeper(world, facts).look()
    assert world.cluster.objects == {}
    world.cluster.put(written('{"Global": {"disablePublicSLB": true}}'))
    await keeper(world, facts).look()
    assert current(world.workload).disable_public_slb


async def test_an_owner_who_lets_us_not_read_it_gets_the_defaults(monkeypatch):
    world = World(CLUSTER, workload=[written('{"Global": {"disablePublicSLB": true}}')])

    async def forbidden(*_):
        raise Forbidden(403, "Forbidden", "no")

    monkeypatch.setattr(world.cluster, "get", forbidden)
    await keeper(world, replace(FACTS, external=True)).look()
    assert not current(world.workload).disable_public_slb


async def test_a_cluster_that_does_not_answer_is_no_cluster_without_a_config(monkeypatch):
    world = World(CLUSTER)

    async def silent(*_):
        raise Unavailable(0, "Unreachable", "gone")

    monkeypatch.setattr(world.cluster, "get", silent)
    with pytest.raises(Unavailable):
        await keeper(world).look()
    assert world.cluster.objects == {}


async def test_a_problem_is_said_once_until_it_changes():
    world = World(CLUSTER, workload=[written('{"Global": {"featureGates": "Turbo=true"}}')])
    config = keeper(world)
    await config.look()
    await config.look()
    [(name, message)] = world.events.of("InvalidCloudConfig")
    assert name == "cloud-config"
    assert "unrecognized feature gate: Turbo" in message
    world.cluster.put(written('{"Global": {"disablePublicSLB": "yes"}}'))
    await config.look()
    assert len(world.events.of("InvalidCloudConfig")) == 2


async def test_a_config_that_a_registered_cluster_has_no_more_does_not_count_any_more():
    world, facts = World(CLUSTER), replace(FACTS, external=True)
    config = keeper(world, facts)
    world.cluster.put(written('{"Global": {"disablePublicSLB": true}}'))
    await config.look()
    world.cluster.objects.pop(PLACE)
    await config.look()
    assert not current(world.workload).disable_public_slb
