"""The objects of one control plane in the management cluster. Pure.

Each member is a Deployment or StatefulSet of its own, so that it can be stopped, upgraded and taken away alone: a
master that is off has no Pods, and every member of an etcd keeps its volume.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from ackbox.controlplane import labels
from ackbox.controlplane.flags import API_SERVER, ETCD, KWOK
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_keys import Keyring
from ackbox.controlplane.incluster_pods import Manifest, PodPlan, Volumes, digest, template
from ackbox.controlplane.incluster_programs import DRAIN_SECONDS, ETCD_DATA, PodProgram, Programs, Start
from ackbox.controlplane.spec import ControlPlaneSpec, EtcdMember, Member
from ackbox.kube.refs import owner_reference
from ackbox.resources import MANAGED_CLUSTER, Kind
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.runtime.etcd import ETCD_PEER_PORT, ETCD_PORT, ETCD_STOP_SECONDS

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
STATEFUL_SET = Kind("apps", "v1", "statefulsets", "StatefulSet")
DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
WORKLOADS = (DEPLOYMENT, STATEFUL_SET)

CONTROLLERS = "controllers"
"""The program of the Pods with a member's controller manager and scheduler."""

API_SERVER_STOP_SECONDS = DRAIN_SECONDS + 6
DATA = "data"

# One that is being replaced goes before its successor comes.
RECREATE: Manifest = {"type": "Recreate"}
# Or the other way round: there is always one that answers.
OVERLAP: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet, and whose part it is.

    Attributes:
        member: the API server or the member of the etcd.
    """

    kind: Kind
    member: str
    body: Manifest

    @property
    def name(self) -> str:
        """The object's name."""
        name: str = self.body["metadata"]["name"]
        return name


@dataclass(frozen=True)
class Manifests:
    """Everything that a control plane consists of.

    Attributes:
        secret: the Secret with its files.
        etcd: by member.
        api_servers: by member.
        controllers: what dials the API servers: controller managers, schedulers, KWOK.
        budgets: PodDisruptionBudgets.
    """

    secret: Manifest
    etcd: Mapping[str, Workload]
    api_servers: Mapping[str, Workload]
    controllers: tuple[Workload, ...]
    budgets: tuple[Manifest, ...]

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Every one of them."""
        return (*self.etcd.values(), *self.api_servers.values(), *self.controllers)


def secret_name(cluster: str) -> str:
    """The Secret with the files of a control plane; nobody but ackbox and its Pods should read it."""
    return f"{cluster}-control-plane"


def metadata(spec: ControlPlaneSpec, name: str, extra: Mapping[str, str] | None = None) -> Manifest:
    """An object's metadata; it goes with its ManagedCluster."""
    owner = {**owner_reference(MANAGED_CLUSTER, spec.name, spec.uid), "controller": True}
    every = {CLUSTER_LABEL: spec.name, labels.CLUSTER_ID_LABEL: spec.cluster_id, **(extra or {})}
    return {"name": name, "namespace": spec.namespace, "labels": every, "ownerReferences": [owner]}


def etcd_service(spec: ControlPlaneSpec) -> Manifest:
    """How the etcd of a cluster is dialled that has no etcd members of its own in its spec."""
    ports = [
        {"name": name, "port": port, "protocol": "TCP", "targetPort": port}
        for name, port in (("client", ETCD_PORT), ("peer", ETCD_PEER_PORT))
    ]
    return {
        "metadata": metadata(spec, labels.object_name(spec.name, ETCD)),
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
            "selector": labels.dialled(spec.name, ETCD, ETCD),
            "ports": ports,
            "publishNotReadyAddresses": True,
        },
    }


def stand_in(address: str) -> tuple[EtcdMember, ...]:
    """The etcd of such a cluster."""
    return (EtcdMember(ETCD, IPv4Address(address)),)


def manifests(spec: ControlPlaneSpec, etcd: Sequence[EtcdMember], keyring: Keyring, options: PodOptions) -> Manifests:
    """Everything that a control plane consists of; what its programs read is put into the keyring."""
    programs = Programs(spec, tuple(etcd), keyring, options.images)
    programs.issue_for_others()
    builder = _Builder(spec, keyring, options)
    started, kwok = programs.kwok()
    # The programs first: each puts its files into the keyring, and Pods are made from what is there.
    of_etcd = {each.name: (each, programs.etcd(each)) for each in etcd}
    of_servers = {each.name: (each, programs.api_server(each)) for each in spec.members}
    of_controllers = [(each, programs.controllers(each)) for each in spec.members if each.controllers]
    return Manifests(
        secret=_secret(spec, keyring),
        etcd={name: builder.etcd(member, program) for name, (member, program) in of_etcd.items()},
        api_servers={name: builder.api_server(member, program) for name, (member, program) in of_servers.items()},
        controllers=(
            *(builder.controllers(member, both) for member, both in of_controllers),
            builder.kwok(started, kwok),
        ),
        budgets=_budgets(spec, etcd),
    )


class _Builder:
    """Makes the workloads of one control plane."""

    def __init__(self, spec: ControlPlaneSpec, keyring: Keyring, options: PodOptions) -> None:
        self._spec = spec
        self._files = keyring.files
        self._options = options

    def etcd(self, member: EtcdMember, program: PodProgram) -> Workload:
        """A member of the etcd with its volume, which goes with the cluster and not before."""
        spec, name = self._spec, labels.object_name(self._spec.name, member.name)
        # Named by the cluster's id: a cluster that is made again under its name finds no data of another one.
        claim = f"{DATA}-{spec.cluster_id[1:9]}"
        volumes: Volumes = {DATA: (str(ETCD_DATA), {"emptyDir": {}})} if spec.ephemeral else {}
        mounts = {} if spec.ephemeral else {claim: str(ETCD_DATA)}
        dialled = labels.dialled(spec.name, ETCD, member.name)
        plan = self._plan(ETCD, [program], dialled, ETCD_STOP_SECONDS, volumes=volumes, mounts=mounts)
        more: Manifest = {
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
        }
        if not spec.ephemeral:
            more["volumeClaimTemplates"] = [_claim(claim, self._options)]
            more["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Retain"}
        return self._workload(STATEFUL_SET, name, member.name, plan, member.running, more)

    def api_server(self, member: Member, program: PodProgram) -> Workload:
        """A member's API server."""
        dialled = labels.dialled(self._spec.name, "apiserver", member.name)
        plan = self._plan(API_SERVER, [program], dialled, API_SERVER_STOP_SECONDS)
        name = labels.object_name(self._spec.name, member.name)
        return self._workload(DEPLOYMENT, name, member.name, plan, member.running, {"strategy": OVERLAP})

    def controllers(self, member: Member, programs: Sequence[PodProgram]) -> Workload:
        """What runs beside a member's API server."""
        own = {CLUSTER_LABEL: self._spec.name, labels.MEMBER_LABEL: member.name}
        plan = self._plan(CONTROLLERS, programs, own, 10)
        name = labels.object_name(self._spec.name, f"{member.name}-{CONTROLLERS}")
        return self._workload(DEPLOYMENT, name, member.name, plan, member.running, {"strategy": RECREATE})

    def kwok(self, start: Start, program: PodProgram) -> Workload:
        """The kubelets of the emulated nodes."""
        scratch: Volumes = {"scratch": ("/tmp", {"emptyDir": {}})}  # noqa: S108 - a volume of the Pod's own
        dialled = labels.dialled(self._spec.name, "kubelet", KWOK)
        plan = self._plan(KWOK, [program], dialled, 5, start=start, volumes=scratch)
        name = labels.object_name(self._spec.name, KWOK)
        return self._workload(DEPLOYMENT, name, KWOK, plan, bool(self._spec.running), {"strategy": RECREATE})

    def _plan(
        self,
        program: str,
        programs: Sequence[PodProgram],
        dialled: Mapping[str, str],
        stop_seconds: int,
        start: Start | None = None,
        volumes: Volumes | None = None,
        mounts: Mapping[str, str] | None = None,
    ) -> PodPlan:
        same = {labels.CLUSTER_ID_LABEL: self._spec.cluster_id, labels.PROGRAM_LABEL: program}
        return PodPlan(
            labels={**dialled, **same},
            spread=same,
            programs=programs,
            secret=secret_name(self._spec.name),
            files=self._files,
            start=start,
            volumes=volumes or {},
            mounts=mounts or {},
            stop_seconds=stop_seconds,
        )

    def _workload(self, kind: Kind, name: str, member: str, plan: PodPlan, running: bool, more: Manifest) -> Workload:
        pod = template(plan, self._options)
        spec: Manifest = {
            "replicas": int(running),
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": dict(plan.labels)},
            "template": pod,
            **more,
        }
        about = metadata(self._spec, name, {labels.PROGRAM_LABEL: plan.labels[labels.PROGRAM_LABEL]})
        about["annotations"] = {labels.REVISION_ANNOTATION: digest({"template": json.dumps(pod, sort_keys=True)})}
        return Workload(kind, member, {"metadata": about, "spec": spec})


def _secret(spec: ControlPlaneSpec, keyring: Keyring) -> Manifest:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in keyring.files.items()}
    return {"metadata": metadata(spec, secret_name(spec.name)), "type": "Opaque", "data": data}


def _claim(name: str, options: PodOptions) -> Manifest:
    storage = {"resources": {"requests": {"storage": options.etcd_storage}}, "accessModes": ["ReadWriteOnce"]}
    kind = {"storageClassName": options.etcd_storage_class} if options.etcd_storage_class else {}
    # Whole, as the API server answers it: a StatefulSet's claims can't be changed, so nothing may seem to.
    about = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
    return {**about, "spec": {**storage, **kind, "volumeMode": "Filesystem"}}


def _budgets(spec: ControlPlaneSpec, etcd: Sequence[EtcdMember]) -> tuple[Manifest, ...]:
    """One member at a time: only where there are several, for a single one could never be moved else.

    Of an etcd its majority: where a master is off already, no other member may be moved.
    """
    guarded = {
        API_SERVER: (len(spec.members), {"maxUnavailable": 1}),
        ETCD: (len(etcd), {"minAvailable": len(etcd) // 2 + 1}),
    }
    return tuple(
        {
            "metadata": metadata(spec, labels.object_name(spec.name, program)),
            "spec": {
                **limit,
                "selector": {"matchLabels": {labels.CLUSTER_ID_LABEL: spec.cluster_id, labels.PROGRAM_LABEL: program}},
            },
        }
        for program, (count, limit) in guarded.items()
        if count > 1
    )
