"""The virtual nodes of a serverless cluster: one a zone, without a machine behind it.

What a pod needs to come onto one, a toleration, ACK adds to every pod of such a cluster; here an admission policy of the
workload cluster does. Names, labels and taint are ACK's (User Guide, virtual nodes).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network

from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation.ledger import Subnet, find_subnet, without_allocations
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.reconciling import Cloud
from ackbox.controlplane.kwok import KUBELET_PORT
from ackbox.kube.client import NODE, POD, Client, Object
from ackbox.kube.conditions import merge_difference, timestamp
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.kube.refs import resolve
from ackbox.resources import Kind, ManagedCluster
from ackbox.resources.base import EMULATED_LABEL

logger = logging.getLogger(__name__)

TAINT = {"key": "virtual-kubelet.io/provider", "value": "alibabacloud", "effect": "NoSchedule"}
TOLERATION = {**TAINT, "operator": "Equal"}
POLICY_SECONDS = 3.0
"""An API server takes about a second to put an admission policy in force."""

TYPE_LABEL = {"type": "virtual-kubelet"}

ROOM = {"cpu": "100000", "memory": "400000Gi", "ephemeral-storage": "100000Gi"}
"""There is no machine that could be full; only the number of pods has a limit."""

POLICY_API = "admissionregistration.k8s.io"
POLICY = Kind(POLICY_API, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False)
BINDING = Kind(POLICY_API, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False)
POLICY_NAME = "virtual-nodes.ackbox.dev"


@dataclass(frozen=True)
class Place:
    """Where a virtual node is.

    Attributes:
        pods: how many of the cluster's pods it may have.
    """

    zone: str
    cidr: IPv4Network
    pods: int

    @property
    def name(self) -> str:
        """Of the Node."""
        return f"virtual-kubelet-{self.zone}"


class VirtualNodes:
    """The part of serverless clusters that their pods run on."""

    def __init__(self, cloud: Cloud, now: Callable[[], float] = time.monotonic) -> None:
        self._cloud = cloud
        self._now = now
        self._tolerated: dict[str, float] = {}
        self._swept: set[str] = set()

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:  # noqa: ARG002
        """See `Part.ensure`."""
        if cluster.spec.profile != "Serverless":
            return Outcome()
        namespace = cluster.metadata.namespace
        found = resolve(self._cloud.world.vpcs, namespace, cluster.spec.vpc_id)
        if found is None:
            return Outcome()
        vpc = without_allocations(found)
        subnets = [find_subnet(vpc, reference) for reference in cluster.spec.vswitch_ids]
        quota = self._cloud.quotas.limit(namespace, QuotaName.PODS, edition(cluster.spec).value)
        tainted = await self._tolerating(cluster, workload)
        wanted = {
            place.name: virtual_node(place, cluster, tainted, datetime.now(UTC))
            for place in places([subnet for subnet in subnets if subnet is not None], quota)
        }
        there, _ = await workload.list(NODE, label_selector="type=virtual-kubelet")
        for node in there:
            if node["metadata"]["name"] not in wanted:
                await workload.delete(NODE, node["metadata"]["name"])
        known = {node["metadata"]["name"]: node for node in there}
        for name, node in wanted.items():
            await _bring(workload, known.get(name), node)
        return Outcome(again=await self._earlier_pods(cluster, workload) if tainted else None)

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""
        self._tolerated.pop(uid, None)
        self._swept.discard(uid)

    async def _earlier_pods(self, cluster: ManagedCluster, workload: Client) -> float | None:
        """Give pods the toleration that came before the policy was in force; seconds to wait, if it may not be yet."""
        uid = cluster.metadata.uid
        if uid in self._swept:
            return None
        since = self._tolerated.setdefault(uid, self._now())
        if self._now() < since + POLICY_SECONDS:
            return since + POLICY_SECONDS - self._now()
        pods, _ = await workload.list(POD)
        for pod in pods:
            tolerations = pod["spec"].get("tolerations") or []
            if not pod["spec"].get("nodeName") and not any(each.get("key") == TAINT["key"] for each in tolerations):
                patch = {"spec": {"tolerations": [*tolerations, TOLERATION]}}
                await workload.patch(POD, pod["metadata"]["name"], pod["metadata"]["namespace"], patch)
        self._swept.add(uid)
        return None

    async def _tolerating(self, cluster: ManagedCluster, workload: Client) -> bool:
        """Whether every pod gets the toleration by itself; not before Kubernetes 1.36, which has the API for it."""
        if cluster.metadata.uid in self._tolerated:
            return True
        try:
            for kind, body in ((POLICY, toleration_policy()), (BINDING, toleration_binding())):
                await workload.apply(kind, body, "ackbox")
        except NotFound:
            return False
        return True


async def _bring(workload: Client, there: Object | None, wanted: Object) -> None:
    name = wanted["metadata"]["name"]
    if there is None:
        try:
            await workload.create(NODE, wanted)
        except AlreadyExists:
            logger.debug("virtual node %s is there already", name)
        return
    labels = merge_difference(there["metadata"].get("labels"), wanted["metadata"]["labels"])
    if labels:
        await workload.patch(NODE, name, None, {"metadata": {"labels": labels}})
    taints = (there.get("spec") or {}).get("taints") or []
    if wanted["spec"]["taints"] and not any(taint["key"] == TAINT["key"] for taint in taints):
        await workload.patch(NODE, name, None, {"spec": {"taints": [*taints, TAINT]}})
    kept = {field: wanted["status"][field] for field in ("capacity", "allocatable", "nodeInfo")}
    if difference := merge_difference(there.get("status"), kept):
        await workload.patch(NODE, name, None, {"status": difference}, "status")


def places(subnets: Sequence[Subnet], quota: int) -> list[Place]:
    """A virtual node for each zone; together they hold as many pods as the cluster may have."""
    zones = {subnet.zone: subnet.cidr for subnet in reversed(subnets)}
    each, rest = divmod(quota, len(zones)) if zones else (0, 0)
    return [Place(zone, zones[zone], each + (number < rest)) for number, zone in enumerate(sorted(zones))]


def virtual_node(place: Place, cluster: ManagedCluster, tainted: bool, now: datetime) -> Object:
    """The whole Node. Its pods take addresses of the upper half of the vSwitch: machines are given the lower ones first."""
    region, at = cluster.spec.region_id, timestamp(now)
    pods = str(list(place.cidr.subnets())[1])
    labels = {
        **TYPE_LABEL,
        "kubernetes.io/hostname": place.name,
        "kubernetes.io/role": "agent",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": place.zone,
        "topology.kubernetes.io/region": region,
        "failure-domain.beta.kubernetes.io/zone": place.zone,
        "failure-domain.beta.kubernetes.io/region": region,
        EMULATED_LABEL: "true",
    }
    room = {**ROOM, "pods": str(place.pods)}
    healthy = ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    version = f"v{(cluster.status.current_version or '').removeprefix('v')}"
    return {
        "metadata": {"name": place.name, "labels": labels, "annotations": {EMULATED_LABEL: "true"}},
        "spec": {"podCIDR": pods, "podCIDRs": [pods], "taints": [TAINT] if tainted else []},
        "status": {
            "capacity": room,
            "allocatable": room,
            "addresses": _addresses(place, cluster),
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
                for kind, status, reason, message in (healthy,)
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": _node_info(version),
        },
    }


def _addresses(place: Place, cluster: ManagedCluster) -> list[dict[str, str]]:
    """The cloud keeps the last addresses of a vSwitch for itself, so nobody else has this one."""
    known = {
        "InternalIP": str(place.cidr[-2]),
        "Hostname": place.name,
        "InternalDNS": cluster.status.kubelet_address,
    }
    return [{"type": kind, "address": address} for kind, address in known.items() if address]


def _node_info(version: str) -> dict[str, str]:
    empty = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"), ""
    )
    return {
        **empty,
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "operatingSystem": "linux",
        "architecture": "amd64",
    }


def toleration_policy() -> Object:
    """Pods that don't tolerate virtual nodes yet are made to."""
    key = TAINT["key"]
    toleration = (
        f'Object.spec.tolerations{{key: "{key}", operator: "Equal", value: "{TAINT["value"]}", effect: "NoSchedule"}}'
    )
    tolerates = f'has(object.spec.tolerations) && object.spec.tolerations.exists(t, has(t.key) && t.key == "{key}")'
    expression = (
        f'has(object.spec.tolerations) ? [JSONPatch{{op: "add", path: "/spec/tolerations/-", value: {toleration}}}]'
        f' : [JSONPatch{{op: "add", path: "/spec/tolerations", value: [{toleration}]}}]'
    )
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    return {
        "metadata": {"name": POLICY_NAME},
        "spec": {
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [pods]},
            "matchConditions": [{"name": "not-tolerating-yet", "expression": f"!({tolerates})"}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    }


def toleration_binding() -> Object:
    """What puts the policy in force, for all namespaces."""
    return {"metadata": {"name": POLICY_NAME}, "spec": {"policyName": POLICY_NAME}}
