"""KWOK's configuration for one workload cluster: stages, and what it answers to `kubectl logs`."""

import datetime
import sys
from pathlib import Path
from typing import Any

import yaml

from ackbox.controlplane import kwok_start
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.runtime.certificates import KeyFiles

KUBELET_PORT = 10247
EMULATED_LABEL = "ackbox.dev/emulated"
LEASE_SECONDS = 40
# KWOK's default of 4 workers each holds 1,000 Nodes back by minutes.
PARALLELISM = 16

STAGES = Path(__file__).with_name("stages")
API_VERSION = "kwok.x-k8s.io/v1alpha1"
LOG_LINE = "This pod is emulated by ackbox: no container runs, so there is no output of one."


def log_file() -> str:
    """What every container is said to have written, in the format of container runtimes."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    return f"{now} stdout F {LOG_LINE}\n"


def configuration(spec: ControlPlaneSpec, server: KeyFiles, log: Path, listen: str | None = None) -> str:
    """KWOK's configuration file.

    Args:
        spec: the control plane.
        server: certificate that KWOK shows as the kubelet of its Nodes.
        log: file with the content of `log_file`.
        listen: where it serves the kubelet port; None: at the address where it is dialled.
    """
    options = {
        "manageNodesWithLabelSelector": f"{EMULATED_LABEL}=true",
        "cidr": spec.pod_cidr,
        "serverAddress": f"{listen or spec.kubelet_address}:{KUBELET_PORT}",
        "nodePort": KUBELET_PORT,
        "tlsCertFile": str(server.certificate),
        "tlsPrivateKeyFile": str(server.key),
        "enableDebuggingHandlers": True,  # logs, exec, attach, port-forward
        "enableProfilingHandler": False,
        "nodeLeaseDurationSeconds": LEASE_SECONDS,
        "nodeLeaseParallelism": PARALLELISM,
        "nodePlayStageParallelism": PARALLELISM,
        "podPlayStageParallelism": PARALLELISM,
        "podsOnNodeSyncParallelism": PARALLELISM,
    }
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokConfiguration",
            "metadata": {"name": "ackbox"},
            "options": options,
        },
        {
            "apiVersion": API_VERSION,
            "kind": "ClusterLogs",
            "metadata": {"name": "emulated"},
            "spec": {"logs": [{"logsFile": str(log), "previousLogsFile": str(log)}]},
        },
    ]
    stages = "---\n".join(path.read_text() for path in sorted(STAGES.glob("*.yaml")))
    head: str = yaml.safe_dump_all(documents, sort_keys=False)
    return f"{head}---\n{stages}"


def command(binary: Path, config: Path, kubeconfig: Path, url: str, authority: Path, user: KeyFiles) -> tuple[str, ...]:
    """KWOK's command line, behind the program that waits for the API server at `url`."""
    start = (sys.executable, "-I", "-S", str(Path(kwok_start.__file__)))
    where = (url, str(authority), str(user.certificate), str(user.key))
    return (*start, *where, "--", str(binary), f"--config={config}", f"--kubeconfig={kubeconfig}")
