"""The process `ackbox operator`."""

import asyncio

from ackbox.cloud.access.controller import ClusterUsers
from ackbox.cloud.accounts.controller import Accounts
from ackbox.cloud.acls.controller import AccessControlLists
from ackbox.cloud.allocation.book import Book
from ackbox.cloud.allocation.eips import ElasticAddresses
from ackbox.cloud.allocation.ledger import Ledgers
from ackbox.cloud.allocation.loopback import LoopbackAddresses
from ackbox.cloud.allocation.quota import Quotas
from ackbox.cloud.clusters.addons import Addons
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
from ackbox.cloud.network.controller import Vpcs
from ackbox.cloud.network.elastic import ElasticIPAddresses
from ackbox.cloud.network.route_tables import RouteTables
from ackbox.cloud.nodepools.attachment import Attachments
from ackbox.cloud.nodepools.controller import NodePools
from ackbox.cloud.quotas.controller import CloudQuotas
from ackbox.cloud.reconciling import Cloud, Controller
from ackbox.cloud.store import Store
from ackbox.cloud.world import World
from ackbox.controlplane.local import LocalControlPlane
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.events import EventRecorder
from ackbox.kube.settings import Settings
from ackbox.kube.watching import watch
from ackbox.runtime.home import Home

COMPONENT = "ackbox-operator"


async def run(settings: Settings) -> None:
    """Play the cloud side until cancelled."""
    planes = LocalControlPlane(Home(settings.home, settings.loopback, settings.run))
    world = World()
    async with Store(load_kubeconfig(settings.kubeconfig), world.caches()) as client:
        quotas = Quotas(Book(client, world.cloud_quotas), world.cloud_quotas, world.vpcs)
        loopback = LoopbackAddresses(client, settings.loopback)
        events = EventRecorder(client, COMPONENT)
        cloud = Cloud(client, world, events, Ledgers(client, world.vpcs, quotas), quotas, loopback)
        running = controllers(cloud, planes)
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(client, world.caches(), ready))
            await ready.wait()
            for controller in running:
                group.create_task(controller.run())


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
