"""The settings of a Listener that are more than a value. Field names follow the SLB, NLB and ALB APIs."""

from typing import Annotated, Literal

from pydantic import Field

from ackbox.resources.base import Model


class DomainExtension(Model):
    """The certificate of a domain; other domains get the listener's own."""

    domain: Annotated[str, Field(min_length=1, max_length=253)]
    """The name that the client asks for; `*.` in front stands for all names below it."""
    server_certificate_id: Annotated[str, Field(min_length=1, max_length=253)]
    """Id of its certificate."""


class ProxyProtocolV2Config(Model):
    """What a PROXY protocol header tells besides the addresses (NLB)."""

    ppv2_private_link_ep_id_enabled: bool | None = None
    """Id of the client's PrivateLink endpoint; kept and shown, for no client comes through one."""
    ppv2_private_link_eps_id_enabled: bool | None = None
    """Id of the PrivateLink endpoint service; kept and shown."""
    ppv2_vpc_id_enabled: bool | None = None
    """The load balancer's `spec.vpcId`; off when left out."""


class ServerGroupTuple(Model):
    """A server group that a rule forwards to, and its share."""

    server_group_id: str
    """Name or id of the ServerGroup, of the same namespace."""
    weight: Annotated[int, Field(ge=0, le=100)] = 100
    """Its share of the requests in proportion to the others'; 100 when left out, 0 gets none."""


class RuleAction(Model):
    """What a rule does with a request that fits (ALB)."""

    type: Literal["ForwardGroup", "Redirect", "FixedResponse", "Rewrite", "InsertHeader", "RemoveHeader"]
    """What is done. ForwardGroup, Redirect and FixedResponse decide what becomes of the request, so a rule has one of
    them; the others change it before that."""
    server_groups: Annotated[list[ServerGroupTuple], Field(max_length=5)] = []
    """ForwardGroup: where to, by weight."""
    host: str | None = None
    """Redirect, Rewrite: another host; the request's own when left out."""
    path: str | None = None
    """Redirect, Rewrite: another path, in which `${path}` is the request's own; that one when left out."""
    protocol: Literal["HTTP", "HTTPS"] | None = None
    """Redirect: another protocol; the listener's own when left out."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Redirect: another port; when left out the listener's own, or the usual one of another protocol."""
    http_code: Annotated[int, Field(ge=200, le=599)] | None = None
    """Redirect: 301, which is the default, 302, 303, 307 or 308; FixedResponse: the status, 200 when left out."""
    content: Annotated[str, Field(max_length=1024)] | None = None
    """FixedResponse: the body; empty when left out."""
    key: str | None = None
    """InsertHeader, RemoveHeader: the header."""
    value: str | None = None
    """InsertHeader: its value."""


class RuleCondition(Model):
    """What a request must be to fit a rule (ALB); several values mean any of them."""

    type: Literal["Host", "Path", "Header", "Cookie", "Method", "QueryString", "SourceIp"]
    """What of the request is looked at."""
    key: str | None = None
    """Header, Cookie, QueryString: its name."""
    values: Annotated[list[str], Field(max_length=10)] = []
    """Path: exact, or a prefix written `/path/*`; Host: exact or `*.domain`."""


class ListenerRule(Model):
    """A forwarding rule (ALB): every condition must hold; the lowest priority number is looked at first."""

    rule_name: Annotated[str, Field(min_length=1, max_length=128)]
    """Name, unique in the listener."""
    priority: Annotated[int, Field(ge=1, le=10000)]
    """When it is looked at: the lowest number first, and the first rule that fits decides."""
    rule_conditions: Annotated[list[RuleCondition], Field(max_length=10)] = []
    """What a request must be, all of it; without conditions every request fits."""
    rule_actions: Annotated[list[RuleAction], Field(min_length=1, max_length=5)]
    """What is done with it."""
