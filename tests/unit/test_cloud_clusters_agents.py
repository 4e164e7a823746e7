"""Every cluster has a ccm of its own, where ackbox runs in a cluster, and who can't have one learns why."""

from typing import Any

import pytest

from ackbox.cloud.clusters.agents import WAITING_PERIOD, Agents, wanted
from ackbox.cloud.reconciling import RESYNC_PERIOD, Cloud
from ackbox.cloud.world import World
from ackbox.controlplane.images import Images, PodOptions
from ackbox.kube.errors import ApiError, Forbidden, NotFound
from ackbox.resources.base import RESOURCE_FINALIZER, SERVICES_FINALIZER
from ackbox.runtime.errors import RuntimeProblem

REGISTERED = {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou", "vpcId": "v"}
REGISTERED["externalCluster"] = {"kubeconfigSecretRef": {"name": "k"}}  # type: ignore[assignment]
GOING = {"deletionTimestamp": "2030-01-01T00:00:00Z"}


def cluster(spec: dict[str, Any] = REGISTERED, **metadata: Any) -> dict[str, Any]:
    about = {"name": "demo", "namespace": "team", "uid": "d1", "resourceVersion": "7", **metadata}
    return {"apiVersion": "ackbox.dev/v1alpha1", "kind": "ManagedCluster", "metadata": about, "spec": spec}


class Server:
    """Takes what is applied, unless it refuses; there is no Pod yet."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.refuses: Exception | None = None
        self.status: dict[str, int] = {}
        self.pods: list[dict[str, Any]] = []
        self.finalizers: list[list[str]] = []

    async def get(self, kind: Any, name: str, _namespace: str) -> dict[str, Any]:
        if kind.kind not in self.there:
            raise NotFound(404, "NotFound", name)
        return self.there[kind.kind]

    async def apply(self, kind: Any, body: dict[str, Any], *_: Any) -> dict[str, Any]:
        if self.refuses is not None:
            raise self.refuses
        self.there[kind.kind] = {"kind": kind.kind, "status": self.status, **body}
        return self.there[kind.kind]

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        return self.pods, "1"

    async def patch(self, _kind: Any, _name: str, _namespace: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.finalizers.append(patch["metadata"]["finalizers"])
        return {}


class Events:
    def __init__(self) -> None:
        self.warnings: list[tuple[str, str]] = []

    async def warning(self, _obj: Any, reason: str, text: str) -> None:
        self.warnings.append((reason, text))


class Rig:
    def __init__(self, obj: dict[str, Any]) -> None:
        self.server, self.events, world = Server(), Events(), World()
        cloud = Cloud(self.server, world, self.events, None, None, None)  # type: ignore[arg-type]
        self.agents = Agents(cloud, PodOptions(Images("ackbox:1")))
        self.looks: list[float] = []
        self.agents.resync = lambda _key, period=RESYNC_PERIOD: self.looks.append(period)  # type: ignore[method-assign]
        world.clusters.upsert(obj)

    async def look(self) -> None:
        await self.agents.reconcile(("team", "demo"))


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (None, False),
        (cluster({}), False),
        (cluster({}) | {"status": {"controlPlane": [{"name": "a"}]}}, True),
        (cluster({}, **GOING) | {"status": {"controlPlane": [{"name": "a"}]}}, False),
        (cluster(), True),
        (cluster(**GOING, finalizers=[RESOURCE_FINALIZER]), False),
        (cluster(**GOING, finalizers=[SERVICES_FINALIZER]), True),
    ],
)
def test_a_ccm_comes_with_the_first_api_server_or_the_registration_and_stays_while_services_are_to_be_released(
    obj: dict[str, Any] | None, expected: bool
) -> None:
    assert wanted(obj) is expected


async def test_a_ccm_is_made_and_looked_at_soon_until_it_runs() -> None:
    rig = Rig(cluster())
    await rig.look()
    assert set(rig.server.there) == {"ServiceAccount", "RoleBinding", "Deployment"}
    rig.server.status = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), 1)
    await rig.look()
    assert rig.looks == [WAITING_PERIOD, RESYNC_PERIOD]
    assert rig.events.warnings == []


async def test_why_a_ccm_does_not_run_is_told() -> None:
    rig = Rig(cluster())
    waiting = {"name": "ccm", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    rig.server.pods = [{"metadata": {"name": "demo-ccm-x"}, "status": {"containerStatuses": [waiting]}}]
    await rig.look()
    (reason, text), *more = rig.events.warnings
    assert (reason, more) == ("CloudControllerManagerFailed", [])
    assert "Pod demo-ccm-x, container ccm: ErrImagePull: no such image" in text


REFUSALS = {
    "quota": Forbidden(403, "Forbidden", "exceeded quota: count/deployments.apps"),
    "webhook": ApiError(400, "BadRequest", "admission webhook denied the request"),
    "theirs": None,
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_what_refuses_a_ccm_is_told_and_tried_again(refusal: Exception | None) -> None:
    rig = Rig(cluster())
    rig.server.refuses = refusal
    if refusal is None:
        rig.server.there["ServiceAccount"] = {"metadata": {"name": "demo-ccm"}}
    with pytest.raises((ApiError, RuntimeProblem)) as raised:
        await rig.look()
    assert [reason for reason, _ in rig.events.warnings] == ["CloudControllerManagerFailed"]
    assert str(raised.value) in rig.events.warnings[0][1]


async def test_a_registered_cluster_goes_with_its_namespace_though_no_ccm_can_come_again() -> None:
    rig = Rig(cluster(**GOING, finalizers=[RESOURCE_FINALIZER, SERVICES_FINALIZER]))
    rig.server.refuses = Forbidden(403, "Forbidden", "namespace team: because it is being terminated")
    await rig.look()
    assert rig.server.finalizers == [[RESOURCE_FINALIZER]]
