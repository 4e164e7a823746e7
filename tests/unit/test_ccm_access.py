"""Which API servers may be dialled for a registered cluster."""

import pytest

from ackbox.ccm.access import check_server
from ackbox.kube.connection import KubeconfigError


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
