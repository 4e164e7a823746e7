"""What the management plane runs."""

import subprocess
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from ackbox.kube.connection import parse_kubeconfig
from ackbox.runtime import envoy, tools
from ackbox.runtime.home import Home, prepare
from ackbox.runtime.management import OWN_PROCESSES, Binaries, ManagementPlane

BINARIES = Binaries(
    etcd=Path("/bin/etcd"),
    api_server=Path("/bin/kube-apiserver"),
    controller_manager=Path("/bin/kube-controller-manager"),
    envoy=Path("/bin/envoy"),
    kubectl=Path("/bin/kubectl"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    return prepare(tmp_path / "home")


def test_programs_have_the_names_that_others_rely_on(home: Home) -> None:
    plane = ManagementPlane(home)
    plane.write_kubeconfigs()
    groups = [*plane.stores(BINARIES), *plane.cluster(BINARIES), *plane.own()]
    assert [group.name for group in groups] == [
        "etcd",
        "etcd-workloads",
        "kube-apiserver",
        "kube-controller-manager",
        "envoy",
        "operator",
        "ccm",
        "slb",
    ]
    priorities = [group.priority for group in groups]
    assert priorities == sorted(priorities)


def test_the_same_commands_come_out_again(home: Home) -> None:
    first, second = (ManagementPlane(home) for _ in range(2))
    assert first.stores(BINARIES) == second.stores(BINARIES)
    assert first.cluster(BINARIES) == second.cluster(BINARIES)
    first.write_kubeconfigs()
    paths = [home.kubeconfig, *(home.process_kubeconfig(name) for name in OWN_PROCESSES)]
    texts = [path.read_text() for path in paths]
    second.write_kubeconfigs()
    assert [path.read_text() for path in paths] == texts
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600] * 4


def test_envoy_is_restarted_for_another_version_and_not_for_another_place(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = ManagementPlane(home)
    before = plane.cluster(BINARIES)
    assert plane.cluster(replace(BINARIES, envoy=Path("/elsewhere/envoy"))) == before
    assert (home.path / "envoy").readlink() == Path("/elsewhere/envoy"), "from now on that one is started"
    monkeypatch.setattr(tools, "envoy_version", lambda: "99.0")
    changed = [new.name for old, new in zip(before, plane.cluster(BINARIES), strict=True) if old != new]
    assert changed == ["envoy"]


def test_each_process_of_ackbox_is_somebody_else_and_no_administrator(home: Home) -> None:
    plane = ManagementPlane(home)
    plane.write_kubeconfigs()
    users = {}
    for group in plane.own():
        path = group.programs[0].command[-1]
        pem = parse_kubeconfig(Path(path).read_text()).certificate or ""
        users[group.name] = x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
    assert users == {"operator": "CN=ackbox:operator", "ccm": "CN=ackbox:ccm", "slb": "CN=ackbox:slb"}
    assert "ACKBOX_KUBECONFIG" not in home.environment


def test_every_listener_is_on_this_homes_loopback_and_asks_for_a_certificate(home: Home) -> None:
    plane = ManagementPlane(home)
    for group in plane.stores(BINARIES):
        flags = _flags(group.programs[0].command)
        for name in ("listen-client-urls", "listen-peer-urls"):
            assert ip_address(flags[name].removeprefix("https://").rpartition(":")[0]) in home.loopback
        assert flags["client-cert-auth"] == flags["peer-client-cert-auth"] == "true"
    flags = _flags(plane.cluster(BINARIES)[0].programs[0].command)
    assert ip_address(flags["bind-address"]) in home.loopback
    assert flags["anonymous-auth"] == "false"
    assert flags["authorization-mode"] == "RBAC"
    assert _flags(plane.cluster(BINARIES)[1].programs[0].command)["secure-port"] == "0"


def test_the_api_servers_authority_opens_no_etcd(home: Home) -> None:
    plane = ManagementPlane(home)
    texts = {each.authority.pair.certificate for each in (plane.etcd, plane.workload_etcd, plane.api_server)}
    assert len(texts) == 3


def test_envoy_takes_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "envoy.json"
    config.write_text(envoy.bootstrap(tmp_path))
    command = (*envoy.command(tools.envoy(), config), "--mode", "validate")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def _flags(command: tuple[str, ...]) -> dict[str, str]:
    pairs = (argument.removeprefix("--").partition("=") for argument in command[1:])
    return {name: value for name, _, value in pairs}
