from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ackbox.kube.settings import Pod, from_environment

LOCAL = {
    "ACKBOX_HOME": "/h",
    "ACKBOX_RUN": "/h/run",
    "ACKBOX_LOOPBACK": "127.20.0.0/16",
    "ACKBOX_KUBECONFIG": "/h/kubeconfig",
}
IN_CLUSTER = {
    "ACKBOX_IN_CLUSTER": "true",
    "ACKBOX_POD_NAME": "ackbox-operator-7d-x",
    "ACKBOX_POD_NAMESPACE": "ackbox-system",
    "ACKBOX_IMAGE": "registry.test/ackbox:1",
    "ACKBOX_SERVICE_ACCOUNT": "ackbox-operator",
}


def test_on_a_machine_everything_is_told():
    settings = from_environment(environment=LOCAL)
    assert (settings.home, settings.kubeconfig) == (Path("/h"), Path("/h/kubeconfig"))
    assert not settings.in_cluster
    assert settings.pod is None


@pytest.mark.parametrize("missing", LOCAL)
def test_what_is_missing_on_a_machine_is_named(missing):
    with pytest.raises(KeyError, match=missing):
        from_environment(environment={name: value for name, value in LOCAL.items() if name != missing})


def test_a_pod_needs_to_be_told_only_who_it_is():
    settings = from_environment(environment=IN_CLUSTER)
    assert settings.in_cluster
    assert settings.pod == Pod("ackbox-operator-7d-x", "ackbox-system", "registry.test/ackbox:1", "ackbox-operator")
    assert settings.kubeconfig is None
    assert (settings.home, settings.run) == (Path("/var/lib/ackbox"), Path("/run/ackbox"))
    assert settings.loopback == IPv4Network("127.16.0.0/16")


@pytest.mark.parametrize("missing", [name for name in IN_CLUSTER if name != "ACKBOX_IN_CLUSTER"])
def test_what_a_pod_was_not_told_is_named(missing):
    with pytest.raises(KeyError, match=missing):
        from_environment(environment={name: value for name, value in IN_CLUSTER.items() if name != missing})


def test_a_pod_may_work_elsewhere_and_by_a_kubeconfig():
    settings = from_environment(Path("/k"), environment=IN_CLUSTER | {"ACKBOX_HOME": "/data"})
    assert (settings.home, settings.kubeconfig) == (Path("/data"), Path("/k"))
