"""The cloud-controller-manager of one cluster, managed or registered, as a Pod of the management cluster. Pure."""

from collections.abc import Mapping

from ackbox.controlplane import labels
from ackbox.controlplane.flags import KWOK
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_manifests import DEPLOYMENT, RECREATE, secret_name
from ackbox.controlplane.incluster_pods import Manifest, PodPlan, Volumes, template
from ackbox.controlplane.incluster_programs import Health, PodProgram
from ackbox.controlplane.local import SERVICE_ACCOUNT
from ackbox.kube.refs import owner_reference
from ackbox.kube.serving import POD_PORT
from ackbox.kube.settings import POD_DEFAULTS
from ackbox.resources import MANAGED_CLUSTER, Kind, ManagedCluster
from ackbox.resources.base import CLUSTER_LABEL

ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
ROLE = "ackbox:ccm"
"""The ClusterRole of every ccm; it holds in the namespace of the ManagedCluster."""

CCM = "ccm"
METRICS_API_PORT = 4443

HOME, RUN = POD_DEFAULTS["ACKBOX_HOME"], POD_DEFAULTS["ACKBOX_RUN"]

METRICS_API_FILES = {
    "metrics-api.crt": "management/metrics-api.crt",
    "metrics-api.key": "management/metrics-api.key",
    "front-proxy-ca.crt": "front-proxy/ca.crt",
}
"""Which files of the control plane's Secret the ccm reads, and where below `pki` of its home it looks for them."""


def objects(cluster: ManagedCluster, cluster_id: str, options: PodOptions) -> list[tuple[Kind, Manifest]]:
    """The ccm's identity, its rights and its Deployment, in the order in which they are to be applied."""
    about = _metadata(cluster, account_name(cluster))
    binding = {
        "metadata": about,
        "roleRef": {"apiGroup": ROLE_BINDING.group, "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": SERVICE_ACCOUNT.kind, "name": about["name"], "namespace": about["namespace"]}],
    }
    return [
        (SERVICE_ACCOUNT, {"metadata": about, "automountServiceAccountToken": False}),
        (ROLE_BINDING, binding),
        (DEPLOYMENT, _deployment(cluster, cluster_id, options)),
    ]


def account_name(cluster: ManagedCluster) -> str:
    """As whom a cluster's ccm comes to the management cluster."""
    return f"{cluster.metadata.name}-{CCM}"


def _metadata(cluster: ManagedCluster, name: str) -> Manifest:
    mine = cluster.metadata
    owner = {**owner_reference(MANAGED_CLUSTER, mine.name, mine.uid), "controller": True}
    label = {CLUSTER_LABEL: mine.name, labels.PROGRAM_LABEL: CCM}
    return {"name": name, "namespace": mine.namespace, "labels": label, "ownerReferences": [owner]}


def _deployment(cluster: ManagedCluster, cluster_id: str, options: PodOptions) -> Manifest:
    external = cluster.spec.cluster_type == "ExternalKubernetes"
    same = {labels.CLUSTER_ID_LABEL: cluster_id, labels.PROGRAM_LABEL: CCM}
    # The metrics API is dialled where the kubelets are: one address, each port served by the Pod that names it.
    dialled = {} if external else labels.dialled(cluster.metadata.name, "kubelet", KWOK)
    plan = PodPlan(
        labels={CLUSTER_LABEL: cluster.metadata.name, **dialled, **same},
        spread=same,
        programs=[_program(cluster, options)],
        secret=secret_name(cluster.metadata.name),
        files={},
        volumes=_volumes(cluster, external),
        service_account=account_name(cluster),
    )
    return {
        "metadata": _metadata(cluster, labels.object_name(cluster.metadata.name, CCM)),
        "spec": {
            "replicas": int(not cluster.spec.emulation.hibernated),
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": dict(plan.labels)},
            # Two at a time would write over each other.
            "strategy": RECREATE,
            "template": template(plan, options),
        },
    }


def _program(cluster: ManagedCluster, options: PodOptions) -> PodProgram:
    environment: Mapping[str, str] = {
        "ACKBOX_IN_CLUSTER": "true",
        "ACKBOX_POD_NAME": "@metadata.name",
        "ACKBOX_POD_NAMESPACE": "@metadata.namespace",
        "ACKBOX_SERVICE_ACCOUNT": "@spec.serviceAccountName",
        "ACKBOX_IMAGE": options.images.own,
    }
    return PodProgram(
        name=CCM,
        image=options.images.own,
        command=("ackbox", CCM, "--cluster", "/".join(cluster.key)),
        health=Health(POD_PORT, "HTTP", "/healthz", "/readyz"),
        ports={"metrics-api": METRICS_API_PORT, "metrics": POD_PORT},
        cpu="25m",
        memory="128Mi",
        environment=environment,
    )


def _volumes(cluster: ManagedCluster, external: bool) -> Volumes:
    scratch: Volumes = {
        "home": (HOME, {"emptyDir": {}}),
        "run": (RUN, {"emptyDir": {}}),
        "tmp": ("/tmp", {"emptyDir": {}}),  # noqa: S108 - a volume of the Pod's own
    }
    if external:
        return scratch
    items = [{"key": key, "path": path} for key, path in METRICS_API_FILES.items()]
    secret = {"secretName": secret_name(cluster.metadata.name), "defaultMode": 0o440, "items": items}
    return {**scratch, "pki": (f"{HOME}/pki", {"secret": secret})}
