"""Certificates: what they say, that they verify, and that they stay."""

import base64
import datetime
import ssl
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from ackbox.kube.connection import parse_kubeconfig
from ackbox.runtime import certificates
from ackbox.runtime.certificates import (
    Authority,
    KeyPair,
    Request,
    Usage,
    fits,
    issue,
    kubeconfig,
    kubeconfig_of_files,
    new_authority,
)

SERVER = Request("server", Usage.SERVER, hosts=("127.42.0.1", "kubernetes.default"))
CLIENT = Request("admin", Usage.CLIENT, organizations=("ackbox:cluster-admins",))


def handshake(server: KeyPair, client: KeyPair, authority: KeyPair, folder: Path, host: str) -> str:
    """Connect over memory; the name of the client that the server sees."""
    contexts = {}
    for name, pair, purpose in (
        ("server", server, ssl.Purpose.CLIENT_AUTH),
        ("client", client, ssl.Purpose.SERVER_AUTH),
    ):
        file = folder / f"{name}.pem"
        file.write_text(pair.certificate + pair.key)
        contexts[name] = ssl.create_default_context(purpose, cadata=authority.certificate)
        contexts[name].load_cert_chain(file)
    contexts["server"].verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = contexts["client"].wrap_bio(to_client, to_server, server_hostname=host)
    far = contexts["server"].wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (near, far):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    subject = far.getpeercert()
    assert subject
    return dict(part[0] for part in subject["subject"])["commonName"]


def test_both_sides_verify_each_other(tmp_path: Path) -> None:
    authority = new_authority("test")
    server, client = issue(authority, SERVER), issue(authority, CLIENT)
    for host in SERVER.hosts:
        assert handshake(server, client, authority, tmp_path, host) == "admin"


def test_another_authoritys_client_is_refused(tmp_path: Path) -> None:
    authority = new_authority("test")
    stranger = issue(new_authority("test"), CLIENT)
    with pytest.raises(ssl.SSLError):
        handshake(issue(authority, SERVER), stranger, authority, tmp_path, "127.42.0.1")


def test_a_client_certificate_serves_nobody(tmp_path: Path) -> None:
    authority = new_authority("test")
    client = issue(authority, CLIENT)
    with pytest.raises(ssl.SSLError):
        handshake(client, client, authority, tmp_path, "127.42.0.1")


def test_user_and_groups_are_where_kubernetes_reads_them() -> None:
    certificate = x509.load_pem_x509_certificate(issue(new_authority("test"), CLIENT).certificate.encode())
    found = {each.oid: each.value for each in certificate.subject}
    assert found == {NameOID.COMMON_NAME: "admin", NameOID.ORGANIZATION_NAME: "ackbox:cluster-admins"}


def test_files_are_private_and_stay(tmp_path: Path) -> None:
    first = Authority(tmp_path / "pki").obtain("server", SERVER).read()
    assert Authority(tmp_path / "pki").obtain("server", SERVER).read() == first
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "pki").iterdir()} == {0o600}
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700


def test_a_given_authority_replaces_an_older_one(tmp_path: Path) -> None:
    old = Authority(tmp_path / "pki").obtain("server", SERVER).read()
    given = new_authority("given")
    authority = Authority(tmp_path / "pki", given)
    new = authority.obtain("server", SERVER).read()
    assert authority.certificate.read_text() == given.certificate
    assert new != old
    assert fits(new, given, SERVER)


def test_what_no_longer_fits_is_issued_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = new_authority("test")
    pair = issue(authority, SERVER)
    assert fits(pair, authority, SERVER)
    assert not fits(pair, new_authority("test"), SERVER)
    assert not fits(pair, authority, Request("server", Usage.SERVER, hosts=("127.43.0.1",)))
    assert not fits(pair, authority, Request("other", Usage.SERVER, hosts=SERVER.hosts))
    assert not fits(KeyPair(pair.certificate, authority.key), authority, SERVER)
    assert not fits(KeyPair("half a fi", pair.key), authority, SERVER)
    monkeypatch.setattr(certificates, "LEAF_VALIDITY", certificates.RENEW_BEFORE - datetime.timedelta(days=1))
    assert not fits(issue(authority, SERVER), authority, SERVER)


def test_a_certificate_is_renewed_before_it_ends_and_not_earlier(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def at(days: int) -> KeyPair:
        return Authority(tmp_path / "pki", clock=lambda: now + datetime.timedelta(days=days)).obtain("s", SERVER).read()

    first = at(0)
    assert at(669) == first
    second = at(671)
    assert second != first
    ends = x509.load_pem_x509_certificate(second.certificate.encode()).not_valid_after_utc
    assert ends == now + datetime.timedelta(days=671 + 730)


def test_a_certificate_ends_when_it_is_told_to() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    until = now + datetime.timedelta(minutes=15)
    pair = issue(new_authority("test", now), CLIENT, now, until)
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    assert certificate.not_valid_after_utc == until
    assert certificate.not_valid_before_utc < now


def test_a_programs_kubeconfig_names_files_which_it_reads_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    client = authority.obtain("client", CLIENT)
    document = yaml.safe_load(kubeconfig_of_files("https://127.42.0.1:6443", authority.certificate, client))
    assert document["clusters"][0]["cluster"]["certificate-authority"] == str(authority.certificate)
    user = document["users"][0]["user"]
    assert user == {"client-certificate": str(client.certificate), "client-key": str(client.key)}


def test_a_kubeconfig_is_whole() -> None:
    authority = new_authority("test")
    client = issue(authority, CLIENT)
    text = kubeconfig("https://127.42.0.1:6443", authority.certificate, client)
    connection = parse_kubeconfig(text)
    assert connection.server == "https://127.42.0.1:6443"
    assert (connection.certificate, connection.key) == (client.certificate, client.key)
    data = yaml.safe_load(text)["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(data).decode() == authority.certificate


def test_keys_are_not_printed() -> None:
    assert "PRIVATE" not in repr(issue(new_authority("test"), CLIENT))


def test_addresses_are_addresses_to_a_verifier() -> None:
    certificate = x509.load_pem_x509_certificate(issue(new_authority("test"), SERVER).certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.42.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default"]
