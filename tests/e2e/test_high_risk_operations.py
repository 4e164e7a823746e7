"""What hurts, row by row: done by hand to a running cluster, its effect seen, and put right as its row says."""

import json
from pathlib import Path

import pytest
import yaml

from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import ACKBOX, Api, Stack, condition, eventually, gone, http, is_ready

pytestmark = pytest.mark.e2e

DOCUMENTED = {
    row["id"]: row
    for rows in yaml.safe_load(
        (Path(__file__).parents[1] / "fixtures" / "high_risk_operations.yaml").read_text()
    ).values()
    for row in rows
}
POOL, SIZE = "hurt", 7
SYSCTLS = {
    "ip-forward-off": ("IPForwardingOff", {"net.ipv4.ip_forward": "0"}),
    "rp-filter-on": ("ReversePathFilterOn", {"net.ipv4.conf.eth0.rp_filter": "2"}),
    "tcp-tw-reuse-on": ("TCPReuseOn", {"net.ipv4.tcp_tw_reuse": "1"}),
    "tcp-tw-recycle-on": ("TCPRecycleOn", {"net.ipv4.tcp_tw_recycle": "1"}),
    "port-range-changed": ("LocalPortRangeChanged", {"net.ipv4.ip_local_port_range": "1024 65535"}),
}
SYSTEM = {
    "sysctls": {key: value for _, each in SYSCTLS.values() for key, value in each.items()},
    "packages": ["firewalld", "nginx"],
}
DOWN = {
    "worker-security-group-changed": ("SecurityGroupChanged", {"securityGroupIds": ["sg-other"]}),
    "worker-expired": ("Expired", {"expiredTime": "2020-01-01T00:00:00Z"}),
    "worker-reinstalled": ("OperatingSystemReinstalled", {"imageId": "centos_7_9"}),
    "worker-components-upgraded": ("ComponentsUpgraded", {"node": {"kubeletVersion": "1.99.0"}}),
    "worker-address-changed": ("AddressChanged", {"vpcAttributes": {"privateIpAddress": "192.168.15.250"}}),
    "worker-components-changed": (
        "ComponentSettingsChanged",
        {"operatingSystem": {"changedFiles": ["/etc/containerd/config.toml"]}},
    ),
}
"""One machine each; the last machine of the pool takes everything that doesn't take it out of service."""
IN_SERVICE = {
    **{row: kind for row, (kind, _) in SYSCTLS.items()},
    "firewall-installed": "FirewallInstalled",
    "worker-settings-changed": "OperatingSystemChanged",
}


def patch(api: Api, kind: str, name: str, spec) -> None:
    api.kubectl("patch", kind, name, "-n", SHARED, "--type=merge", "-p", json.dumps({"spec": spec}))


def pool(api: Api):
    return api.object("nodepools", POOL, SHARED)


def members(api: Api):
    found = [each for each in api.objects("instances", SHARED) if "deletionTimestamp" not in each["metadata"]]
    mine = [each for each in found if each["metadata"].get("labels", {}).get("ackbox.dev/nodepool") == POOL]
    return sorted(mine, key=lambda each: each["metadata"]["name"])


def node_of(workload: Api, instance: str):
    return next((node for node in workload.nodes() if node["spec"]["providerID"].endswith(f".{instance}")), None)


def serves(workload: Api, instance: str) -> bool:
    node = node_of(workload, instance)
    return node is not None and condition(node)["status"] == "True"


def settled(api: Api, size: int) -> bool:
    found = pool(api)
    status = found["status"]
    return is_ready(found) and (status["totalNodes"], status["servingNodes"], status["phase"]) == (size, size, "active")


@pytest.fixture(scope="module")
def hurt(stack: Stack, shared_cluster: Api):
    """A pool of this module in the shared cluster."""
    api = stack.api
    api.apply(objects.pool(POOL, SIZE, namespace=SHARED))
    eventually(lambda: settled(api, SIZE), "the pool")
    eventually(lambda: all(serves(shared_cluster, each["metadata"]["name"]) for each in members(api)), "its nodes")
    yield api
    api.kubectl("delete", "nodepool", POOL, "-n", SHARED, "--wait=false")
    eventually(lambda: gone(api, f"{ACKBOX}/namespaces/{SHARED}/nodepools/{POOL}"), "the pool gone")


def said(api: Api, name: str, reason: str) -> list[str]:
    """The messages of the events about an object that have a reason."""
    return [message for _, found, message in api.events(SHARED, name) if found == reason]


def told(api: Api, plural: str, name: str, kind: str, row: str) -> bool:
    """A condition, and an event beside it, that say what the row says."""
    found = condition(api.object(plural, name, SHARED), kind)
    assert found.get("status") == "True", f"{row}: {found}"
    for word in [*DOCUMENTED[row]["effect"], *DOCUMENTED[row]["recovery"]]:
        assert word.lower() in found["message"].lower(), row
    assert ("Warning", found["reason"], found["message"]) in api.events(SHARED, name), row
    return True


def test_what_is_done_to_machines_is_seen_and_put_right(hurt: Api, shared_cluster: Api):
    victims = dict(zip([*DOWN, "system"], members(hurt), strict=True))
    names = {row: each["metadata"]["name"] for row, each in victims.items()}
    for row, (_, done) in DOWN.items():
        patch(hurt, "ecs", names[row], done)
    patch(hurt, "ecs", names["system"], {"operatingSystem": SYSTEM})
    for row, (kind, _) in DOWN.items():
        eventually(lambda row=row, kind=kind: told(hurt, "instances", names[row], kind, row), row)
    for row, kind in IN_SERVICE.items():
        eventually(lambda row=row, kind=kind: told(hurt, "instances", names["system"], kind, row), row)

    for row in DOWN:
        eventually(lambda row=row: not serves(shared_cluster, names[row]), f"{row}: its node not ready")
    node = eventually(lambda: node_of(shared_cluster, names["system"]), "the other machine's node")
    assert condition(node)["status"] == condition(node, "NetworkUnavailable")["status"] == "True"
    assert condition(node, "TCPReuseOn")["reason"] == "HealthChecksFail"
    eventually(lambda: pool(hurt)["status"].get("offlineNodes", 0) >= len(DOWN) - 1, "the pool counts them")

    recoverable = [row for row in DOWN if row not in ("worker-expired", "worker-reinstalled")]
    for row in recoverable:
        before = victims[row]["spec"]
        patch(hurt, "ecs", names[row], {field: before.get(field) for field in DOWN[row][1]})
    patch(hurt, "ecs", names["worker-reinstalled"], {"imageId": victims["worker-reinstalled"]["spec"].get("imageId")})
    patch(hurt, "ecs", names["system"], {"operatingSystem": None})
    for row in recoverable:
        eventually(lambda row=row: serves(shared_cluster, names[row]), f"{row}: its node is back")
        assert not condition(hurt.object("instances", names[row], SHARED), DOWN[row][0])
        eventually(lambda row=row: said(hurt, names[row], "Recovered"), f"{row}: said to be recovered")

    def left():
        found = hurt.object("instances", names["system"], SHARED)["status"]["conditions"]
        return {each["type"] for each in found} - {"Ready"} == {"FirewallInstalled"}

    eventually(left, "all but the firewall put right")
    patch(hurt, "ecs", names["system"], {"rebootRevision": 1})
    eventually(
        lambda: condition(node_of(shared_cluster, names["system"]), "NetworkUnavailable")["status"] == "False",
        "the network back after a restart",
    )
    _remove_and_add_again(hurt, shared_cluster, names["worker-reinstalled"])
    _destroy(hurt, shared_cluster, names["worker-expired"])


def _remove_and_add_again(api: Api, workload: Api, name: str) -> None:
    """worker-reinstalled, attached-without-backup."""
    assert condition(api.object("instances", name, SHARED), "OperatingSystemReinstalled")["status"] == "True"
    pool_id = pool(api)["status"]["nodepoolId"]
    patch(api, "ecs", name, {"nodepoolId": None, "clusterId": None})
    eventually(lambda: node_of(workload, name) is None, "the node removed")
    patch(api, "ecs", name, {"nodepoolId": pool_id})
    eventually(lambda: serves(workload, name), "the node added again")
    assert not condition(api.object("instances", name, SHARED), "OperatingSystemReinstalled")
    # An event is written after the change that it tells of.
    [lost] = eventually(lambda: said(api, name, "SystemDiskReplaced"), "said what became of the disk")
    assert "lost" in lost
    patch(api, "ecs", name, {"nodepoolId": None})
    eventually(lambda: node_of(workload, name) is None, "the node removed for good")
    api.kubectl("delete", "ecs", name, "-n", SHARED, "--wait=false")
    eventually(lambda: gone(api, f"{ACKBOX}/namespaces/{SHARED}/instances/{name}"), "the machine released")


def _destroy(api: Api, workload: Api, name: str) -> None:
    """worker-expired, instance-released."""
    api.kubectl("delete", "ecs", name, "-n", SHARED, "--wait=false")
    eventually(lambda: node_of(workload, name) is None, "its node gone")
    eventually(lambda: settled(api, SIZE), "scaled out again")
    [message] = eventually(lambda: {m for m in said(api, POOL, "ScalesOutAgain") if name in m}, "said why")
    assert all(word.lower() in message.lower() for word in DOCUMENTED["instance-released"]["recovery"])


def test_ack_works_on_machines_and_leaves_the_rest_of_them_to_the_user(hurt: Api, stack: Stack):
    operator, victim = Api(stack.home / "pki" / "operator.kubeconfig"), members(hurt)[0]["metadata"]["name"]
    arguments = ("patch", "ecs", victim, "-n", SHARED, "--type=merge", "-p")
    text = operator.kubectl(*arguments, '{"spec":{"status":"Stopped"}}', check=False)
    assert "ackbox:operator may change node, imageId, operatingSystem and rebootRevision of an Instance" in text


def test_a_deleted_node_is_missed_until_its_machine_is_restarted(hurt: Api, shared_cluster: Api):
    row, victim = "node-deleted", members(hurt)[0]["metadata"]["name"]
    eventually(lambda: serves(shared_cluster, victim), "a node")
    shared_cluster.kubectl("delete", "node", node_of(shared_cluster, victim)["metadata"]["name"])
    eventually(lambda: told(hurt, "instances", victim, "NodeDeleted", row), "the machine says so")
    eventually(lambda: told(hurt, "nodepools", POOL, "NodesMissing", row), "the pool says so")
    assert (pool(hurt)["status"]["servingNodes"], pool(hurt)["status"]["offlineNodes"]) == (SIZE - 1, 1)
    assert node_of(shared_cluster, victim) is None
    patch(hurt, "ecs", victim, {"rebootRevision": 5})
    eventually(lambda: serves(shared_cluster, victim), "registered again")
    eventually(lambda: settled(hurt, SIZE) and not condition(pool(hurt), "NodesMissing"), "the pool as it was")


def test_bounds_of_the_scaling_group_and_the_scaler_go_before_what_is_desired(hurt: Api):
    patch(hurt, "np", POOL, {"scalingGroup": {"maxSize": SIZE, "desiredSize": SIZE + 1}})
    eventually(
        lambda: told(hurt, "nodepools", POOL, "ScalingGroupBoundsChanged", "scaling-group-bounds-changed"), "bounds"
    )
    found = pool(hurt)
    assert (condition(found)["reason"], found["status"]["totalNodes"]) == ("ScalingHindered", SIZE)
    patch(hurt, "np", POOL, {"scalingGroup": {"maxSize": 2000}})
    eventually(lambda: settled(hurt, SIZE + 1) and not condition(pool(hurt), "ScalingGroupBoundsChanged"), "unhindered")
    patch(hurt, "np", POOL, {"autoScaling": {"enable": True, "minInstances": 1, "maxInstances": SIZE}})
    eventually(lambda: told(hurt, "nodepools", POOL, "ScaledByHand", "scaled-by-hand"), "the scaler's policy")
    eventually(lambda: settled(hurt, SIZE), "as many as the scaler keeps")
    patch(hurt, "np", POOL, {"autoScaling": {"enable": False}, "scalingGroup": {"desiredSize": SIZE}})
    eventually(lambda: settled(hurt, SIZE) and not condition(pool(hurt), "ScaledByHand"), "no scaler")


# Load balancing


def ensured(workload: Workload, service: str) -> bool:
    found = workload.api.core("services", service, workload.namespace)
    assert condition(found, "ackbox.dev/LoadBalancerEnsured").get("status") == "True"
    return True


def refused(workload: Workload, service: str, *words: str) -> bool:
    found = condition(workload.api.core("services", service, workload.namespace), "ackbox.dev/LoadBalancerEnsured")
    assert found.get("status") == "False"
    assert all(word.lower() in found["message"].lower() for word in words), found
    warned = [m for kind, _, m in workload.api.events(workload.namespace, service) if kind == "Warning"]
    assert any(all(word.lower() in message.lower() for word in words) for message in warned), warned
    return True


def listener(workload: Workload, service: str):
    name = f"/{service}/{workload.namespace}/"
    found = workload.management.objects("listeners", SHARED)
    return next(each for each in found if name in each["spec"]["description"])


def by_hand(workload: Workload, service: str, row: str, *words: str) -> bool:
    events = workload.api.events(workload.namespace, service)
    found = [message for _, reason, message in events if reason == "LoadBalancerChangedByHand"]
    wanted = [*words, *DOCUMENTED[row]["effect"], *DOCUMENTED[row]["recovery"]]
    return any(all(word.lower() in message.lower() for word in wanted) for message in found)


def test_what_is_done_to_load_balancers_is_seen_and_put_right(workload: Workload):
    api, space, management = workload.api, workload.namespace, workload.management
    reused = f"slb-{space}"
    theirs = objects.custom("ServiceLoadBalancer", reused, {}, SHARED)
    del theirs["spec"]
    management.apply(theirs)
    api.apply(objects.deployment("web", space))
    reusing = objects.service("reusing", space, "web", annotations={"id": reused, "force-override-listeners": "true"})
    api.apply(objects.service("own", space, "web"), objects.service("lost", space, "web"), reusing)
    for name in ("own", "lost", "reusing"):
        eventually(lambda name=name: ensured(workload, name), name)

    own = listener(workload, "own")
    name, before = own["spec"]["loadBalancerId"], own["spec"]
    patch(management, "slb", name, {"tags": [{"key": "ack.aliyun.com", "value": "mine"}]})
    eventually(lambda: by_hand(workload, "own", "load-balancer-tags-changed", "kubernetes.do.not.delete"), "tags told")
    eventually(
        lambda: (
            "kubernetes.do.not.delete"
            in [tag["key"] for tag in management.object("serviceloadbalancers", name, SHARED)["spec"]["tags"]]
        ),
        "the CCM's own tags restored",
    )
    # No annotation says it, so it stays until it is taken back by hand.
    check = {"healthCheck": "on", "healthCheckConnectPort": 9, "healthCheckInterval": 1, "unhealthyThreshold": 2}
    patch(management, "lsn", own["metadata"]["name"], check)
    eventually(lambda: by_hand(workload, "own", "load-balancer-changed", "healthCheckConnectPort"), "change told")
    patch(management, "lsn", own["metadata"]["name"], {field: before.get(field) for field in check})
    eventually(lambda: http(listener(workload, "own")["status"]["reachable"]), "an answer again")

    annotation = f"{objects.PREFIX}id"
    api.kubectl("annotate", "service", "reusing", "-n", space, f"{annotation}-")
    words = DOCUMENTED["reuse-annotation-removed"]["recovery"]
    eventually(lambda: refused(workload, "reusing", *words), "the reuse annotation missed")
    api.kubectl("annotate", "service", "reusing", "-n", space, f"{annotation}={reused}")
    eventually(lambda: ensured(workload, "reusing"), "the annotation is back")

    lost = listener(workload, "lost")["spec"]["loadBalancerId"]
    patch(management, "slb", lost, {"deleteProtection": "off"})
    management.kubectl("delete", "slb", lost, "-n", SHARED, "--wait=false")
    eventually(lambda: refused(workload, "lost", *DOCUMENTED["load-balancer-deleted"]["recovery"]), "the SLB missed")
    api.kubectl("delete", "service", "lost", "reusing", "-n", space)
    management.kubectl("delete", "slb", reused, "-n", SHARED, "--wait=false")

    # permissions-changed
    management.apply(objects.custom("Account", "default", {"deniedActions": ["slb:CreateLoadBalancer"]}, SHARED))
    try:
        api.apply(objects.service("denied", space, "web"))
        eventually(
            lambda: refused(workload, "denied", "slb:CreateLoadBalancer", "deniedActions"), "the missing permission"
        )
    finally:
        management.kubectl("delete", "account", "default", "-n", SHARED)
    eventually(lambda: ensured(workload, "denied"), "the permission is back")
