"""The upgrade of a control plane, look after look, as the controller of clusters calls it."""

import json
from datetime import UTC, datetime
from itertools import count

import pytest

from ackbox.cloud.clusters import upgrade as module
from ackbox.cloud.clusters.upgrade import Upgrades
from ackbox.cloud.world import World
from ackbox.kube.connection import Connection
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import UpgradeFinding

OLD, NEW = "1.35.4-aliyun.1", "1.36.3-aliyun.1"


class Events:
    def __init__(self):
        self.reasons = []

    async def normal(self, obj, reason, message):
        self.reasons.append(reason)


class Loopback:
    async def reserve(self, owner, use):
        return f"127.1.1.{owner.removeprefix('apiserver/n/c/apiserver')}"


class Rig:
    """A cluster, and everything that the controller of clusters would do between two looks."""

    def __init__(self, monkeypatch, members=1, findings=(), **spec):
        self.world, self.events, self.addresses = World(), Events(), Loopback()
        self._writes = map(str, count(1))
        self.findings, self.checked, self.running, self.healthy = list(findings), 0, {}, True
        plane = [
            {"name": f"apiserver{n}", "address": f"127.1.1.{n}", "version": OLD, "zoneId": f"z{n}"}
            for n in range(1, members + 1)
        ]
        emulation = {"emulation": {"footprint": "ha" if members > 1 else "single"}}
        self.obj = {
            "kind": "ManagedCluster",
            "metadata": {"name": "c", "namespace": "n", "uid": "c", "generation": 1},
            "spec": {"regionId": "cn-hangzhou", "vpcId": "v", "kubernetesVersion": "1.36", **emulation, **spec},
            "status": {"currentVersion": OLD, "controlPlane": plane},
        }
        self.connection = Connection("https://127.1.1.1:6443", "ca")
        monkeypatch.setattr(module, "check", self._check)
        monkeypatch.setattr(module, "Client", self._client)
        self.part = Upgrades(self, lambda: datetime(2026, 11, 20, tzinfo=UTC))
        self.settle()

    async def _check(self, *_):
        self.checked += 1
        return self.findings

    def _client(self, connection):
        rig = self

        class Client:
            async def __aenter__(self):
                return self

            async def __aexit__(self, *_):
                pass

            async def text(self, path):
                version = rig.running[connection.server.split("//")[1].split(":")[0]]
                return json.dumps({"gitVersion": version}) if path == "/version" else "ok"

        return Client()

    @property
    def members(self):
        return [f"{each['name']}@{each['version'].split('-')[0]}" for each in self.obj["status"]["controlPlane"]]

    @property
    def upgrade(self):
        return self.obj["status"].get("upgrade") or {}

    def settle(self):
        """The driver runs what the list says, and users are sent there."""
        plane = self.obj["status"]["controlPlane"]
        self.running = {each["address"]: f"v{each['version'].split('-')[0]}" for each in plane}
        health = "normal" if self.healthy else "abnormal"
        servers = [{"serverIp": each["address"], "serverHealthStatus": health} for each in plane]
        self.world.server_groups.upsert(
            {
                "kind": "ServerGroup",
                "metadata": {
                    "name": "c-apiserver",
                    "namespace": "n",
                    "uid": "g",
                    "resourceVersion": next(self._writes),
                },
                "spec": {"loadBalancerId": "c-apiserver"},
                "status": {"backendServers": servers},
            }
        )

    async def look(self):
        outcome = await self.part.ensure(self.obj, ManagedCluster.model_validate(self.obj), self)
        self.obj["status"].update(outcome.fields)
        return outcome

    async def finish(self):
        """Every list of members until the upgrade has ended."""
        lists = []
        while self.upgrade.get("status") != "success":
            outcome = await self.look()
            if self.upgrade["status"] == "running":
                assert outcome.phase == "upgrading"
                assert outcome.state.reconciling
            if not lists or lists[-1] != self.members:
                lists.append(self.members)
            self.settle()
        return lists


async def test_a_standard_cluster_is_upgraded_in_place(monkeypatch):
    rig = Rig(monkeypatch)
    assert await rig.finish() == [["apiserver1@1.35.4"], ["apiserver1@1.36.3"]]
    assert rig.events.reasons == ["ClusterUpgradeStart", "ClusterUpgradeSuccess"]
    assert rig.upgrade == {"nextVersion": NEW, "status": "success", "upgradeStep": "success", "findings": []}
    assert rig.checked == 1


async def test_a_pro_cluster_surges_and_the_new_api_server_stands_in_for_the_old_one(monkeypatch):
    rig = Rig(monkeypatch, members=2, clusterSpec="ack.pro.small")
    assert (await rig.finish())[-1] == ["apiserver3@1.36.3", "apiserver4@1.36.3"]
    plane = rig.obj["status"]["controlPlane"]
    assert [(each["address"], each["zoneId"]) for each in plane] == [("127.1.1.3", "z1"), ("127.1.1.4", "z2")]


async def test_the_upgrade_is_said_to_have_begun_before_anything_is_touched(monkeypatch):
    rig = Rig(monkeypatch)
    outcome = await rig.look()
    assert rig.upgrade["status"] == "running"
    assert "controlPlane" not in outcome.fields


async def test_findings_block_the_upgrade_until_they_are_gone(monkeypatch):
    finding = UpgradeFinding(code="NodeNotReady", message="node a is not Ready")
    rig = Rig(monkeypatch, findings=[finding])
    outcome = await rig.look()
    assert (outcome.state.reason, outcome.state.stalled, outcome.phase) == ("UpgradeBlocked", True, None)
    assert "node a is not Ready" in outcome.state.message
    assert (rig.upgrade["status"], rig.upgrade["upgradeStep"]) == ("fail", "not_start")
    assert rig.upgrade["findings"] == [{"code": "NodeNotReady", "message": "node a is not Ready"}]
    rig.findings.clear()
    assert (await rig.finish())[-1] == ["apiserver1@1.36.3"]


async def test_findings_go_when_the_upgrade_is_no_longer_wanted(monkeypatch):
    rig = Rig(monkeypatch, findings=[UpgradeFinding(code="NodeNotReady", message="a")])
    await rig.look()
    rig.obj["spec"]["kubernetesVersion"] = "1.35"
    outcome = await rig.look()
    assert outcome.fields == {"upgrade": None}
    assert outcome.state is None


async def test_an_operator_that_starts_again_goes_on(monkeypatch):
    rig = Rig(monkeypatch, clusterSpec="ack.pro.small")
    await rig.look()
    await rig.look()
    rig.part = Upgrades(rig, lambda: datetime(2026, 11, 20, tzinfo=UTC))
    rig.settle()
    assert (await rig.finish())[-1] == ["apiserver2@1.36.3"]
    assert rig.checked == 1


@pytest.mark.parametrize("trouble", ["another version answers", "users are not sent there"])
async def test_no_api_server_goes_before_the_new_one_serves(monkeypatch, trouble):
    rig = Rig(monkeypatch, clusterSpec="ack.pro.small")
    await rig.look()
    await rig.look()
    rig.healthy = trouble != "users are not sent there"
    rig.settle()
    if rig.healthy:
        rig.running["127.1.1.2"] = "v1.35.4"
    for _ in range(3):
        outcome = await rig.look()
        assert rig.members == ["apiserver1@1.35.4", "apiserver2@1.36.3"]
    assert "waits for apiserver" in outcome.state.message


async def test_nothing_happens_to_a_cluster_that_is_as_it_should_be(monkeypatch):
    rig = Rig(monkeypatch, kubernetesVersion="1.35")
    outcome = await rig.look()
    assert (outcome.fields, outcome.state, outcome.phase, outcome.again) == ({}, None, None, None)
    assert rig.checked == 0
