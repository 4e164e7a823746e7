"""Self-healing of a pool's machines by an injected clock."""

from datetime import timedelta

import pytest
from test_cloud_instances_harm import NOW, machine

from ackbox.cloud.instances.repair import repair
from ackbox.kube.conditions import timestamp
from ackbox.resources import NodePool

BEFORE = timestamp(NOW - timedelta(hours=1))


def pool(enable=True, auto_repair=True, restart=True):
    return NodePool.model_validate(
        {
            "metadata": {"name": "pool"},
            "spec": {
                "clusterId": "one",
                "scalingGroup": {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["h"]},
                "management": {
                    "enable": enable,
                    "autoRepair": auto_repair,
                    "autoRepairPolicy": {"restartNode": restart},
                },
            },
        }
    )


def troubled(started=BEFORE, reason="NodeUnavailable", **spec):
    """A machine that was taken out of service at NOW."""
    found = machine(conditions=[("ComponentSettingsChanged", reason)], **spec)
    conditions = [found.status.conditions[0].model_copy(update={"last_transition_time": timestamp(NOW)})]
    return found.model_copy(
        update={"status": found.status.model_copy(update={"conditions": conditions, "start_time": started})}
    )


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def test_a_machine_in_trouble_is_restarted_once_and_then_gets_a_new_system_disk_once():
    found = troubled(rebootRevision=0)
    assert (repair(found, pool(), at(0)).spec, repair(found, pool(), at(0)).again_after) == (None, 600)
    assert repair(found, pool(), at(600)).spec == {"rebootRevision": 1}
    restarted = troubled(started=timestamp(at(601)))
    assert (repair(restarted, pool(), at(602)).spec, repair(restarted, pool(), at(602)).again_after) == (None, 598)
    # data-on-system-disk: what was done on the disk goes with it.
    assert repair(restarted, pool(), at(1200)).spec == {
        "systemDiskRevision": 1,
        "operatingSystem": None,
        "imageId": "aliyun_3",
        "node": {"kubeletVersion": None},
    }
    replaced = troubled(started=timestamp(at(1201)))
    assert repair(replaced, pool(), at(9999)) == repair(machine(), pool(), at(9999))


def test_a_pool_may_leave_out_the_restart():
    assert "systemDiskRevision" in repair(troubled(), pool(restart=False), at(1200)).spec
    assert repair(troubled(), pool(restart=False), at(600)).again_after == 600


@pytest.mark.parametrize(
    ("instance", "of"),
    [
        (troubled(), pool(enable=False)),
        (troubled(), pool(auto_repair=False)),
        (troubled(), None),
        (troubled(reason="NetworkDown"), pool()),
        (troubled(expiredTime="2025-01-01T00:00:00Z"), pool()),
        (troubled(rebootRevision=1), pool()),
        (machine(), pool()),
    ],
)
def test_nothing_is_repaired_that_is_well_busy_or_not_the_pools_business(instance, of):
    assert repair(instance, of, at(9999)).spec is None
