"""How KWOK is set up and started for a workload cluster."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import small_control_plane
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from small_control_plane import groups_of

from ackbox.controlplane import kwok, kwok_start, local
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.runtime.certificates import Authority, Request, Usage
from ackbox.runtime.home import Home, prepare


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    return prepare(tmp_path / "home")


@pytest.fixture
def spec(home: Home) -> ControlPlaneSpec:
    return small_control_plane.single(home)


@pytest.fixture
def available(home: Home) -> ControlPlaneSpec:
    return small_control_plane.available(home)


def kwok_documents(home: Home, spec: ControlPlaneSpec) -> list[dict[str, Any]]:
    groups_of(home, spec)
    text = (home.clusters / spec.cluster_id / "kwok.yaml").read_text()
    return [document for document in yaml.safe_load_all(text) if document]


def test_kwok_listens_on_the_clusters_address_and_manages_by_label(home: Home, spec: ControlPlaneSpec) -> None:
    options = kwok_documents(home, spec)[0]["options"]
    assert options["serverAddress"] == f"{spec.kubelet_address}:10247"
    assert options["manageNodesWithLabelSelector"] == "ackbox.dev/emulated=true"
    assert options["nodeLeaseDurationSeconds"] == 40
    assert options["cidr"] == spec.pod_cidr


def test_logs_say_that_the_pod_is_emulated_and_no_command_is_ever_run(home: Home, spec: ControlPlaneSpec) -> None:
    documents = kwok_documents(home, spec)
    logs = next(each for each in documents if each["kind"] == "ClusterLogs")
    text = Path(logs["spec"]["logs"][0]["logsFile"]).read_text()
    assert text.endswith(" stdout F This pod is emulated by ackbox: no container runs, so there is no output of one.\n")
    kinds = {each["kind"] for each in documents}
    assert kinds == {"KwokConfiguration", "ClusterLogs", "ClusterResourceUsage", "Metric", "Stage"}


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
async def serving(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, str, list[str]]]:
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
    serving: tuple[ApiServer, str, list[str]],
) -> None:
    api, url, files = serving
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
    program = groups_of(home, spec).kwok.programs[0]
    assert kwok_start.__file__ in program.command
    assert program.command[program.command.index("--") + 1] == "/bin/kwok"
    assert kwok.KUBELET_PORT == 10247


def test_kwok_dials_a_single_member_itself_and_several_through_their_endpoint(
    home: Home, spec: ControlPlaneSpec, available: ControlPlaneSpec
) -> None:
    kubeconfig = home.clusters / spec.cluster_id / "kwok.kubeconfig"
    for given, url in ((spec, f"https://{spec.members[0].address}:6443"), (available, spec.endpoint)):
        assert url in groups_of(home, given).kwok.programs[0].command
        assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == url
