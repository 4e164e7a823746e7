"""The files of the chart, and of `manifests/install`, that are made of something else."""

from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

from ackbox import __version__
from ackbox.catalog.policies import admission_policies
from ackbox.chart.objects import in_cluster
from ackbox.chart.pages import values_schema, values_table, values_yaml
from ackbox.resources import RESOURCES
from ackbox.resources.crd import custom_resource_definition
from ackbox.runtime.management import RBAC, USER_ROLES
from ackbox.runtime.manifests import documents

CHART = Path("charts/ackbox")
STATIC = CHART / "files"
"""What holds no value: Helm reads it as it is, and so does kustomize."""

RBAC_IN_CLUSTER = RBAC.with_name("rbac_in_cluster.yaml")

Documents = Callable[[list[dict[str, Any]]], str]


def chart_files(document: Documents, header: str) -> dict[Path, str]:
    """Every generated file of the chart by its path; `document` writes YAML, `header` says that a file is generated."""
    crds = {
        STATIC / "crds" / f"{each.KIND.plural}.yaml": document([custom_resource_definition(each)]) for each in RESOURCES
    }
    static = {
        STATIC / "admission-policies.yaml": document(in_cluster(admission_policies())),
        STATIC / "rbac.yaml": document(in_cluster(documents([RBAC, RBAC_IN_CLUSTER, USER_ROLES]))),
    }
    resources = sorted(str(path.relative_to(STATIC)) for path in (*crds, *static))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }
    readme = Template((Path(__file__).parent / "README.md.template").read_text())
    return {
        **crds,
        **static,
        STATIC / "kustomization.yaml": document([kustomization]),
        CHART / "Chart.yaml": document([_description()]),
        CHART / "values.yaml": header + values_yaml(),
        CHART / "values.schema.json": values_schema(),
        CHART / "README.md": readme.substitute(values=values_table().rstrip(), version=__version__),
    }


def _description() -> dict[str, Any]:
    return {
        "apiVersion": "v2",
        "name": "ackbox",
        "description": "Alibaba Cloud ACK in a box: managed clusters, node pools and load balancers, without a cloud account",
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
        # The oldest minor that ackbox is tested on.
        "kubeVersion": ">=1.34.0-0",
        "keywords": ["alibaba-cloud", "ack", "emulator", "load-balancer"],
    }
