"""The controllers of one workload cluster, running until cancelled or until something breaks."""

import asyncio

from ackbox.ccm.config import config_cache
from ackbox.ccm.configmap import CloudConfigMap
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import main as ingress
from ackbox.ccm.ingress.triggers import ingress_caches
from ackbox.ccm.nodes.controller import NodeController, node_cache
from ackbox.ccm.nodes.model import KUBELET_PORT
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.services.controller import ServiceController
from ackbox.ccm.services.triggers import service_caches
from ackbox.ccm.store import Store
from ackbox.ccm.usage import server as usage
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection
from ackbox.kube.events import EventRecorder
from ackbox.kube.watching import watch


async def run_cluster(facts: ClusterFacts, connection: Connection, management: Store, front: usage.Front) -> None:
    """Run the CCM of a workload cluster, and its metrics API.

    Raises:
        ExceptionGroup: its API server can't be reached, or a controller failed.
    """
    async with Client(connection) as client, asyncio.TaskGroup() as group:
        watched = [node_cache(facts.region), *service_caches()]
        workload = Store(client, [*watched, *ingress_caches(), config_cache()])
        ready = asyncio.Event()
        group.create_task(watch(client, watched, ready))
        await ready.wait()
        own = Reporter(EventRecorder(client, "cloud-controller-manager"))
        group.create_task(own.run())
        config = CloudConfigMap(facts, management, workload, own)
        await config.look()
        group.create_task(config.run())
        services = Reporter(EventRecorder(client, "service-controller"))
        group.create_task(services.run())
        group.create_task(ServiceController(facts, management, workload, services).run())
        if facts.external:
            return  # its nodes and routes are its own affair
        group.create_task(usage.serve(client, facts.kubelet_address, KUBELET_PORT, front))
        group.create_task(ingress.run(facts, management, workload))
        nodes = Reporter(EventRecorder(client, "node-controller"))
        group.create_task(nodes.run())
        routes = Reporter(EventRecorder(client, "route-controller"))
        group.create_task(routes.run())
        group.create_task(NodeController(facts, management, workload, nodes, routes).run())
