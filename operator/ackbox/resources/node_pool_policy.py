"""ValidatingAdmissionPolicy of node pools: their machines, and what special pools need.

Pure, as `policy` is. What depends on the pool's cluster is told by conditions, for the cluster may still come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.resources.cluster_policy import name_check, tag_checks
from ackbox.resources.nodepool import NODE_POOL
from ackbox.resources.policy import SPEC, Check, policy, text, texts

GROUP = f"{SPEC}.scalingGroup"
TYPES = f"{GROUP}.instanceTypes"
SPOT = f"{GROUP}.spotStrategy != 'NoSpot'"
SANDBOXED = "Sandboxed-Container.runv"
PRICE = "^([0-9]+)([.][0-9]{1,3})?$"


@dataclass(frozen=True)
class PoolRules:
    """The catalog's part in what a pool may be.

    Attributes:
        allowed, too_small: instance types that can be nodes, and those that exist but can't.
        minimum: what a node needs, in words.
        bare_metal: types that sandboxed containers run on.
        confidential: types with Intel SGX.
        images: operating systems by the name of their image type; the value says why one can't be had, or nothing.
    """

    allowed: Sequence[str]
    too_small: Sequence[str]
    minimum: str
    bare_metal: Sequence[str]
    confidential: Sequence[str]
    images: Mapping[str, str | None]


def node_pool_policy(rules: PoolRules) -> list[dict[str, Any]]:
    """Everything that a NodePool can be refused for by itself, told in one message."""
    refused = {name: why for name, why in rules.images.items() if why}
    variables = {
        "small": f"{TYPES}.filter(t, t in {texts(rules.too_small)})",
        "unknown": f"{TYPES}.filter(t, !(t in {texts(rules.allowed)}) && !(t in variables.small))",
        "virtual": f"{TYPES}.filter(t, !(t in {texts(rules.bare_metal)}))",
        "unshielded": f"{TYPES}.filter(t, !(t in {texts(rules.confidential)}))",
        "images": texts(name for name in rules.images if name not in refused),
        "refusedImages": "{" + ", ".join(f"{text(name)}: {text(why)}" for name, why in refused.items()) + "}",
        "runtime": f"has({SPEC}.kubernetesConfig) ? {SPEC}.kubernetesConfig.runtime : 'containerd'",
        "confidential": f"has({SPEC}.teeConfig) && {SPEC}.teeConfig.teeEnable",
        "limits": f"has({GROUP}.spotPriceLimit) ? {GROUP}.spotPriceLimit : []",
    }
    checks = [
        *_types(rules.minimum),
        *_special(rules),
        *_image(),
        *_spot(),
        *_sizes(),
        *tag_checks(f"{GROUP}.tags", "spec.scalingGroup.tags"),
        name_check(),
    ]
    return policy("node-pools", (NODE_POOL,), checks, variables)


def _types(minimum: str) -> list[Check]:
    return [
        Check(
            "variables.unknown.size() == 0",
            "'spec.scalingGroup.instanceTypes: ' + variables.unknown.join(', ') + ' is not an instance type that ACK"
            " offers (InvalidInstanceType.ValueNotSupported); allowed are ECS types such as ecs.c6.xlarge,"
            " ecs.g7.2xlarge'",
        ),
        Check(
            "variables.small.size() == 0",
            "'spec.scalingGroup.instanceTypes: ' + variables.small.join(', ') + ' is too small for a node"
            f" (InvalidInstanceType.ValueNotSupported); a node needs at least {minimum}'",
        ),
    ]


def _special(rules: PoolRules) -> list[Check]:
    """Sandboxed containers need bare metal, confidential computing needs Intel SGX."""
    sandboxed = f"variables.runtime == {text(SANDBOXED)}"
    metal, sgx = ", ".join(rules.bare_metal[:2]), ", ".join(rules.confidential[:2])
    return [
        Check(
            f"!({sandboxed}) || variables.virtual.size() == 0",
            f"'spec.scalingGroup.instanceTypes: sandboxed containers (spec.kubernetesConfig.runtime {SANDBOXED}) run on"
            f" bare metal, and ' + variables.virtual.join(', ') + ' is not; allowed: types such as {metal}'",
        ),
        Check(
            "!variables.confidential || variables.unshielded.size() == 0",
            "'spec.scalingGroup.instanceTypes: confidential computing (spec.teeConfig.teeEnable) needs Intel SGX, and '"
            f" + variables.unshielded.join(', ') + ' has none; allowed: types such as {sgx}'",
        ),
        Check(
            f"!variables.confidential || !({sandboxed})",
            "'spec.teeConfig.teeEnable: an SGX enclave can not be had in sandboxed containers; set"
            " spec.kubernetesConfig.runtime to containerd'",
        ),
        Check(
            f"{SPEC}.type != 'edge' || !(({sandboxed}) || variables.confidential || {SPOT})",
            "'spec.type: the machines of an edge pool are not the cloud\\'s; sandboxed containers, confidential computing"
            " and spotStrategy are for type ess'",
        ),
    ]


def _image() -> list[Check]:
    image = f"{GROUP}.imageType"
    return [
        Check(
            f"!has({image}) || !({image} in variables.refusedImages)",
            f"'spec.scalingGroup.imageType: ' + {image} + ': ' + variables.refusedImages[{image}] + '; allowed: '"
            " + variables.images.join(', ')",
        ),
        Check(
            f"!has({image}) || {image} in variables.refusedImages || {image} in variables.images",
            f"'spec.scalingGroup.imageType: ' + {image} + ' is no operating system of ACK\\'s nodes; allowed: '"
            " + variables.images.join(', ')",
        ),
    ]


def _spot() -> list[Check]:
    """Limits go with SpotWithPriceLimit, one a type, in CNY an hour (ECS RunInstances)."""
    strategy = f"{GROUP}.spotStrategy"
    limited = f"{strategy} == 'SpotWithPriceLimit'"
    without = f"{TYPES}.filter(t, !variables.limits.exists(l, l.instanceType == t))"
    stray = f"variables.limits.filter(l, !(l.instanceType in {TYPES}))"
    free = f"variables.limits.filter(l, !l.priceLimit.matches({text(PRICE)}) || double(l.priceLimit) <= 0.0)"
    return [
        Check(
            f"!({limited}) || {without}.size() == 0",
            f"'spec.scalingGroup.spotPriceLimit: spotStrategy SpotWithPriceLimit needs a limit for ' + {without}.join(', ')"
            " + ' (InvalidSpotPriceLimit)'",
        ),
        Check(
            f"({limited}) || variables.limits.size() == 0",
            f"'spec.scalingGroup.spotPriceLimit: limits are for spotStrategy SpotWithPriceLimit, not for ' + {strategy}"
            " + ' (InvalidSpotPriceLimit)'",
        ),
        Check(
            f"{stray}.size() == 0",
            f"'spec.scalingGroup.spotPriceLimit: ' + {stray}.map(l, l.instanceType).join(', ')"
            " + ' is not among spec.scalingGroup.instanceTypes (InvalidSpotPriceLimit)'",
        ),
        Check(
            f"{free}.size() == 0",
            f"'spec.scalingGroup.spotPriceLimit: ' + {free}.map(l, l.instanceType + ' ' + l.priceLimit).join(', ')"
            " + ' is not a price of more than 0 with at most three decimals (InvalidSpotPriceLimit)'",
        ),
        Check(
            f"!({SPOT}) || {GROUP}.instanceChargeType == 'PostPaid'",
            f"'spec.scalingGroup.spotStrategy: ' + {strategy} + ' is for pay-as-you-go machines (InvalidSpotPrepaid); set"
            " instanceChargeType to PostPaid'",
        ),
    ]


def _sizes() -> list[Check]:
    scaler = f"{SPEC}.autoScaling"
    return [
        Check(
            f"{GROUP}.minSize <= {GROUP}.maxSize",
            f"'spec.scalingGroup.minSize: ' + string({GROUP}.minSize) + ' is more than maxSize '"
            f" + string({GROUP}.maxSize) + ' (IncorrectCapacity.MinSize)'",
        ),
        Check(
            f"!has({scaler}) || {scaler}.minInstances <= {scaler}.maxInstances",
            f"'spec.autoScaling.minInstances: ' + string({scaler}.minInstances) + ' is more than maxInstances '"
            f" + string({scaler}.maxInstances)",
        ),
    ]
