"""Reference pages, made from the tables that the code itself reads."""

from collections.abc import Iterable
from pathlib import Path

from ackbox.catalog.addons import Addon, Proof, addons
from ackbox.catalog.annotations import LEGACY_PREFIX, PREFIX, TABLES, Annotation, Level
from ackbox.catalog.ingress_annotations import ALB_PREFIX, INGRESS_ANNOTATIONS, NGINX_PREFIX, IngressAnnotation
from ackbox.resources.loadbalancer import LoadBalancerType

_OF_LISTENERS = {Level.LISTENER, Level.SERVER_GROUP, Level.HEALTH_CHECK}
_TITLES = {LoadBalancerType.CLB: "CLB", LoadBalancerType.NLB: "NLB"}

_INTRODUCTION = f"""# Service annotations

Every key is `{PREFIX}<suffix>`; the older `{LEGACY_PREFIX}<suffix>` means the same, and the
newer one wins when both are there. Keys with a slash are written as they stand.

- An empty value is the same as none, unless the row says otherwise. Removing an annotation leaves what it set.
- A wrong value is told by a Warning event and left out; everything else of the Service goes on.
- *Change* says what a later change does: **mutable**; **immutable**, a Warning and no change; **at creation only**,
  no change; **re-creates the listener**.
- *Felt* says what is seen in the traffic. **Enforced, not felt**: the value is checked, kept and shown on the object.
- *Test* is the whole-stack test of the row, then the one on a real Envoy that feels what the first can only read on
  the objects: `make test PYTEST_ARGS="-k <test>"`.
"""


_INGRESS_INTRODUCTION = f"""# Ingress annotations

An Ingress of IngressClass `alb`, which every emulated cluster has, gets a load balancer of type ALB. Every key is
`{ALB_PREFIX}<suffix>`; where it says so, ingress-nginx' `{NGINX_PREFIX}<suffix>` means the same and wins.

- One AlbConfig (`alibabacloud.com/v1`, cluster-wide) is one load balancer. An IngressClass with controller
  `ingress.k8s.alibabacloud/alb` names it in `spec.parameters`; for an Ingress whose class names none, one called
  `default` is made from its annotations. It stays when the Ingress goes: `kubectl delete albconfig default`.
- A ClusterIP Service needs annotation `service.beta.kubernetes.io/backend-type: eni`, or pods with addresses of the
  VPC (Terway).
- A TLS Secret that the Ingress names is copied to the account's certificates. Without one, they are searched for its
  hosts: Secrets with label `ackbox.dev/certificate-id` beside the ManagedCluster.
- A wrong value is told by a Warning event (`FailedBuildModel`) and left out; everything else goes on.
- *Felt* and *test* are as for [Services](annotations.md).
"""

_ADDONS_INTRODUCTION = """# Addons

`spec.addons` of a ManagedCluster, with ACK's own fields: `name`, `version`, `config` (JSON), `disabled`.

- *By default* says which profiles of clusters get an addon without asking; `disabled: true` leaves it out, or takes it
  away. Taking an addon off the list takes it away as well.
- Without a version, the newest one that runs on the cluster is installed, and stays. A newer `version` upgrades; there is
  no way back.
- `status.addons` has ACK's state words: `updating`, `upgrading` while pods are replaced, `active`, `deleting`; `failed`
  with a message when it can't be had, and condition `AddonsReady` says so. The cluster goes on.
- An addon is Deployments, DaemonSets, Services and the ConfigMap `<name>-config` in `kube-system`, all with label
  `ackbox.dev/addon`. What is deleted or changed by hand comes back within minutes. Config brings new pods.
- *Proof* says how `running` in the status is found out. **State only**: the objects are there and their pods are
  emulated, so nothing of the addon works: no DNS name is resolved, no volume is made, no log is collected.
- Every addon with pods takes `CpuRequest`, `CpuLimit`, `MemoryRequest` and `MemoryLimit` in its config, too.
- DaemonSets that every cluster has by default have no pods on emulated nodes.

What a pod uses, for `kubectl top` and HorizontalPodAutoscalers, is told by its annotations `kwok.x-k8s.io/usage-cpu` and
`kwok.x-k8s.io/usage-memory`; without them it is 1m and 1Mi a container.
"""

_PROOFS = {Proof.METRICS_API: "`metrics.k8s.io` tells what a node uses"}
"""How `running` is found out."""

_INGRESS_TITLES = {
    Level.SELECTION: "Which AlbConfig, and in which order",
    Level.LOAD_BALANCER: "Load balancer: what the AlbConfig is made with",
    Level.LISTENER: "Listeners and rules",
    Level.SERVER_GROUP: "Server groups",
    Level.HEALTH_CHECK: "Health checks",
    Level.BACKENDS: "Servers",
}


def annotations_page() -> str:
    """The annotations of Services as Markdown."""
    sections = [_INTRODUCTION]
    for kind, rows in TABLES.items():
        sections.append(f"## {_TITLES[kind]}\n")
        for level in Level:
            found = [row for row in rows.values() if row.level is level]
            if found:
                sections += [f"### {_TITLES[kind]}: {level.value}\n", _table(kind, found)]
    return "\n".join(sections)


def _table(kind: LoadBalancerType, rows: Iterable[Annotation]) -> str:
    lines = [
        "| annotation | meaning | values | default | listeners | change | felt | test |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        "| " + " | ".join(_escaped(cell) for cell in _cells(kind, row)) + " |"
        for row in sorted(rows, key=lambda row: row.suffix)
    ]
    return "\n".join(lines) + "\n"


def _cells(kind: LoadBalancerType, row: Annotation) -> Iterable[str]:
    yield f"`{row.suffix}`"
    yield row.meaning + (" An empty value means none." if row.empty_counts else "")
    yield row.allowed
    yield f"`{row.default}`" if row.default else ""
    yield ", ".join(sorted(row.protocols)) if row.level in _OF_LISTENERS else ""
    yield row.mutability.value
    felt = row.felt or "enforced, not felt"
    yield f"{felt}; {row.note}" if row.note else felt
    yield (
        f"`{kind.value}-{row.suffix.rpartition('/')[2]}`"
        if row.level is not Level.SELECTION
        else "`another_controllers`"
    )


def ingress_page() -> str:
    """The annotations of Ingresses as Markdown."""
    sections = [_INGRESS_INTRODUCTION]
    for level in Level:
        rows = sorted((row for row in INGRESS_ANNOTATIONS.values() if row.level is level), key=lambda row: row.suffix)
        lines = ["| annotation | meaning | values | default | felt | test |", "| --- | --- | --- | --- | --- | --- |"]
        lines += ["| " + " | ".join(map(_escaped, _ingress_cells(row))) + " |" for row in rows]
        sections += [f"## {_INGRESS_TITLES[level]}\n", "\n".join(lines) + "\n"] if rows else []
    return "\n".join(sections)


def _ingress_cells(row: IngressAnnotation) -> Iterable[str]:
    yield f"`{row.suffix}`" + (" (nginx too)" if row.twin else "")
    yield row.meaning
    yield row.allowed
    yield f"`{row.default}`" if row.default else ""
    yield row.felt or "enforced, not felt"
    yield f"`{row.test}`" if row.test else ""


def addons_page() -> str:
    """The addons as Markdown."""
    lines = [
        "| addon | category | by default | requires | in place of | versions, oldest first | config | proof |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += ["| " + " | ".join(map(_escaped, _addon_cells(addon))) + " |" for addon in addons().values()]
    return f"{_ADDONS_INTRODUCTION}\n" + "\n".join(lines) + "\n"


def _addon_cells(addon: Addon) -> Iterable[str]:
    yield f"`{addon.name}`" + (" (can't be disabled)" if addon.required else "")
    yield addon.category
    yield ", ".join(addon.default)
    yield ", ".join(addon.requires)
    yield ", ".join(addon.instead)
    yield ", ".join(
        f"`{each.name}`" + (f" (Kubernetes {each.minimum[0]}.{each.minimum[1]})" if each.minimum else "")
        for each in addon.versions
    )
    yield ", ".join(
        f"`{key}`: {values if isinstance(values, str) else ' or '.join(values)}"
        for key, values in (addon.config or {}).items()
    )
    yield (
        _PROOFS[addon.proof] if addon.proof else "state only" + (", beside the control plane" if addon.managed else "")
    )


def decisions_page(files: Iterable[Path]) -> str:
    """The list of the decisions by their titles, as Markdown."""
    lines = [
        f"- [{path.read_text(encoding='utf-8').splitlines()[0].removeprefix('# ')}]({path.name})" for path in files
    ]
    return "# Decisions\n\nWhy things are as they are; a number is never used again.\n\n" + "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
