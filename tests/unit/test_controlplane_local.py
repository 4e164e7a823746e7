"""What a workload control plane is made of."""

import asyncio
import base64
import dataclasses
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509

from ackbox.controlplane import kwok, kwok_start, local
from ackbox.controlplane.local import LocalControlPlane
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.kube.connection import Connection, parse_kubeconfig
from ackbox.runtime.certificates import Authority, Request, Usage, new_authority, new_private_key
from ackbox.runtime.home import Home, prepare
from ackbox.runtime.probe import Endpoint
from ackbox.runtime.programs import Group, Program

PROGRAMS = {
    name: Path("/bin") / name for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    return prepare(tmp_path / "home")


@pytest.fixture
def spec(home: Home) -> ControlPlaneSpec:
    authority = new_authority("demo")
    return ControlPlaneSpec(
        namespace="default",
        name="demo",
        cluster_id="c" + "0" * 31 + "1",
        version="1.36",
        address=home.loopback[257],
        service_cidr="172.19.0.0/20",
        pod_cidr="10.32.0.0/16",
        ca_cert_pem=authority.certificate,
        ca_key_pem=authority.key,
        sa_key_pem=new_private_key(),
    )


def flags(program: Program) -> dict[str, str]:
    pairs = (part.removeprefix("--").partition("=") for part in program.command if part.startswith("--"))
    return {name: value for name, _, value in pairs}


def component(group: Group, name: str) -> Program:
    return next(program for program in group.programs if program.name.endswith(name))


def kwok_documents(home: Home, spec: ControlPlaneSpec) -> list[dict[str, Any]]:
    LocalControlPlane(home)._group(spec, PROGRAMS)
    text = (home.clusters / spec.cluster_id / "kwok.yaml").read_text()
    return [document for document in yaml.safe_load_all(text) if document]


def test_the_group_is_named_after_the_cluster(home: Home, spec: ControlPlaneSpec) -> None:
    group = LocalControlPlane(home)._group(spec, PROGRAMS)
    assert group.name == spec.cluster_id
    assert [program.name for program in group.programs] == [f"{spec.cluster_id}-{name}" for name in PROGRAMS]


def test_the_same_spec_gives_the_same_group(home: Home, spec: ControlPlaneSpec) -> None:
    assert LocalControlPlane(home)._group(spec, PROGRAMS) == LocalControlPlane(home)._group(spec, PROGRAMS)


def test_clusters_share_an_etcd_and_no_key(home: Home, spec: ControlPlaneSpec) -> None:
    other = dataclasses.replace(spec, cluster_id="c" + "0" * 31 + "2", address=IPv4Address(int(spec.address) + 1))
    plane = LocalControlPlane(home)
    first, second = (flags(plane._group(each, PROGRAMS).programs[0]) for each in (spec, other))
    assert first["etcd-servers"] == second["etcd-servers"] == f"https://{home.workload_etcd_address}:2379"
    assert (first["etcd-prefix"], second["etcd-prefix"]) == (f"/{spec.cluster_id}", f"/{other.cluster_id}")


def test_the_api_server_lets_nobody_in_unasked(home: Home, spec: ControlPlaneSpec) -> None:
    server = flags(component(LocalControlPlane(home)._group(spec, PROGRAMS), "kube-apiserver"))
    assert server["bind-address"] == str(spec.address)
    assert server["anonymous-auth"] == "false"
    assert server["authorization-mode"] == "Node,RBAC"
    assert server["kubelet-preferred-address-types"] == "InternalDNS"
    assert Path(server["kubelet-certificate-authority"]).read_text() == spec.ca_cert_pem


def test_every_file_of_a_cluster_is_private(home: Home, spec: ControlPlaneSpec) -> None:
    LocalControlPlane(home)._group(spec, PROGRAMS)
    files = [path for path in (home.clusters / spec.cluster_id).rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert spec.ca_key_pem not in repr(spec)
    assert spec.sa_key_pem not in repr(spec)


def test_the_users_kubeconfig_is_stable_and_no_master_key(home: Home, spec: ControlPlaneSpec) -> None:
    text = LocalControlPlane(home).admin_kubeconfig(spec)
    assert LocalControlPlane(home).admin_kubeconfig(spec) == text
    connection = parse_kubeconfig(text)
    assert connection.server == f"https://{spec.address}:6443"
    assert "ackbox:cluster-admins" in _subject(connection)
    assert "system:masters" not in _subject(connection)


def test_kwok_listens_on_the_clusters_address_and_manages_by_label(home: Home, spec: ControlPlaneSpec) -> None:
    options = kwok_documents(home, spec)[0]["options"]
    assert options["serverAddress"] == f"{spec.address}:10247"
    assert options["manageNodesWithLabelSelector"] == "ackbox.dev/emulated=true"
    assert options["nodeLeaseDurationSeconds"] == 40
    assert options["cidr"] == spec.pod_cidr


def test_logs_say_that_the_pod_is_emulated_and_no_command_is_ever_run(home: Home, spec: ControlPlaneSpec) -> None:
    documents = kwok_documents(home, spec)
    logs = next(each for each in documents if each["kind"] == "ClusterLogs")
    text = Path(logs["spec"]["logs"][0]["logsFile"]).read_text()
    assert text.endswith(" stdout F This pod is emulated by ackbox: no container runs, so there is no output of one.\n")
    assert {each["kind"] for each in documents} == {"KwokConfiguration", "ClusterLogs", "Stage"}


def test_stages_leave_alone_what_others_write(home: Home, spec: ControlPlaneSpec) -> None:
    stages = {each["metadata"]["name"]: each["spec"] for each in kwok_documents(home, spec) if each["kind"] == "Stage"}
    assert sorted(stages) == [
        "node-boot",
        "node-heartbeat",
        "pod-complete",
        "pod-delete",
        "pod-gates-pass",
        "pod-start",
    ]
    boot = stages["node-boot"]["steps"][0]["patch"]["template"]
    for field in ("NetworkUnavailable", "addresses", "capacity", "allocatable", "nodeInfo"):
        assert field not in boot


def test_kwok_may_do_what_its_stages_need_and_no_more() -> None:
    documents = yaml.safe_load_all(local.RBAC.read_text())
    rules = next(each["rules"] for each in documents if each["kind"] == "ClusterRole")
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert ("pods", "delete") in allowed
    assert not {each for each in allowed if each[0] == "secrets" or each[1] in {"*", "create", "update"}}


async def test_remove_deletes_exactly_the_clusters_keys(
    home: Home, spec: ControlPlaneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = LocalControlPlane(home)
    removed: list[str] = []

    async def forget(name: str) -> None:
        removed.append(name)

    posted: list[tuple[str, dict[str, Any]]] = []

    async def post(self: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
        posted.append((path, body))
        return {}

    monkeypatch.setattr(plane._supervisor, "remove", forget)
    monkeypatch.setattr(Endpoint, "post", post)
    plane._group(spec, PROGRAMS)
    (home.logs / f"{spec.cluster_id}-kwok.log").touch()
    (home.logs / "etcd.log").touch()
    await plane.remove(spec)
    await plane.remove(spec)
    assert removed == [spec.cluster_id] * 2
    path, body = posted[0]
    begin, end = (base64.b64decode(body[key]) for key in ("key", "range_end"))
    assert path == "/v3/kv/deleterange"
    inside = f"/{spec.cluster_id}/pods/default/web".encode()
    others = [f"/{spec.cluster_id}0/pods".encode(), f"/{spec.cluster_id}".encode(), b"/c2/pods"]
    assert begin <= inside < end
    assert not [key for key in others if begin <= key < end]
    assert not (home.clusters / spec.cluster_id).exists()
    assert [path.name for path in home.logs.iterdir()] == ["etcd.log"]


class ApiServer:
    """Knows KWOK's role only after a while."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def answer(self, request: web.Request) -> web.Response:
        before = sum(method == request.method for method, _ in self.asked)
        status = 403 if before < 2 else 200
        self.asked.append((request.method, status))
        return web.json_response({}, status=status)


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, str, list[str]]]:
    authority = Authority(tmp_path / "pki")
    server = authority.obtain("server", Request("server", Usage.SERVER, hosts=("127.0.0.1",)))
    client = authority.obtain("client", Request("kwok", Usage.CLIENT))
    api = ApiServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.answer)
    running = TestServer(application, scheme="https")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    await running.start_server(ssl=context)
    yield api, str(running.make_url("")), [str(authority.certificate), str(client.certificate), str(client.key)]
    await running.close()


async def test_kwok_starts_once_it_has_its_role_and_the_leases_are_gone(
    api_server: tuple[ApiServer, str, list[str]],
) -> None:
    api, url, files = api_server
    start = [sys.executable, "-I", "-S", kwok_start.__file__, url, *files, "--", "/bin/echo", "kwok runs"]
    process = await asyncio.create_subprocess_exec(*start, stdout=subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert output.decode().splitlines() == [
        "GET /api/v1/nodes?limit=1: 403; waiting",
        f"DELETE {kwok_start.LEASES}: 403; waiting",
        "kwok runs",
    ]
    assert api.asked == [(method, status) for method in ("GET", "DELETE") for status in (403, 403, 200)]


def test_kwoks_command_waits_first(home: Home, spec: ControlPlaneSpec) -> None:
    program = component(LocalControlPlane(home)._group(spec, PROGRAMS), "kwok")
    assert kwok_start.__file__ in program.command
    assert program.command[program.command.index("--") + 1] == "/bin/kwok"
    assert kwok.KUBELET_PORT == 10247


def _subject(connection: Connection) -> str:
    assert connection.certificate
    return x509.load_pem_x509_certificate(connection.certificate.encode()).subject.rfc4514_string()
