"""The process `ackbox operator`."""

import asyncio
import os
from collections.abc import Sequence
from functools import partial

from prometheus_client import REGISTRY

from ackbox.cloud.access.controller import ClusterUsers
from ackbox.cloud.accounts.controller import Accounts
from ackbox.cloud.acls.controller import AccessControlLists
from ackbox.cloud.allocation.addresses_in_cluster import ServiceAddresses
from ackbox.cloud.allocation.book import Book
from ackbox.cloud.allocation.eips import ElasticAddresses
from ackbox.cloud.allocation.exposure import exposure_from
from ackbox.cloud.allocation.ledger import Ledgers
from ackbox.cloud.allocation.listener_ports import ListenerPorts
from ackbox.cloud.allocation.loopback import AddressPool, LoopbackAddresses
from ackbox.cloud.allocation.quota import Quotas
from ackbox.cloud.clusters.addons import Addons
from ackbox.cloud.clusters.agents import Agents
from ackbox.cloud.clusters.controller import Clusters
from ackbox.cloud.clusters.managed import ControlPlanes
from ackbox.cloud.clusters.network import ClusterNetwork
from ackbox.cloud.clusters.node_upgrade import NodeUpgrades
from ackbox.cloud.clusters.parts import Part
from ackbox.cloud.clusters.throttling import Throttling
from ackbox.cloud.clusters.upgrade import Upgrades
from ackbox.cloud.clusters.virtual_nodes import VirtualNodes
from ackbox.cloud.instances.controller import Instances, Releases
from ackbox.cloud.loadbalancers.controller import LoadBalancers
from ackbox.cloud.loadbalancers.services import BalancerServices
from ackbox.cloud.network.controller import Vpcs
from ackbox.cloud.network.elastic import ElasticIPAddresses
from ackbox.cloud.network.route_tables import RouteTables
from ackbox.cloud.nodepools.attachment import Attachments
from ackbox.cloud.nodepools.controller import NodePools
from ackbox.cloud.quotas.controller import CloudQuotas
from ackbox.cloud.reconciling import Cloud, Controller
from ackbox.cloud.store import Store
from ackbox.cloud.world import World
from ackbox.controlplane import images
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster import InClusterControlPlane
from ackbox.controlplane.local import LocalControlPlane
from ackbox.kube.cache import Cache
from ackbox.kube.client import SERVICE, Client
from ackbox.kube.connection import connect
from ackbox.kube.events import EventRecorder
from ackbox.kube.lease import lead
from ackbox.kube.serving import of_registry, serve_in_pod
from ackbox.kube.settings import Settings
from ackbox.kube.watching import watch
from ackbox.runtime.home import Home
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

COMPONENT = "ackbox-operator"


async def run(settings: Settings) -> None:
    """Play the cloud side until cancelled."""
    options = images.from_environment(settings.pod.image) if settings.pod else None
    world = World()
    async with Store(connect(settings.kubeconfig), world.caches()) as client:
        quotas = Quotas(Book(client, world.cloud_quotas), world.cloud_quotas, world.vpcs)
        services = Cache(SERVICE) if settings.in_cluster else None
        addresses = _addresses(settings, client, world)
        events = EventRecorder(client, COMPONENT)
        cloud = Cloud(client, world, events, Ledgers(client, world.vpcs, quotas), quotas, addresses, services)
        running = controllers(cloud, _planes(settings, client, options))
        if options is not None:
            running.append(Agents(cloud, options))
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            if services is not None:
                group.create_task(serve_in_pod(of_registry(REGISTRY), ready.is_set))
                listed = asyncio.Event()
                group.create_task(watch(client, [services], listed, SYSTEM_NAMESPACE))
                await listed.wait()
            group.create_task(watch(client, world.caches(), ready))
            await ready.wait()
            # A replica that waits keeps its caches full, so that it goes on at once where another stopped.
            await lead(client, COMPONENT, settings.pod, partial(_control, running))


async def _control(running: Sequence[Controller]) -> None:
    async with asyncio.TaskGroup() as group:
        for controller in running:
            group.create_task(controller.run())


def _addresses(settings: Settings, client: Client, world: World) -> AddressPool:
    """Where API servers and load balancers are dialled: on this machine, or in the management cluster."""
    if not settings.in_cluster:
        return LoopbackAddresses(client, settings.loopback)
    return ServiceAddresses(client, world.clusters.get, settings.loopback, exposure_from(os.environ))


def _planes(settings: Settings, client: Client, options: PodOptions | None) -> ControlPlanes:
    """What runs control planes: this machine, or the management cluster."""
    if options is not None:
        return InClusterControlPlane(client, options)
    return LocalControlPlane(Home(settings.home, settings.loopback, settings.run))


def controllers(cloud: Cloud, planes: ControlPlanes) -> list[Controller]:
    """Every controller, subscribed to the caches."""
    users = ClusterUsers(cloud)
    addresses = ElasticAddresses(cloud.client)
    return [
        Accounts(cloud),
        Vpcs(cloud),
        RouteTables(cloud),
        ElasticIPAddresses(cloud, addresses),
        Clusters(cloud, planes, [users, *parts(cloud)]),
        users,
        NodePools(cloud),
        Attachments(cloud),
        Instances(cloud),
        Releases(cloud),
        LoadBalancers(cloud, addresses),
        AccessControlLists(cloud),
        CloudQuotas(cloud),
        *([BalancerServices(cloud, cloud.services, ListenerPorts(cloud.client))] if cloud.services is not None else []),
    ]


def parts(cloud: Cloud) -> list[Part]:
    """What a managed cluster consists of beside its control plane."""
    return [
        Throttling(),
        ClusterNetwork(cloud.world),
        Addons(cloud),
        VirtualNodes(cloud),
        Upgrades(cloud),
        NodeUpgrades(cloud),
    ]
