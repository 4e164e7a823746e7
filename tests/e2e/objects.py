"""The objects that the tests apply."""

from typing import Any

REGION = "cn-hangzhou"


def custom(kind: str, name: str, spec: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def quota(namespace: str = "default", **hard: int) -> dict[str, Any]:
    """The account's quotas: the defaults let a test have little, so this raises those that most tests would meet."""
    figures = {"clusters": 50, "nodes": 100, "nodepools": 50, "scalinggroups": 50, "vcpus": 1000, "vpcs": 50}
    return custom("CloudQuota", "default", {"hard": figures | hard}, namespace)


def vpc(name: str = "net", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return custom(
        "VPC",
        name,
        {
            "regionId": REGION,
            "cidrBlock": "192.168.0.0/16",
            "vswitches": [
                {"vSwitchName": f"{name}-h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/20"},
                {"vSwitchName": f"{name}-i", "zoneId": "cn-hangzhou-i", "cidrBlock": "192.168.16.0/20"},
            ],
            **spec,
        },
        namespace,
    )


def cluster(name: str = "one", namespace: str = "default", network: str = "net", **spec: Any) -> dict[str, Any]:
    return custom(
        "ManagedCluster",
        name,
        {
            "regionId": REGION,
            "vpcId": network,
            "vswitchIds": [f"{network}-h"],
            "containerCidr": "10.32.0.0/16",
            **spec,
        },
        namespace,
    )


def pool(
    name: str = "pool", size: int = 1, of: str = "one", namespace: str = "default", network: str = "net", **group: Any
) -> dict[str, Any]:
    return custom(
        "NodePool",
        name,
        {
            "clusterId": of,
            "scalingGroup": {
                "desiredSize": size,
                "instanceTypes": ["ecs.g6.xlarge"],
                "vswitchIds": [f"{network}-h", f"{network}-i"],
                **group,
            },
        },
        namespace,
    )


def deployment(name: str, namespace: str, replicas: int = 2, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {"name": "web", "image": "nginx", "ports": [{"name": "web", "containerPort": 8080}]}
                    ],
                    **spec,
                },
            },
        },
    }


PREFIX = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"


def service(
    name: str,
    namespace: str,
    app: str,
    ports: list[dict[str, Any]] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {(key if "/" in key else PREFIX + key): value for key, value in (annotations or {}).items()},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": app},
            "ports": ports or [{"name": "web", "port": 80, "targetPort": 8080}],
            **spec,
        },
    }
