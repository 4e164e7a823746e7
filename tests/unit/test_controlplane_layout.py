"""What a workload control plane is made of: programs, files, and what restarts with what."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
import small_control_plane
import yaml
from cryptography import x509
from small_control_plane import flags, groups_of

from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.runtime.home import Home, prepare
from ackbox.runtime.management import ManagementPlane
from ackbox.runtime.programs import Program, render_group


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


def api_server(home: Home, spec: ControlPlaneSpec, member: str = "a") -> Program:
    return groups_of(home, spec).api_servers[member].programs[0]


def controllers(home: Home, spec: ControlPlaneSpec, member: str = "a") -> tuple[Program, ...]:
    return groups_of(home, spec).controllers[member].programs


def test_every_member_can_come_and_go_alone(home: Home, available: ControlPlaneSpec) -> None:
    groups = groups_of(home, available)
    assert [group.name.removeprefix(f"{available.cluster_id}-") for group in groups.all] == [
        *("etcd-e0", "etcd-e1", "etcd-e2"),
        *("a-kube-apiserver", "b-kube-apiserver"),
        *("a-controllers", "b-controllers"),
        "kwok",
    ]
    programs = [program.name for group in groups.all for program in group.programs]
    assert len(set(programs)) == len(programs)


def test_a_member_more_restarts_no_api_server_and_no_etcd(home: Home, available: ControlPlaneSpec) -> None:
    fewer = groups_of(home, replace(available, members=available.members[:1]))
    more = groups_of(home, available)
    assert more.api_servers["a"] == fewer.api_servers["a"]
    assert more.etcd == fewer.etcd


def test_a_machine_that_is_off_runs_nothing_and_changes_no_other(home: Home, available: ControlPlaneSpec) -> None:
    (first, second), (lost, *left) = available.members, available.etcd
    off = replace(
        available, members=(replace(first, running=False), second), etcd=(replace(lost, running=False), *left)
    )
    before, after = groups_of(home, available), groups_of(home, off)
    assert (list(after.etcd), list(after.api_servers), list(after.controllers)) == (["e1", "e2"], ["b"], ["b"])
    assert all(group in before.all for group in after.all)


def test_the_same_spec_gives_the_same_groups(home: Home, available: ControlPlaneSpec) -> None:
    assert groups_of(home, available) == groups_of(home, available)


def test_small_clusters_share_an_etcd_and_no_key(home: Home, spec: ControlPlaneSpec) -> None:
    other = replace(spec, cluster_id="c" + "0" * 31 + "2")
    first, second = (flags(api_server(home, each)) for each in (spec, other))
    assert first["etcd-servers"] == second["etcd-servers"] == f"https://{home.workload_etcd_address}:2379"
    assert (first["etcd-prefix"], second["etcd-prefix"]) == (f"/{spec.cluster_id}", f"/{other.cluster_id}")


def test_an_own_etcd_is_known_whole_to_its_members_and_to_the_api_servers(
    home: Home, available: ControlPlaneSpec
) -> None:
    addresses = [str(member.address) for member in available.etcd]
    servers = flags(api_server(home, available))["etcd-servers"]
    assert servers == ",".join(f"https://{address}:2379" for address in addresses)
    members = [flags(group.programs[0]) for group in groups_of(home, available).etcd.values()]
    cluster = ",".join(f"e{number}=https://{address}:2380" for number, address in enumerate(addresses))
    assert {member["initial-cluster"] for member in members} == {cluster}
    assert [member["name"] for member in members] == ["e0", "e1", "e2"]
    assert len({member["data-dir"] for member in members}) == 3
    assert {member["client-cert-auth"] + member["peer-client-cert-auth"] for member in members} == {"truetrue"}
    shared = ManagementPlane(home).workload_etcd.authority.pair.certificate
    assert Path(members[0]["trusted-ca-file"]).read_text() != shared


def test_several_controllers_elect_a_leader_and_one_does_not(home: Home, available: ControlPlaneSpec) -> None:
    for program in controllers(home, available):
        assert flags(program)["leader-elect"] == "true"
    for program in controllers(home, replace(available, members=available.members[:1])):
        assert flags(program)["leader-elect"] == "false"


def test_each_member_runs_the_programs_of_its_minor(home: Home, available: ControlPlaneSpec) -> None:
    first, second = available.members
    mixed = replace(available, members=(replace(first, minor="1.35"), second))
    assert api_server(home, mixed, "a").command[0] == "/bin/1.35/kube-apiserver"
    assert [program.command[0] for program in controllers(home, mixed, "b")] == [
        "/bin/1.36/kube-controller-manager",
        "/bin/1.36/kube-scheduler",
    ]


def test_the_api_server_lets_nobody_in_unasked(home: Home, spec: ControlPlaneSpec) -> None:
    server = flags(api_server(home, spec))
    assert server["bind-address"] == str(spec.members[0].address)
    assert server["anonymous-auth"] == "false"
    assert server["authorization-mode"] == "Node,RBAC"
    assert server["kubelet-preferred-address-types"] == "InternalDNS,InternalIP"
    assert Path(server["kubelet-certificate-authority"]).read_text() == spec.ca_cert_pem


def test_settings_reach_the_api_server(home: Home, spec: ControlPlaneSpec) -> None:
    plain = flags(api_server(home, spec))
    assert (plain["max-requests-inflight"], plain["max-mutating-requests-inflight"]) == ("440", "220")
    assert plain["service-account-issuer"] == "https://kubernetes.default.svc.cluster.local"
    assert not {name for name in plain if name.startswith(("audit", "api-aud", "encryption"))}
    settings = replace(
        spec.settings,
        hosts=("10.1.2.3", "api.example.test"),
        cluster_domain="corp.test",
        service_account_issuer="https://issuer.test",
        api_audiences="one,two",
        audit=True,
        encryption_key=base64.b64encode(b"k" * 32).decode(),
    )
    full = flags(api_server(home, replace(spec, settings=settings)))
    assert (full["service-account-issuer"], full["api-audiences"]) == ("https://issuer.test", "one,two")
    assert full["audit-log-path"] == str(home.logs / f"{spec.cluster_id}-a-audit.log")
    assert int(full["audit-log-maxsize"]) * (int(full["audit-log-maxbackup"]) + 1) <= 100
    secrets = yaml.safe_load(Path(full["encryption-provider-config"]).read_text())["resources"]
    assert secrets[0]["resources"] == ["secrets"]
    assert [next(iter(provider)) for provider in secrets[0]["providers"]] == ["secretbox", "identity"]
    certificate = x509.load_pem_x509_certificate(Path(full["tls-cert-file"]).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    assert {"api.example.test", "kubernetes.default.svc.corp.test"} <= set(dns)
    assert set(map(str, names.get_values_for_type(x509.IPAddress))) == {"10.1.2.3", str(spec.members[0].address)}
    assert settings.encryption_key not in repr(settings)


def test_a_time_zone_is_the_controllers_and_restarts_no_api_server(home: Home, spec: ControlPlaneSpec) -> None:
    there = replace(spec, timezone="Asia/Shanghai")
    assert [program.environment for program in controllers(home, there)] == [{"TZ": "Asia/Shanghai"}] * 2
    assert api_server(home, there) == api_server(home, spec)


def test_a_renewed_certificate_restarts_kwok_only(home: Home, spec: ControlPlaneSpec) -> None:
    def texts() -> dict[str, str]:
        groups = groups_of(home, spec).all
        return {group.name: render_group(group, Path("/launcher"), Path("/pid"), home.logs) for group in groups}

    before = texts()
    for certificate in (home.clusters / spec.cluster_id / "pki").glob("*.crt"):
        if certificate.name != "ca.crt":
            certificate.unlink()
    after = texts()
    assert [name for name in after if after[name] != before[name]] == [f"{spec.cluster_id}-kwok"]


def test_every_file_of_a_cluster_is_private(home: Home, spec: ControlPlaneSpec) -> None:
    groups_of(home, spec)
    files = [path for path in (home.clusters / spec.cluster_id).rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert spec.ca_key_pem not in repr(spec)
    assert spec.sa_key_pem not in repr(spec)


def test_the_metrics_api_believes_api_servers_alone_who_is_asking(home: Home, spec: ControlPlaneSpec) -> None:
    told = flags(api_server(home, spec))
    authority = x509.load_pem_x509_certificate(Path(told["requestheader-client-ca-file"]).read_bytes())
    shown = x509.load_pem_x509_certificate(Path(told["proxy-client-cert-file"]).read_bytes())
    shown.verify_directly_issued_by(authority)
    assert shown.subject.rfc4514_string() == f"CN={told['requestheader-allowed-names']}"
    assert told["requestheader-client-ca-file"] != told["client-ca-file"]
