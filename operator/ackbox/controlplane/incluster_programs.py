"""The programs of one control plane as they run in Pods, from its spec. Pure.

Commands are those of the local driver (`runtime`, `flags.py`); what differs in a Pod is said here: programs listen on
every address of their Pod and are dialled by their Service's, and the kubelet asks them how they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ackbox.controlplane import flags, kwok, kwok_start
from ackbox.controlplane.flags import API_SERVER, CONTROLLER_MANAGER, ETCD, KWOK, SCHEDULER
from ackbox.controlplane.images import Images
from ackbox.controlplane.incluster_keys import HeldAuthority, Keyring
from ackbox.controlplane.spec import ControlPlaneSpec, EtcdMember, Member
from ackbox.runtime.certificates import KeyPair, Request, Usage
from ackbox.runtime.etcd import ETCD_PEER_PORT, ETCD_PORT, Etcd
from ackbox.runtime.kubernetes import ADMIN_GROUP, API_PORT, ApiServer, controller_manager, scheduler

EVERYWHERE = "0.0.0.0"  # noqa: S104 - a Pod's address isn't known before it runs
ETCD_HEALTH_PORT, MANAGER_PORT, SCHEDULER_PORT = 2381, 10257, 10259

ETCD_DATA = Path("/var/lib/etcd")

# The data that an etcd may hold before it refuses writes: half of what it asks for by default.
ETCD_QUOTA_BYTES = 2 * 1024**3

DRAIN_SECONDS = 4
"""How long an API server that stops goes on serving, so that its Service leads nobody to it any more."""

BOOTSTRAP = Request("ackbox:bootstrap", Usage.CLIENT, ("system:masters",))
"""Who ackbox itself is for a workload cluster: one who may do everything. Never leaves ackbox."""

BOOTSTRAP_FILE = "bootstrap"
"""What its certificate is kept as."""

METRICS_API = Request("metrics-server", Usage.SERVER, hosts=("metrics-server.kube-system.svc",))
"""What the cluster's ccm shows as its metrics API; `ackbox.ccm.usage` serves it."""


@dataclass(frozen=True)
class Health:
    """Where a program says how it is.

    Attributes:
        scheme: `HTTP` or `HTTPS`.
        live, ready: paths.
    """

    port: int
    scheme: str
    live: str
    ready: str


@dataclass(frozen=True)
class PodProgram:
    """A program that runs as a container.

    Attributes:
        name: of the container.
        ports: by name.
        cpu, memory: what it asks for, as Kubernetes writes quantities.
        environment: its variables.
        restarts_for: files that it reads only when it starts.
        capabilities: what its binary asks for, whether it needs it or not.
    """

    name: str
    image: str
    command: tuple[str, ...]
    health: Health
    ports: Mapping[str, int]
    cpu: str
    memory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    restarts_for: tuple[Path, ...] = ()
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """What runs to its end before a Pod's programs start."""

    name: str
    image: str
    command: tuple[str, ...]


class Programs:
    """What runs for a control plane; asking for a program puts the files that it needs into the keyring."""

    def __init__(self, spec: ControlPlaneSpec, etcd: tuple[EtcdMember, ...], keyring: Keyring, images: Images) -> None:
        """Take the etcd as well: the spec's own, or the one that stands in for the shared one."""
        self._spec = spec
        self._keyring = keyring
        self._images = images
        self.authority = HeldAuthority(keyring, pair=KeyPair(spec.ca_cert_pem, spec.ca_key_pem))
        members = {member.name: member.address for member in etcd}
        self.etcd_cluster = Etcd(ETCD_DATA, members, HeldAuthority(keyring, ETCD))
        self._front_proxy = HeldAuthority(keyring, "front-proxy")
        self._service_accounts = keyring.write("service-accounts.key", spec.sa_key_pem)

    def server(self, member: Member) -> ApiServer:
        """The API server of a member."""
        return ApiServer(
            address=member.address,
            authority=self.authority,
            service_account_key=self._service_accounts,
            service_cidr=self._spec.service_cidr,
            etcd=self.etcd_cluster,
            etcd_prefix=flags.prefix(self._spec.cluster_id),
            authorization="Node,RBAC",
            certificate=f"apiserver-{member.name}",
            hosts=self._spec.settings.hosts,
            domain=self._spec.settings.cluster_domain,
        )

    def etcd(self, member: EtcdMember) -> PodProgram:
        """A member of the etcd."""
        own: dict[str, object] = {
            "listen-client-urls": f"https://{EVERYWHERE}:{ETCD_PORT}",
            "listen-peer-urls": f"https://{EVERYWHERE}:{ETCD_PEER_PORT}",
            # The kubelet has no certificate; nothing but health and metrics is told here.
            "listen-metrics-urls": f"http://{EVERYWHERE}:{ETCD_HEALTH_PORT}",
            # A member is dialled by its Service's address and comes from its Pod's, which no certificate can name.
            "peer-skip-client-san-verification": "true",
            "unsafe-no-fsync": str(self._spec.ephemeral).lower(),
            "quota-backend-bytes": ETCD_QUOTA_BYTES,
        }
        return PodProgram(
            name=ETCD,
            image=self._images.of_etcd(),
            command=self.etcd_cluster.command(Path(ETCD), member.name, own),
            health=Health(ETCD_HEALTH_PORT, "HTTP", "/livez", "/readyz"),
            ports={"client": ETCD_PORT, "peer": ETCD_PEER_PORT, "health": ETCD_HEALTH_PORT},
            cpu="50m",
            memory="96Mi",
            restarts_for=(self.etcd_cluster.authority.certificate,),
        )

    def api_server(self, member: Member) -> PodProgram:
        """The API server of a member."""
        server, settings, keyring = self.server(member), self._spec.settings, self._keyring
        files = flags.ApiServerFiles(
            authority=self.authority.certificate,
            kubelet_caller=self.authority.obtain("kubelet-client", flags.KUBELET_CALLER),
            front_proxy_authority=self._front_proxy.certificate,
            front_proxy=self._front_proxy.obtain("client", flags.FRONT_PROXY_CLIENT),
            encryption=keyring.write("encryption.yaml", flags.encryption(settings.encryption_key))
            if settings.encryption_key
            else Path(),
            audit_policy=keyring.write("audit-policy.yaml", flags.AUDIT_POLICY.read_text()),
            audit_log="-",
        )
        authentication = keyring.write("authentication.yaml", _authentication())
        own: dict[str, object] = {
            "bind-address": EVERYWHERE,
            "anonymous-auth": None,  # the configuration says it, and more exactly
            "authentication-config": authentication,
            # A Service's address may stand where a loopback one may not: real pods reach the API server by `kubernetes`.
            "endpoint-reconciler-type": None,
            "shutdown-delay-duration": f"{DRAIN_SECONDS}s",
        }
        read_once = [self.authority.certificate, server.etcd.authority.certificate, authentication]
        read_once += [files.encryption] * bool(settings.encryption_key) + [files.audit_policy] * settings.audit
        return PodProgram(
            name=API_SERVER,
            image=self._images.of_kubernetes(API_SERVER, member.minor),
            command=server.command(Path(API_SERVER), flags.api_server(settings, files) | own),
            health=Health(API_PORT, "HTTPS", "/livez", "/readyz"),
            ports={"https": API_PORT},
            cpu="100m",
            memory="320Mi",
            restarts_for=tuple(read_once),
            # The official binary carries this as a file capability and isn't started where it can't have it.
            capabilities=("NET_BIND_SERVICE",),
        )

    def controllers(self, member: Member) -> tuple[PodProgram, PodProgram]:
        """The controller manager and the scheduler of a member."""
        server, zone = self.server(member), {"TZ": self._spec.timezone} if self._spec.timezone else {}
        manager, scheduling = (self._kubeconfig(member, server, name) for name in (CONTROLLER_MANAGER, SCHEDULER))
        # A node that is cut off may still run what runs elsewhere by now, so even a single one is elected.
        served: dict[str, object] = {"bind-address": EVERYWHERE, "leader-elect": "true"}
        own = flags.controller_manager(self.authority.files) | served | {"secure-port": MANAGER_PORT}
        return (
            PodProgram(
                name=CONTROLLER_MANAGER,
                image=self._images.of_kubernetes(CONTROLLER_MANAGER, member.minor),
                command=controller_manager(Path(CONTROLLER_MANAGER), manager, server, flags.CONTROLLERS, own),
                health=Health(MANAGER_PORT, "HTTPS", "/healthz", "/healthz"),
                ports={"manager": MANAGER_PORT},
                cpu="50m",
                memory="128Mi",
                environment=zone,
                restarts_for=(manager,),
            ),
            PodProgram(
                name=SCHEDULER,
                image=self._images.of_kubernetes(SCHEDULER, member.minor),
                command=scheduler(Path(SCHEDULER), scheduling, served | {"secure-port": SCHEDULER_PORT}),
                health=Health(SCHEDULER_PORT, "HTTPS", "/livez", "/readyz"),
                ports={"scheduler": SCHEDULER_PORT},
                cpu="25m",
                memory="80Mi",
                environment=zone,
                restarts_for=(scheduling,),
            ),
        )

    def kwok(self) -> tuple[Start, PodProgram]:
        """KWOK, and what comes before it."""
        spec, keyring = self._spec, self._keyring
        server = self.server(spec.members[0])
        url = server.url if len(spec.members) == 1 else spec.endpoint
        user = server.identity("ackbox:kwok", file_name=KWOK)
        kubeconfig = keyring.write("kwok.kubeconfig", server.own_kubeconfig(user, url))
        request = Request("system:node:emulated", Usage.SERVER, hosts=(str(spec.kubelet_address),))
        kubelet = self.authority.obtain("kubelet", request)
        log = keyring.keep("emulated.log", kwok.log_file())
        config = keyring.write("kwok.yaml", kwok.configuration(spec, kubelet, log, EVERYWHERE))
        waiting = (url, str(self.authority.certificate), str(user.certificate), str(user.key))
        command = ("python3", "-I", "-m", kwok_start.__name__, *waiting, "--")
        program = PodProgram(
            name=KWOK,
            image=self._images.of_kwok(),
            command=(KWOK, f"--config={config}", f"--kubeconfig={kubeconfig}"),
            health=Health(kwok.KUBELET_PORT, "HTTPS", "/healthz", "/healthz"),
            ports={"kubelet": kwok.KUBELET_PORT},
            cpu="50m",
            memory="96Mi",
            environment={"HOME": "/tmp"},  # noqa: S108 - it wants a folder to write into
            restarts_for=(config, kubeconfig, kubelet.certificate),
        )
        return Start("leases", self._images.own, command), program

    def issue_for_others(self) -> None:
        """What none of these programs shows: ackbox itself, the users' kubeconfigs, and the cluster's ccm."""
        self.authority.obtain(BOOTSTRAP_FILE, BOOTSTRAP)
        self.authority.obtain("metrics-api", METRICS_API)
        for name in ("admin", "ccm"):
            self.kubeconfig(name)

    def kubeconfig(self, name: str) -> str:
        """Text of a kubeconfig for `ackbox:<name>`, who may do everything, by the API server's load balancer."""
        server = self.server(self._spec.members[0])
        return server.kubeconfig(server.identity(f"ackbox:{name}", ADMIN_GROUP, file_name=name), self._spec.endpoint)

    def _kubeconfig(self, member: Member, server: ApiServer, component: str) -> Path:
        text = server.own_kubeconfig(server.identity(f"system:{component}"))
        return self._keyring.write(f"{member.name}-{component}.kubeconfig", text)


def _authentication() -> str:
    """Whoever shows nothing is asked for it, but where the kubelet and load balancers look whether all is well."""
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [],
        "anonymous": {"enabled": True, "conditions": [{"path": path} for path in ("/livez", "/readyz", "/healthz")]},
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
