"""Makes certificates of the account from TLS Secrets of a workload cluster, and takes them away again.

What is written here shows in the cache of certificates a few seconds later, so every write may find its work done.
"""

import contextlib
from collections.abc import Container, Mapping

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.certificates import CERTIFICATE, PRIVATE_KEY, TLS_TYPE
from ackbox.ccm.services.plan import metadata_of
from ackbox.ccm.store import Store
from ackbox.kube.client import SECRET, Object
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.base import CERTIFICATE_LABEL


async def bring(
    management: Store, facts: ClusterFacts, load_balancer: ServiceLoadBalancer, mark: str, wanted: Mapping[str, Object]
) -> None:
    """Make or renew the copies that a load balancer needs; they go with it at the latest.

    Args:
        management: the management cluster.
        facts: the workload cluster.
        load_balancer: whose listeners use them.
        mark: value of the owner label.
        wanted: the Secrets to copy, by certificate id.
    """
    client, namespace = management.client, facts.namespace
    existing = _own(management, facts, mark)
    for name, secret in wanted.items():
        data = {key: secret["data"][key] for key in (CERTIFICATE, PRIVATE_KEY)}
        if name in existing and existing[name].get("data") == data:
            continue
        metadata = metadata_of(name, load_balancer, facts)
        metadata["labels"] |= {CERTIFICATE_LABEL: name, names.OWNER_LABEL: mark}
        try:
            await client.create(SECRET, {"metadata": metadata, "type": TLS_TYPE, "data": data}, namespace)
        except AlreadyExists:
            await client.patch(SECRET, name, namespace, {"metadata": metadata, "data": data})


async def remove(management: Store, facts: ClusterFacts, mark: str, keep: Container[str] = ()) -> None:
    """Take away the copies that no listener uses any more."""
    for name, secret in _own(management, facts, mark).items():
        if name not in keep:
            with contextlib.suppress(NotFound):
                await management.client.delete(SECRET, name, facts.namespace, secret["metadata"]["uid"])


def _own(management: Store, facts: ClusterFacts, mark: str) -> dict[str, Object]:
    return {
        secret["metadata"]["name"]: secret
        for secret in management[SECRET].all(facts.namespace)
        if (secret["metadata"].get("labels") or {}).get(names.OWNER_LABEL) == mark
    }
