"""What a listener takes at most, by its own words and its load balancer's. Pure."""

from ackbox.catalog.loadbalancers import Limits, limits
from ackbox.dataplane.model import ConnectionLimits, RateLimit
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import LAYER7, ListenerSpec
from ackbox.runtime.envoy import MAX_CONNECTIONS

UNFELT_BANDWIDTH = 5_000
"""Mbit/s from which on a limit is left out: one connection through this Envoy doesn't get there."""

BYTES = 125_000
"""A second, for each Mbit/s."""


def connection_limits(spec: ListenerSpec, balancer: ServiceLoadBalancer) -> ConnectionLimits:
    """The limits of a listener's connections; those beyond what one Envoy on one machine can take are left out.

    The connections at a time are each listener's: Envoy has no count over several listeners. New connections count
    over all listeners of a load balancer.
    """
    most = limits(balancer.spec)
    rates = []
    if most.new_connections is not None and most.new_connections < MAX_CONNECTIONS:
        rates.append(RateLimit(most.new_connections, "/".join(balancer.key)))
    if spec.cps:
        zones = max(1, len(balancer.spec.zone_mappings))
        rates.append(RateLimit(spec.cps * zones, ""))
    connections = most.connections
    if connections is not None and connections >= MAX_CONNECTIONS:
        connections = None
    return ConnectionLimits(connections, tuple(rates), _bytes_per_second(spec, most))


def _bytes_per_second(spec: ListenerSpec, most: Limits) -> int | None:
    if spec.listener_protocol in LAYER7:
        # Requests are held back by the HTTP filters.
        return None
    own = [value for value in (spec.bandwidth, most.bandwidth) if value is not None and value > 0]
    lowest = min(own, default=UNFELT_BANDWIDTH)
    return lowest * BYTES if lowest < UNFELT_BANDWIDTH else None
