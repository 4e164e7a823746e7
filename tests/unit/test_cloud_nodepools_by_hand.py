"""What is done to a node pool by hand: bounds, the scaler, released and missing machines, machines that join and leave."""

import pytest

from ackbox.cloud.nodepools.attachment import joined, leaves, removed
from ackbox.cloud.nodepools.harm import hindrance, pool_aspects, wanted_size
from ackbox.cloud.nodepools.plan import Machine
from ackbox.resources import NodePool
from ackbox.resources.instance import Harm


def pool(desired=5, conditions=(), scaler=None, **group):
    return NodePool.model_validate(
        {
            "metadata": {"name": "pool"},
            "spec": {
                "clusterId": "one",
                "scalingGroup": {
                    "desiredSize": desired,
                    "instanceTypes": ["ecs.g6.xlarge"],
                    "vswitchIds": ["h"],
                    **group,
                },
                "autoScaling": {"enable": True, **scaler} if scaler else {},
            },
            "status": {
                "conditions": [
                    {"type": kind, "status": "True", "reason": "Before", "lastTransitionTime": ""}
                    for kind in conditions
                ]
            },
        }
    )


SCALER = {"minInstances": 2, "maxInstances": 6}


@pytest.mark.parametrize(
    ("found", "size", "hindered"),
    [
        (pool(), 5, False),
        (pool(maxSize=4), 4, True),
        (pool(minSize=7), 7, True),
        (pool(scaler=SCALER), 5, False),
        (pool(9, scaler=SCALER), 6, False),
        (pool(0, scaler=SCALER), 2, False),
        (pool(9, scaler=SCALER, minSize=2, maxSize=6), 6, False),
        (pool(9, scaler=SCALER, maxSize=5), 5, True),
        (pool(0, scaler=SCALER, minSize=2, maxSize=6), 2, False),
    ],
)
def test_a_pool_gets_what_scaler_and_scaling_group_let_it_have(found, size, hindered):
    assert wanted_size(found) == size
    assert (hindrance(found) is not None) is hindered


def machine(name, *harms):
    return Machine(name, "Running", "", harms=frozenset(harms))


def told(found, machines=(), released=()):
    return {each.type: (each.status, each.message) for each in pool_aspects(found, machines, released)}


def test_everything_wrong_is_told_at_once_with_its_recovery():
    machines = [machine("i-1"), machine("i-2", Harm.NODE_COUNT_DIFFERS)]
    said = told(pool(9, scaler=SCALER, maxSize=5), machines, ["i-3"])
    assert set(said) == {"ScalingGroupBoundsChanged", "ScaledByHand", "InstanceReleased", "NodesMissing"}
    assert "minSize 0, maxSize 5 instead of 2 and 6" in said["ScalingGroupBoundsChanged"][1]
    assert said["ScaledByHand"][1].startswith("spec.scalingGroup.desiredSize: 9, and auto scaling keeps 2 to 6")
    assert said["InstanceReleased"][1].startswith("i-3 was released")
    assert said["NodesMissing"][1].startswith("i-2: 1 of 2 instances have no Node")


def test_what_no_longer_holds_is_taken_away_and_what_is_not_ours_stays():
    assert told(pool(conditions=["ScaledByHand", "NodesMissing", "Ready", "Custom"])) == {
        "NodesMissing": (None, ""),
        "ScaledByHand": (None, ""),
    }


def test_a_machine_that_serves_as_no_node_is_offline():
    assert [
        each.offline for each in (machine("a"), machine("b", Harm.NODE_COUNT_DIFFERS), machine("c", Harm.NAT_FAILS))
    ] == [
        False,
        True,
        False,
    ]
    assert not Machine("d", "Stopped", "", harms=frozenset({Harm.NODE_UNAVAILABLE})).offline


# Machines that join and leave


def instance(labels=None, annotations=None, **spec):
    metadata = {
        "name": "i-1",
        "namespace": "team",
        "resourceVersion": "7",
        "labels": labels,
        "annotations": annotations,
    }
    return {"metadata": metadata, "spec": spec}


IN = {"ackbox.dev/nodepool": "pool", "ackbox.dev/cluster": "one"}
BY_HAND = {"ackbox.dev/attached": "true"}
THERE = {"metadata": {"name": "pool"}}
GOING = {"metadata": {"name": "pool", "deletionTimestamp": "now"}}


@pytest.mark.parametrize(
    ("obj", "of", "left"),
    [
        (instance(IN, nodepoolId="np1", clusterId="one"), THERE, False),
        (instance(IN, clusterId="one"), THERE, False),
        (instance(IN), THERE, True),
        (instance(IN, BY_HAND, nodepoolId="np1"), THERE, False),
        (instance(IN, BY_HAND, nodepoolId="np1"), GOING, True),
        (instance(IN, BY_HAND, nodepoolId="np1"), None, True),
        (instance(IN, nodepoolId="np1"), GOING, False),
    ],
)
def test_a_machine_leaves_when_it_names_no_pool_or_its_pool_goes_that_did_not_make_it(obj, of, left):
    assert leaves(obj, of) is left


def test_a_machine_that_joins_gets_a_new_system_disk_and_what_the_pool_gives_its_own():
    born = {
        "metadata": {"labels": IN},
        "spec": {"nodepoolId": "np1", "node": {"podCidr": "10.0.0.0/26"}, "imageId": "AliyunLinux3"},
    }
    patch = joined(instance(operatingSystem={"packages": ["ufw"]}, systemDiskRevision=2), born)
    assert patch["spec"] == {
        "nodepoolId": "np1",
        "node": {"podCidr": "10.0.0.0/26"},
        "imageId": "AliyunLinux3",
        "operatingSystem": None,
        "systemDiskRevision": 3,
    }
    assert patch["metadata"] == {
        "resourceVersion": "7",
        "labels": IN,
        "annotations": BY_HAND,
        "finalizers": ["ackbox.dev/instance", "ackbox.dev/node"],
    }


def test_a_machine_that_leaves_keeps_nothing_of_its_cluster():
    patch = removed(instance(IN, BY_HAND, nodepoolId="np1"))
    assert patch["spec"] == {"nodepoolId": None, "clusterId": None, "node": None}
    assert set(patch["metadata"]["labels"].values()) == set(patch["metadata"]["annotations"].values()) == {None}
