"""Addresses in a cluster: reserved by making a Service, which the API server gives a ClusterIP.

Every Service says in an annotation whose address it holds, so what there is can be found again after a restart.
A control plane's Services stand beside its ManagedCluster and go with it. Those of load balancers stand beside the
data plane's Pods, for a Service finds Pods of its own namespace only: the load balancer's finalizer takes them away.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeAlias

from ackbox.cloud.allocation.exposure import Exposure
from ackbox.cloud.allocation.loopback import AddressesExhausted, LoopbackAddresses
from ackbox.controlplane import labels as control_planes
from ackbox.controlplane.kwok import KUBELET_PORT
from ackbox.kube.client import SERVICE, Client, Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.errors import Invalid, NotFound
from ackbox.kube.refs import owner_reference
from ackbox.resources import MANAGED_CLUSTER, SERVICE_LOAD_BALANCER
from ackbox.resources.balancer_service import ADDRESS_OF, PLACEHOLDER
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.runtime.loopback import API_PORT, AddressUse
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

LOAD_BALANCER = "load-balancer"
"""The component of load balancers' Services."""

DATA_PLANE = {"app.kubernetes.io/component": "slb"}
"""The labels of the data plane's Pods, which every load balancer's Service leads to."""

PORTS: Mapping[str, Mapping[str, int]] = {
    "apiserver": {"https": API_PORT},
    "etcd": {"client": 2379, "peer": 2380},
    "kubelet": {"kubelet": KUBELET_PORT, "metrics-api": 4443},
}
"""The ports of a control plane's parts, by name; the same at the Service and at the Pod."""

MAX_NAME = 63
"""Characters of a Service's name."""

GIVEN_BACK_SECONDS = (0.1, 0.3, 1.0)
"""Pauses between tries to get an address again."""

FindCluster: TypeAlias = Callable[[str, str], Object | None]
"""The ManagedCluster of a namespace and a name."""


@dataclass(frozen=True)
class Owner:
    """Whose address it is.

    Attributes:
        component: `apiserver`, `etcd`, `kubelet` or `load-balancer`.
        namespace: of the ManagedCluster or ServiceLoadBalancer.
        name: its name.
        member: the part of a control plane; empty for a load balancer.
    """

    component: str
    namespace: str
    name: str
    member: str = ""


def parse(owner: str) -> Owner:
    """The parts of an owner's name.

    Raises:
        ValueError: it is none.
    """
    kind, namespace, name, *member = owner.split("/")
    if kind == SERVICE_LOAD_BALANCER.kind and not member:
        return Owner(LOAD_BALANCER, namespace, name)
    if kind not in PORTS or len(member) != 1:
        raise ValueError(f"{owner} owns no address")
    return Owner(kind, namespace, name, member[0])


def service_name(owner: str) -> str:
    """The name of an owner's Service; that of a load balancer is told from others of its look by a hash."""
    who = parse(owner)
    if who.component == LOAD_BALANCER:
        digest = hashlib.sha256(owner.encode()).hexdigest()[:10]
        name = f"slb-{who.namespace}-{who.name}".replace(".", "-")
        return f"{name[: MAX_NAME - len(digest) - 1].rstrip('-')}-{digest}"
    return control_planes.object_name(who.name, "kubelet" if who.component == "kubelet" else who.member)


def service_namespace(owner: str) -> str:
    """The namespace of an owner's Service."""
    who = parse(owner)
    return SYSTEM_NAMESPACE if who.component == LOAD_BALANCER else who.namespace


def labels(owner: str) -> dict[str, str]:
    """The labels of an owner's Service; the Pods of a control plane's part carry them too, and are found by them."""
    who = parse(owner)
    if who.component == LOAD_BALANCER:
        return {control_planes.COMPONENT_LABEL: LOAD_BALANCER}
    return control_planes.dialled(who.name, who.component, who.member)


def service(owner: str, exposure: Exposure) -> Object:
    """What an owner's Service must say; the ports of a load balancer's follow its listeners, elsewhere."""
    who = parse(owner)
    spec: dict[str, Any]
    if who.component == LOAD_BALANCER:
        spec = {"type": exposure.service_type, "selector": DATA_PLANE}
    else:
        # The emulated nodes' kubelet and their metrics are ports of different Pods, told apart by name.
        named = who.component == "kubelet"
        ports = [
            {"name": name, "port": port, "protocol": "TCP", "targetPort": name if named else port}
            for name, port in PORTS[who.component].items()
        ]
        spec = {"type": "ClusterIP", "selector": labels(owner), "ports": ports}
    if who.component == "etcd":
        # The members must find each other before any of them is ready.
        spec["publishNotReadyAddresses"] = True
    metadata = {"name": service_name(owner), "labels": labels(owner), "annotations": {ADDRESS_OF: owner}}
    return {"metadata": metadata, "spec": spec}


def first_body(owner: str, exposure: Exposure, cluster: Object | None, address: str | None) -> Object:
    """The Service to create.

    Args:
        owner: who needs the address.
        exposure: how load balancers are reached.
        cluster: the ManagedCluster that it goes with.
        address: the ClusterIP that it had before.
    """
    body = service(owner, exposure)
    metadata, spec = body["metadata"], body["spec"]
    # An API server's address goes into certificates and into fields that hold IPv4 addresses.
    spec |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}
    if parse(owner).component == LOAD_BALANCER:
        spec |= {"ports": [PLACEHOLDER], **exposure.implementation}
    if address is not None:
        spec["clusterIP"] = address
    if cluster is not None:
        metadata["ownerReferences"] = [_reference(cluster)]
    return body


def mending(found: Object, owner: str, exposure: Exposure, cluster: Object | None) -> Object:
    """The merge patch that brings an owner's Service to what it must say; empty when it says it.

    Raises:
        AddressesExhausted: it isn't ours, or it goes.
    """
    metadata = found["metadata"]
    where = f"Service {metadata['namespace']}/{metadata['name']}"
    if owner_of(found) != owner:
        raise AddressesExhausted(f"{where} isn't ackbox's own; it needs that name for an address: delete the Service")
    owners = {each["uid"] for each in metadata.get("ownerReferences") or ()}
    # What an earlier cluster of the name has left: the garbage collector takes it.
    left_over = cluster is not None and owners and cluster["metadata"]["uid"] not in owners
    if metadata.get("deletionTimestamp") or left_over:
        raise AddressesExhausted(f"{where} is being deleted")
    wanted = service(owner, exposure)
    if cluster is not None and not owners:
        wanted["metadata"]["ownerReferences"] = [_reference(cluster)]
    difference = merge_difference(found, wanted)
    if "type" in difference.get("spec", {}):
        # It can be chosen with the type, and not later.
        difference["spec"] |= exposure.implementation
    return difference


def _reference(cluster: Object) -> Object:
    metadata = cluster["metadata"]
    return {**owner_reference(MANAGED_CLUSTER, metadata["name"], metadata["uid"]), "controller": True}


def owner_of(obj: Object) -> str | None:
    """Whose address a Service holds; None when it is none of ours."""
    owner: str | None = (obj["metadata"].get("annotations") or {}).get(ADDRESS_OF)
    return owner


def dialled(obj: Object) -> str:
    """Where the owner of a Service is dialled.

    Raises:
        AddressesExhausted: the Service has no such address yet.
    """
    metadata, spec = obj["metadata"], obj["spec"]
    if spec.get("type") != "LoadBalancer":
        return str(spec["clusterIP"])
    given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for entry in given:
        with contextlib.suppress(ValueError):
            return str(IPv4Address(entry.get("ip") or ""))
    where = f"Service {metadata['namespace']}/{metadata['name']}"
    if given:
        raise AddressesExhausted(f"{where} of type LoadBalancer was given a host name; ackbox needs an IPv4 address")
    raise AddressesExhausted(f"{where} of type LoadBalancer has no address yet")


class ServiceAddresses:
    """An `AddressPool` whose addresses are ClusterIPs.

    Args:
        client: calls the management cluster.
        clusters: finds the ManagedCluster that a Service goes with.
        numbers: the range that load balancers get their numbers from.
        exposure: how load balancers are reached.
    """

    def __init__(self, client: Client, clusters: FindCluster, numbers: IPv4Network, exposure: Exposure) -> None:
        self._client = client
        self._clusters = clusters
        self._numbers = LoopbackAddresses(client, numbers)
        self._exposure = exposure
        self._known: dict[str, str] = {}

    async def reserve(self, owner: str, _use: AddressUse, /, before: str | None = None) -> str:
        """See `AddressPool`; a Service that was changed or deleted by hand is mended.

        Raises:
            AddressesExhausted: the Service has no address yet, or its name is somebody else's.
        """
        found = await self._find(owner)
        found = await (
            self._create(owner, self._known.get(owner) or before) if found is None else self._mend(owner, found)
        )
        self._known[owner] = found["spec"]["clusterIP"]
        return dialled(found)

    async def release(self, owner: str) -> None:
        """See `AddressPool`."""
        found = await self._find(owner)
        if found is not None and owner_of(found) == owner:
            await self._delete(found)
        self._known.pop(owner, None)
        if parse(owner).component == LOAD_BALANCER:
            await self._numbers.release(owner)

    async def release_others(self, prefix: str, kept: Collection[str]) -> None:
        """See `AddressPool`; the prefix names a component, a namespace and a ManagedCluster."""
        who = parse(f"{prefix}any")
        selector = f"{CLUSTER_LABEL}={who.name},{control_planes.COMPONENT_LABEL}={who.component}"
        found, _ = await self._client.list(SERVICE, who.namespace, label_selector=selector)
        for obj in found:
            owner = owner_of(obj)
            if owner is not None and owner.startswith(prefix) and owner not in kept:
                await self._delete(obj)
                self._known.pop(owner, None)

    async def number(self, owner: str) -> int:
        """See `AddressPool`; a ClusterIP is unique only as a whole, so numbers are reserved on their own."""
        return await self._numbers.number(owner)

    async def _find(self, owner: str) -> Object | None:
        try:
            return await self._client.get(SERVICE, service_name(owner), service_namespace(owner))
        except NotFound:
            return None

    def _cluster(self, who: Owner) -> Object | None:
        """The ManagedCluster that a Service goes with; None for one of a load balancer.

        Raises:
            NotFound: it is gone meanwhile; nothing would ever take its Service away.
        """
        if who.component == LOAD_BALANCER:
            return None
        found = self._clusters(who.namespace, who.name)
        if found is None:
            raise NotFound(404, "NotFound", f"ManagedCluster {who.namespace}/{who.name} is gone")
        return found

    async def _create(self, owner: str, before: str | None) -> Object:
        who, namespace = parse(owner), service_namespace(owner)
        cluster = self._cluster(who)
        # The address of type LoadBalancer isn't the ClusterIP, so what was dialled before says nothing of it.
        address = before if who.component != LOAD_BALANCER or self._exposure.service_type != "LoadBalancer" else None
        # The API server gives an address back a moment after its Service is gone.
        for pause in GIVEN_BACK_SECONDS if address is not None else ():
            try:
                body = first_body(owner, self._exposure, cluster, address)
                return await self._client.create(SERVICE, body, namespace)
            except Invalid:
                await asyncio.sleep(pause)
        # Taken meanwhile, or from a range that the cluster no longer has.
        return await self._client.create(SERVICE, first_body(owner, self._exposure, cluster, None), namespace)

    async def _mend(self, owner: str, found: Object) -> Object:
        difference = mending(found, owner, self._exposure, self._cluster(parse(owner)))
        if not difference:
            return found
        return await self._client.patch(SERVICE, found["metadata"]["name"], found["metadata"]["namespace"], difference)

    async def _delete(self, obj: Object) -> None:
        metadata = obj["metadata"]
        with contextlib.suppress(NotFound):
            await self._client.delete(SERVICE, metadata["name"], metadata["namespace"], uid=metadata["uid"])
