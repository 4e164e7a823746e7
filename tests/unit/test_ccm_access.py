"""Which API servers may be dialled for a registered cluster."""

import base64

import pytest
import yaml

from ackbox.ccm.access import check_server, connection_of
from ackbox.kube.connection import KubeconfigError
from ackbox.resources import ManagedCluster


@pytest.mark.parametrize(
    ("server", "allowed"),
    [
        ("https://127.0.0.1:6443", ["127.0.0.0/8"]),
        ("https://10.1.2.3", ["192.168.0.0/16", "10.1.0.0/16"]),
        ("https://[::1]:6443", ["::1/128"]),
    ],
)
def test_allowed(server, allowed):
    check_server(server, allowed)


@pytest.mark.parametrize(
    ("server", "allowed", "told"),
    [
        ("https://127.0.0.1:6443", [], "allowed are: none"),
        ("https://169.254.169.254", ["10.0.0.0/8"], "outside spec.externalCluster.allowedCidrs"),
        ("https://[::ffff:127.0.0.1]", ["127.0.0.0/8"], "outside"),
        ("https://localhost:6443", ["127.0.0.0/8"], "not by a name"),
        ("https://metadata.internal", ["0.0.0.0/0"], "not by a name"),
        ("https://127.1", ["127.0.0.0/8"], "not by a name"),
        ("https://10.0.0.1@169.254.169.254", ["10.0.0.0/8"], "outside"),
        ("https://", ["0.0.0.0/0"], "not by a name"),
        ("https://127.0.0.1", ["localhost"], "localhost"),
    ],
)
def test_refused(server, allowed, told):
    with pytest.raises(KubeconfigError, match=told):
        check_server(server, allowed)


class Secrets:
    """A management cluster with one Secret."""

    def __init__(self, **data):
        self.data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}

    async def get(self, _kind, _name, _namespace):
        return {"data": self.data}


def kubeconfig(server):
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(b"ca").decode()}
    user = {"token": "t"}
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "dialled"),
    [({}, "https://127.42.16.1:6443"), ({"internalEndpoint": "https://127.42.1.1:6443"}, "https://127.42.1.1:6443")],
)
async def test_a_managed_cluster_is_dialled_as_the_ccm_and_where_ackbox_itself_does(status, dialled):
    spec = {"regionId": "cn-hangzhou", "vpcId": "v"}
    cluster = ManagedCluster.model_validate(
        {"metadata": {"name": "c", "namespace": "n"}, "spec": spec, "status": status}
    )
    secrets = Secrets(value=kubeconfig("https://users"), ccm=kubeconfig("https://127.42.16.1:6443"))
    found = await connection_of(secrets, cluster)
    assert found is not None
    assert found.server == dialled
