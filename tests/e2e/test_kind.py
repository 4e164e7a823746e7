"""On kind, where Docker runs: the CRDs and policies load, and a registered kind cluster is reached."""

import shutil
import subprocess

import pytest

from e2e import objects
from e2e.stack import ROOT, is_ready  # noqa: F401 - is_ready documents what Ready means here

pytestmark = [pytest.mark.kind, pytest.mark.e2e]


def docker_runs() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


needs_docker = pytest.mark.skipif(not docker_runs(), reason="no Docker engine answers on this machine")


@needs_docker
def test_crds_and_policies_load_on_kind(kind_cluster):
    kind_cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    kind_cluster.kubectl("wait", "--for=condition=Established", "crd/managedclusters.ackbox.dev", "--timeout=60s")
    with pytest.raises(subprocess.CalledProcessError):
        kind_cluster.kubectl("create", "-f", "-", input=str(objects.vpc(cidrBlock="nothing")))
