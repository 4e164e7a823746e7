"""API servers are dialled for real, and nothing else on this machine is."""

from ipaddress import IPv4Network

import pytest

from ackbox.dataplane.real_servers import api_server_targets, is_of_api_servers
from ackbox.resources import ServerGroup

HOME = IPv4Network("127.42.0.0/16")


def group(*servers):
    rows = [
        {"serverId": f"s{n}", "serverIp": ip, "port": port, "type": kind} for n, (ip, port, kind) in enumerate(servers)
    ]
    spec = {"loadBalancerId": "lb", "vServerGroupName": "g", "backendServers": rows}
    return ServerGroup.model_validate({"metadata": {"name": "g", "namespace": "n"}, "spec": spec})


def test_an_api_server_of_this_home_is_dialled_at_its_own_address():
    made = group(("127.42.1.1", 6443, "apiserver"), ("127.42.15.254", 6443, "apiserver"))
    targets = api_server_targets(made, HOME)
    assert targets.real
    assert targets.problem is None
    assert set(targets.addresses.values()) == {("127.42.1.1", 6443), ("127.42.15.254", 6443)}


@pytest.mark.parametrize(
    ("ip", "port", "kind"),
    [
        ("127.42.0.1", 6443, "apiserver"),  # the management cluster's
        ("127.42.16.1", 6443, "apiserver"),  # a load balancer's
        ("127.43.1.1", 6443, "apiserver"),  # another home's
        ("127.0.0.1", 6443, "apiserver"),
        ("10.0.0.1", 6443, "apiserver"),
        ("not an address", 6443, "apiserver"),
        ("127.42.1.1", 2379, "apiserver"),  # etcd
        ("127.42.1.1", 6443, "ecs"),
    ],
)
def test_any_other_place_is_not_dialled_and_named(ip, port, kind):
    targets = api_server_targets(group(("127.42.1.1", 6443, "apiserver"), (ip, port, kind)), HOME)
    assert len(targets.addresses) == 1
    assert targets.problem is not None
    assert targets.problem.reason == "AddressNotAllowed"
    assert f"{ip}:{port}" in targets.problem.message


def test_servers_of_other_types_stay_virtual():
    assert not is_of_api_servers(group(("192.168.0.1", 80, "ecs"), ("192.168.0.2", 80, "eni")))
