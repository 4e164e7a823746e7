"""The command line and the kubectl plug-in against a whole stack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e import objects
from e2e.stack import CORE, Stack, eventually, http, is_ready, kubectl_path
from e2e.test_stack_lifecycle import reachable, with_service

pytestmark = pytest.mark.e2e

SCRIPTS = Path(sys.executable).parent
"""Where the programs of ackbox's Python package are, `kubectl-ack` among them."""


def ack(stack: Stack, *arguments: str) -> None:
    """`kubectl ack …`, as a user of the management cluster types it."""
    path = os.pathsep.join((str(SCRIPTS), str(kubectl_path().parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "KUBECONFIG": str(stack.home / "kubeconfig")}
    done = subprocess.run(
        ["kubectl", "ack", *arguments], env=environment, capture_output=True, text=True, timeout=700, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def processes(stack: Stack, cluster_id: str) -> list[str]:
    """What runs for a cluster."""
    return [status.name for status in stack.statuses() if cluster_id in status.name]


def completed(stack: Stack, line: str) -> list[str]:
    """What a shell proposes for the last word of a command line."""
    asked = {"_ACKBOX_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = subprocess.run(
        [str(SCRIPTS / "ackbox")], env=stack.environment | asked, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_cluster_is_made_sleeps_and_wakes_with_everything_in_it(stack, namespace):
    api, here = stack.api, ("-n", namespace)
    ack(stack, "create", "one", "--nodes", "1", *here)
    workload = stack.workload("one", namespace)
    with_service(workload)
    address = eventually(lambda: reachable(stack, namespace), "the Service answers")
    nodes = {node["metadata"]["uid"] for node in workload.nodes()}
    cluster_id = api.object("managedclusters", "one", namespace)["status"]["clusterId"]
    assert processes(stack, cluster_id)
    assert completed(stack, f"ackbox hibernate -n {namespace} o") == ["plain,one"]

    ack(stack, "hibernate", "one", *here)
    sleeping = api.object("managedclusters", "one", namespace)
    assert is_ready(sleeping)
    assert sleeping["status"]["phase"] == "hibernated"
    assert processes(stack, cluster_id) == []
    with pytest.raises(OSError, match=r"refused|reset|EOF|aborted"):
        workload.nodes()
    assert http(address), "its load balancers answer on"

    stack.ackbox("wake", "one", "-n", namespace)
    assert {node["metadata"]["uid"] for node in workload.nodes()} == nodes
    workload.kubectl("scale", "deployment", "web", "-n", "default", "--replicas=2")
    ready = "jsonpath={.status.readyReplicas}=2"
    workload.kubectl("wait", "deployment/web", "-n", "default", f"--for={ready}", "--timeout=120s")
    ack(stack, "scale", "one", "0", *here)
    eventually(lambda: not workload.items(f"{CORE}/nodes"), "the pool is empty")


def test_a_registered_cluster_is_not_put_to_sleep(stack, namespace):
    external = {"kubeconfigSecretRef": {"name": "theirs"}}
    spec = {"clusterType": "ExternalKubernetes", "regionId": objects.REGION, "externalCluster": external}
    text = stack.api.refused(
        objects.custom("ManagedCluster", "theirs", spec | {"emulation": {"hibernated": True}}, namespace)
    )
    assert "the control plane of a registered cluster is its owner's" in text


def test_the_doctor_finds_a_running_stack_well(stack):
    # Clusters of other tests may be on their way down.
    findings = json.loads(eventually(lambda: stack.ackbox("doctor", "-o", "json"), "nothing is wrong"))
    told = {finding["check"]: finding for finding in findings if finding["level"] == "ok"}
    assert f"{stack.home} is up" in told["home"]["message"]
    assert "KUBECONFIG" in told["management cluster"]["message"]


def test_a_home_of_a_newer_ackbox_goes_on_running_and_is_not_touched(stack):
    state = stack.home / "state.json"
    before, pid = state.read_text(), stack.pid("operator")
    state.write_text(json.dumps(json.loads(before) | {"version": "99.0.0"}))
    try:
        with pytest.raises(AssertionError, match=r"was last used by ackbox 99\.0\.0, and this is"):
            stack.ackbox("up")
        assert stack.pid("operator") == pid
    finally:
        state.write_text(before)
