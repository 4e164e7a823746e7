"""Runs control planes as supervised processes on this machine, all in one etcd with a prefix each."""

import base64
import shutil
from pathlib import Path

from ackbox.controlplane import kwok
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection, parse_kubeconfig
from ackbox.kube.errors import NotFound, Unavailable
from ackbox.resources import Kind
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.certificates import Authority, KeyPair, Request, Usage
from ackbox.runtime.files import private_folder, write_private
from ackbox.runtime.home import Home
from ackbox.runtime.kubernetes import ADMIN_GROUP, API_SERVER_STOP_SECONDS, ApiServer, controller_manager, scheduler
from ackbox.runtime.management import ManagementPlane
from ackbox.runtime.manifests import apply, documents
from ackbox.runtime.probe import Endpoint
from ackbox.runtime.programs import Group, Program
from ackbox.runtime.progress import Silent
from ackbox.runtime.supervisor import Supervisor

SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")

API_SERVER, CONTROLLER_MANAGER = "kube-apiserver", "kube-controller-manager"
SCHEDULER, KWOK = "kube-scheduler", "kwok"

BOOTSTRAP = "ackbox:bootstrap"

# After the management plane, before ackbox's own processes.
PRIORITY = 100
RBAC = Path(__file__).with_name("rbac.yaml")

# Controllers with nothing to do here: no cloud provider inside, no pod ranges of their own, no bootstrap tokens.
CONTROLLERS = (
    "*",
    "-ttl-controller",
    "-node-ipam-controller",
    "-node-route-controller",
    "-service-lb-controller",
    "-cloud-node-lifecycle-controller",
    "-bootstrap-signer-controller",
    "-token-cleaner-controller",
    "-legacy-serviceaccount-token-cleaner-controller",
    "-storageversion-garbage-collector-controller",
    "-storage-version-migrator-controller",
)


class LocalControlPlane:
    """The control planes of one home. Every method can be called again and again, and by several tasks."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._supervisor = Supervisor(home)
        self._etcd = ManagementPlane(home).workload_etcd
        self._equipped: set[str] = set()

    async def ensure(self, spec: ControlPlaneSpec) -> None:
        """Write what the processes need and start those that don't run. Doesn't wait for them; see `ready`.

        Raises:
            RuntimeProblem: a program can't be had or supervisord doesn't answer.
        """
        programs = await locate(tools.kubernetes(spec.version), Silent()) | await locate(tools.kwok(), Silent())
        await self._supervisor.ensure(self._group(spec, programs))

    async def ready(self, spec: ControlPlaneSpec) -> bool:
        """Whether the control plane works: its API server answers, pods can be made, and KWOK plays the kubelets.

        Also gives KWOK its role, for which it waits, once the API server answers.

        Raises:
            RuntimeProblem: supervisord doesn't answer.
        """
        server = self._server(spec)
        user = server.identity(BOOTSTRAP, "system:masters", file_name="bootstrap")
        if not await server.endpoint(user).healthy("/readyz"):
            return False
        try:
            async with Client(parse_kubeconfig(server.kubeconfig(user))) as client:
                if spec.cluster_id not in self._equipped:
                    await apply(client, documents([RBAC]))
                    self._equipped.add(spec.cluster_id)
                # Without it the API server refuses every pod; the controller manager makes it.
                await client.get(SERVICE_ACCOUNT, "default", "default")
        except (NotFound, Unavailable):
            return False
        kubelet = Endpoint(f"https://{spec.address}:{kwok.KUBELET_PORT}", spec.ca_cert_pem, user)
        return await kubelet.healthy("/healthz") and await self._supervisor.group_running(spec.cluster_id)

    async def remove(self, spec: ControlPlaneSpec) -> None:
        """Stop the processes and delete everything they kept. Harmless when that is already so.

        Raises:
            RuntimeProblem: supervisord or etcd doesn't answer.
        """
        await self._supervisor.remove(spec.cluster_id)
        await self._delete_prefix(_prefix(spec))
        self._equipped.discard(spec.cluster_id)
        if self._folder(spec).exists():
            shutil.rmtree(self._folder(spec))
        for log in self._home.logs.glob(f"{spec.cluster_id}-*"):
            log.unlink()

    def own_connection(self, spec: ControlPlaneSpec) -> Connection:
        """How ackbox itself calls the cluster's API server: as one who may do everything."""
        server = self._server(spec)
        return parse_kubeconfig(server.kubeconfig(server.identity(BOOTSTRAP, "system:masters", file_name="bootstrap")))

    def admin_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the kubeconfig for the cluster's administrator, the same on every call until it is renewed."""
        server = self._server(spec)
        return server.kubeconfig(server.identity("ackbox:admin", ADMIN_GROUP, file_name="admin"))

    def _group(self, spec: ControlPlaneSpec, programs: dict[str, Path]) -> Group:
        server = self._server(spec)
        manager, scheduling = (self._kubeconfig(spec, server, name) for name in (CONTROLLER_MANAGER, SCHEDULER))
        manager_command = controller_manager(
            programs[CONTROLLER_MANAGER], manager, server, CONTROLLERS, self._controller_flags(server)
        )
        api_server = Program(
            f"{spec.cluster_id}-{API_SERVER}",
            server.command(programs[API_SERVER]),
            files=(server.authority.certificate,),
            stop_seconds=API_SERVER_STOP_SECONDS,
        )
        controllers = Program(f"{spec.cluster_id}-{CONTROLLER_MANAGER}", manager_command, files=(manager,))
        pods = Program(
            f"{spec.cluster_id}-{SCHEDULER}", scheduler(programs[SCHEDULER], scheduling), files=(scheduling,)
        )
        kubelets = self._kwok(spec, server, programs[KWOK])
        return Group(spec.cluster_id, (api_server, controllers, pods, kubelets), PRIORITY)

    def _kubeconfig(self, spec: ControlPlaneSpec, server: ApiServer, component: str) -> Path:
        path = self._folder(spec) / f"{component}.kubeconfig"
        write_private(path, server.kubeconfig(server.identity(f"system:{component}")))
        return path

    def _kwok(self, spec: ControlPlaneSpec, server: ApiServer, binary: Path) -> Program:
        folder = self._folder(spec)
        kubeconfig, config, log = folder / "kwok.kubeconfig", folder / "kwok.yaml", folder / "emulated.log"
        user = server.identity("ackbox:kwok", file_name="kwok")
        write_private(kubeconfig, server.kubeconfig(user))
        request = Request("system:node:emulated", Usage.SERVER, hosts=(str(spec.address),))
        kubelet = server.authority.obtain("kubelet", request)
        write_private(config, kwok.configuration(spec, kubelet, log))
        if not log.exists():
            write_private(log, kwok.log_file())
        command = kwok.command(binary, config, kubeconfig, server, user)
        return Program(f"{spec.cluster_id}-{KWOK}", command, files=(config, kubeconfig, kubelet.certificate))

    def _server(self, spec: ControlPlaneSpec) -> ApiServer:
        folder = private_folder(self._folder(spec))
        key = folder / "service-accounts.key"
        write_private(key, spec.sa_key_pem)
        authority = Authority(folder / "pki", KeyPair(spec.ca_cert_pem, spec.ca_key_pem))
        # The API server calls KWOK, as it would call a kubelet, under this name.
        caller = authority.obtain("kubelet-client", Request("kube-apiserver-kubelet-client", Usage.CLIENT))
        return ApiServer(
            address=spec.address,
            authority=authority,
            service_account_key=key,
            service_cidr=spec.service_cidr,
            etcd=self._etcd,
            etcd_prefix=_prefix(spec),
            authorization="Node,RBAC",
            extra={
                "kubelet-certificate-authority": authority.certificate,
                "kubelet-client-certificate": caller.certificate,
                "kubelet-client-key": caller.key,
                # Nodes register the address of this API server, where KWOK listens as well, as their internal name.
                "kubelet-preferred-address-types": "InternalDNS",
            },
        )

    def _controller_flags(self, server: ApiServer) -> dict[str, object]:
        return {
            "allocate-node-cidrs": "false",
            "cluster-signing-cert-file": server.authority.files.certificate,
            "cluster-signing-key-file": server.authority.files.key,
            # A stopped machine shows within half a minute; KWOK renews the Leases every ten seconds.
            "node-monitor-grace-period": "20s",
        }

    async def _delete_prefix(self, prefix: str) -> None:
        # "/0" is the first key after all that begin with "/…/": "0" follows "/" in ASCII.
        begin, end = f"{prefix}/", f"{prefix}0"
        body = {"key": _base64(begin), "range_end": _base64(end)}
        await self._etcd.endpoint().post("/v3/kv/deleterange", body)

    def _folder(self, spec: ControlPlaneSpec) -> Path:
        return self._home.clusters / spec.cluster_id


def _prefix(spec: ControlPlaneSpec) -> str:
    return f"/{spec.cluster_id}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
