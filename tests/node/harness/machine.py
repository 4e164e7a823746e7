"""What runs on a node: containerd, kubelet and kube-proxy, as supervised programs, and their settings."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import yaml

from ackbox.runtime.files import write_private
from ackbox.runtime.programs import Group, Program, arguments, single
from node.harness.layout import POD_CIDR, RUN

NETWORK_PLUGINS = Path("/usr/lib/cni")
PAUSE = "registry.k8s.io/pause:3.10"

# supervisord keeps files private; what containers read must not be.
READABLE = ("/bin/sh", "-c", 'umask 022; exec "$@"', "sh")


@dataclass(frozen=True)
class Machine:
    """One node.

    Attributes:
        name: of the Node.
        folder: of its data.
        address: where kubelet listens.
        pods: addresses of its pods.
        cgroup: parent of its pods' control groups; must be there.
        kubeconfig: how kubelet reaches its cluster.
        authority: CA whose clients kubelet believes.
        bootstrap: with which kubelet asks for what `kubeconfig` will hold; None when that is there.
    """

    name: str
    folder: Path
    address: IPv4Address
    pods: IPv4Network
    cgroup: str
    kubeconfig: Path
    authority: Path
    bootstrap: Path | None = None

    @property
    def socket(self) -> Path:
        """Of containerd."""
        return RUN / self.name / "containerd.sock"

    def container_runtime(self) -> Group:
        """containerd."""
        config = self.folder / "containerd.toml"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(config, _containerd(self))
        _write_network(self)
        program = Program(f"containerd-{self.name}", (*READABLE, "containerd", "--config", str(config)), (config,))
        return single(program, 40)

    def kubelet(self, binary: Path) -> Group:
        """The kubelet."""
        config = self.folder / "kubelet.yaml"
        write_private(config, yaml.safe_dump(_kubelet(self)))
        (self.folder / "resolv.conf").touch()
        flags: dict[str, object] = {
            "config": config,
            "kubeconfig": self.kubeconfig,
            "root-dir": self.folder / "kubelet",
            "cert-dir": self.folder / "certificates",
            "node-ip": self.address,
            "hostname-override": self.name,
        }
        if self.bootstrap is not None:
            flags["bootstrap-kubeconfig"] = self.bootstrap
        command = (*READABLE, str(binary), *arguments(flags))
        return single(Program(f"kubelet-{self.name}", command, (config,)), 50)


def proxy(binary: Path, kubeconfig: Path, name: str) -> Group:
    """The kube-proxy of a network namespace, which makes the addresses of Services work."""
    flags = {
        "kubeconfig": kubeconfig,
        "hostname-override": name,
        "proxy-mode": "iptables",
        "cluster-cidr": POD_CIDR,
        # These belong to the whole machine and can't be written from a namespace.
        "conntrack-max-per-core": 0,
        "conntrack-tcp-timeout-established": 0,
        "conntrack-tcp-timeout-close-wait": 0,
        "oom-score-adj": 0,
        "healthz-bind-address": "",
        "metrics-bind-address": "127.0.0.1:10249",
        # A change counts at once.
        "iptables-min-sync-period": "100ms",
    }
    return single(Program("kube-proxy", (str(binary), *arguments(flags)), (kubeconfig,)), 50)


def _containerd(machine: Machine) -> str:
    return f"""version = 2
root = {json.dumps(str(machine.folder / "containerd"))}
state = {json.dumps(str(machine.socket.parent / "containerd"))}
[grpc]
  address = {json.dumps(str(machine.socket))}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Machines that may not lower a process's score can still run containers.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{NETWORK_PLUGINS}"
    conf_dir = {json.dumps(str(machine.folder / "cni"))}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _write_network(machine: Machine) -> None:
    """A route of its own for each pod: all its packets pass the host, where kube-proxy's rules stand."""
    folder = machine.folder / "cni"
    folder.mkdir(exist_ok=True)
    plugin = {
        "type": "ptp",
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(machine.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(RUN / machine.name / "addresses"),
        },
    }
    network = {"cniVersion": "0.4.0", "name": machine.name, "plugins": [plugin]}
    write_private(folder / "10-pods.conflist", json.dumps(network))


def _kubelet(machine: Machine) -> dict[str, object]:
    never = {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(machine.address),
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(machine.authority)}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": machine.cgroup,
        # Kubernetes gives up the older version of control groups, which hosts still have.
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{machine.socket}",
        # Who joined a cluster has its certificates from there, so that the API server knows kubelet.
        "serverTLSBootstrap": machine.bootstrap is not None,
        "resolvConf": str(machine.folder / "resolv.conf"),
        "podLogsDir": str(machine.folder / "pods"),
        "volumePluginDir": str(machine.folder / "volume-plugins"),
        "oomScoreAdj": 0,
        "healthzPort": 0,
        "readOnlyPort": 0,
        # A full disk of the machine is no matter of the tests.
        "evictionHard": never,
        "imageGCHighThresholdPercent": 100,
        "registryPullQPS": 0,
        "serializeImagePulls": True,
        # What a pod is changes soon.
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "5s",
    }
