"""TLS at a listener, by real clients: certificates, names, versions, clients' certificates, application protocols."""

import asyncio
import base64
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from dataplane_world import DEADLINE, Plane, World, address, get, reason, server

from ackbox.resources.base import CERTIFICATE_LABEL
from ackbox.runtime.certificates import KeyPair, Request, Usage, issue, new_authority

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORITY = new_authority("test")
PROTOCOLS = ["https", "tcpssl"]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def pair(*hosts: str) -> KeyPair:
    return issue(AUTHORITY, Request(hosts[0], Usage.SERVER, hosts=hosts))


async def put_certificate(world: World, identity: str, given: KeyPair) -> None:
    data = {"tls.crt": encoded(given.certificate), "tls.key": encoded(given.key)}
    await world.put_secret(f"secret-{identity}", {CERTIFICATE_LABEL: identity}, data)


@dataclass(frozen=True)
class Greeting:
    """What a client finds out in a handshake, and the first line that it is answered."""

    common_name: str
    version: str | None
    protocol: str | None
    answer: bytes


async def greet(
    status: dict[str, Any],
    name: str = "a.test",
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    client: Path | None = None,
    alpn: tuple[str, ...] = (),
) -> Greeting:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The versions below 1.2 need OpenSSL's lowest level of security.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = minimum, maximum
    context.load_verify_locations(cadata=AUTHORITY.certificate)
    context.check_hostname = False
    if client is not None:
        context.load_cert_chain(client)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(*address(status), ssl=context, server_hostname=name)
        try:
            end = writer.get_extra_info("ssl_object")
            shown = x509.load_der_x509_certificate(end.getpeercert(binary_form=True))
            writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            answer = await reader.readline() if end.selected_alpn_protocol() != "h2" else b""
        finally:
            writer.transport.abort()
    common_name = shown.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return Greeting(str(common_name), end.version(), end.selected_alpn_protocol(), answer)


async def refused(status: dict[str, Any], **how: Any) -> bool:
    try:
        return (await greet(status, **how)).answer == b""
    except (ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError):
        return True


async def listening(world: World, protocol: str, **spec: Any) -> tuple[str, dict[str, Any]]:
    balancer = await world.balancer()
    await world.instance("i-tls")
    group = await world.group(balancer, [server("i-tls")])
    listener = await world.listener(balancer, 443, group, protocol, **spec)
    return listener, await world.ready(listener)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_certificate_by_name_and_its_renewal(world: World, protocol: str) -> None:
    for identity in ("main", "one", "wild"):
        await put_certificate(world, identity, pair(f"{identity}.test"))
    domains = [
        {"domain": "One.example.com", "serverCertificateId": "one"},
        {"domain": "*.example.com", "serverCertificateId": "wild"},
    ]
    _, status = await listening(world, protocol, serverCertificateId="main", domainExtensions=domains)
    assert (await greet(status)).answer == b"HTTP/1.1 200 OK\r\n"
    assert (await greet(status, "other.com")).common_name == "main.test"
    assert (await greet(status, "one.example.com")).common_name == "one.test"
    assert (await greet(status, "two.example.com")).common_name == "wild.test"


async def test_renewed_certificate_drops_no_connection(world: World) -> None:
    await put_certificate(world, "renewed", pair("before.test"))
    _, status = await listening(world, "tcpssl", serverCertificateId="renewed")
    context = ssl.create_default_context(cadata=AUTHORITY.certificate)
    context.check_hostname = False
    reader, writer = await asyncio.open_connection(*address(status), ssl=context, server_hostname="x")
    writer.write(b"1\n")
    await reader.readline()
    assert await reader.readline() == b"1\n"
    await put_certificate(world, "renewed", pair("after.test"))
    async with asyncio.timeout(DEADLINE):
        while (await greet(status)).common_name != "after.test":
            pass
    writer.write(b"2\n")
    assert await reader.readline() == b"2\n"
    writer.close()


async def test_additional_certificate_is_chosen_by_what_it_says(world: World) -> None:
    await put_certificate(world, "own", pair("own.test"))
    await put_certificate(world, "more", pair("more.test"))
    spec = {"certificateIds": ["own"], "additionalCertificateIds": ["more"]}
    _, status = await listening(world, "tcpssl", **spec)
    assert (await greet(status, "more.test")).common_name == "more.test"
    assert (await greet(status, "nobody.test")).common_name == "own.test"


TLS = ssl.TLSVersion


@pytest.mark.parametrize(
    ("policy", "lowest", "highest"),
    [
        (None, TLS.TLSv1, TLS.TLSv1_2),
        ("tls_cipher_policy_1_0", TLS.TLSv1, TLS.TLSv1_2),
        ("tls_cipher_policy_1_1", TLS.TLSv1_1, TLS.TLSv1_2),
        ("tls_cipher_policy_1_2", TLS.TLSv1_2, TLS.TLSv1_2),
        ("tls_cipher_policy_1_2_strict", TLS.TLSv1_2, TLS.TLSv1_2),
        ("tls_cipher_policy_1_2_strict_with_1_3", TLS.TLSv1_2, TLS.TLSv1_3),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_versions_of_a_policy(world: World, policy: str | None, lowest: TLS, highest: TLS) -> None:
    await put_certificate(world, "versions", pair("versions.test"))
    _, status = await listening(world, "https", serverCertificateId="versions", tlsCipherPolicy=policy)
    for version in (TLS.TLSv1, TLS.TLSv1_1, TLS.TLSv1_2, TLS.TLSv1_3):
        allowed = lowest <= version <= highest
        assert await refused(status, minimum=version, maximum=version) == (not allowed), version


@pytest.mark.parametrize(
    "fields",
    [
        {"listenerProtocol": "https", "serverCertificateId": "mutual", "caCertificateId": "ca"},
        {"listenerProtocol": "tcpssl", "certificateIds": ["mutual"], "caEnabled": True, "caCertificateIds": ["ca"]},
    ],
    ids=PROTOCOLS,
)
async def test_clients_must_show_a_certificate_of_the_authority(
    world: World, tmp_path: Path, fields: dict[str, Any]
) -> None:
    await put_certificate(world, "mutual", pair("mutual.test"))
    await world.put_secret("ca", {CERTIFICATE_LABEL: "ca"}, {"ca.crt": encoded(AUTHORITY.certificate)})
    protocol = fields.pop("listenerProtocol")
    _, status = await listening(world, protocol, **fields)
    for name, authority in (("good", AUTHORITY), ("bad", new_authority("somebody else"))):
        given = issue(authority, Request("client", Usage.CLIENT))
        (tmp_path / name).write_text(given.certificate + given.key)
    assert (await greet(status, client=tmp_path / "good")).answer == b"HTTP/1.1 200 OK\r\n"
    assert await refused(status, client=tmp_path / "bad")
    assert await refused(status)


@pytest.mark.parametrize(
    ("spec", "offered", "chosen"),
    [
        ({"listenerProtocol": "https"}, ("http/1.1", "h2"), "h2"),
        ({"listenerProtocol": "https", "enableHttp2": "off"}, ("h2", "http/1.1"), "http/1.1"),
        ({"listenerProtocol": "tcpssl"}, ("h2", "http/1.1"), None),
        ({"alpnEnabled": True, "alpnPolicy": "HTTP1Only"}, ("h2", "http/1.1"), "http/1.1"),
        ({"alpnEnabled": True, "alpnPolicy": "HTTP2Only"}, ("h2", "http/1.1"), "h2"),
        ({"alpnEnabled": True, "alpnPolicy": "HTTP2Preferred"}, ("http/1.1", "h2"), "h2"),
        ({"alpnEnabled": True, "alpnPolicy": "HTTP2Optional"}, ("h2", "http/1.1"), "http/1.1"),
    ],
)
async def test_application_protocol(
    world: World, spec: dict[str, Any], offered: tuple[str, ...], chosen: str | None
) -> None:
    await put_certificate(world, "alpn", pair("alpn.test"))
    fields = {"serverCertificateId": "alpn", **spec}
    protocol = fields.pop("listenerProtocol", "tcpssl")
    _, status = await listening(world, protocol, **fields)
    assert (await greet(status, alpn=offered)).protocol == chosen


async def test_missing_certificate_is_said_and_comes_later(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-tls")
    group = await world.group(balancer, [server("i-tls")])
    listener = await world.listener(balancer, 443, group, "https", serverCertificateId="late")
    status = await world.until(world.caches.listeners, listener, lambda status: reason(status) == "CertificateNotFound")
    assert "certificate late not found" in str(status["conditions"])
    await put_certificate(world, "late", pair("late.test"))
    assert (await greet(await world.ready(listener))).common_name == "late.test"


async def test_missing_certificate_of_a_domain_leaves_the_others(world: World) -> None:
    await put_certificate(world, "there", pair("there.test"))
    balancer = await world.balancer()
    await world.instance("i-tls")
    group = await world.group(balancer, [server("i-tls")])
    domains = [
        {"domain": "a.test", "serverCertificateId": "absent"},
        {"domain": "b.test", "serverCertificateId": "there"},
    ]
    listener = await world.listener(
        balancer, 443, group, "https", serverCertificateId="there", domainExtensions=domains
    )
    status = await world.until(world.caches.listeners, listener, lambda status: reason(status) == "CertificateNotFound")
    assert status["phase"] == "running"
    assert (await greet(status, "b.test")).common_name == "there.test"


async def test_listener_turns_to_tls_and_back(world: World) -> None:
    await put_certificate(world, "turns", pair("turns.test"))
    balancer = await world.balancer()
    await world.instance("i-tls")
    group = await world.group(balancer, [server("i-tls")])
    for plain, encrypted in (("http", "https"), ("tcp", "tcpssl")):
        listener = await world.listener(balancer, 443, group, encrypted, serverCertificateId="turns")
        status = await world.ready(listener)
        async with asyncio.timeout(DEADLINE):
            while await refused(status):
                pass
        status = await world.ready(await world.listener(balancer, 443, group, plain))
        async with asyncio.timeout(DEADLINE):
            while not await refused(status):
                pass
        assert (await get(status))["serverId"] == "i-tls"


async def test_certificate_is_renewed_after_a_restart(world: World, plane: Plane) -> None:
    await put_certificate(world, "restart", pair("before.test"))
    _, status = await listening(world, "tcpssl", serverCertificateId="restart")
    assert (await greet(status)).common_name == "before.test"
    await plane.stop()
    plane.start()
    await put_certificate(world, "restart", pair("after.test"))
    async with asyncio.timeout(DEADLINE):
        while True:
            # The virtual servers restart, too.
            with suppress(ConnectionResetError):
                if (await greet(status)).common_name == "after.test":
                    break
