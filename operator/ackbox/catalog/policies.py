"""The admission policies with the catalog's values in them."""

from typing import Any

from ackbox.catalog.instance_types import MIN_MEMORY, MIN_VCPU, instance_types
from ackbox.catalog.loadbalancers import load_balancer_rules, specs
from ackbox.catalog.network import network_rules
from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.catalog.regions import regions
from ackbox.catalog.versions import accepted
from ackbox.resources import load_balancer_policy, policy


def admission_policies() -> list[dict[str, Any]]:
    """Every policy and binding, ready to be applied beside the CRDs."""
    rules, minimum_zones = network_rules(), load_balancer_rules().minimum_zones
    zones = {region.id: region.zones for region in regions().values()}
    types = instance_types().values()
    return [
        *policy.region_policy(list(regions())),
        *policy.edition_policy({region.id: sorted(region.editions) for region in regions().values()}),
        *policy.v_switch_policy(zones, rules.v_switch_masks),
        *policy.version_policy(accepted()),
        *policy.cidr_policy(rules.container_ranges, rules.service_ranges, rules.service_masks),
        *policy.instance_type_policy(
            [kind.name for kind in types if kind.fits_node],
            [kind.name for kind in types if not kind.fits_node],
            f"{MIN_VCPU} vCPUs and {MIN_MEMORY} GiB",
        ),
        *policy.deletion_policy(),
        *policy.backend_policy(quotas()[QuotaName.BACKENDS].hard),
        *load_balancer_policy.charge_policy(list(specs())),
        *load_balancer_policy.kind_policy({kind.value: count for kind, count in minimum_zones.items()}),
        *load_balancer_policy.zone_policy(zones),
        *load_balancer_policy.identifier_policy(),
        *load_balancer_policy.modification_policy(),
        *load_balancer_policy.acl_policy(),
        *load_balancer_policy.listener_quota_policy(),
        *load_balancer_policy.attachment_quota_policy(),
    ]
