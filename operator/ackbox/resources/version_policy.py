"""Admission rules on a cluster's Kubernetes version: what new clusters can have, and where an upgrade may go.

Pure, like `policy.py`; the catalog's versions come in as arguments.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.policy import SPEC, Check, policy, table, text, texts

FIELD = f"{SPEC}.kubernetesVersion"
OLD_STATUS = "oldObject.status"
CODE = "(InvalidKubernetesVersion)"


def version_policy(
    creatable: Sequence[str], ages: Mapping[str, int], targets: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """`kubernetesVersion` names a version that this cluster can have.

    Args:
        creatable: spellings of what new clusters can have.
        ages: for every spelling of a version that ACK offers its place from the newest, 0 being the newest.
        targets: by the full name of every version that can be upgraded the spellings of what it can be upgraded to.
    """
    running = f"{OLD_STATUS}.currentVersion"
    numbers = "variables.running.split('.')"
    variables = {
        "asked": f"has({FIELD}) ? {FIELD} : ''",
        "before": "oldObject != null && has(oldObject.spec.kubernetesVersion) ? oldObject.spec.kubernetesVersion : ''",
        "changed": "variables.asked != variables.before",
        "status": f"oldObject != null && has({OLD_STATUS})",
        # A registered cluster upgrades itself.
        "running": f"{SPEC}.clusterType != 'ExternalKubernetes' && variables.status && has({running}) ? string({running}) : ''",
        "creatable": texts(creatable),
        "ages": "{" + ", ".join(f"{text(spelling)}: {age}" for spelling, age in ages.items()) + "}",
        "targets": table(targets),
        "own": f"variables.running == '' ? [] : [{numbers}[0] + '.' + {numbers}[1],"
        " variables.running.split('-')[0], variables.running]",
        "open": "variables.running in variables.targets",
        "allowed": "variables.own + (variables.open ? variables.targets[variables.running] : [])",
        "back": "variables.asked in variables.ages && variables.running in variables.ages"
        " && variables.ages[variables.asked] > variables.ages[variables.running]",
    }
    return policy("versions", (MANAGED_CLUSTER,), [_new(), _neighbour(), _under_way()], variables)


def _new() -> Check:
    return Check(
        "variables.asked == '' || variables.running != '' || (oldObject != null && !variables.changed)"
        " || variables.asked in variables.creatable",
        f"'spec.kubernetesVersion: ' + variables.asked + ' is not offered for new clusters {CODE}; allowed: '"
        " + variables.creatable.join(', ')",
    )


def _neighbour() -> Check:
    back = f"' is older than what the cluster runs, ' + variables.running + ': no upgrade is ever undone {CODE}'"
    closed = (
        "': the cluster runs ' + variables.running + ', which has reached its end of life and has no upgrade path any"
        f" more {CODE}; create a new cluster and move to it'"
    )
    far = (
        "' is not what ' + variables.running + ' can be upgraded to: the neighbouring minor, or a newer patch"
        f" {CODE}; allowed: ' + variables.allowed.join(', ')"
    )
    return Check(
        "variables.asked == '' || variables.running == '' || !variables.changed || variables.asked in variables.allowed",
        "'spec.kubernetesVersion: ' + variables.asked"
        f" + (variables.back ? {back} : !variables.open ? {closed} : {far})",
    )


def _under_way() -> Check:
    return Check(
        "variables.running == '' || !variables.changed"
        f" || !has({OLD_STATUS}.upgrade) || {OLD_STATUS}.upgrade.status != 'running'",
        f"'spec.kubernetesVersion: the cluster is being upgraded to ' + {OLD_STATUS}.upgrade.nextVersion"
        " + ' (ErrorClusterState); wait until status.upgrade.status is success'",
    )
