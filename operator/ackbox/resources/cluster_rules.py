"""What never changes of a ManagedCluster and which of its fields go together: the CEL rules of its CRD.

What the catalog has a say in is told by `cluster_policy`.
"""

from ackbox.resources.base import Rule, immutable
from ackbox.resources.cluster_settings import NETWORK_PLUGINS, STORAGE_PLUGINS

EMULATION_FIXED = {"footprint": "'single'", "ephemeral": "false"}
"""Fields of `emulation` that are chosen once, with their defaults as CEL writes them."""


def _has_addon(this: str, name: str) -> str:
    # Of network and of storage plug-ins one is the default, so whether the other is there tells which it is.
    return f"(has({this}.addons) && {this}.addons.exists(a, a.name == '{name}'))"


def _fixed_emulation(field: str, default: str) -> Rule:
    # Somebody may leave the emulation out at first and name it later, as `ackbox hibernate` does.
    was, now = (f"(has({this}.emulation) ? {this}.emulation.{field} : {default})" for this in ("oldSelf", "self"))
    return Rule(f"{was} == {now}", f"emulation.{field} cannot be changed after creation", "emulation")


RULES: tuple[Rule, ...] = (
    *(
        immutable(field)
        for field in (
            "clusterType",
            "profile",
            "regionId",
            "vpcId",
            "containerCidr",
            "serviceCidr",
            "nodeCidrMask",
            "ipStack",
            "proxyMode",
            "clusterDomain",
            "apiAudiences",
            "serviceAccountIssuer",
            "controlPlaneConfig",
        )
    ),
    *(_fixed_emulation(field, default) for field, default in EMULATION_FIXED.items()),
    Rule(
        "!has(self.emulation) || !self.emulation.ephemeral"
        " || (self.emulation.footprint == 'single' && self.clusterType != 'Kubernetes')",
        "emulation.ephemeral: an etcd with several members needs volumes; leave ephemeral out, or take footprint single",
        "emulation",
    ),
    Rule(
        "!has(self.emulation) || !self.emulation.hibernated || !self.emulation.ephemeral",
        "emulation.hibernated: an ephemeral cluster keeps nothing to wake with; leave hibernated out",
        "emulation",
    ),
    Rule(
        "self.clusterType != 'ExternalKubernetes' || !has(self.emulation) || !self.emulation.hibernated",
        "emulation.hibernated: the control plane of a registered cluster is its owner's; leave it out",
        "emulation",
    ),
    Rule(
        "!has(oldSelf.encryptionProviderKey)"
        " || (has(self.encryptionProviderKey) && self.encryptionProviderKey == oldSelf.encryptionProviderKey)",
        "encryptionProviderKey cannot be changed once it is set: what it encrypted could not be read any more",
        "encryptionProviderKey",
    ),
    Rule(
        "!oldSelf.clusterSpec.startsWith('ack.pro') || self.clusterSpec.startsWith('ack.pro')",
        "clusterSpec: a Pro cluster cannot be changed back to ack.standard; only the other way is open",
        "clusterSpec",
    ),
    *(
        rule
        for kind, names in (("network", NETWORK_PLUGINS), ("storage", STORAGE_PLUGINS))
        for rule in (
            Rule(
                f"{_has_addon('self', names[1])} == {_has_addon('oldSelf', names[1])}",
                f"the {kind} plug-in cannot be changed after creation",
                "addons",
            ),
            Rule(
                f"!{_has_addon('self', names[1])} || !{_has_addon('self', names[0])}",
                f"addons name more than one {kind} plug-in; keep one of {', '.join(names)}",
                "addons",
            ),
        )
    ),
    Rule(
        "self.clusterType == 'ExternalKubernetes' ? has(self.externalCluster) : has(self.vpcId)",
        "externalCluster is required for clusterType ExternalKubernetes, vpcId for every other clusterType",
    ),
    Rule("isCIDR(self.serviceCidr)", "serviceCidr is not a CIDR block, such as 172.19.0.0/20", "serviceCidr"),
    Rule(
        "!has(self.containerCidr) || isCIDR(self.containerCidr)",
        "containerCidr is not a CIDR block, such as 10.32.0.0/16",
        "containerCidr",
    ),
    Rule(
        "!has(self.containerCidr) || !isCIDR(self.containerCidr) || !isCIDR(self.serviceCidr) || !("
        "cidr(self.containerCidr).containsCIDR(self.serviceCidr)"
        " || cidr(self.serviceCidr).containsCIDR(self.containerCidr))",
        "containerCidr and serviceCidr overlap (InvalidCIDR)",
        "containerCidr",
    ),
)
