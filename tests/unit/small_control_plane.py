"""Control planes that nobody runs, for tests of what they are made of."""

from dataclasses import replace
from pathlib import Path

from ackbox.controlplane.layout import Groups, Layout, Programs
from ackbox.controlplane.spec import ApiServerSettings, ControlPlaneSpec, EtcdMember, Member
from ackbox.runtime.certificates import new_authority, new_private_key
from ackbox.runtime.home import Home
from ackbox.runtime.programs import Program

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
PROGRAMS = Programs(
    {minor: {name: Path("/bin") / minor / name for name in KUBERNETES} for minor in ("1.35", "1.36")},
    {name: Path("/bin") / name for name in ("kwok", "etcd")},
)


def single(home: Home) -> ControlPlaneSpec:
    """One API server in the etcd that clusters share."""
    authority = new_authority("demo")
    return ControlPlaneSpec(
        namespace="default",
        name="demo",
        cluster_id="c" + "0" * 31 + "1",
        members=(Member("a", home.loopback[257], "1.36"),),
        etcd=(),
        endpoint="https://127.9.16.1:6443",
        kubelet_address=home.loopback[257],
        service_cidr="172.19.0.0/20",
        pod_cidr="10.32.0.0/16",
        settings=ApiServerSettings(max_requests_inflight=440, max_mutating_requests_inflight=220),
        timezone=None,
        ca_cert_pem=authority.certificate,
        ca_key_pem=authority.key,
        sa_key_pem=new_private_key(),
    )


def available(home: Home) -> ControlPlaneSpec:
    """Two API servers, three members of an etcd."""
    one = single(home)
    members = (*one.members, Member("b", home.loopback[258], "1.36"))
    etcd = tuple(EtcdMember(f"e{number}", home.loopback[260 + number]) for number in range(3))
    return replace(one, members=members, etcd=etcd)


def groups_of(home: Home, spec: ControlPlaneSpec) -> Groups:
    return Layout(home, spec).groups(PROGRAMS)


def flags(program: Program) -> dict[str, str]:
    pairs = (part.removeprefix("--").partition("=") for part in program.command if part.startswith("--"))
    return {name: value for name, _, value in pairs}
