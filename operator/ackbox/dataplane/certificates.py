"""Certificates of the account: Secrets with the label `ackbox.dev/certificate-id`."""

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ackbox.dataplane.model import KeyPair
from ackbox.kube.cache import Cache
from ackbox.kube.client import SECRET, Object
from ackbox.resources.base import CERTIFICATE_LABEL


class CertificateError(Exception):
    """A certificate that is not there, or can't be used."""


class CertificateNotFound(CertificateError):
    """A certificate that is not there: it may still come."""


def certificate_id(secret: Object) -> Iterable[str]:
    """An indexer: the certificate id that a Secret carries."""
    metadata = secret["metadata"]
    own = (metadata.get("labels") or {}).get(CERTIFICATE_LABEL)
    return [f"{metadata.get('namespace', '')}/{own}"] if own else []


def certificate_cache() -> Cache:
    """A cache of such Secrets, ready for `kube.refs.resolve`."""
    return Cache(SECRET, {"id": certificate_id})


def key_pair(identity: str, secret: Object | None) -> KeyPair:
    """A server's certificate with its private key.

    Raises:
        CertificateError: it isn't there, or is none.
    """
    pair = KeyPair(_text(identity, secret, "tls.crt"), _text(identity, secret, "tls.key"))
    problem = _pair_problem(pair.certificate, pair.key)
    if problem:
        raise CertificateError(f"certificate {identity}: {problem}")
    return pair


def authority(identity: str, secret: Object | None) -> str:
    """The PEM of a CA certificate.

    Raises:
        CertificateError: it isn't there, or is none.
    """
    text = _text(identity, secret, "ca.crt")
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise CertificateError(f"certificate {identity}: ca.crt is not a certificate in PEM") from None
    return text if text.endswith("\n") else f"{text}\n"


def _text(identity: str, secret: Object | None, key: str) -> str:
    if secret is None:
        raise CertificateNotFound(
            f"certificate {identity} not found: no Secret of this namespace has the label {CERTIFICATE_LABEL} with it"
        )
    encoded = (secret.get("data") or {}).get(key)
    if not encoded:
        raise CertificateError(f"certificate {identity}: Secret {secret['metadata']['name']} has no key {key}")
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise CertificateError(f"certificate {identity}: {key} is not a text") from None


@lru_cache(maxsize=4096)
def _pair_problem(certificate: str, key: str) -> str | None:
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return "tls.crt is not a certificate in PEM"
    try:
        private = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        return "tls.key is not a private key in PEM without a password"
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return "tls.key is neither an RSA key nor one of an elliptic curve"
    if private.public_key() != chain[0].public_key():
        return "tls.key does not belong to tls.crt"
    return None
