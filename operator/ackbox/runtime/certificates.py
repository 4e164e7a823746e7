"""ackbox's own certificate authorities and what they issue: ECDSA P-256, PEM, keys in 0600 files.

Everything is issued once and kept: an existing certificate stays as long as it says what is asked for, matches its key,
was issued by the CA at hand and has time left.
"""

import base64
import datetime
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ackbox.runtime.files import private_folder, write_private

CA_VALIDITY = datetime.timedelta(days=3650)
LEAF_VALIDITY = datetime.timedelta(days=730)
RENEW_BEFORE = datetime.timedelta(days=60)
# A certificate is valid from a little before now: clocks of virtual machines jump back after a sleep.
CLOCK_SKEW = datetime.timedelta(minutes=10)

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The time of this machine, as a `Clock` gives it."""
    return datetime.datetime.now(datetime.UTC)


class Usage(Enum):
    """What a certificate proves."""

    CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
    PEER = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class KeyFiles:
    """A certificate with its private key on disk."""

    certificate: Path
    key: Path

    def read(self) -> KeyPair:
        """Both texts."""
        return KeyPair(self.certificate.read_text(), self.key.read_text())


@dataclass(frozen=True)
class Request:
    """What a certificate should say.

    Attributes:
        name: common name; Kubernetes takes it for the user.
        organizations: Kubernetes takes them for the user's groups.
        hosts: addresses and DNS names of a server.
    """

    name: str
    usage: Usage
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def new_private_key() -> str:
    """A private key, PEM. Also what signs service-account tokens."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def new_authority(name: str, now: datetime.datetime | None = None) -> KeyPair:
    """A new certificate authority, valid from `now`, which is this moment unless given."""
    now = now or utc_now()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + CA_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_certificate_pem(certificate), _key_pem(key))


def issue(
    authority: KeyPair,
    request: Request,
    now: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> KeyPair:
    """A new certificate of an authority.

    Args:
        now: when it begins; this moment unless given.
        until: when it ends; two years after it begins unless given.
    """
    now = now or utc_now()
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey), "ackbox's authorities use elliptic curves"
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        _builder(_subject(request), issuer.subject, key.public_key(), now, until or now + LEAF_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(request.usage.value), critical=False)
        .add_extension(issuer_identifier, critical=False)
    )
    if request.hosts:
        builder = builder.add_extension(_alternative_names(request.hosts), critical=False)
    return KeyPair(_certificate_pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key))


class Issuer(Protocol):
    """A certificate authority with what it issued, kept somewhere."""

    @property
    def pair(self) -> KeyPair:
        """The authority's own certificate and key."""

    @property
    def files(self) -> KeyFiles:
        """Where the programs that use the authority find both."""

    @property
    def certificate(self) -> Path:
        """Where they find the certificate."""

    def obtain(self, file_name: str, request: Request) -> KeyFiles:
        """The certificate kept under a name, issued now if there is none that fits."""


class Authority:
    """An issuer that keeps everything in one folder."""

    def __init__(self, folder: Path, authority: KeyPair | None = None, clock: Clock = utc_now) -> None:
        """Open the folder, writing `authority`, or a new one, where there is none yet or another one."""
        self._clock = clock
        self.folder = private_folder(folder)
        self.files = self._files("ca")
        if authority is None:
            authority = self.files.read() if _complete(self.files) else new_authority(f"ackbox {folder.name}", clock())
        self.pair = authority
        _write(self.files, authority)

    @property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self.files.certificate

    def obtain(self, file_name: str, request: Request) -> KeyFiles:
        """The certificate kept under a name, issued now if there is none that fits."""
        files, now = self._files(file_name), self._clock()
        if not _complete(files) or not fits(files.read(), self.pair, request, now):
            _write(files, issue(self.pair, request, now))
        return files

    def _files(self, name: str) -> KeyFiles:
        return KeyFiles(self.folder / f"{name}.crt", self.folder / f"{name}.key")


def fits(pair: KeyPair, authority: KeyPair, request: Request, now: datetime.datetime | None = None) -> bool:
    """Whether a certificate still is what the request asks of this authority, with time left after `now`."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        key = serialization.load_pem_private_key(pair.key.encode(), None)
        issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    try:
        hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        hosts = x509.SubjectAlternativeName([])
    left = certificate.not_valid_after_utc - (now or utc_now())
    return (
        certificate.public_key() == key.public_key()
        and certificate.subject == _subject(request)
        and hosts == _alternative_names(request.hosts)
        and left > RENEW_BEFORE
    )


def kubeconfig(server: str, authority: str, client: KeyPair, name: str = "ackbox") -> str:
    """A kubeconfig with everything inside it.

    Args:
        server: address of the API server, `https://…`.
        authority: PEM of the CA that issued the server's certificate.
        client: who to be.
        name: of cluster, user and context.
    """
    user = {
        "client-certificate-data": _base64(client.certificate),
        "client-key-data": _base64(client.key),
    }
    return _kubeconfig({"server": server, "certificate-authority-data": _base64(authority)}, user, name)


def kubeconfig_of_files(server: str, authority: Path, client: KeyFiles) -> str:
    """A kubeconfig that names files: programs in Go look at them again when they connect, so a renewed one counts."""
    user = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
    return _kubeconfig({"server": server, "certificate-authority": str(authority)}, user, "ackbox")


def _kubeconfig(cluster: dict[str, str], user: dict[str, str], name: str) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
    )


def _subject(request: Request) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in request.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, request.name)])


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(host) for host in hosts])


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _complete(files: KeyFiles) -> bool:
    return files.certificate.is_file() and files.key.is_file()


def _write(files: KeyFiles, pair: KeyPair) -> None:
    write_private(files.key, pair.key)
    write_private(files.certificate, pair.certificate)


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    # Not PKCS 8: kube-apiserver takes the public half of a service-account key from this form only.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
