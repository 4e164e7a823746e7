"""kill -9 of the ccm between any two writes of an Ingress' life: nothing doubled, lost or left behind."""

import pytest

from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import eventually
from e2e.test_crash import crashing
from e2e.test_ingress import CONFIGS, ingress, path, reachable, served_by, tls_secret

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(1500)]

SECRETS = f"/api/v1/namespaces/{SHARED}/secrets"


def parts(workload: Workload) -> dict[str, list[str]]:
    """The cloud's objects of load balancers of type ALB."""
    api = workload.management
    balancers = [
        obj["metadata"]["name"]
        for obj in api.objects("serviceloadbalancers", SHARED)
        if obj["spec"]["loadBalancerType"] == "alb"
    ]
    found = {"balancers": balancers}
    for plural in ("listeners", "servergroups"):
        every = api.objects(plural, SHARED)
        found[plural] = [obj["metadata"]["name"] for obj in every if obj["spec"]["loadBalancerId"] in balancers]
    secrets = api.items(SECRETS)
    found["copies"] = [
        obj["metadata"]["name"] for obj in secrets if "ackbox.dev/albconfig" in (obj["metadata"].get("labels") or {})
    ]
    return found


def test_the_life_of_an_ingress_survives_a_crash_after_every_write(stack, workload: Workload):
    api, namespace = workload.api, workload.namespace
    api.apply(
        objects.deployment("tea", namespace, replicas=1), objects.service("tea", namespace, "tea", type="NodePort")
    )
    api.apply(tls_secret(workload, "shop-tls", "shop.test")[0])
    tls = [{"hosts": ["shop.test"], "secretName": "shop-tls"}]

    def life():
        api.apply(ingress(workload, "web", path("/", "tea"), of="alb", tls=tls))
        address = eventually(lambda: reachable(workload, "default", 443), "a listener")
        eventually(lambda: served_by(address, "/", secure=True) == "tea", "an answer")
        eventually(lambda: [len(found) for found in parts(workload).values()] == [1, 1, 2, 1], "one of each")
        api.kubectl("delete", "ingress", "web", "-n", namespace, "--timeout=120s")
        eventually(lambda: not parts(workload)["listeners"], "no listener")
        api.kubectl("delete", "albconfig", "default", "--timeout=120s")
        eventually(lambda: not any(parts(workload).values()), "nothing left")
        assert not api.items(CONFIGS)

    assert crashing(stack, "ccm", life) > 8
