"""The reference page of quotas, made from the table that the code itself reads."""

from collections.abc import Iterable

from ackbox.catalog.quotas import Quota, RaisedBy, quotas, subscription_excludes
from ackbox.catalog.regions import Edition
from ackbox.catalog.security_groups import group_rules
from ackbox.resources.network import SecurityGroupType

_INTRODUCTION = """# Quotas

A namespace is an account. Its CloudQuota `default`, which comes with the account's first object, shows every limit in
`status.hard` and what counts against it in `status.used`; where a limit holds for each of many, that is the fullest one.

- **More**: `kubectl patch cloudquota default --type merge -p '{"spec":{"hard":{"vcpus":500}}}'`, as a ticket or the Quota
  Center would. It counts at once, and everything that waits goes on.
- A key alone holds for every edition or region; `ack_pro/nodes` and `cn-hangzhou/vcpus` for one, and go before it.
- What is asked for beyond a limit is refused when it is applied, `kubectl scale` too, with the code below. Admission
  goes by the last count, about a second old: what slips through waits with the same code in its `Ready` condition, and no
  two requests get the same last place.
- Every figure can be lowered. Those that the cloud raises for nobody can't be raised; `ackbox up --catalog DIR` with
  a `quotas.yaml` of your own changes the defaults.
"""

_RAISED_BY = {RaisedBy.QUOTA_CENTER: "Quota Center", RaisedBy.TICKET: "ticket", RaisedBy.NONE: "nobody"}

_NOTES = """## Notes

- A raised `nodepools` counts only as far as `scalinggroups` is raised too: each node pool is a scaling group.
- `podspernode` holds with Flannel. With Terway a node has as many pods as its network interfaces have addresses.
- Serverless clusters have no nodes; `pods` is the capacity of their virtual nodes.
- `instancevcpus` is the largest pay-as-you-go instance type; spot and subscription instances don't count against it.
- Neither spot nor subscription instances count against `vcpus`; subscription ones have no disks of pay-as-you-go.
- `secondaryenis` counts those of nodes with Terway, all that their instance type has.
- The capacity of data disks is not played: node pools have system disks only.
"""


def quotas_page() -> str:
    """The quotas as Markdown."""
    editions = [form.value for form in Edition]
    head = ["quota", *editions, "one figure covers", "raised by", "code"]
    flat_head = ["quota", "default", "one figure covers", "raised by", "code"]
    every = quotas().values()
    basic = group_rules()[SecurityGroupType.NORMAL].capacity
    return "\n".join(
        [
            _INTRODUCTION,
            "## By edition of a cluster\n",
            _table(head, [_edition_row(each, editions) for each in every if each.by_edition]),
            "## Others\n",
            _table(flat_head, [_row(each) for each in every if not each.by_edition]),
            f"A basic security group holds {basic} addresses; nobody raises that, an enterprise group holds more.",
            "",
            "Instances of these families can't be changed from pay-as-you-go to subscription: "
            + ", ".join(subscription_excludes())
            + ".",
            "",
            _NOTES,
        ]
    )


def _edition_row(quota: Quota, editions: Iterable[str]) -> list[str]:
    figures = [str(quota.editions.get(form, "none")) for form in editions]
    return [f"`{quota.name.value}`", *figures, *_others(quota)]


def _row(quota: Quota) -> list[str]:
    default = str(quota.hard)
    if quota.per_instance:
        default = f"{quota.per_instance} an instance, at least {quota.hard}"
    return [f"`{quota.name.value}`", default, *_others(quota)]


def _others(quota: Quota) -> list[str]:
    return [quota.counts, _RAISED_BY[quota.raised_by], f"`{quota.code}`"]


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
