"""A range of ports before real servers: each port leads to the same port of a server. Pure.

The responder stands in for virtual servers and learns from a header which port was asked for. Real servers need a
cluster for each port, for an endpoint of Envoy has one port.
"""

from collections.abc import Mapping
from dataclasses import replace

from ackbox.dataplane.model import Branch, Frontend
from ackbox.resources.listener import ListenerSpec


def spread(name: str, spec: ListenerSpec, frontend: Frontend, branch: Branch) -> tuple[Frontend, Mapping[str, Branch]]:
    """A listener with a cluster for each of its ports, where its servers have no port of their own.

    Nobody probes such servers: there is no port that all of them are known to have.
    """
    if all(endpoint.address[1] for endpoint in branch.endpoints):
        return frontend, {name: branch}
    dialled = (frontend.address[1], *frontend.more_ports)
    clusters = {port: f"{name}#{own}" for port, own in zip(dialled, spec.ports, strict=False)}
    upstream = replace(branch.upstream, check=None)
    branches = {
        cluster: Branch(
            upstream,
            tuple(replace(one, address=(one.address[0], one.address[1] or own)) for one in branch.endpoints),
        )
        for cluster, own in zip(clusters.values(), spec.ports, strict=False)
    }
    return replace(frontend, port_clusters=tuple(clusters.items())), branches
