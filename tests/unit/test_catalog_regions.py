"""Which forms of ACK a region offers. Expected values: `tests/fixtures/regions.yaml`."""

from pathlib import Path

import pytest
import yaml

from ackbox.catalog.regions import Edition, edition, regions
from ackbox.cloud.clusters.plan import problem
from ackbox.resources import ManagedCluster

MATRIX: dict[str, str] = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "regions.yaml").read_text())[
    "regions"
]
COLUMNS = list(Edition)
FORMS = {
    Edition.ACK_PRO: ("ManagedKubernetes", "Default", "ack.pro.small"),
    Edition.ACK_STANDARD: ("ManagedKubernetes", "Default", "ack.standard"),
    Edition.ACK_DEDICATED: ("Kubernetes", "Default", "ack.standard"),
    Edition.ASK_PRO: ("ManagedKubernetes", "Serverless", "ack.pro.small"),
    Edition.ASK_STANDARD: ("ManagedKubernetes", "Serverless", "ack.standard"),
    Edition.EDGE_PRO: ("ManagedKubernetes", "Edge", "ack.pro.xlarge"),
    Edition.EDGE_STANDARD: ("ManagedKubernetes", "Edge", "ack.standard"),
    Edition.REGISTERED: ("ExternalKubernetes", "Default", "ack.standard"),
}


def cluster(form, region="cn-hangzhou", **status):
    cluster_type, profile, cluster_spec = FORMS[form]
    spec = {"regionId": region, "clusterType": cluster_type, "profile": profile, "clusterSpec": cluster_spec}
    return ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": spec, "status": status})


def test_the_regions_are_those_of_the_table_and_the_misprinted_one_is_put_right():
    assert list(regions()) == list(MATRIX)
    assert "cn-guangzhou" in regions()
    assert all(region.zones for region in regions().values())


@pytest.mark.parametrize("region", MATRIX)
def test_every_mark_of_a_region(region):
    found = regions()[region]
    marks = ["y" if each in found.editions else "p" if each in found.pending else "n" for each in COLUMNS]
    assert "".join(marks) == MATRIX[region]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_type_profile_and_spec_make_the_form(form):
    assert edition(cluster(form).spec) is form


@pytest.mark.parametrize(
    ("region", "form", "reason"),
    [
        ("cn-nanjing", Edition.ACK_STANDARD, "InvalidRegionId.NotSupported"),
        ("cn-nanjing", Edition.ASK_PRO, "InvalidRegionId.NotOpen"),
        ("me-east-1", Edition.ACK_PRO, "InvalidRegionId.NotOpen"),
    ],
)
def test_what_is_to_be_opened_is_told_apart_from_what_never_comes(region, form, reason):
    state = problem(cluster(form, region), None, [])
    assert state is not None
    assert (state.reason, state.stalled) == (reason, True)
    assert region in state.message
    assert form in state.message


def test_a_cluster_that_is_there_stays_when_the_table_changes():
    state = problem(cluster(Edition.ACK_STANDARD, "cn-nanjing", edition="ack_standard"), None, [])
    assert state is not None
    assert state.reason == "WaitingForVPC"
