"""What each type of cluster and pool allows and forbids, account state, and what the special ones look like.

The table of regions: `tests/fixtures/regions.yaml`.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pykube.exceptions import HTTPError

from e2e import objects
from e2e.stack import ACKBOX, CORE, condition, eventually, gone, is_ready

pytestmark = pytest.mark.e2e

REGIONS = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "regions.yaml").read_text())["regions"]
PRO = "ack.pro.small"
COLUMNS: list[dict[str, Any]] = [
    {"clusterSpec": PRO},
    {},
    {"clusterType": "Kubernetes"},
    {"clusterSpec": PRO, "profile": "Serverless", "containerCidr": None},
    {"profile": "Serverless", "containerCidr": None},
    {"clusterSpec": PRO, "profile": "Edge"},
    {"profile": "Edge"},
    {"clusterType": "ExternalKubernetes", "externalCluster": {"kubeconfigSecretRef": {"name": "away"}}},
]
"""Forms of ACK, in the order of the table's columns."""

ANSWERS = {"y": "", "p": "InvalidRegionId.NotOpen", "n": "InvalidRegionId.NotSupported"}


def cluster(namespace="default", name="one", **spec):
    manifest = objects.cluster(name, namespace, **spec)
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
    return manifest


def pool(namespace="default", name="pool", of="one", spec=None, **group):
    manifest = objects.pool(name, of=of, namespace=namespace, **group)
    manifest["spec"] |= spec or {}
    return manifest


def answer(stack, manifest):
    """What the API server says to an object, without keeping it; nothing when it takes it."""
    plural = {"ManagedCluster": "managedclusters", "NodePool": "nodepools"}.get(
        manifest["kind"], "serviceloadbalancers"
    )
    path = f"{ACKBOX}/namespaces/{manifest['metadata']['namespace']}/{plural}?dryRun=All"
    try:
        stack.api.post(path, manifest)
    except HTTPError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_takes_what_the_table_offers(stack, region):
    for column, mark in zip(COLUMNS, REGIONS[region], strict=True):
        text = answer(stack, cluster(regionId=region, **column))
        assert ANSWERS[mark] in text, column
        assert bool(text) == (mark != "y"), (column, text)


RUNV = {"kubernetesConfig": {"runtime": "Sandboxed-Container.runv"}}
TEE = {"teeConfig": {"teeEnable": True}}

REFUSED = {
    "a Pro field": (cluster(encryptionProviderKey="key-1"), ["spec.encryptionProviderKey", "Pro clusters only"]),
    "an edition of a dedicated cluster": (
        cluster(clusterType="Kubernetes", clusterSpec=PRO),
        ["spec.clusterSpec: ack.pro.small", "ManagedKubernetes"],
    ),
    "a profile of a dedicated cluster": (cluster(clusterType="Kubernetes", profile="Edge"), ["spec.profile: Edge"]),
    "masters of a managed cluster": (
        cluster(controlPlaneConfig={"size": 5}),
        ["spec.controlPlaneConfig", "Kubernetes"],
    ),
    "four masters": (
        cluster(clusterType="Kubernetes", controlPlaneConfig={"size": 4}),
        ["controlPlaneConfig.size", "3", "5"],
    ),
    "small masters": (
        cluster(clusterType="Kubernetes", controlPlaneConfig={"instanceTypes": ["ecs.c6.large"]}),
        [
            "controlPlaneConfig.instanceTypes: ecs.c6.large",
            "InvalidInstanceType.ValueNotSupported",
            "4 vCPUs and 8 GiB",
        ],
    ),
    "masters without a vSwitch": (cluster(clusterType="Kubernetes", vswitchIds=None), ["spec.vswitchIds", "masters"]),
    "pods of a serverless cluster": (cluster(profile="Serverless"), ["spec.containerCidr", "serverless"]),
    "a network plug-in of a serverless cluster": (
        cluster(profile="Serverless", containerCidr=None, addons=[{"name": "flannel"}]),
        ["spec.addons", "serverless", "flannel"],
    ),
    "two storage plug-ins": (
        cluster(addons=[{"name": "csi-plugin"}, {"name": "flexvolume"}]),
        ["addons", "csi-plugin", "flexvolume"],
    ),
    "two security groups": (
        cluster(securityGroupId="sg-1", isEnterpriseSecurityGroup=True),
        ["spec.isEnterpriseSecurityGroup", "spec.securityGroupId"],
    ),
    "addresses of pods without Terway": (cluster(podVswitchIds=["net-h"]), ["spec.podVswitchIds", "terway-eniip"]),
    "two IP stacks without Terway": (cluster(ipStack="dual"), ["spec.ipStack: dual", "terway-eniip", "ipv4"]),
    "no name of a host": (cluster(extraSans=["api.example.com", "10.0.0.9", "a b"]), ["spec.extraSans: a b"]),
    "a misprinted time zone": (
        cluster(timezone="America/St_Bartelemy"),
        ["spec.timezone: America/St_Bartelemy", "did you mean America/St_Barthelemy?"],
    ),
    "a city as time zone": (cluster(timezone="shanghai"), ["spec.timezone: shanghai", "did you mean Asia/Shanghai?"]),
    "a time that is none": (
        cluster(maintenanceWindow={"enable": True, "maintenanceTime": "2026-13-01T03:00:00Z"}),
        ["spec.maintenanceWindow.maintenanceTime: 2026-13-01T03:00:00Z", "RFC 3339"],
    ),
    "a window without a time": (
        cluster(maintenanceWindow={"enable": True}),
        ["spec.maintenanceWindow.maintenanceTime"],
    ),
    "a day that is none": (
        cluster(maintenanceWindow={"weeklyPeriod": "Monday,Funday"}),
        ["spec.maintenanceWindow.weeklyPeriod: Monday,Funday", "Sunday"],
    ),
    "a daily window": (
        cluster(maintenanceWindow={"recurrence": "FREQ=DAILY"}),
        ["spec.maintenanceWindow.recurrence: FREQ=DAILY", "RFC 5545"],
    ),
    "a reserved tag": (
        cluster(tags=[{"key": "aliyun.com/x"}, {"key": "ACS:y"}]),
        ["spec.tags: aliyun.com/x, ACS:y", "InvalidTagKey.Malformed"],
    ),
    "a link as tag": (cluster(tags=[{"key": "a", "value": "https://x"}]), ["spec.tags", "InvalidTagValue.Malformed"]),
    "logs of nothing": (
        cluster(controlplaneLogComponents=["kubelet"]),
        ["controlplaneLogComponents", "kubelet", "apiserver"],
    ),
    "a long name": (cluster(name="c" * 64), ["metadata.name", "63"]),
    "sandboxed containers on virtual machines": (
        pool(spec=RUNV),
        ["spec.scalingGroup.instanceTypes", "bare metal", "ecs.g6.xlarge"],
    ),
    "enclaves without SGX": (pool(spec=TEE), ["spec.scalingGroup.instanceTypes", "SGX", "ecs.g6.xlarge"]),
    "CentOS 8": (pool(imageType="CentOS8"), ["spec.scalingGroup.imageType: CentOS8", "CentOS 8.x and above"]),
    "another system": (pool(imageType="BeOS"), ["spec.scalingGroup.imageType: BeOS", "AliyunLinux3"]),
    "a disk of no category": (pool(systemDiskCategory="floppy"), ["systemDiskCategory", "floppy", "cloud_essd"]),
    "a spot price for none": (
        pool(spotPriceLimit=[{"instanceType": "ecs.g6.xlarge", "priceLimit": "1"}]),
        ["spec.scalingGroup.spotPriceLimit", "NoSpot", "InvalidSpotPriceLimit"],
    ),
    "spot without a price": (
        pool(spotStrategy="SpotWithPriceLimit"),
        ["spec.scalingGroup.spotPriceLimit", "ecs.g6.xlarge", "InvalidSpotPriceLimit"],
    ),
    "a price of nothing": (
        pool(spotStrategy="SpotWithPriceLimit", spotPriceLimit=[{"instanceType": "ecs.g6.xlarge", "priceLimit": "0"}]),
        ["spec.scalingGroup.spotPriceLimit: ecs.g6.xlarge 0", "InvalidSpotPriceLimit"],
    ),
    "spot by subscription": (
        pool(spotStrategy="SpotAsPriceGo", instanceChargeType="PrePaid"),
        ["spec.scalingGroup.spotStrategy: SpotAsPriceGo", "InvalidSpotPrepaid"],
    ),
    "bounds upside down": (pool(minSize=5, maxSize=4), ["spec.scalingGroup.minSize: 5", "IncorrectCapacity.MinSize"]),
    "a reserved tag of machines": (
        pool(tags=[{"key": "acs:x"}]),
        ["spec.scalingGroup.tags: acs:x", "InvalidTagKey.Malformed"],
    ),
    "spot machines at the edge": (
        pool(spec={"type": "edge"}, spotStrategy="SpotAsPriceGo"),
        ["spec.type", "edge"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_never_become_right_is_refused(stack, case):
    manifest, told = REFUSED[case]
    text = answer(stack, manifest)
    for word in told:
        assert word in text


def test_what_breaks_several_rules_is_told_all_of_them(stack):
    manifest = cluster(
        regionId="cn-nanjing",
        kubernetesVersion="1.7.0",
        serviceCidr="172.16.0.0/12",
        timezone="Mars/Olympus",
        encryptionProviderKey="key-1",
        tags=[{"key": "acs:x"}],
    )
    text = answer(stack, manifest)
    fields = ("regionId", "kubernetesVersion", "serviceCidr", "timezone", "encryptionProviderKey", "tags")
    assert [field for field in fields if f"spec.{field}: " not in text] == []


ALLOWED = {
    "Pro with a key": cluster(clusterSpec=PRO, encryptionProviderKey="key-1"),
    "five masters": cluster(
        clusterType="Kubernetes", controlPlaneConfig={"size": 5, "instanceTypes": ["ecs.c6.xlarge"]}
    ),
    "a window": cluster(
        maintenanceWindow={
            "enable": True,
            "maintenanceTime": "2026-11-19T03:00:00+08:00",
            "recurrence": "FREQ=WEEKLY;INTERVAL=4;BYDAY=TU",
            "weeklyPeriod": "Monday,Thursday",
        }
    ),
    "names of hosts": cluster(extraSans=["api.example.com", "*.example.com", "10.0.0.9"], timezone="Europe/Kyiv"),
    # In an account that nobody uses: one machine has more vCPUs than the default quota, which a used account shows.
    "sandboxed containers": pool("kube-public", spec=RUNV, instanceTypes=["ecs.ebmg6.26xlarge"]),
    "enclaves": pool(spec=TEE, instanceTypes=["ecs.g7t.xlarge"]),
    "CentOS 7": pool(imageType="CentOS"),
    "spot": pool(
        spotStrategy="SpotWithPriceLimit", spotPriceLimit=[{"instanceType": "ecs.g6.xlarge", "priceLimit": "0.35"}]
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_right_is_taken(stack, case):
    assert answer(stack, ALLOWED[case]) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("profile", "Edge"),
        ("ipStack", "dual"),
        ("proxyMode", "iptables"),
        ("clusterDomain", "corp.local"),
        ("serviceAccountIssuer", "https://other"),
        ("clusterType", "Kubernetes"),
        ("clusterSpec", "ack.standard"),
        ("addons", [{"name": "flexvolume"}]),
    ],
)
def test_what_a_cluster_is_born_with_stays(stack, namespace, field, value):
    manifest = cluster(namespace, clusterSpec=PRO)
    manifest["metadata"]["annotations"] = {"ackbox.dev/paused": "true"}
    stack.api.apply(manifest)
    manifest["spec"][field] = value
    text = stack.api.refused(manifest)
    assert field in text
    assert "cannot be changed" in text


def test_standard_becomes_pro_and_a_pool_keeps_its_kind(stack, namespace):
    manifest, machines = cluster(namespace), pool(namespace)
    for each in (manifest, machines):
        each["metadata"]["annotations"] = {"ackbox.dev/paused": "true"}
    stack.api.apply(manifest, machines)
    manifest["spec"]["clusterSpec"] = PRO
    stack.api.apply(manifest)
    machines["spec"] |= {
        "type": "edge",
        **TEE,
        "scalingGroup": machines["spec"]["scalingGroup"] | {"instanceTypes": ["ecs.g7t.xlarge"]},
    }
    text = stack.api.refused(machines)
    assert "type cannot be changed" in text
    assert "teeConfig cannot be changed" in text


def account(namespace, **spec):
    return objects.custom("Account", "default", spec, namespace)


ACCOUNTS = {
    "RealNameAuthenticationError": {"realNameVerified": False},
    "Account.Arrearage": {"arrears": True},
    "InvalidAccountStatus.NotEnoughBalance": {"balance": 99},
    "StatusForbidden": {"deniedActions": ["cs:CreateCluster"]},
}


def test_an_account_that_may_not_buy_creates_nothing(stack, namespace):
    manifest = cluster(namespace)
    for code, spec in ACCOUNTS.items():
        stack.api.apply(account(namespace, **spec))
        eventually(lambda code=code: code in answer(stack, manifest), code, deadline=10)
        stack.api.kubectl("delete", "account", "default", "-n", namespace)
    stack.api.apply(account(namespace, realNameVerified=False, arrears=True, balance=0))
    eventually(lambda: all(code in answer(stack, manifest) for code in list(ACCOUNTS)[:3]), "all are told", deadline=10)
    stack.api.apply(account(namespace, balance=100))
    eventually(lambda: answer(stack, manifest) == "", "nothing is wrong", deadline=10)


def labels_of(workload):
    return [(node["metadata"]["labels"], node) for node in workload.nodes()]


def test_special_pools_of_an_edge_cluster_and_an_account_in_arrears(stack, namespace):
    """Nodes show what their machines are; what the account can't pay for waits, and comes when it is paid."""
    api = stack.api
    gpu = pool(namespace, "gpu", instanceTypes=["ecs.gn6i-c4g1.xlarge"], imageType="WindowsCore")
    away = pool(namespace, "away", spec={"type": "edge"}, size=0)
    api.apply(objects.vpc(namespace=namespace), cluster(namespace, profile="Edge", vswitchIds=["net-h"]), gpu, away)
    eventually(lambda: is_ready(api.object("nodepools", "gpu", namespace)), "the GPU pool Ready")
    workload = stack.workload("one", namespace)
    eventually(lambda: len(workload.nodes()) == 1, "its node")
    ((labels, node),) = labels_of(workload)
    assert labels["aliyun.accelerator/nvidia_name"] == "Tesla-T4"
    assert labels["alibabacloud.com/is-edge-worker"] == "false"
    assert labels["kubernetes.io/os"] == "windows"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert any(taint["key"] == "os" for taint in node["spec"]["taints"])
    api.apply(account(namespace, arrears=True))
    eventually(lambda: condition(api.object("accounts", "default", namespace))["reason"] == "Account.Arrearage", "said")
    api.kubectl("scale", "nodepool", "away", "-n", namespace, "--replicas=1")

    def reason():
        return condition(api.object("nodepools", "away", namespace)).get("reason")

    eventually(lambda: reason() == "Account.Arrearage", "the pool says why it does not grow")
    assert len(workload.nodes()) == 1
    api.apply(account(namespace, arrears=False))
    eventually(lambda: is_ready(api.object("nodepools", "away", namespace)), "the pool grows once the bills are paid")
    eventually(
        lambda: {labels["alibabacloud.com/is-edge-worker"] for labels, _ in labels_of(workload)} == {"true", "false"},
        "a node at the edge",
    )


def test_a_serverless_cluster_runs_pods_on_virtual_nodes_and_keeps_its_load_balancer(stack, namespace):
    api = stack.api
    retain = [{"resourceType": "SLB", "deleteMode": "retain"}]
    spec = {"profile": "Serverless", "containerCidr": None, "vswitchIds": ["net-h", "net-i"], "deleteOptions": retain}
    api.apply(objects.vpc(namespace=namespace), cluster(namespace, **spec), pool(namespace))
    eventually(lambda: is_ready(api.object("managedclusters", "one", namespace)), "the cluster Ready")
    workload = stack.workload("one", namespace)
    eventually(lambda: len(workload.nodes()) == 2, "its virtual nodes")
    nodes = {node["metadata"]["name"]: node for node in workload.nodes()}
    assert set(nodes) == {"virtual-kubelet-cn-hangzhou-h", "virtual-kubelet-cn-hangzhou-i"}
    assert sum(int(node["status"]["allocatable"]["pods"]) for node in nodes.values()) == 1000
    assert all(node["spec"]["taints"][0]["key"] == "virtual-kubelet.io/provider" for node in nodes.values())
    refusal = eventually(lambda: condition(api.object("nodepools", "pool", namespace)), "the pool is told")
    assert refusal["reason"] == "InvalidClusterType"
    assert "serverless" in refusal["message"]
    workload.apply(objects.deployment("web", "default"), objects.service("web", "default", "web"))
    eventually(
        lambda: (
            [pod["status"]["phase"] for pod in workload.items(f"{CORE}/namespaces/default/pods")] == ["Running"] * 2
        ),
        "its pods run",
    )
    eventually(lambda: workload.core("services", "web")["status"]["loadBalancer"].get("ingress"), "its load balancer")
    (kept,) = [
        each["metadata"]["name"]
        for each in api.objects("serviceloadbalancers", namespace)
        if "apiserver" not in each["metadata"]["name"]
    ]
    address = api.object("serviceloadbalancers", kept, namespace)["status"]["address"]
    api.kubectl("delete", "nodepool", "pool", "-n", namespace)
    api.kubectl("delete", "managedcluster", "one", "-n", namespace, "--timeout=120s")
    assert gone(api, f"{ACKBOX}/namespaces/{namespace}/managedclusters/one")
    assert api.object("serviceloadbalancers", kept, namespace)["status"]["address"] == address
    assert [each["metadata"]["name"] for each in api.objects("serviceloadbalancers", namespace)] == [kept]
    assert api.objects("listeners", namespace) == []
    assert api.objects("servergroups", namespace) == []
