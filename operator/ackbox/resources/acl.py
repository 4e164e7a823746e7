"""AccessControlList: addresses that a listener lets in or keeps out. Field names follow CreateAccessControlList of SLB."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ackbox.resources.base import (
    AGE_COLUMN,
    READY_COLUMN,
    Column,
    Model,
    Resource,
    Status,
    ackbox_kind,
    immutable,
    keyed,
)

ACCESS_CONTROL_LIST = ackbox_kind("accesscontrollists", "AccessControlList")


class AclEntry(Model):
    """A block of addresses."""

    entry: Annotated[str, Field(min_length=1, max_length=43)]
    """An address or a CIDR block."""
    comment: Annotated[str, Field(max_length=80)] | None = None
    """A remark, kept and shown."""


class AccessControlListSpec(Model):
    """What its maker wants."""

    acl_name: Annotated[str, Field(max_length=80)] | None = None
    """Name in the cloud, kept and shown; listeners go by the object's name or by `status.aclId`."""
    address_ip_version: Annotated[Literal["ipv4", "ipv6"], Field(alias="addressIPVersion")] = "ipv4"
    """Version of IP of the entries."""
    acl_entries: Annotated[list[AclEntry], keyed("entry", max_length=300)] = []
    """The addresses."""


class AccessControlListStatus(Status):
    """What ackbox made of it."""

    acl_id: str | None = None
    """Id in the cloud: `acl-…`."""


class AccessControlList(Resource):
    """An access control list."""

    KIND: ClassVar = ACCESS_CONTROL_LIST
    SHORT_NAMES: ClassVar = ("acl",)
    COLUMNS: ClassVar = (
        Column("ACL-ID", ".status.aclId"),
        READY_COLUMN,
        Column("Version", ".spec.addressIPVersion", priority=1),
        AGE_COLUMN,
    )
    RULES: ClassVar = (immutable("addressIPVersion"),)

    spec: AccessControlListSpec = AccessControlListSpec()
    status: AccessControlListStatus = AccessControlListStatus()
