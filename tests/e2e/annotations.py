"""Table-driven lives of Services: made with an annotation, changed, and without it again, fifty and more at a time.

A case says the annotation and its two values; what the objects must show follows from the row of the annotation table.
What is felt in the traffic is a function that looks at the real listener.
"""

import concurrent.futures
import datetime
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic.alias_generators import to_camel

from ackbox.catalog.annotations import BACKEND_TYPE, PREFIX, TABLES, Annotation, Format, Level, Mutability
from ackbox.ccm.services.values import parse
from ackbox.resources.listener import Protocol
from ackbox.resources.loadbalancer import LoadBalancerType
from e2e import objects
from e2e.stack import CORE, Api, Stack, eventually, is_ready

ACCOUNT = "annotations"
NAMESPACE = "cases"
WORKERS = 48
"""Cases that are looked at side by side."""

FRESH_SECONDS = 0.5

Felt = Callable[["View"], object]
"""Looks at the traffic: fails, or answers something false, while what it looks for isn't so."""


@dataclass(frozen=True)
class Case:
    """An annotation's life.

    Attributes:
        suffix: its row.
        first, second: its values at first and later; None leaves it out.
        protocol: of the only listener; by default the first that the row means something for.
        companions: other annotations that stay all the time.
        felt, felt_changed, felt_removed: looks at the traffic after each step.
        expected: fields that differ from what the row says, by step (0, 1, 2) and target.
        warning: what a Warning says after the change.
        id: of the test, where a suffix has several.
        service: further fields of the Service's spec.
    """

    suffix: str
    first: str | None
    second: str | None = None
    protocol: str | None = None
    companions: Mapping[str, str] = field(default_factory=dict)
    felt: Felt | None = None
    felt_changed: Felt | None = None
    felt_removed: Felt | None = None
    expected: Mapping[int, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    warning: str | None = None
    id: str | None = None
    service: Mapping[str, Any] = field(default_factory=dict)
    kind: LoadBalancerType = LoadBalancerType.CLB

    @property
    def row(self) -> Annotation:
        return TABLES[self.kind][self.suffix]

    @property
    def name(self) -> str:
        words = self.id or self.suffix.rpartition("/")[2]
        return f"{self.kind.value}-{words}"

    @property
    def speaks(self) -> str:
        """The protocol of its listener."""
        order = (Protocol.TCP, Protocol.HTTP, Protocol.HTTPS, Protocol.TCPSSL, Protocol.UDP)
        return self.protocol or next((p.value for p in order if p in self.row.protocols), "tcp")

    def annotations(self, step: int) -> dict[str, str]:
        """Those of a step: 0 as made, 1 as changed, 2 without it."""
        port = 443 if self.speaks in ("https", "tcpssl") else 80
        found = dict(self.companions)
        if self.speaks in ("http", "https", "tcpssl"):
            found.setdefault("protocol-port", f"{self.speaks}:{port}")
        if self.speaks in ("https", "tcpssl"):
            found.setdefault("cert-id", "cert-a")
        if self.kind is LoadBalancerType.NLB:
            found.setdefault("zone-maps", "cn-hangzhou-h:net-h,cn-hangzhou-i:net-i")
        value = (self.first, self.second, None)[step]
        if value is not None:
            found[self.suffix] = value
        else:
            found.pop(self.suffix, None)
        return found

    def manifest(self, step: int) -> dict[str, Any]:
        port = 443 if self.speaks in ("https", "tcpssl") else 80
        transport = "UDP" if self.speaks == "udp" else "TCP"
        ports = [{"name": "web", "port": port, "targetPort": 8080, "protocol": transport}]
        extra = dict(self.service)
        if self.kind is LoadBalancerType.NLB:
            extra.setdefault("loadBalancerClass", "alibabacloud.com/nlb")
        ports = extra.pop("ports", ports)
        return objects.service(self.name, NAMESPACE, "web", ports, self.annotations(step), **extra)

    def shown(self, step: int) -> dict[str, dict[str, Any]]:
        """Fields that the objects must show after a step, by target."""
        if step in self.expected:
            return {target: dict(fields) for target, fields in self.expected[step].items()}
        row = self.row
        if row.field is None or row.level in (Level.SELECTION, Level.BACKENDS) or row.suffix == "protocol-port":
            return {}
        sticks = row.mutability in (Mutability.IMMUTABLE, Mutability.CREATE_ONLY)
        # A removed annotation leaves the value; so does one that can't be changed.
        text = self.first if step == 0 or sticks or self.second is None else self.second
        if text is None:
            return {}
        value = parse(row, PREFIX + row.suffix, text).value
        name = to_camel(row.field)
        name = {"healthCheckUri": "healthCheckURI", "addressIpVersion": "addressIPVersion"}.get(name, name)
        if row.format is Format.DOMAINS:
            value = [{to_camel(key): item for key, item in one.items()} for one in value]
        if row.format is Format.TAGS:
            return {"tags": {tag["key"]: tag["value"] for tag in value}}
        if row.level is Level.LOAD_BALANCER:
            return {"balancer": {name: value}}
        if row.level is Level.LISTENER:
            return {"listener": {name: value}}
        if row.format is Format.CHOICES:
            value = value.split(",")
        return {"group": {name: value} if row.level is Level.SERVER_GROUP else {"healthCheckConfig": {name: value}}}


class Account:
    """Objects of the account, read at most every half second for all cases together: they would keep an API server busy."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    def objects(self, plural: str) -> list[dict[str, Any]]:
        with self._lock:
            when, found = self._found.get(plural, (0.0, []))
            if time.monotonic() - when > FRESH_SECONDS:
                found = self._api.objects(plural, ACCOUNT)
                self._found[plural] = (time.monotonic(), found)
            return found


@dataclass
class View:
    """The objects of a case, as they are now; seen through `account`, half a second ago."""

    case: Case
    workload: Api
    management: Api
    account: Account | None = None

    def _objects(self, plural: str) -> list[dict[str, Any]]:
        return self.account.objects(plural) if self.account else self.management.objects(plural, ACCOUNT)

    @property
    def service(self) -> dict[str, Any]:
        return self.workload.core("services", self.case.name, NAMESPACE)

    @property
    def balancer(self) -> dict[str, Any]:
        """Its load balancer, whoever made it."""
        label = self.service["metadata"]["labels"]["service.k8s.alibaba/loadbalancer-id"]
        every = self._objects("serviceloadbalancers")
        return next(slb for slb in every if slb["status"].get("loadBalancerId") == label)

    def _owned(self, plural: str, field_name: str) -> list[dict[str, Any]]:
        marks = (f"/{self.case.name}/{NAMESPACE}/", f".{self.case.name}.{NAMESPACE}.")
        every = self._objects(plural)
        return [obj for obj in every if any(mark in (obj["spec"].get(field_name) or "") for mark in marks)]

    @property
    def listeners(self) -> dict[int, dict[str, Any]]:
        """By port; a range by its first."""
        found = self._owned("listeners", "description")
        return {lsn["spec"].get("startPort") or lsn["spec"]["listenerPort"]: lsn for lsn in found}

    @property
    def listener(self) -> dict[str, Any]:
        """The only one."""
        return next(iter(self.listeners.values()))

    @property
    def group(self) -> dict[str, Any]:
        """Its first server group."""
        return self._owned("servergroups", "vServerGroupName")[0]

    @property
    def address(self) -> tuple[str, int]:
        """Where its listener answers."""
        listener = self.listener
        assert is_ready(listener), listener.get("status")
        ip, port = listener["status"]["reachable"].rsplit(":", 1)
        return ip, int(port)

    @property
    def warnings(self) -> list[str]:
        query = f"{CORE}/namespaces/{NAMESPACE}/events?fieldSelector=involvedObject.name={self.case.name},type=Warning"
        return [event["message"] for event in self.workload.items(query)]

    def shows(self, step: int) -> bool:
        """Whether the objects show what they must."""
        expected = self.case.shown(step)
        if "balancer" in expected:
            _contains(self.balancer["spec"], expected["balancer"])
        if "tags" in expected:
            _contains({tag["key"]: tag["value"] for tag in self.balancer["spec"]["tags"]}, expected["tags"])
        if "listener" in expected:
            _contains(self.listener["spec"], expected["listener"])
        if "group" in expected:
            _contains(self.group["spec"], expected["group"])
        return True


def _contains(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            _contains(found.get(name) or {}, value)
        else:
            assert found.get(name) == value, f"{name} is {found.get(name)!r}, not {value!r}"


@dataclass
class Lives:
    """What was seen of every case: an error by case and step, or none."""

    errors: dict[tuple[str, int], BaseException | None] = field(default_factory=dict)

    def check(self, case: Case, step: int) -> None:
        """Fail as the case did in that step."""
        error = self.errors[case.name, step]
        if error is not None:
            raise AssertionError(str(error)) from error


def live(stack: Stack, cases: Sequence[Case]) -> Lives:
    """Take all cases through their lives, side by side."""
    management, workload = stack.api, stack.workload("one", ACCOUNT)
    account = Account(management)
    lives = Lives()
    views = [View(case, workload, management, account) for case in cases]
    for step in range(3):
        manifests = [case.manifest(step) for case in cases]
        workload.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(manifests))
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for view, error in zip(views, pool.map(partial(_error, step), views), strict=True):
                lives.errors[view.case.name, step] = error
    workload.kubectl("delete", "services", "--all", "-n", NAMESPACE, "--wait=false")
    return lives


def _error(step: int, view: View) -> BaseException | None:
    try:
        case = view.case
        eventually(lambda: view.shows(step), f"{case.name}, step {step}: objects", 90)
        if step == 1:
            _warned(view)
        felt = (case.felt, case.felt_changed, case.felt_removed)[step]
        if felt is not None:
            eventually(lambda: felt(view) is not False, f"{case.name}, step {step}: traffic", 90)
    except BaseException as error:
        return error
    return None


def _warned(view: View) -> None:
    text = view.case.warning or (view.case.row.immutable_error if view.case.second else None)
    if text is not None:
        eventually(lambda: any(text in one for one in view.warnings), f"{view.case.name}: a Warning with {text}", 60)


# What the account has: a cluster with pods behind label app=web, certificates and access control lists.


def prepare(stack: Stack) -> None:
    """Make the account with everything that the cases name."""
    api = stack.api
    api.kubectl("create", "namespace", ACCOUNT)
    quota = objects.quota(ACCOUNT, loadbalancers=300, attachments=300)
    api.apply(quota, objects.vpc(namespace=ACCOUNT), objects.cluster(namespace=ACCOUNT))
    api.apply(objects.pool(size=3, namespace=ACCOUNT), *certificates(), *acls())
    eventually(lambda: is_ready(api.object("nodepools", "pool", ACCOUNT)), "the pool Ready")
    workload = stack.workload("one", ACCOUNT)
    eventually(lambda: len(workload.nodes()) == 3, "the nodes")
    workload.kubectl("create", "namespace", NAMESPACE)
    workload.apply(objects.deployment("web", NAMESPACE, replicas=3))
    workload.kubectl("rollout", "status", "deployment/web", "-n", NAMESPACE, "--timeout=180s")


def acls() -> list[dict[str, Any]]:
    """`acl-home` holds 127.0.0.1, `acl-other` holds 127.0.0.9."""
    entries = {"acl-home": "127.0.0.1/32", "acl-other": "127.0.0.9/32"}
    return [
        objects.custom("AccessControlList", name, {"aclEntries": [{"entry": entry}]}, ACCOUNT)
        for name, entry in entries.items()
    ]


KEYS: dict[str, tuple[bytes, bytes]] = {}
"""Certificate and key in PEM by name."""


def issue(name: str, issuer: str | None = None, days: int = 30) -> tuple[bytes, bytes]:
    """A certificate for `<name>.example`, signed by itself or by another one; kept in KEYS."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.example")])
    signer, signed_by = key, subject
    if issuer is not None:
        signer = serialization.load_pem_private_key(KEYS[issuer][1], None)
        signed_by = x509.load_pem_x509_certificate(KEYS[issuer][0]).subject
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=60))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{name}.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    KEYS[name] = certificate.public_bytes(serialization.Encoding.PEM), private
    return KEYS[name]


def certificates() -> list[dict[str, Any]]:
    """Secrets: server certificates cert-a, cert-b, cert-c; CA certificates ca-a, ca-b; a client's by each CA in KEYS."""
    for name in ("cert-a", "cert-b", "cert-c", "ca-a", "ca-b"):
        issue(name)
    issue("client-a", "ca-a")
    issue("client-b", "ca-b")
    issue("cert-old", days=-1)
    servers = {
        name: {"tls.crt": KEYS[name][0].decode(), "tls.key": KEYS[name][1].decode()}
        for name in ("cert-a", "cert-b", "cert-c", "cert-old")
    }
    authorities = {name: {"ca.crt": KEYS[name][0].decode()} for name in ("ca-a", "ca-b")}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": ACCOUNT, "labels": {"ackbox.dev/certificate-id": name}},
            "stringData": data,
        }
        for name, data in (servers | authorities).items()
    ]


# Looks at the traffic.


def connect(view: View, source: str = "127.0.0.1", timeout: float = 5) -> socket.socket:
    """A connection to the listener from an address of ours."""
    return socket.create_connection(view.address, timeout=timeout, source_address=(source, 0))


def get(
    view: View, path: str = "/", headers: Mapping[str, str] | None = None, source: str = "127.0.0.1", tls: bool = False
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    ip, port = view.address
    connection: http.client.HTTPConnection
    if tls or view.case.speaks in ("https", "tcpssl"):
        connection = http.client.HTTPSConnection(ip, port, timeout=10, context=client_context())
    else:
        connection = http.client.HTTPConnection(ip, port, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def answer(view: View, **options: Any) -> dict[str, Any]:
    """The responder's JSON."""
    response, body = get(view, **options)
    assert response.status == 200, (response.status, body)
    found: dict[str, Any] = yaml.safe_load(body)
    return found


def servers(view: View, count: int = 12, **options: Any) -> list[str]:
    """Who answers so many requests."""
    return [answer(view, **options)["serverId"] for _ in range(count)]


def client_context(
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None, alpn: Sequence[str] = (), client: str | None = None
) -> ssl.SSLContext:
    """A TLS client that trusts any server: which one it is, the test looks at itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    if versions is not None:
        context.minimum_version, context.maximum_version = versions
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client is not None:
        import tempfile

        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b"".join(KEYS[client]))
            pair.flush()
            context.load_cert_chain(pair.name)
    return context


def certificate(view: View, name: str | None = None) -> str:
    """Whose certificate the listener shows to a client that asks for a name."""
    with connect(view) as sock, client_context().wrap_socket(sock, server_hostname=name) as tls:
        shown = tls.getpeercert(binary_form=True)
    assert shown is not None
    subject = x509.load_der_x509_certificate(shown).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value).removesuffix(".example")


def handshake(view: View, context: ssl.SSLContext) -> ssl.SSLSocket | None:
    """A TLS connection on which a request was answered, closed; None when it is refused."""
    try:
        with connect(view) as sock, context.wrap_socket(sock) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return tls if tls.recv(1) else None
    except (ssl.SSLError, ConnectionError):
        return None


def refused(view: View, source: str) -> bool:
    """Whether a client at an address gets no answer."""
    try:
        response, _ = get(view, source=source)
    except (OSError, http.client.HTTPException):
        return True
    return response.status == 403


def closed_within(view: View, seconds: float) -> bool:
    """Whether an idle connection is closed by the listener in that time."""
    with connect(view, timeout=seconds) as sock:
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def pytest_cases(cases: Sequence[Case]) -> Any:
    """A test a case and step."""
    steps = ("created", "changed", "removed")
    return pytest.mark.parametrize(
        ("case", "step"),
        [pytest.param(case, step, id=f"{case.name}-{steps[step]}") for case in cases for step in range(3)],
    )


def uncovered(kind: LoadBalancerType, cases: Sequence[Case], elsewhere: set[str]) -> set[str]:
    """Rows of the table without a case, and those said to be felt that no case and no test on a real Envoy feels."""
    feeling = {case.suffix for case in cases if case.felt or case.felt_changed or case.felt_removed}
    rows = TABLES[kind].values()
    silent = {row.suffix for row in rows if row.felt and row.suffix not in feeling and not _exists(row.felt_by)}
    return (set(TABLES[kind]) - {case.suffix for case in cases} | silent) - elsewhere


def _exists(test: str | None) -> bool:
    component = Path(__file__).parents[1] / "component"
    return test is not None and any(f"def {test}(" in path.read_text() for path in component.glob("test_*.py"))


__all__ = ["ACCOUNT", "BACKEND_TYPE", "NAMESPACE", "Case", "Lives", "View", "live", "prepare"]
