"""A real kubelet that joined a ManagedCluster as docs/howto/real-node.md says: real pods beside emulated ones."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import objects
from e2e.stack import ROOT, Api, condition, eventually, is_ready
from node.harness.images import BUSYBOX
from node.stack import ClusterStack

PAGE = ROOT / "docs" / "howto" / "real-node.md"
NAME = "joined-1"
MACHINE = {"kubernetes.io/hostname": NAME}


def blocks() -> list[str]:
    """The commands of the page: how to make the bootstrap kubeconfig, and how to approve."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def shell(api: Api, folder: Path, commands: str) -> None:
    environment = {
        "KUBECONFIG": str(api.kubeconfig),
        "PATH": f"{api.kubeconfig.parent / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
    }
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=environment, check=True, timeout=120)


@pytest.fixture(scope="module")
def joined(ackbox: ClusterStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A cluster with an emulated node and a real one."""
    api = ackbox.api
    folder = tmp_path_factory.mktemp("joining")
    with ackbox.namespace() as namespace:
        api.apply(objects.vpc(namespace=namespace), objects.pool(namespace=namespace))
        api.apply(objects.cluster(namespace=namespace, emulation={"ephemeral": True}))
        eventually(lambda: is_ready(api.object("managedclusters", "one", namespace)), "the cluster Ready")
        workload = ackbox.workload("one", namespace)
        prepare, approve = blocks()
        shell(workload, folder, prepare)
        ackbox.node.join(NAME, folder / "bootstrap.kubeconfig")
        eventually(
            lambda: len(workload.nodes()) == 2 and all(condition(n)["status"] == "True" for n in workload.nodes()),
            "both nodes",
        )
        eventually(lambda: shell(workload, folder, approve) is None, "kubelet's own certificate approved")
        yield workload
        workload.kubectl("delete", "pods", "--all", "--timeout=60s")
        ackbox.node.leave(NAME)
        api.kubectl("delete", "nodepools,managedclusters", "--all", "-n", namespace, "--timeout=120s")


def on(node: dict, name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": node,
            "dnsPolicy": "Default",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": BUSYBOX,
                    "command": ["/bin/sh", "-c", "echo real $((6 * 7)); exec busybox sleep 1000"],
                }
            ],
        },
    }


def test_a_pod_on_the_real_node_runs_and_its_neighbour_is_emulated(joined: Api):
    joined.apply(on(MACHINE, "real"), on({"ackbox.dev/emulated": "true"}, "emulated"))
    joined.kubectl("wait", "--for=condition=Ready", "pod/real", "pod/emulated", "--timeout=180s")
    assert eventually(lambda: joined.kubectl("logs", "real"), "its output") == "real 42\n"
    assert "emulated by ackbox" in joined.kubectl("logs", "emulated")
    assert joined.kubectl("exec", "real", "--", "/bin/busybox", "hostname") == "real\n"


def test_the_real_node_is_no_instance_and_keeps_what_kubelet_says(joined: Api):
    node = joined.get(f"/api/v1/nodes/{NAME}")
    assert "ackbox.dev/emulated" not in node["metadata"]["labels"]
    assert not node["spec"].get("providerID")
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    assert "emulated" not in node["status"]["nodeInfo"]["osImage"]


def test_a_deleted_pod_leaves_the_real_node(joined: Api):
    joined.apply(on(MACHINE, "short"))
    joined.kubectl("wait", "--for=condition=Ready", "pod/short", "--timeout=180s")
    joined.kubectl("delete", "pod", "short", "--timeout=60s")
    assert "short" not in joined.kubectl("get", "pods", "--output=name")
