"""The admission policies with the catalog's values in them."""

from typing import Any

from ackbox.catalog.accounts import Refusal, account_rules
from ackbox.catalog.addons import Addon, addons
from ackbox.catalog.instance_families import bare_metal, confidential
from ackbox.catalog.instance_types import MIN_MEMORY, MIN_VCPU, instance_types
from ackbox.catalog.loadbalancers import load_balancer_rules, specs
from ackbox.catalog.network import network_rules
from ackbox.catalog.operating_systems import operating_systems
from ackbox.catalog.quotas import Quota, RaisedBy, quotas, subscription_excludes
from ackbox.catalog.regions import Edition, regions
from ackbox.catalog.timezones import time_zones
from ackbox.catalog.versions import offer
from ackbox.resources import ELASTIC_IP_ADDRESS, SERVICE_LOAD_BALANCER, VPC, load_balancer_policy, policy
from ackbox.resources.account_policy import AccountTexts, account_policy
from ackbox.resources.addon_policy import AddonRules, addon_policy
from ackbox.resources.cluster_policy import ClusterRules, cluster_policy
from ackbox.resources.network_policy import vpc_policy
from ackbox.resources.node_pool_policy import PoolRules, node_pool_policy
from ackbox.resources.quota_policy import Figure, QuotaRules, quota_policies
from ackbox.resources.version_policy import version_policy

MINIMUM = f"{MIN_VCPU} vCPUs and {MIN_MEMORY} GiB"


def admission_policies() -> list[dict[str, Any]]:
    """Every policy and binding, ready to be applied beside the CRDs."""
    rules, minimum_zones = network_rules(), load_balancer_rules().minimum_zones
    zones = {region.id: region.zones for region in regions().values()}
    return [
        *policy.merged(
            "vpcs",
            [
                policy.region_policy(VPC, list(regions())),
                policy.v_switch_policy(zones, rules.v_switch_masks),
                vpc_policy(rules.vpc_forbidden, rules.vpc_masks),
            ],
        ),
        *policy.merged(
            "clusters",
            [
                cluster_policy(_cluster_rules()),
                version_policy(offer().accepted, offer().ages, offer().upgrades),
                addon_policy({name: _addon_rules(addon) for name, addon in addons().items()}),
            ],
        ),
        *policy.region_policy(ELASTIC_IP_ADDRESS, list(regions())),
        *node_pool_policy(_pool_rules()),
        *account_policy(_account_texts()),
        *policy.deletion_policy(),
        *quota_policies(_quota_rules()),
        *policy.merged(
            "load-balancers",
            [
                policy.region_policy(SERVICE_LOAD_BALANCER, list(regions())),
                load_balancer_policy.charge_policy(list(specs())),
                load_balancer_policy.kind_policy({kind.value: count for kind, count in minimum_zones.items()}),
                load_balancer_policy.zone_policy(zones),
                load_balancer_policy.identifier_policy(),
            ],
        ),
        *load_balancer_policy.modification_policy(),
        *load_balancer_policy.acl_policy(),
        *load_balancer_policy.listener_quota_policy(),
        *load_balancer_policy.attachment_quota_policy(),
    ]


def _cluster_rules() -> ClusterRules:
    network = network_rules()
    return ClusterRules(
        offered={region.id: sorted(region.editions) for region in regions().values()},
        pending={region.id: sorted(region.pending) for region in regions().values()},
        time_zones=time_zones().names,
        misspelled=time_zones().misspelled,
        master_types=[kind.name for kind in instance_types().values() if kind.fits_node],
        minimum=MINIMUM,
        container_ranges=network.container_ranges,
        service_ranges=network.service_ranges,
        service_masks=network.service_masks,
    )


def _pool_rules() -> PoolRules:
    kinds = instance_types().values()
    allowed = [kind.name for kind in kinds if kind.fits_node]
    return PoolRules(
        allowed=allowed,
        too_small=[kind.name for kind in kinds if not kind.fits_node],
        minimum=MINIMUM,
        bare_metal=[name for name in allowed if bare_metal(name)],
        confidential=[name for name in allowed if confidential(name)],
        images={each.image_type: each.refused for each in operating_systems().values()},
    )


def _account_texts() -> AccountTexts:
    rules = account_rules()

    def told(refusal: Refusal) -> str:
        return f"{refusal.code}: {refusal.message}"

    return AccountTexts(
        minimum_balance=rules.minimum_balance,
        unverified=told(rules.unverified),
        arrears=told(rules.arrears),
        low_balance=told(rules.low_balance),
        denied_by_ack=told(rules.denied_by_ack),
        denied=told(rules.denied),
        actions=rules.actions,
    )


def _quota_rules() -> QuotaRules:
    return QuotaRules(
        figures={name.value: _figure(quota) for name, quota in quotas().items()},
        editions=[form.value for form in Edition],
        regions=list(regions()),
        vcpus={kind.name: kind.vcpu for kind in instance_types().values() if kind.fits_node},
        subscription_excludes=subscription_excludes(),
    )


def _figure(quota: Quota) -> Figure:
    return Figure(
        name=quota.name.value,
        code=quota.code,
        message=quota.message.removesuffix("."),
        default=quota.editions if quota.hard is None else quota.hard,
        fixed=quota.raised_by is RaisedBy.NONE,
        within=_figure(quotas()[quota.within]) if quota.within else None,
    )


def _addon_rules(addon: Addon) -> AddonRules:
    return AddonRules(
        versions=addon.version_names,
        minimum={each.name: each.minimum[1] for each in addon.versions if each.minimum is not None},
        default=addon.default,
        required=addon.required,
        requires=addon.requires,
        instead=addon.instead,
    )
