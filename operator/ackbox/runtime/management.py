"""The programs of the management plane: its cluster, the etcd of the workload clusters, Envoy and ackbox's own."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ackbox import __version__
from ackbox.catalog.data import CATALOG_VARIABLE
from ackbox.runtime import envoy, tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.certificates import Authority, KeyFiles, Request, Usage, new_private_key
from ackbox.runtime.download import WAY_OUT
from ackbox.runtime.etcd import ETCD_STOP_SECONDS, Etcd
from ackbox.runtime.files import link, private_folder, write_private
from ackbox.runtime.home import Home
from ackbox.runtime.kubernetes import (
    ADMIN_GROUP,
    API_SERVER_STOP_SECONDS,
    ApiServer,
    controller_manager,
)
from ackbox.runtime.programs import Group, Program, single
from ackbox.runtime.progress import Progress

SERVICE_CIDR = "10.96.0.0/16"

ETCD, WORKLOAD_ETCD = "etcd", "etcd-workloads"
API_SERVER, CONTROLLER_MANAGER = "kube-apiserver", "kube-controller-manager"
ENVOY = "envoy"
OPERATOR = "operator"
OWN_PROCESSES = (OPERATOR, "ccm", "slb")
METRICS_PROCESSES = ("ccm", "slb")
FRONT_PROXY = "front-proxy-client"

ETCD_MEMBER = "ackbox"
"""Name of the only member of each."""

STORES = (ETCD, WORKLOAD_ETCD)
"""Stopped last, so that nobody loses its store while it still writes."""

PRIORITIES = {ETCD: 10, WORKLOAD_ETCD: 10, API_SERVER: 20, CONTROLLER_MANAGER: 30, ENVOY: 40}
OWN_PRIORITY = 900

RBAC = Path(__file__).with_name("rbac.yaml")
"""What each of ackbox's own processes may do in the management cluster."""

USER_ROLES = Path(__file__).with_name("user_roles.yaml")
"""What people may do there, by namespace."""

# No workload runs in the management cluster; these keep its objects in order.
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "clusterrole-aggregation-controller",
    "resourcequota-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(frozen=True)
class Binaries:
    """Paths of what the management plane runs."""

    etcd: Path
    api_server: Path
    controller_manager: Path
    envoy: Path
    kubectl: Path


async def find_binaries(progress: Progress) -> Binaries:
    """Find everything that a home will run, workload clusters included, so that nothing is fetched later.

    Raises:
        BinaryMissing: something can't be had.
    """
    kubernetes = await locate(tools.kubernetes(tools.MANAGEMENT_MINOR), progress)
    etcd = await locate(tools.etcd(), progress)
    await locate(tools.kwok(), progress)
    return Binaries(
        etcd["etcd"],
        kubernetes["kube-apiserver"],
        kubernetes["kube-controller-manager"],
        tools.envoy(),
        kubernetes["kubectl"],
    )


async def fetch_binaries(minors: Iterable[str], progress: Progress) -> None:
    """Get what any home runs, and the programs of these Kubernetes minors for workload clusters.

    Raises:
        BinaryMissing: something can't be had.
    """
    await find_binaries(progress)
    for minor in minors:
        await locate(tools.kubernetes(minor), progress)


class ManagementPlane:
    """What runs in a home before any ManagedCluster is made."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @cached_property
    def etcd(self) -> Etcd:
        """The store of the management cluster."""
        return Etcd(private_folder(self.home.path / ETCD), {ETCD_MEMBER: self.home.management_address})

    @cached_property
    def workload_etcd(self) -> Etcd:
        """The store of all workload clusters."""
        return Etcd(private_folder(self.home.path / WORKLOAD_ETCD), {ETCD_MEMBER: self.home.workload_etcd_address})

    @cached_property
    def api_server(self) -> ApiServer:
        """The API server of the management cluster."""
        key = self.home.pki / "service-accounts.key"
        if not key.is_file():
            write_private(key, new_private_key())
        authority = Authority(self.home.pki / "management")
        return ApiServer(self.home.management_address, authority, key, SERVICE_CIDR, self.etcd)

    @cached_property
    def bootstrap_user(self) -> KeyFiles:
        """For the first steps in a new cluster, where no binding exists yet. Never leaves ackbox."""
        return self.api_server.identity("ackbox:bootstrap", "system:masters", file_name="bootstrap")

    def process_user(self, name: str) -> KeyFiles:
        """What one of ackbox's own processes shows."""
        return self.api_server.identity(user_name(name), file_name=name)

    def write_kubeconfigs(self) -> None:
        """Write the administrator's kubeconfig and those of ackbox's own processes, which may do less."""
        admin = self.api_server.identity("ackbox:admin", ADMIN_GROUP, file_name="admin")
        write_private(self.home.kubeconfig, self.api_server.kubeconfig(admin))
        for name in OWN_PROCESSES:
            write_private(self.home.process_kubeconfig(name), self.api_server.kubeconfig(self.process_user(name)))

    def issue_metrics_certificates(self) -> None:
        """Certificates with which processes serve their metrics, and `metrics` for whoever reads them."""
        for name in METRICS_PROCESSES:
            request = Request(f"ackbox {name}", Usage.SERVER, hosts=(str(self.home.management_address),))
            self.api_server.authority.obtain(f"{name}-server", request)
        self.api_server.identity("ackbox:metrics", file_name="metrics")
        request = Request("metrics-server", Usage.SERVER, hosts=("metrics-server.kube-system.svc",))
        self.api_server.authority.obtain("metrics-api", request)
        front_proxy(self.home)

    def stores(self, binaries: Binaries) -> tuple[Group, ...]:
        """The two etcds."""
        commands = ((ETCD, self.etcd), (WORKLOAD_ETCD, self.workload_etcd))
        return tuple(
            _single(Program(name, etcd.command(binaries.etcd, ETCD_MEMBER), stop_seconds=ETCD_STOP_SECONDS))
            for name, etcd in commands
        )

    def cluster(self, binaries: Binaries) -> tuple[Group, ...]:
        """The management cluster, and Envoy, which needs nothing of it."""
        server = self.api_server.command(binaries.api_server, {})
        # Where ackbox is installed may change, and is no reason to cut the connections of every load balancer.
        envoy_program = self.home.path / "envoy"
        link(envoy_program, binaries.envoy)
        envoy_environment = {"ENVOY_VERSION": tools.envoy_version()}
        envoy_config = self.home.path / "envoy.json"
        write_private(envoy_config, envoy.bootstrap(self.home.run))
        return (
            _single(Program(API_SERVER, server, stop_seconds=API_SERVER_STOP_SECONDS)),
            _single(self._controller_manager(binaries.controller_manager)),
            _single(
                Program(
                    ENVOY,
                    envoy.command(envoy_program, envoy_config),
                    files=(envoy_config,),
                    environment=envoy_environment,
                )
            ),
        )

    def own(self) -> tuple[Group, ...]:
        """The processes of ackbox itself, each with a kubeconfig of its own."""
        return tuple(_single(self._process(name)) for name in OWN_PROCESSES)

    def _process(self, name: str) -> Program:
        config = self.home.process_kubeconfig(name)
        command = [sys.executable, "-m", "ackbox.cli", name, "--kubeconfig", str(config)]
        files = [config]
        if catalog := os.environ.get(CATALOG_VARIABLE):
            command += ["--catalog", catalog]
            files += sorted(path for path in Path(catalog).iterdir() if path.is_file())
        # Started by a newer ackbox, it is to run that one's code: its version is a reason to restart.
        environment = {"ACKBOX_VERSION": __version__}
        if name == OPERATOR:
            # It gets programs for clusters, by the way that `ackbox up` was told of.
            environment |= {variable: os.environ[variable] for variable in WAY_OUT if variable in os.environ}
        return Program(name, tuple(command), tuple(files), environment=environment)

    def _controller_manager(self, binary: Path) -> Program:
        config = self.home.pki / "controller-manager.kubeconfig"
        user = self.api_server.identity("system:kube-controller-manager")
        write_private(config, self.api_server.own_kubeconfig(user))
        command = controller_manager(binary, config, self.api_server, CONTROLLERS, {})
        return Program(CONTROLLER_MANAGER, command, files=(config,))


def front_proxy(home: Home) -> tuple[Authority, KeyFiles]:
    """What API servers of workload clusters show to the APIs that they aggregate, and its authority.

    An authority of its own: whoever has such a certificate is believed about who the user is.
    """
    authority = Authority(home.pki / "front-proxy")
    return authority, authority.obtain("client", Request(FRONT_PROXY, Usage.CLIENT))


def user_name(process: str) -> str:
    """Who a process of ackbox is for the management cluster; `rbac.yaml` says what that one may do."""
    return f"ackbox:{process}"


def _single(program: Program) -> Group:
    return single(program, PRIORITIES.get(program.name, OWN_PRIORITY))
