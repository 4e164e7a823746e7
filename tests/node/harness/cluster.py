"""The control plane of the node's cluster, with the command lines that ackbox uses for its own."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ackbox.runtime.certificates import Authority, KeyFiles, new_private_key
from ackbox.runtime.etcd import ETCD_STOP_SECONDS, Etcd
from ackbox.runtime.files import private_folder, write_private
from ackbox.runtime.kubernetes import API_SERVER_STOP_SECONDS, ApiServer, controller_manager, scheduler
from ackbox.runtime.programs import Group, Program, single
from node.harness.layout import ADDRESS, POD_CIDR, SERVICE_CIDR, Layout

MEMBER = "node"
API_SERVER = "kube-apiserver"


@dataclass(frozen=True)
class Cluster:
    """The cluster that the node belongs to.

    Attributes:
        programs: path of each program by name.
    """

    layout: Layout
    programs: dict[str, Path]

    @cached_property
    def etcd(self) -> Etcd:
        """Its store."""
        return Etcd(private_folder(self.layout.folder / "etcd"), {MEMBER: ADDRESS})

    @cached_property
    def api_server(self) -> ApiServer:
        """Its API server."""
        key = self.layout.folder / "pki" / "service-accounts.key"
        if not key.is_file():
            write_private(key, new_private_key())
        return ApiServer(
            address=ADDRESS,
            authority=Authority(self.layout.folder / "pki" / "cluster"),
            service_account_key=key,
            service_cidr=str(SERVICE_CIDR),
            etcd=self.etcd,
            authorization="Node,RBAC",
            # Pods reach it by the Service `kubernetes`.
            hosts=(str(SERVICE_CIDR[1]),),
        )

    @property
    def administrator(self) -> KeyFiles:
        """May do everything."""
        return self.api_server.identity("node:admin", "system:masters", file_name="admin")

    def write_kubeconfig(self) -> None:
        """Write the administrator's kubeconfig."""
        write_private(self.layout.kubeconfig, self.api_server.kubeconfig(self.administrator))

    def identity(self, user: str, *groups: str) -> Path:
        """A kubeconfig for a program of the node."""
        name = user.replace(":", "-")
        path = self.layout.folder / "pki" / f"{name}.kubeconfig"
        files = self.api_server.identity(user, *groups, file_name=name)
        write_private(path, self.api_server.own_kubeconfig(files))
        return path

    def groups(self) -> tuple[Group, ...]:
        """Its programs, in the order in which they start."""
        store = self.etcd.command(self.programs["etcd"], MEMBER)
        return (
            single(Program("etcd", store, stop_seconds=ETCD_STOP_SECONDS), 10),
            single(Program(API_SERVER, self._api_server(), stop_seconds=API_SERVER_STOP_SECONDS), 20),
            single(Program("kube-controller-manager", self._controller_manager()), 30),
            single(Program("kube-scheduler", self._scheduler()), 30),
        )

    def _api_server(self) -> tuple[str, ...]:
        kubelet_client = self.api_server.identity("node:kubelet-client", "system:masters", file_name="kubelet-client")
        return self.api_server.command(
            self.programs["kube-apiserver"],
            {
                # Here the addresses are such that Endpoints may hold them.
                "endpoint-reconciler-type": "lease",
                "kubelet-client-certificate": kubelet_client.certificate,
                "kubelet-client-key": kubelet_client.key,
                "kubelet-preferred-address-types": "InternalIP",
                "enable-admission-plugins": "NodeRestriction",
            },
        )

    def _controller_manager(self) -> tuple[str, ...]:
        config = self.identity("system:kube-controller-manager")
        network = {"allocate-node-cidrs": "true", "cluster-cidr": POD_CIDR}
        return controller_manager(self.programs["kube-controller-manager"], config, self.api_server, ("*",), network)

    def _scheduler(self) -> tuple[str, ...]:
        return scheduler(self.programs["kube-scheduler"], self.identity("system:kube-scheduler"), {})
