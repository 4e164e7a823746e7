"""What the data plane does otherwise in a cluster: which API servers it dials, and when it lets clients in."""

from pathlib import Path

import pytest
from envoy.config.listener.v3 import listener_pb2
from test_dataplane_controller import LOOPBACK

from ackbox.dataplane.caches import Caches
from ackbox.dataplane.main import DataPlane
from ackbox.dataplane.real_servers import api_server_targets
from ackbox.dataplane.xds_store import ResourceType
from ackbox.kube.settings import Pod, Settings
from ackbox.resources import ServerGroup


def api_server(ip, port=6443):
    server = {"serverId": "apiserver1", "serverIp": ip, "port": port, "weight": 100, "type": "apiserver"}
    spec = {"loadBalancerId": "demo-apiserver", "vServerGroupName": "g", "backendServers": [server]}
    return ServerGroup.model_validate({"metadata": {"name": "g", "namespace": "n"}, "spec": spec})


@pytest.mark.parametrize(
    ("ip", "port", "dialled"),
    [
        ("10.96.0.7", 6443, True),
        ("10.96.0.7", 443, False),
        ("127.0.0.1", 6443, False),
        ("169.254.169.254", 6443, False),
        ("fd00::1", 6443, False),
    ],
)
def test_an_api_server_is_dialled_at_an_address_of_the_cluster_and_at_its_port(ip, port, dialled):
    targets = api_server_targets(api_server(ip, port), None)
    assert bool(targets.addresses) is dialled
    assert (targets.problem is None) is dialled


class Envoy:
    """What is known of Envoy: whether it is there, and which listeners it has answered for."""

    def __init__(self):
        self.connected, self.known = False, set()

    def answered(self, _kind, name):
        return name in self.known


def test_clients_come_once_envoy_has_had_every_listener(tmp_path: Path):
    pod = Pod("ackbox-slb-1", "ackbox-system", "ackbox", "ackbox-slb")
    plane = DataPlane(Settings(tmp_path, None, LOOPBACK, tmp_path, pod=pod), Caches(), None, 1)
    envoy = plane._ads = Envoy()
    for name in ("n/a-80-tcp", "n/b-80-tcp"):
        put(plane, name)
    assert not plane.ready
    envoy.connected = True
    envoy.known.add("n/a-80-tcp")
    assert not plane.ready
    envoy.known.add("n/b-80-tcp")
    assert plane.ready
    put(plane, "n/c-80-tcp")
    assert plane.ready, "one more listener keeps nobody from the others"
    envoy.connected = False
    plane._connected(False)
    assert not plane.ready
    envoy.connected = True
    assert not plane.ready, "another Envoy has to get all of them first"


def put(plane, name):
    plane.store.put(ResourceType.LISTENER, name, listener_pb2.Listener(name=name))
