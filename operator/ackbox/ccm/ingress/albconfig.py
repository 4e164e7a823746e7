"""AlbConfig: the load balancer and the listeners that Ingresses share. Field names as in ACK's kind.

ACK knows more fields than these. They are kept, so that its manifests can be applied as they are, and listed by
`unknown_fields`, so that nobody takes them for having an effect.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from ackbox.ccm.ingress.kinds import ALB_CONFIG
from ackbox.resources.base import AGE_COLUMN, Column, Model, Resource, Status


class Open(Model):
    """A part that keeps fields which are not declared."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})


class AlbZone(Open):
    """A zone of the load balancer, given by a vSwitch in it."""

    v_switch_id: Annotated[str, Field(min_length=1)]
    zone_id: str | None = None
    allocation_id: str | None = None


class AccessLog(Open):
    """Where the access log goes; both fields switch it on."""

    log_project: str = ""
    log_store: str = ""


class Billing(Open):
    """How it is paid for."""

    pay_type: Literal["PostPay"] | None = None
    internet_charge_type: str | None = None
    bandwidth_package_id: Annotated[str | None, Field(alias="bandWidthPackageId")] = None


class AlbSettings(Open):
    """The load balancer."""

    id: str | None = None
    """An existing one to use."""
    name: Annotated[str, Field(max_length=80)] | None = None
    address_type: Literal["Internet", "Intranet", "internet", "intranet", ""] = "Internet"
    address_allocated_mode: Literal["Dynamic", "Fixed", ""] = "Dynamic"
    address_ip_version: Literal["IPv4", "DualStack", ""] | None = None
    edition: Literal["Basic", "Standard", "StandardWithWaf", ""] = "Standard"
    resource_group_id: str | None = None
    zone_mappings: list[AlbZone] = []
    access_log_config: AccessLog = AccessLog()
    deletion_protection_enabled: bool = True
    force_override: bool = False
    """Write the settings to an existing load balancer too."""
    listener_force_override: bool = False
    """Take over listeners that are on an existing load balancer."""
    billing_config: Billing = Billing()


class Certificate(Open):
    """A certificate by its id."""

    certificate_id: Annotated[str, Field(alias="CertificateId", min_length=1)]
    is_default: Annotated[bool, Field(alias="IsDefault")] = False


class AclSettings(Open):
    """Who may connect."""

    acl_type: Literal["White", "Black"] | None = None
    acl_ids: list[str] = []


class ForwardedHeaders(Open):
    """Headers that tell servers about the client."""

    proto: Annotated[bool, Field(alias="XForwardedForProtoEnabled")] = False
    slb_port: Annotated[bool, Field(alias="XForwardedForSLBPortEnabled")] = False
    client_port: Annotated[bool, Field(alias="XForwardedForClientSrcPortEnabled")] = False


class AlbListener(Open):
    """A listener."""

    port: Annotated[int, Field(ge=1, le=65535), WithJsonSchema({"x-kubernetes-int-or-string": True})]
    protocol: Literal["HTTP", "HTTPS", "QUIC"] = "HTTP"
    description: Annotated[str, Field(max_length=256)] | None = None
    idle_timeout: Annotated[int, Field(ge=0, le=600)] = 0
    request_timeout: Annotated[int, Field(ge=0, le=180)] = 0
    certificates: list[Certificate] = []
    ca_enabled: bool = False
    ca_certificates: list[Certificate] = []
    security_policy_id: str | None = None
    http2_enabled: Annotated[bool, Field(alias="http2Enabled")] = True
    acl_config: AclSettings | None = None
    x_forwarded_for_config: Annotated[ForwardedHeaders, Field(alias="xForwardedForConfig")] = ForwardedHeaders()


class AlbConfigSpec(Open):
    """What the user wants."""

    config: AlbSettings = AlbSettings()
    listeners: list[AlbListener] = []


class AlbBalancerStatus(Model):
    """The load balancer as the cloud has it."""

    id: str | None = None
    dnsname: str | None = None


class AlbConfigStatus(Status):
    """What became of it."""

    load_balancer: AlbBalancerStatus = AlbBalancerStatus()


class AlbConfig(Resource):
    """A load balancer of type ALB with its listeners; Ingresses belong to it by their IngressClass."""

    KIND: ClassVar = ALB_CONFIG
    SHORT_NAMES: ClassVar = ()
    COLUMNS: ClassVar = (
        Column("ALBID", ".status.loadBalancer.id"),
        Column("DNSNAME", ".status.loadBalancer.dnsname"),
        AGE_COLUMN,
    )

    spec: AlbConfigSpec = AlbConfigSpec()
    status: AlbConfigStatus = AlbConfigStatus()


def unknown_fields(part: Model, path: str = "spec") -> Iterator[str]:
    """Paths of the fields that are set and have no effect here."""
    yield from (f"{path}.{name}" for name in part.model_extra or {})
    for name, field in type(part).model_fields.items():
        yield from _inside(getattr(part, name), f"{path}.{field.alias or name}")


def _inside(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Model):
        yield from unknown_fields(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(item, f"{path}[{index}]")
