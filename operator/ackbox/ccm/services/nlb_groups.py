"""What the annotations say of an NLB server group, besides its servers. Pure; rule source: the CCM's `pkg/controller/service/nlbv2`.

Only what is said is set, so that a removed annotation leaves what is there, and so does what somebody set by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import PREFIX, TABLES, Level
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG
from ackbox.ccm.services.view import ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import Protocol
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import HealthCheckConfig, ServerGroupSpec

FLAG = "health-check-flag"
CHECKS = tuple(
    row.suffix
    for row in TABLES[LoadBalancerType.NLB].values()
    if row.level is Level.HEALTH_CHECK and row.suffix != FLAG
)


@dataclass(frozen=True)
class GroupFields:
    """Wire fields of a server group's spec, what can't be had, and what has no effect as it is said."""

    fields: Mapping[str, Any]
    problems: tuple[str, ...]
    hints: tuple[str, ...]


def group_fields(
    view: ServiceView,
    wishes: Wishes,
    load_balancer: ServiceLoadBalancer,
    protocol: Protocol,
    any_port: int | None,
    there: ServerGroupSpec | None,
) -> GroupFields:
    """The fields of the server group of a listener.

    Args:
        view, wishes: the Service.
        load_balancer: whose server group it is.
        protocol: the listener's.
        any_port: in a group for a range of ports, the port to check; 0 while it isn't known. None in others.
        there: the group as it is.
    """
    problems: list[str] = []
    hints: list[str] = []
    said = wishes.fields(Level.SERVER_GROUP)
    draining = said.get("connection_drain_enabled", there.connection_drain_enabled if there else None)
    if not draining and said.pop("connection_drain_timeout", None) is not None:
        hints.append(_without_effect(["connection-drain-timeout"], "connection-drain: on"))
    fields: dict[str, Any] = {
        "protocol": protocol.upper(),
        "resource_group_id": load_balancer.spec.resource_group_id,
        "tags": [
            {"key": MARK_TAG, "value": view.default_name},
            {"key": CLUSTER_TAG, "value": view.owner.cluster_id},
        ],
        **said,
    }
    check = wishes.fields(Level.HEALTH_CHECK)
    if any_port is None:
        _switch(check, wishes, there.health_check_config if there else None, hints)
    else:
        fields["any_port_enabled"] = True
        _check_range(check, any_port, problems)
    _fit(check, protocol, problems)
    if check:
        fields["health_check_config"] = check
    if load_balancer.spec.address_ip_version == "DualStack" and wishes.text("backend-ip-version") not in (None, "ipv4"):
        fields["address_ip_version"] = "DualStack"
    return GroupFields(_wire(fields), tuple(problems), tuple(hints))


def _switch(check: dict[str, Any], wishes: Wishes, there: HealthCheckConfig | None, hints: list[str]) -> None:
    """Leave the settings out while the health check is off, or nobody said that there is one."""
    flag = check.get("health_check_enabled")
    if flag or (flag is None and there is not None and there.health_check_enabled):
        return
    for name in [name for name in check if name != "health_check_enabled"]:
        del check[name]
    asked = [suffix for suffix in CHECKS if suffix in wishes]
    if flag is None and asked:
        hints.append(_without_effect(asked, f"{FLAG}: on"))


def _check_range(check: dict[str, Any], any_port: int, problems: list[str]) -> None:
    """No server for a range of ports has a port of its own that could be tried, so the health check is always on."""
    if check.get("health_check_enabled") is False:
        problems.append(f"Annotation {PREFIX}{FLAG}: a range of ports can't be without a health check; it stays on")
    check["health_check_enabled"] = True
    check.setdefault("health_check_connect_port", any_port)


def _fit(check: dict[str, Any], protocol: Protocol, problems: list[str]) -> None:
    """Take out what the servers can't be checked by, and give codes as the API takes them."""
    if check.get("health_check_type") == "UDP" and protocol is not Protocol.UDP:
        del check["health_check_type"]
        problems.append(
            f"Annotation {PREFIX}health-check-type: udp is for udp listeners only, and there is a listener of {protocol}"
        )
    if "health_check_http_code" in check:
        check["health_check_http_code"] = check["health_check_http_code"].split(",")


def _without_effect(suffixes: list[str], missing: str) -> str:
    names = ", ".join(PREFIX + suffix for suffix in suffixes)
    return f"Annotation {names} has no effect: it counts with {missing} only"


def _wire(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the API server takes them, without those that every group has."""
    own = {"load_balancer_id": "-", "v_server_group_name": "-"}
    wire = ServerGroupSpec.model_validate({**fields, **own}).wire()
    return {name: value for name, value in wire.items() if name not in ("loadBalancerId", "vServerGroupName")}
