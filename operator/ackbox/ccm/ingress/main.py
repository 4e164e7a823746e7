"""Starts the ALB Ingress controller of a workload cluster, beside its other controllers."""

import asyncio

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress.controller import IngressController
from ackbox.ccm.ingress.install import install
from ackbox.ccm.ingress.triggers import KINDS
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.store import Store
from ackbox.kube.events import EventRecorder
from ackbox.kube.watching import watch


async def run(facts: ClusterFacts, management: Store, workload: Store) -> None:
    """Run until cancelled.

    Args:
        facts: the cluster.
        management: the management cluster; its caches are filled.
        workload: the cluster's own; its caches are filled, but for those of `ingress_caches`.

    Raises:
        ExceptionGroup: its API server can't be reached, or the controller failed.
    """
    # Here, so that Nodes and Services needn't wait until the API server knows a new kind.
    await install(workload.client)
    async with asyncio.TaskGroup() as group:
        ready = asyncio.Event()
        group.create_task(watch(workload.client, [workload[kind] for kind in KINDS], ready))
        await ready.wait()
        reporter = Reporter(EventRecorder(workload.client, "ingress"))
        group.create_task(reporter.run())
        group.create_task(IngressController(facts, management, workload, reporter).run())
