"""Cloud config: what the CCM of a workload cluster is told by ConfigMap `kube-system/cloud-config`.

The ConfigMap may be changed at any time and counts from the next look on. A value that can't be used is left at its
default and becomes a problem; it never keeps the rest from counting. Rule source: the CCM's `pkg/config`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import yaml

from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import CONFIG_MAP

NAMESPACE, NAME, KEY = "kube-system", "cloud-config", "cloud-config.conf"
"""Where ACK keeps it."""

IPV6_DUAL_STACK = "IPv6DualStack"
ENDPOINT_SLICE = "EndpointSlice"
FILTER_SERVICE_ON_NODE_CHANGE = "FilterServiceOnNodeChange"
LOAD_BALANCER_TYPE_ANNOTATION = "LoadBalancerTypeAnnotation"

GATES: Mapping[str, bool] = {
    IPV6_DUAL_STACK: False,
    ENDPOINT_SLICE: True,
    FILTER_SERVICE_ON_NODE_CHANGE: False,
    LOAD_BALANCER_TYPE_ANNOTATION: False,
}
"""Feature gates with their defaults."""

TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")
BACKEND_TYPES = ("ecs", "eni")


@dataclass(frozen=True)
class CloudConfig:
    """The keys of `Global`, each with its default.

    Attributes:
        cluster_id, region, vpc_id, zone_id: identity; the ManagedCluster says these, so they are only read here.
        vswitch_ids: (zone, vSwitch) pairs that private load balancers may take their address from.
        resource_group_id: resource group of load balancers that name none.
        service_backend_type: `eni` or `ecs` for Services that say nothing; None leaves it to the network plug-in.
        disable_public_slb: whether Services may not ask for an internet load balancer.
        service_max_concurrent_reconciles: how many Services are worked on at a time.
        node_max_concurrent_reconciles, route_max_concurrent_reconciles: batches of nodes and of routes at a time.
        node_monitor_period, node_addr_sync_period: seconds; read, as upstream does, and not used.
        route_table_ids: the route tables to keep, by id or name; empty for the only one of the VPC.
        private_zone_id, private_zone_record_ttl: read and not used: there is no PrivateZone here.
        gates: names of the feature gates that are on.
        problems: what can't be used, one sentence each.
    """

    cluster_id: str | None = None
    region: str | None = None
    vpc_id: str | None = None
    zone_id: str | None = None
    vswitch_ids: tuple[tuple[str, str], ...] = ()
    resource_group_id: str | None = None
    service_backend_type: str | None = None
    disable_public_slb: bool = False
    service_max_concurrent_reconciles: int = 3
    node_max_concurrent_reconciles: int = 1
    route_max_concurrent_reconciles: int = 1
    node_monitor_period: int | None = None
    node_addr_sync_period: int | None = None
    route_table_ids: tuple[str, ...] = ()
    private_zone_id: str | None = None
    private_zone_record_ttl: int | None = None
    gates: frozenset[str] = frozenset(gate for gate, on in GATES.items() if on)
    problems: tuple[str, ...] = ()


DEFAULT = CloudConfig()


class _Unusable(ValueError):
    """A value that can't be used; the text says what is allowed."""


def config_cache() -> Cache:
    """A cache for the one ConfigMap; `configmap.keep` fills it, no watch does."""
    return Cache(CONFIG_MAP)


def current(workload: Store) -> CloudConfig:
    """The cloud config of a workload cluster as it is now; the defaults while there is none."""
    cache = workload.caches.get(CONFIG_MAP)
    found = cache.get(NAMESPACE, NAME) if cache is not None else None
    text = ((found or {}).get("data") or {}).get(KEY)
    if found is None:
        return DEFAULT
    if text is None:
        return replace(DEFAULT, problems=(f"ConfigMap {NAMESPACE}/{NAME} has no key {KEY}",))
    return parse(text)


@lru_cache(maxsize=256)
def parse(text: str) -> CloudConfig:
    """The config in a text of JSON or YAML with one top object `Global`."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A date that doesn't exist is a ValueError.
        return replace(DEFAULT, problems=(f"{KEY} is neither JSON nor YAML: {' '.join(str(error).split())}",))
    if document is None:
        return DEFAULT
    values = document.get("Global") if isinstance(document, dict) else None
    if not isinstance(values, dict):
        return replace(DEFAULT, problems=(f"{KEY} must be an object with one object Global in it",))
    fields: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        row = _ROWS.get(str(key))
        if row is None:
            if key not in _IGNORED:
                problems.append(f"Global.{key} is not known; known are: {', '.join([*_ROWS, *_IGNORED])}")
            continue
        field, read = row
        if value is None or value == "":
            continue
        try:
            fields[field] = read(value)
        except _Unusable as error:
            problems.append(f"Global.{key}: {error}, but got [{value}]")
    gates, complaints = _gates(values.get("featureGates"))
    return CloudConfig(**fields, gates=gates, problems=(*problems, *complaints))


def _text(value: object) -> str:
    if isinstance(value, (dict, list, bool)):
        raise _Unusable("must be a string")
    return str(value).strip()


def _backend_type(value: object) -> str:
    if value not in BACKEND_TYPES:
        raise _Unusable(f"must be one of {', '.join(BACKEND_TYPES)}")
    return str(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    found = _boolean(str(value))
    if found is None:
        raise _Unusable("must be true or false")
    return found


def _boolean(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def _positive(value: object) -> int:
    try:
        number = 0 if isinstance(value, (bool, float)) else int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise _Unusable("must be an integer of 1 or more")
    return number


def _list(value: object) -> tuple[str, ...]:
    # Blanks around an id are never meant, so they are taken off; upstream keeps them and finds no such table.
    return tuple(dict.fromkeys(part.strip() for part in _text(value).split(",") if part.strip()))


def _vswitches(value: object) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition(":") for part in _list(value))
    return tuple((zone.strip(), vswitch.strip()) for zone, colon, vswitch in pairs if colon and vswitch.strip())


def _gates(value: object) -> tuple[frozenset[str], list[str]]:
    """The gates that are on, and what is wrong in a list such as `IPv6DualStack=true,EndpointSlice=false`."""
    states, problems = dict(GATES), []
    for entry in str(value or "").split(","):
        name, equals, word = (part.strip() for part in entry.partition("="))
        if not name and not equals:
            continue
        on = _boolean(word)
        if not equals:
            problems.append(f"Global.featureGates: missing bool value for {name}")
        elif on is None:
            problems.append(f"Global.featureGates: invalid value of {name}={word}, must be true or false")
        elif name not in GATES:
            problems.append(f"Global.featureGates: unrecognized feature gate: {name}; known are: {', '.join(GATES)}")
        else:
            states[name] = on
    return frozenset(name for name, on in states.items() if on), problems


_ROWS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "clusterID": ("cluster_id", _text),
    "region": ("region", _text),
    "vpcid": ("vpc_id", _text),
    "zoneid": ("zone_id", _text),
    "vswitchid": ("vswitch_ids", _vswitches),
    "resourceGroupID": ("resource_group_id", _text),
    "serviceBackendType": ("service_backend_type", _backend_type),
    "disablePublicSLB": ("disable_public_slb", _flag),
    "serviceMaxConcurrentReconciles": ("service_max_concurrent_reconciles", _positive),
    "nodeMaxConcurrentReconciles": ("node_max_concurrent_reconciles", _positive),
    "routeMaxConcurrentReconciles": ("route_max_concurrent_reconciles", _positive),
    "nodeMonitorPeriod": ("node_monitor_period", _positive),
    "nodeAddrSyncPeriod": ("node_addr_sync_period", _positive),
    "routeTableIDs": ("route_table_ids", _list),
    "privateZoneId": ("private_zone_id", _text),
    "privateZoneRecordTTL": ("private_zone_record_ttl", _positive),
}
"""Field of `CloudConfig` and how its value is read, by key of `Global`."""

_IGNORED = ("uid", "accessKeyID", "accessKeySecret", "kubernetesClusterTag", "featureGates")
"""Keys without a field: credentials, which nothing here needs, a filter that upstream doesn't reach, and the gates."""
