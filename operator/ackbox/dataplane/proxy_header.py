"""What a server is told of the client before the data: a PROXY protocol header, or nothing. Pure."""

from ackbox.dataplane.model import ProxyHeader
from ackbox.dataplane.proxy_protocol import CLIENT, HEADER, LEARNS
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import LAYER7, ListenerSpec, Protocol
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import ServerGroupSpec

ALIBABA_CLOUD = 0xE1
"""Type of the cloud's own values in a header; the first byte of a value says what it is."""

VPC_ID = b"\x01"

NOTHING = "nothing"
"""Envoy takes no empty value."""


def proxy_header(
    spec: ListenerSpec, group: ServerGroupSpec, balancer: ServiceLoadBalancer, real: bool
) -> ProxyHeader | None:
    """The header that Envoy writes to a server.

    A virtual server always gets one, for it has no other way to learn the client's address; a value in it says how
    much of that a server in the cloud would know. A datagram has no header, and a request says it in its own.
    """
    if spec.listener_protocol in LAYER7 or spec.listener_protocol is Protocol.UDP:
        return None
    wanted = bool(spec.proxy_protocol_v2_enabled or spec.proxy_protocol_enabled)
    values = _cloud_values(spec, balancer) if wanted else ()
    if real:
        return ProxyHeader(values) if wanted else None
    learns = [CLIENT] if keeps_client_address(spec, group, balancer) else []
    learns += [HEADER] if wanted else []
    return ProxyHeader((*values, (LEARNS, (",".join(learns) or NOTHING).encode())))


def keeps_client_address(spec: ListenerSpec, group: ServerGroupSpec, balancer: ServiceLoadBalancer) -> bool:
    """Whether connections reach a server in the cloud from the client's own address.

    Those of a classic TCP listener do, those of an NLB one unless the server group says no; where TLS ends they don't.
    """
    if spec.listener_protocol is not Protocol.TCP:
        return False
    return balancer.spec.load_balancer_type is LoadBalancerType.CLB or group.preserve_client_ip_enabled is not False


def _cloud_values(spec: ListenerSpec, balancer: ServiceLoadBalancer) -> tuple[tuple[int, bytes], ...]:
    config = spec.proxy_protocol_v2_config
    # Ids of PrivateLink endpoints are in a header only where a client comes through one; here none does.
    if config is None or not config.ppv2_vpc_id_enabled or not balancer.spec.vpc_id:
        return ()
    return ((ALIBABA_CLOUD, VPC_ID + balancer.spec.vpc_id.encode()),)
