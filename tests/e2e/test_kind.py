"""On kind, where Docker runs: the chart as docs/quickstart/kind.md says, a cluster in its Pods, a listener that answers."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ackbox import __version__
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Silent
from e2e import objects
from e2e.stack import ROOT, Api, eventually, is_ready, use_kubectl

pytestmark = [pytest.mark.kind, pytest.mark.e2e]

IMAGE = f"ghcr.io/ackbox/ackbox:{__version__}"
SPACE = "kind"


def docker_runs() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


needs_docker = pytest.mark.skipif(not docker_runs(), reason="no Docker engine answers on this machine")


@pytest.fixture(scope="module")
def kind(kind_cluster: Any) -> Iterator[Any]:
    """A kind cluster with the chart installed and a namespace."""
    subprocess.run([ROOT / "hack" / "image"], check=True)
    kind_cluster.load_docker_image(IMAGE)
    helm = asyncio.run(locate(tools.helm(), Silent()))["helm"]
    where = ("--namespace=ackbox-system", "--create-namespace", "--wait", "--timeout=300s")
    kubeconfig = f"--kubeconfig={kind_cluster.kubeconfig_path}"
    subprocess.run([helm, kubeconfig, "upgrade", "--install", "ackbox", ROOT / "charts" / "ackbox", *where], check=True)
    use_kubectl(kind_cluster.kubectl_path.absolute())
    kind_cluster.kubectl("create", "namespace", SPACE)
    yield kind_cluster
    kind_cluster.kubectl("delete", "managedclusters,nodepools,vpcs", "--all", "-n", SPACE, "--timeout=300s")


@needs_docker
def test_a_service_of_a_cluster_in_pods_answers_on_kind(kind: Any):
    api = Api(kind.kubeconfig_path.absolute())
    api.apply(objects.vpc(namespace=SPACE), objects.cluster(namespace=SPACE), objects.pool(namespace=SPACE))
    eventually(lambda: is_ready(api.object("nodepools", "pool", SPACE)), "the pool Ready", 600)
    reachable = api.object("listeners", "one-apiserver-6443-tcp", SPACE)["status"]["reachable"]
    # A ClusterIP can be dialled from kind's node only. Who has no certificate is refused by the cluster itself.
    inside = ("docker", "exec", f"{kind.name}-control-plane")
    told = subprocess.run(
        [*inside, "curl", "--silent", "--insecure", f"https://{reachable}/api"], check=True, capture_output=True
    )
    assert b"Unauthorized" in told.stdout
