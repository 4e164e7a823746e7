"""What was done to a machine by hand, and how its conditions tell it and let go of it."""

from datetime import UTC, datetime, timedelta

import pytest

from ackbox.cloud.allocation.machine import working
from ackbox.cloud.instances.harm import Surroundings, aspects, dns_closed, installation, reinstalled, undone
from ackbox.cloud.instances.plan import disk_replaced, revisions, step
from ackbox.kube.conditions import timestamp
from ackbox.resources import Instance, ManagedCluster, Vpc
from ackbox.resources.instance import InstancePhase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AROUND = Surroundings(NOW, "Running", frozenset({"1.36.3-aliyun.1"}))
INSTALLED = {"imageId": "aliyun_3", "privateIpAddress": "192.168.0.1", "securityGroupIds": ["sg-1", "sg-2"]}


def machine(role="Worker", conditions=(), annotations=None, phase="Running", installed=INSTALLED, **spec):
    return Instance.model_validate(
        {
            "metadata": {"name": "i-a", "creationTimestamp": timestamp(NOW), "annotations": annotations or {}},
            "spec": {
                "regionId": "cn-hangzhou",
                "zoneId": "cn-hangzhou-h",
                "instanceType": "ecs.g6.xlarge",
                "cpu": 4,
                "memory": 16,
                "clusterId": "one",
                "instanceRole": role,
                "imageId": "aliyun_3",
                "securityGroupIds": ["sg-1", "sg-2"],
                "vpcAttributes": {"vpcId": "v", "vSwitchId": "s", "privateIpAddress": "192.168.0.1"},
                **spec,
            },
            "status": {
                "phase": phase,
                "startTime": "2026-01-01T00:00:00Z",
                "installation": installed,
                "conditions": [
                    {"type": kind, "status": "True", "reason": reason, "message": "before", "lastTransitionTime": ""}
                    for kind, reason in conditions
                ],
            },
        }
    )


def system(**fields):
    return {"operatingSystem": fields}


def address(value):
    return {"vpcAttributes": {"vpcId": "v", "vSwitchId": "s", "privateIpAddress": value}}


def found(instance, around=AROUND):
    return {each.type: each.reason for each in aspects(instance, around) if each.status == "True"}


def test_a_machine_as_it_was_installed_has_nothing_wrong_with_it():
    assert aspects(machine(), AROUND) == []
    harmless = {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.ip_local_port_range": "32768\t60999",
        "net.ipv4.tcp_tw_reuse": "0",
    }
    assert aspects(machine(**system(sysctls=harmless)), AROUND) == []
    assert aspects(machine(node={"kubeletVersion": "v1.36.3-aliyun.1"}), AROUND) == []
    assert aspects(machine(expiredTime="2026-01-01T00:00:01Z"), AROUND) == []


BOTH = [
    ({"securityGroupIds": ["sg-2"]}, "SecurityGroupChanged", "NodeUnavailable"),
    ({"expiredTime": "2026-01-01T00:00:00Z"}, "Expired", "NodeUnavailable"),
    ({"imageId": "centos_7"}, "OperatingSystemReinstalled", "ComponentsGone"),
    ({"node": {"kubeletVersion": "1.35.1"}}, "ComponentsUpgraded", "NodeUnavailable"),
    (address("192.168.0.9"), "AddressChanged", "NodeUnavailable"),
    (system(changedFiles=["/etc/docker/daemon.json"]), "ComponentSettingsChanged", "NodeUnavailable"),
    (system(sysctls={"net.ipv4.ip_forward": "0"}), "IPForwardingOff", "NetworkDown"),
    (system(sysctls={"net.ipv4.conf.all.rp_filter": "1"}), "ReversePathFilterOn", "NetworkDown"),
    (system(sysctls={"net.ipv4.conf.eth1.rp_filter": "2"}), "ReversePathFilterOn", "NetworkDown"),
    (system(sysctls={"net.ipv4.tcp_tw_reuse": "1"}), "TCPReuseOn", "HealthChecksFail"),
    (system(sysctls={"net.ipv4.tcp_tw_recycle": "1"}), "TCPRecycleOn", "NATFails"),
    (system(sysctls={"net.ipv4.ip_local_port_range": "1024 65000"}), "LocalPortRangeChanged", "NetworkUnstable"),
    (system(packages=["firewalld"]), "FirewallInstalled", "NetworkDown"),
    (system(packages=["ufw"]), "FirewallInstalled", "NetworkDown"),
]
WORKER = [
    (system(changedFiles=["/etc/kubernetes"]), "ComponentSettingsChanged", "NodeUnavailable"),
    (system(changedFiles=["/etc/fstab"]), "OperatingSystemChanged", "NodeAtRisk"),
    (system(sysctls={"kernel.pid_max": "100"}), "OperatingSystemChanged", "NodeAtRisk"),
    (system(packages=["nginx"]), "OperatingSystemChanged", "NodeAtRisk"),
]
MASTER = [
    (system(changedFiles=["/etc/kubernetes"]), "CoreDirectoriesDeleted", "NodeUnavailable"),
    (system(changedFiles=["/var/lib/etcd"]), "CoreDirectoriesDeleted", "NodeUnavailable"),
    (system(changedFiles=["/etc/kubernetes/pki/ca.crt"]), "CertificatesReplaced", "NodeUnavailable"),
    (system(changedFiles=["/etc/kubernetes/manifests/etcd.yaml"]), "ComponentSettingsChanged", "NodeUnavailable"),
]
EVERY = [
    *(("Worker", *case) for case in [*BOTH, *WORKER]),
    *(("Master", *case) for case in [*BOTH, *MASTER]),
]
LASTING = {"OperatingSystemReinstalled", "CoreDirectoriesDeleted", "CertificatesReplaced"}


@pytest.mark.parametrize(("role", "done", "condition", "reason"), EVERY)
def test_what_is_done_is_told_by_one_condition_and_goes_when_it_is_undone(role, done, condition, reason):
    assert found(machine(role, **done)) == {condition: reason}
    healed = aspects(machine(role, [(condition, reason)]), AROUND)
    if condition in LASTING:
        assert [(each.type, each.status) for each in healed] == [(condition, "True")]
    elif condition == "FirewallInstalled":
        assert "Uninstall it and restart the node" in healed[0].message
        restarting = Surroundings(NOW, "Starting")
        healed = aspects(machine(role, [(condition, reason)]), restarting)
        assert [(each.type, each.status) for each in healed] == [(condition, None)]
    else:
        assert [(each.type, each.status) for each in healed] == [(condition, None)]


def test_several_operations_are_told_at_once_and_each_with_its_recovery():
    told = aspects(machine(**system(sysctls={"net.ipv4.ip_forward": "0"}, packages=["ufw", "nginx"])), AROUND)
    messages = {each.type: each.message for each in told}
    assert set(messages) == {"IPForwardingOff", "FirewallInstalled", "OperatingSystemChanged"}
    assert messages["IPForwardingOff"] == (
        "spec.operatingSystem.sysctls: net.ipv4.ip_forward is 0: the node's network is down. Set net.ipv4.ip_forward=1."
    )
    assert all(each.warn for each in told)


def test_only_what_takes_a_machine_out_of_service_keeps_it_from_working():
    assert working(machine())
    assert working(machine(conditions=[("IPForwardingOff", "NetworkDown"), ("TCPReuseOn", "HealthChecksFail")]))
    assert not working(machine(conditions=[("AddressChanged", "NodeUnavailable")]))
    assert not working(machine(conditions=[("OperatingSystemReinstalled", "ComponentsGone")]))
    assert not working(machine(phase="Stopped"))


def test_a_node_that_was_deleted_is_missed_until_its_machine_is_restarted():
    mark = {"ackbox.dev/node-deleted": "2026-01-01T00:00:00Z"}
    assert found(machine(annotations=mark)) == {"NodeDeleted": "NodeCountDiffers"}
    earlier = {"ackbox.dev/node-deleted": "2025-12-31T00:00:00Z"}
    assert found(machine(annotations=earlier)) == {}


def test_a_version_of_the_cluster_is_no_operation_by_hand():
    upgraded = machine(node={"kubeletVersion": "1.36.3-aliyun.1"}, installed={**INSTALLED, "kubeletVersion": "1.35.1"})
    assert found(upgraded) == {}
    assert found(upgraded, Surroundings(NOW, "Running", frozenset({"1.35.1"}))) == {
        "ComponentsUpgraded": "NodeUnavailable"
    }


def test_a_machine_of_no_cluster_is_its_owners_business():
    alone = machine(clusterId=None, imageId="other", **system(packages=["ufw"]))
    assert found(alone) == {}


def test_a_new_system_disk_takes_everything_with_it():
    spoilt = machine(conditions=[("OperatingSystemReinstalled", "ComponentsGone"), ("Custom", "Kept")])
    assert [(each.type, each.status) for each in undone(spoilt)] == [("OperatingSystemReinstalled", None)]
    assert installation(machine(imageId="new")).image_id == "new"


# Restarts and expiry


def test_a_restart_that_is_asked_for_goes_through_every_state_once():
    seen, status = [], {"phase": "Running", "startTime": "2025-12-31T00:00:00Z", "rebootRevision": None}
    for _ in range(5):
        now = machine(rebootRevision=2)
        now = now.model_copy(update={"status": type(now.status).model_validate(status)})
        following = step(now, NOW)
        done = revisions(now, following.phase)
        status = {"phase": following.phase, "startTime": following.start_time, **done}
        seen.append(following.phase.value)
    assert seen == ["Stopping", "Stopped", "Starting", "Running", "Running"]
    assert status["rebootRevision"] == 2
    assert status["startTime"] == timestamp(NOW)


def test_a_machine_that_expires_is_stopped_then_and_starts_when_it_is_renewed():
    ends = machine(expiredTime="2026-01-01T08:01:00+08:00")
    assert (step(ends, NOW).phase, step(ends, NOW).again_after) == ("Running", 60)
    assert step(ends, NOW + timedelta(seconds=60)).phase == "Stopping"
    assert step(machine(phase="Stopped", expiredTime="2027-01-01T00:00:00"), NOW).phase == "Starting"


# DNS

VPC = Vpc.model_validate(
    {
        "metadata": {"name": "v", "uid": "u"},
        "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16"},
        "status": {
            "securityGroups": [
                {
                    "securityGroupId": f"sg-{number}",
                    "securityGroupName": f"g{number}",
                    "securityGroupType": "normal",
                    "cluster": "one",
                    "permissions": permissions,
                }
                for number, permissions in (
                    (1, [{"ipProtocol": "TCP", "cidrIp": "10.32.0.0/16"}]),
                    (2, [{"ipProtocol": "UDP", "portRange": "53/53", "cidrIp": "10.32.0.0/16"}]),
                    (3, [{"ipProtocol": "UDP", "portRange": "53/53", "cidrIp": "10.32.0.0/24"}]),
                )
            ]
        },
    }
)
CLUSTER = ManagedCluster.model_validate(
    {
        "metadata": {"name": "one"},
        "spec": {"regionId": "cn-hangzhou", "vpcId": "v", "containerCidr": "10.32.0.0/16"},
    }
)


@pytest.mark.parametrize(("groups", "closed"), [(["sg-1"], True), (["sg-3"], True), (["sg-2"], False), ([], False)])
def test_pods_must_reach_udp_53_through_the_security_group(groups, closed):
    told = dns_closed(machine(securityGroupIds=groups), CLUSTER, VPC)
    assert (told is not None) is closed
    around = Surroundings(NOW, "Running", dns_closed=told)
    installed = {**INSTALLED, "securityGroupIds": groups}
    conditions = {
        each.type: each.message for each in aspects(machine(securityGroupIds=groups, installed=installed), around)
    }
    assert set(conditions) == ({"DNSPortClosed"} if closed else set())
    if closed:
        assert "doesn't open UDP 53 for 10.32.0.0/16: DNS in the cluster fails." in conditions["DNSPortClosed"]


def test_a_new_system_disk_takes_a_restart_and_installs_the_machine_anew():
    asked = machine(systemDiskRevision=1, imageId="new", conditions=[("OperatingSystemReinstalled", "ComponentsGone")])
    assert step(asked, NOW).phase == "Stopping"
    starting = asked.model_copy(update={"status": asked.status.model_copy(update={"phase": "Starting"})})
    assert disk_replaced(starting, InstancePhase.RUNNING)
    assert revisions(starting, InstancePhase.RUNNING)["systemDiskRevision"] == 1
    fresh = reinstalled(starting)
    assert fresh.status.installation.image_id == "new"
    assert found(fresh) == {}
    assert not disk_replaced(machine(phase="Starting"), InstancePhase.RUNNING)
    assert not disk_replaced(machine(phase=None, systemDiskRevision=1), InstancePhase.RUNNING)
