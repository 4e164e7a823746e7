"""The account's certificates: found by id or by name, in their own namespace, and told when their time is over."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ackbox.ccm.certificates import certificate, certificate_cache, look
from ackbox.ccm.store import Store

END = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(END - 30 * DAY)
        .not_valid_after(END)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def secret(name, identity, data, version="1", namespace="team"):
    labels = {"ackbox.dev/certificate-id": identity}
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": labels, "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


class FakeClient:
    def __init__(self):
        self.secrets = []
        self.version = 10

    async def list(self, _kind, namespace=None, label_selector=None):
        assert (namespace, label_selector) == (None, "ackbox.dev/certificate-id")
        self.version += 1
        return list(self.secrets), str(self.version)


async def test_certificates_come_change_and_go(pem):
    client = FakeClient()
    store = Store(client, [certificate_cache()])
    client.secrets = [secret("one", "cert-1", {"tls.crt": pem}), secret("ca", "ca-1", {"ca.crt": pem})]
    await look(store)
    for reference in ("cert-1", "one"):
        assert certificate(store, "team", reference, END - DAY).expired is False
        assert certificate(store, "team", reference, END + DAY).expired is True
    assert certificate(store, "team", "ca-1", END + DAY).expired
    assert certificate(store, "other", "cert-1", END) is None
    client.secrets = [secret("one", "cert-2", {"tls.crt": pem}, "2")]
    await look(store)
    assert certificate(store, "team", "cert-1") is None
    assert certificate(store, "team", "ca-1") is None
    assert certificate(store, "team", "cert-2") is not None
    client.secrets.append(secret("ca", "ca-1", {"ca.crt": pem}, "3"))
    await look(store)
    assert certificate(store, "team", "ca-1") is not None  # its label was off for a while


@pytest.mark.parametrize("data", [{}, {"tls.crt": "%"}, {"tls.crt": "eA=="}])
async def test_what_can_not_be_read_is_the_data_planes_to_tell(data):
    client = FakeClient()
    client.secrets = [secret("one", "cert-1", data)]
    store = Store(client, [certificate_cache()])
    await look(store)
    assert certificate(store, "team", "cert-1").expired is False
