"""Throttles what users ask of an API server, by the cluster's edition: API Priority and Fairness inside the cluster.

The API server serves so many requests at once (`catalog/control_planes.yaml`); this says what part of them users may
take, and whether what goes beyond waits or is refused at once with 429. A request for a long list counts as several,
which is why reading in pages passes where reading all at once doesn't.
"""

from ackbox.catalog.control_planes import RequestLimits, control_planes
from ackbox.catalog.regions import Edition, edition
from ackbox.cloud.clusters.parts import Outcome
from ackbox.kube.client import Client, Object
from ackbox.resources import Kind, ManagedCluster

API_GROUP = "flowcontrol.apiserver.k8s.io"
FLOW_SCHEMA = Kind(API_GROUP, "v1", "flowschemas", "FlowSchema", namespaced=False)
PRIORITY_LEVEL = Kind(API_GROUP, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", namespaced=False)

FIELD_MANAGER = "ackbox"
USERS, OWN = "ackbox-users", "ackbox-own"

OWN_USERS = ("ackbox:kwok", "ackbox:ccm")
"""They stand for a thousand kubelets and for ACK's own components, which nobody throttles."""

EARLY, LATE = 100, 9500
"""Of the API server's own flow schemas, those of its components lie between, `global-default` (9900) behind."""

EVERYTHING = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def objects(limits: RequestLimits) -> list[tuple[Kind, Object]]:
    """What the API server is told."""
    return [
        (PRIORITY_LEVEL, _level(limits)),
        (FLOW_SCHEMA, _flow(OWN, EARLY, "exempt", [{"kind": "User", "user": {"name": name}} for name in OWN_USERS])),
        (FLOW_SCHEMA, _flow(USERS, LATE, USERS, [{"kind": "Group", "group": {"name": "system:authenticated"}}])),
    ]


def _level(limits: RequestLimits) -> Object:
    queue = {"type": "Queue", "queuing": {}}  # Empty, for the API server fills in its defaults.
    limited: Object = {"nominalConcurrencyShares": limits.user_shares, "limitResponse": queue}
    if not limits.waiting:
        # No borrowing from what others leave: the part is a real one.
        limited |= {"borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}
    return {"metadata": {"name": USERS}, "spec": {"type": "Limited", "limited": limited}}


def _flow(name: str, precedence: int, level: str, subjects: list[Object]) -> Object:
    spec = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, **EVERYTHING}],
    }
    return {"metadata": {"name": name}, "spec": spec}


class Throttling:
    """The part of a cluster that keeps users within their edition's share."""

    def __init__(self) -> None:
        self._told: dict[str, Edition] = {}

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:  # noqa: ARG002
        """See `Part.ensure`."""
        form, uid = edition(cluster.spec), cluster.metadata.uid
        if self._told.get(uid) is not form:
            for kind, body in objects(control_planes().limits[form]):
                await workload.apply(kind, body, FIELD_MANAGER)
            self._told[uid] = form
        return Outcome()

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""
        self._told.pop(uid, None)
