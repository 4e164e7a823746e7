"""The files and programs of one control plane, from its spec. Writes files, starts nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ackbox.controlplane import flags, kwok
from ackbox.controlplane.flags import API_SERVER, CONTROLLER_MANAGER, ETCD, KWOK, SCHEDULER, prefix
from ackbox.controlplane.spec import ControlPlaneSpec, Member
from ackbox.runtime.certificates import Authority, Clock, KeyFiles, KeyPair, Request, Usage, utc_now
from ackbox.runtime.etcd import ETCD_STOP_SECONDS, Etcd
from ackbox.runtime.files import private_folder, write_private
from ackbox.runtime.home import Home
from ackbox.runtime.kubernetes import API_SERVER_STOP_SECONDS, ApiServer, controller_manager, scheduler
from ackbox.runtime.management import ManagementPlane, front_proxy
from ackbox.runtime.programs import Group, Program, single

# After the management plane, before ackbox's own processes.
ETCD_PRIORITY, PRIORITY = 90, 100


@dataclass(frozen=True)
class Programs:
    """Where the programs are: Kubernetes' by minor version, the others by name."""

    kubernetes: Mapping[str, Mapping[str, Path]]
    others: Mapping[str, Path]


@dataclass(frozen=True)
class Groups:
    """What runs for a control plane.

    Attributes:
        etcd: its own etcd, by member.
        api_servers: by member.
        controllers: controller manager and scheduler, by member.
        kwok: the kubelets of its emulated nodes.
    """

    etcd: Mapping[str, Group]
    api_servers: Mapping[str, Group]
    controllers: Mapping[str, Group]
    kwok: Group

    @property
    def all(self) -> tuple[Group, ...]:
        """Every group."""
        return (*self.etcd.values(), *self.api_servers.values(), *self.controllers.values(), self.kwok)


@dataclass(frozen=True)
class Layout:
    """One control plane in a home."""

    home: Home
    spec: ControlPlaneSpec
    clock: Clock = utc_now

    @property
    def folder(self) -> Path:
        """Where everything of it is kept."""
        return private_folder(self.home.clusters / self.spec.cluster_id)

    @cached_property
    def authority(self) -> Authority:
        """The cluster's CA and what it issued."""
        pair = KeyPair(self.spec.ca_cert_pem, self.spec.ca_key_pem)
        return Authority(self.folder / "pki", pair, self.clock)

    @cached_property
    def etcd(self) -> Etcd:
        """Where its objects are kept."""
        if not self.spec.etcd:
            return ManagementPlane(self.home).workload_etcd
        members = {member.name: member.address for member in self.spec.etcd}
        return Etcd(private_folder(self.folder / ETCD), members)

    def groups(self, programs: Programs) -> Groups:
        """Everything that should run, its files written."""
        running = self.spec.running
        return Groups(
            {each.name: self._etcd_group(each.name, programs.others[ETCD]) for each in self.spec.etcd if each.running},
            {each.name: self._api_server_group(each, programs) for each in running},
            {each.name: self._controllers_group(each, programs) for each in running if each.controllers},
            self._kwok_group(programs.others[KWOK]),
        )

    def server(self, member: Member) -> ApiServer:
        """The API server of a member."""
        spec = self.spec
        return ApiServer(
            address=member.address,
            authority=self.authority,
            service_account_key=self.folder / "service-accounts.key",
            service_cidr=spec.service_cidr,
            etcd=self.etcd,
            etcd_prefix=prefix(spec.cluster_id),
            authorization="Node,RBAC",
            certificate=f"apiserver-{member.name}",
            hosts=spec.settings.hosts,
            domain=spec.settings.cluster_domain,
        )

    @property
    def kwok_name(self) -> str:
        """Name of KWOK's group."""
        return self._name(KWOK)

    def controllers_name(self, member: Member) -> str:
        """Name of the group of a member's controller manager and scheduler."""
        return self._name(member.name, "controllers")

    def _etcd_group(self, member: str, binary: Path) -> Group:
        # Certificates are no files to restart for: etcd reads them anew for each connection.
        command = self.etcd.command(binary, member)
        return single(Program(self._name(ETCD, member), command, stop_seconds=ETCD_STOP_SECONDS), ETCD_PRIORITY)

    def _api_server_group(self, member: Member, programs: Programs) -> Group:
        server = self.server(member)
        write_private(server.service_account_key, self.spec.sa_key_pem)
        # The API server reads renewed certificates by itself, but for that of its CA.
        files = [server.authority.certificate]
        if self.spec.settings.encryption_key is not None:
            files.append(self._encryption_file)
            write_private(self._encryption_file, flags.encryption(self.spec.settings.encryption_key))
        if self.spec.settings.audit:
            files.append(flags.AUDIT_POLICY)
        command = server.command(programs.kubernetes[member.minor][API_SERVER], self._api_server_flags(member, server))
        program = Program(
            self._name(member.name, API_SERVER), command, files=tuple(files), stop_seconds=API_SERVER_STOP_SECONDS
        )
        return single(program, PRIORITY)

    def _api_server_flags(self, member: Member, server: ApiServer) -> dict[str, object]:
        proxy_authority, proxy = front_proxy(self.home)
        files = flags.ApiServerFiles(
            authority=server.authority.certificate,
            kubelet_caller=server.authority.obtain("kubelet-client", flags.KUBELET_CALLER),
            front_proxy_authority=proxy_authority.certificate,
            front_proxy=proxy,
            encryption=self._encryption_file,
            audit_policy=flags.AUDIT_POLICY,
            audit_log=str(audit_log(self.home, self.spec.cluster_id, member.name)),
        )
        return flags.api_server(self.spec.settings, files)

    def _controllers_group(self, member: Member, programs: Programs) -> Group:
        server, binaries = self.server(member), programs.kubernetes[member.minor]
        election = {"leader-elect": "true"} if len(self.spec.members) > 1 else {}
        manager, scheduling = (self._kubeconfig(member, server, name) for name in (CONTROLLER_MANAGER, SCHEDULER))
        own = flags.controller_manager(server.authority.files) | election
        commands = {
            manager: controller_manager(binaries[CONTROLLER_MANAGER], manager, server, flags.CONTROLLERS, own),
            scheduling: scheduler(binaries[SCHEDULER], scheduling, election),
        }
        environment = {"TZ": self.spec.timezone} if self.spec.timezone else {}
        programs_here = tuple(
            Program(self._name(member.name, config.stem), command, (config,), environment=environment)
            for config, command in commands.items()
        )
        return Group(self.controllers_name(member), programs_here, PRIORITY)

    def _kubeconfig(self, member: Member, server: ApiServer, component: str) -> Path:
        path = private_folder(self.folder / member.name) / f"{component}.kubeconfig"
        write_private(path, server.own_kubeconfig(server.identity(f"system:{component}")))
        return path

    def _kwok_group(self, binary: Path) -> Group:
        spec, folder = self.spec, self.folder
        kubeconfig, config, log = folder / "kwok.kubeconfig", folder / "kwok.yaml", folder / "emulated.log"
        server = self.server(spec.members[0])
        url = server.url if len(spec.members) == 1 else spec.endpoint
        user = server.identity("ackbox:kwok", file_name="kwok")
        write_private(kubeconfig, server.own_kubeconfig(user, url))
        request = Request("system:node:emulated", Usage.SERVER, hosts=(str(spec.kubelet_address),))
        kubelet = self.authority.obtain("kubelet", request)
        write_private(config, kwok.configuration(spec, kubelet, log))
        if not log.exists():
            write_private(log, kwok.log_file())
        command = kwok.command(binary, config, kubeconfig, url, self.authority.certificate, user)
        # KWOK reads its server certificate once.
        return single(Program(self.kwok_name, command, (config, kubeconfig, kubelet.certificate)), PRIORITY)

    @property
    def _encryption_file(self) -> Path:
        return self.folder / "encryption.yaml"

    def _name(self, *parts: str) -> str:
        return "-".join((self.spec.cluster_id, *parts))


def identity(server: ApiServer) -> KeyFiles:
    """Who ackbox itself is for a workload cluster: one who may do everything. Never leaves ackbox."""
    return server.identity("ackbox:bootstrap", "system:masters", file_name="bootstrap")


def audit_log(home: Home, cluster_id: str, member: str) -> Path:
    """Where the API server of a member writes its audit log; rotated ones lie beside it."""
    return home.logs / f"{cluster_id}-{member}-audit.log"
