"""Accelerators, bare metal, SGX and operating systems."""

import pytest

from ackbox.catalog.instance_families import accelerators, bare_metal, confidential
from ackbox.catalog.instance_types import instance_types
from ackbox.catalog.operating_systems import operating_system, operating_systems


@pytest.mark.parametrize(
    ("instance_type", "resource", "count", "name"),
    [
        ("ecs.gn6i-c4g1.xlarge", "nvidia.com/gpu", 1, "Tesla-T4"),
        ("ecs.gn5-c8g1.14xlarge", "nvidia.com/gpu", 8, "Tesla-P100-PCIE-16GB"),
        ("ecs.gn5i-c4g1.xlarge", "nvidia.com/gpu", 1, "Tesla-P4"),
        ("ecs.vgn5i-m2.xlarge", "nvidia.com/gpu", 1, "GRID-P4-2Q"),
        ("ecs.ebman1.26xlarge", "aliyun.com/npu", 1, None),
    ],
)
def test_a_machine_with_accelerators_shows_them(instance_type, resource, count, name):
    found = accelerators(instance_type)
    assert found is not None
    assert (found.resource, found.count) == (resource, count)
    assert found.labels.get("aliyun.accelerator/nvidia_name") == name
    assert ("aliyun.accelerator/nvidia_count" in found.labels) == (name is not None)


@pytest.mark.parametrize("instance_type", ["ecs.g6.xlarge", "ecs.f3-c4f1.xlarge", "ecs.nothing"])
def test_a_machine_without_has_none(instance_type):
    assert accelerators(instance_type) is None


def test_every_type_with_gpus_has_a_card():
    without = [kind.name for kind in instance_types().values() if kind.gpu and accelerators(kind.name) is None]
    assert without == []


def test_bare_metal_and_confidential_families():
    assert bare_metal("ecs.ebmg6.26xlarge")
    assert bare_metal("ecs.sccg5.24xlarge")
    assert not bare_metal("ecs.g6.xlarge")
    assert confidential("ecs.g7t.xlarge")
    assert confidential("ecs.ebmhfg5.2xlarge")
    assert not confidential("ecs.g6t.xlarge")


def test_operating_systems_of_the_product_introduction():
    allowed = {name for name, system in operating_systems().items() if system.refused is None}
    assert {"AliyunLinux", "CentOS", "Windows", "WindowsCore", "Custom"} <= allowed
    refused = operating_systems()["CentOS8"].refused
    assert refused is not None
    assert "CentOS 8.x" in refused
    assert operating_system("Windows").os == "windows"
    assert operating_system(None) is operating_system("m-of-somebody") is operating_systems()["AliyunLinux3"]
