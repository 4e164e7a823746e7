"""What a listener says of TLS, and the certificates that it names."""

import base64
from typing import Any

import pytest

from ackbox.dataplane.certificates import CertificateError, authority, certificate_id, key_pair
from ackbox.dataplane.tls import furnish, named, tls_settings
from ackbox.resources.base import CERTIFICATE_LABEL
from ackbox.resources.listener import ListenerSpec
from ackbox.runtime.certificates import KeyPair, Request, Usage, issue, new_authority

CA = new_authority("test")
PAIR = issue(CA, Request("a.test", Usage.SERVER))
OTHER = issue(CA, Request("b.test", Usage.SERVER))


def spec(protocol: str = "https", **fields: Any) -> ListenerSpec:
    base = {"loadBalancerId": "web", "listenerPort": 443, "listenerProtocol": protocol}
    return ListenerSpec.model_validate({**base, **fields})


def secret(name: str = "s", **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"namespace": "ns", "name": name, "labels": {CERTIFICATE_LABEL: "cert-1"}}
    return {"metadata": metadata, "data": {key.replace("_", "."): text for key, text in encoded.items()}}


def server(pair: KeyPair = PAIR) -> dict[str, Any]:
    return secret(tls_crt=pair.certificate, tls_key=pair.key)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (spec(), "serverCertificateId"),
        (spec("tcpssl", certificateIds=[]), "certificateIds"),
        (spec(serverCertificateId="a", tlsCipherPolicy="tls_9"), "allowed are tls_cipher_policy_1_0"),
        (spec("tcpssl", certificateIds=["a"], securityPolicyId="tls_9"), "securityPolicyId: tls_9"),
        (spec("tcpssl", certificateIds=["a"], caEnabled=True), "caCertificateIds"),
        (spec("tcpssl", certificateIds=["a"], alpnEnabled=True), "alpnPolicy must be one of HTTP1Only"),
    ],
)
def test_wrong_settings_are_explained(given: ListenerSpec, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tls_settings(given)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ()),
        ({"caCertificateId": "ca"}, ("ca",)),
        ({"caEnabled": True, "caCertificateIds": ["x", "y"]}, ("x", "y")),
        ({"caEnabled": False, "caCertificateIds": ["x"]}, ()),
        ({"caCertificateIds": ["x"]}, ()),
    ],
)
def test_clients_certificates_are_asked_for(fields: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert tls_settings(spec("tcpssl", certificateIds=["a"], **fields)).authorities == wanted


def test_every_certificate_is_named_once() -> None:
    domains = [{"domain": "X.test", "serverCertificateId": "b"}, {"domain": "y.test", "serverCertificateId": "a"}]
    domains.insert(0, {"domain": "x.TEST", "serverCertificateId": "z"})
    given = spec(serverCertificateId="a", domainExtensions=domains, caCertificateId="ca")
    assert named(tls_settings(given)) == ("a", "b", "ca")
    assert tls_settings(given).domains == (("x.test", "b"), ("y.test", "a"))


def test_strict_policy_has_forward_secrecy_only() -> None:
    loose = tls_settings(spec(serverCertificateId="a", tlsCipherPolicy="tls_cipher_policy_1_2"))
    strict = tls_settings(spec(serverCertificateId="a", tlsCipherPolicy="tls_cipher_policy_1_2_strict"))
    assert not all(cipher.startswith("ECDHE-") for cipher in loose.ciphers)
    assert all(cipher.startswith("ECDHE-") for cipher in strict.ciphers)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, f"cert-1 not found: no Secret of this namespace has the label {CERTIFICATE_LABEL}"),
        (secret(tls_crt=PAIR.certificate), "Secret s has no key tls.key"),
        (secret(tls_crt="x", tls_key=PAIR.key), "tls.crt is not a certificate"),
        (secret(tls_crt=PAIR.certificate, tls_key="x"), "tls.key is not a private key"),
        (secret(tls_crt=PAIR.certificate, tls_key=OTHER.key), "does not belong"),
        ({"metadata": {"name": "s"}, "data": {"tls.crt": "%%%"}}, "tls.crt is not a text"),
    ],
)
def test_unusable_certificate_is_explained(given: dict[str, Any] | None, text: str) -> None:
    with pytest.raises(CertificateError, match=text):
        key_pair("cert-1", given)


def test_authority_is_a_certificate() -> None:
    assert authority("ca", secret(ca_crt=CA.certificate.rstrip())).endswith("-----\n")
    with pytest.raises(CertificateError, match=r"ca\.crt is not a certificate"):
        authority("ca", secret(ca_crt="x"))


def test_only_extra_certificates_may_be_missing() -> None:
    domains = [{"domain": "b.test", "serverCertificateId": "gone"}, {"domain": "c.test", "serverCertificateId": "a"}]
    given = tls_settings(spec(serverCertificateId="a", domainExtensions=domains))
    found = furnish(given, {"a": server(), "gone": None})
    assert found.settings.domains == (("c.test", "a"),)
    assert [*found.credentials.pairs] == ["a"]
    assert "certificate gone not found" in str(found.problems[0])
    with pytest.raises(CertificateError, match="certificate a not found"):
        furnish(given, {"gone": server()})


def test_missing_authority_opens_nothing() -> None:
    given = tls_settings(spec(serverCertificateId="a", caCertificateId="ca"))
    with pytest.raises(CertificateError, match="certificate ca not found"):
        furnish(given, {"a": server()})


def test_key_is_not_shown() -> None:
    found = furnish(tls_settings(spec(serverCertificateId="a")), {"a": server()})
    assert "PRIVATE" not in repr(found)


def test_certificate_id() -> None:
    assert list(certificate_id(server())) == ["ns/cert-1"]
    assert not list(certificate_id({"metadata": {"namespace": "ns", "name": "s"}}))
