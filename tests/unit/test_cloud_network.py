"""VPCs, route tables and what counts against quotas."""

import pytest

from ackbox.cloud.network.plan import deletion_state, route_table_state, some, vpc_state
from ackbox.resources import RouteTable, Vpc


def vpc(region="cn-hangzhou", zone="cn-hangzhou-h", cidr="192.168.0.0/24", allocations=()):
    switch = {"vSwitchName": "h", "zoneId": zone, "cidrBlock": cidr}
    return Vpc.model_validate(
        {
            "metadata": {"name": "v", "uid": "u"},
            "spec": {"regionId": region, "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
            "status": {"allocations": list(allocations)},
        }
    )


def test_a_good_vpc_is_ready():
    assert vpc_state(vpc(), {}).ready == "True"


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        (vpc(region="mars"), "InvalidRegionId.NotFound", ["mars", "cn-hangzhou"]),
        (vpc(zone="cn-beijing-a"), "InvalidZoneId.NotFound", ["cn-beijing-a", "cn-hangzhou-h"]),
        (vpc(cidr="192.168.0.0/30"), "InvalidCidrBlock", ["192.168.0.0/30", "/29"]),
        (vpc(cidr="what"), "InvalidCidrBlock", ["what"]),
        (
            vpc(allocations=[{"owner": "i-1", "vSwitchId": "vsw-gone", "address": "192.168.9.1"}]),
            "DependencyViolation",
            ["i-1"],
        ),
    ],
)
def test_a_wrong_vpc_is_stalled(wrong, reason, words):
    state = vpc_state(wrong, {})
    assert (state.reason, state.stalled) == (reason, True)
    assert all(word in state.message for word in words), state.message


def test_a_vpc_goes_when_nothing_is_in_it():
    assert deletion_state([], []) is None
    owners = deletion_state(["i-1", "slb/x"], ["c"])
    assert owners is not None
    assert "i-1, slb/x" in owners.message
    clusters = deletion_state([], ["c"])
    assert clusters is not None
    assert "ManagedCluster c" in clusters.message
    assert some([f"i-{n}" for n in range(8)]) == "i-0, i-1, i-2, i-3, i-4 and 3 more"


def table(count):
    entries = [{"destinationCidrBlock": f"10.0.{n}.0/24", "nextHopId": "i"} for n in range(count)]
    return RouteTable.model_validate(
        {"metadata": {"name": "v"}, "spec": {"vpcId": "v", "routeEntries": entries}, "status": {}}
    )


@pytest.mark.parametrize(
    ("count", "where", "reason"),
    [(3, vpc(), "Available"), (3, None, "WaitingForVPC"), (4, vpc(), "QuotaExceeded.RouteEntry")],
)
def test_a_route_table_tells_its_state(count, where, reason):
    assert route_table_state(table(count), where, 3).reason == reason
