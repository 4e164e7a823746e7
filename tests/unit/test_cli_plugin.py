"""`kubectl ack`: what it asks of kubectl, and the manifests that it makes."""

import base64
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ackbox.cli import kubectl
from ackbox.cli.base import Refusal
from ackbox.cli.plugin_addons import replaced
from ackbox.cli.plugin_create import manifests
from ackbox.resources import RESOURCES

SCRIPT = """#!{python} -S
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answer = json.load(open({answers!r})).get(" ".join(sys.argv[1:3]), "")
if answer is None:
    sys.exit("no such thing")
print(answer, end="")
"""


class Kubectl:
    """A kubectl that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.calls_file, self.answers = folder / "calls", folder / "answers"
        self.answer({})
        program = folder / "kubectl"
        program.write_text(SCRIPT.format(python=sys.executable, calls=str(self.calls_file), answers=str(self.answers)))
        program.chmod(0o755)

    def answer(self, texts: dict[str, str | None]) -> None:
        self.answers.write_text(json.dumps(texts))

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Kubectl(tmp_path)


def ack(*arguments: str) -> Result:
    return CliRunner().invoke(kubectl.main, arguments, prog_name="kubectl ack")


def test_where_is_handed_on_to_kubectl(program: Kubectl) -> None:
    ack("list", "-n", "team-a", "--context", "lab", "-o", "json")
    assert program.calls == [["get", "managedclusters.ackbox.dev", "-o", "json", "--namespace=team-a", "--context=lab"]]


def test_a_failed_kubectl_ends_the_command_as_it_ended(program: Kubectl) -> None:
    program.answer({"patch managedclusters.ackbox.dev": None})
    assert ack("upgrade", "demo", "1.36").exit_code == 1
    assert len(program.calls) == 1, "nobody waits for an upgrade that was refused"


def test_without_kubectl_the_way_to_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = ack("list")
    assert done.exit_code == 1
    assert "kubectl is not on PATH" in done.stderr


def test_the_kubeconfig_is_decoded(program: Kubectl) -> None:
    program.answer({"get secret": base64.b64encode(b"kind: Config\n").decode()})
    assert ack("kubeconfig", "demo").stdout == "kind: Config\n"


@pytest.mark.parametrize(("command", "spec"), [("hibernate", True), ("wake", False)])
def test_hibernating_sets_the_one_field(program: Kubectl, command: str, spec: bool) -> None:
    ack(command, "demo", "--no-wait")
    (call,) = program.calls
    assert json.loads(call[-1]) == {"spec": {"emulation": {"hibernated": spec}}}


def test_node_pools_are_those_of_the_cluster(program: Kubectl) -> None:
    pools = [{"metadata": {"name": name}, "spec": {"clusterId": of}} for name, of in (("a", "demo"), ("b", "other"))]
    program.answer({"get nodepools.ackbox.dev": json.dumps({"items": pools})})
    ack("nodepools", "demo")
    assert program.calls[-1] == ["get", "nodepools.ackbox.dev", "a"]
    assert "no node pool has spec.clusterId: third" in ack("nodepools", "third").stderr


OPTIONS = {
    "region": "cn-hangzhou",
    "version": None,
    "edition": "ack.pro.small",
    "vpc": None,
    "vswitches": (),
    "pod_cidr": "10.32.0.0/16",
    "service_cidr": "172.19.0.0/20",
    "nodes": 0,
    "instance_type": "ecs.g6.xlarge",
}


def test_what_create_makes_fits_the_kinds() -> None:
    kinds = {resource.KIND.kind: resource for resource in RESOURCES}
    made = manifests("demo", **OPTIONS | {"nodes": 3, "version": "1.36"})
    assert [each["kind"] for each in made] == ["VPC", "ManagedCluster", "NodePool"]
    for each in made:
        assert kinds[each["kind"]].model_validate(each).spec.wire() == each["spec"], "no field is unknown or lost"


def test_create_goes_into_a_vpc_that_is_there() -> None:
    (cluster,) = manifests("demo", **OPTIONS | {"vpc": "net", "vswitches": ("net-h",)})
    assert cluster["spec"]["vpcId"] == "net"
    assert cluster["spec"]["vswitchIds"] == ["net-h"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"vswitches": ("a",)}, "say which by --vpc"),
        ({"vpc": "net", "nodes": 1}, "name a vSwitch of the VPC by --vswitch"),
        ({"region": "cn-nowhere"}, "--region cn-nowhere; allowed: cn-"),
    ],
)
def test_create_refuses_options_that_do_not_go_together(given: dict[str, object], told: str) -> None:
    with pytest.raises(Refusal, match=told):
        manifests("demo", **OPTIONS | given)


def test_an_addon_takes_the_place_of_its_earlier_row() -> None:
    before = [{"name": "flannel"}, {"name": "coredns", "version": "1"}]
    assert replaced(before, {"name": "coredns", "disabled": True}) == [
        {"name": "flannel"},
        {"name": "coredns", "disabled": True},
    ]
    assert replaced(before, {"name": "new"}) == [*before, {"name": "new"}]


def test_an_addon_is_installed_only_into_the_list_that_was_read(program: Kubectl) -> None:
    found = {"metadata": {"resourceVersion": "7"}, "spec": {"addons": [{"name": "flannel"}]}}
    program.answer({"get managedclusters.ackbox.dev": json.dumps(found)})
    ack("addons", "install", "demo", "metrics-server", "--version", "v1")
    patch = json.loads(program.calls[-1][-1])
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert patch["spec"]["addons"] == [{"name": "flannel"}, {"name": "metrics-server", "version": "v1"}]


COMPLETED = {
    "a command": (["h"], ["hibernate", ":4"]),
    "a cluster": (["wake", "-n", "team-a", "d"], ["demo", "dev", ":4"]),
    "a pool": (["scale", "--context=lab", ""], ["workers", ":4"]),
    "an addon's cluster": (["addons", "install", "de"], ["demo", "dev", ":4"]),
    "a file": (["list", "--kubeconfig", ""], [":0"]),
}


@pytest.mark.parametrize("case", COMPLETED)
def test_kubectl_completes_the_plugin(
    case: str, program: Kubectl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [f"managedcluster.ackbox.dev/{name}" for name in ("demo", "dev", "other")]
    pools = "nodepool.ackbox.dev/workers\n"
    program.answer({"get managedclusters.ackbox.dev": "\n".join(named), "get nodepools.ackbox.dev": pools})
    words, expected = COMPLETED[case]
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-ack", *words])
    kubectl.complete()
    assert capsys.readouterr().out.split() == expected
    if case == "a cluster":
        assert "--namespace=team-a" in program.calls[0]


def test_nothing_is_completed_where_no_cluster_answers(
    program: Kubectl, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program.answer({"get managedclusters.ackbox.dev": None})
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-ack", "wake", "d"])
    kubectl.complete()
    monkeypatch.setenv("PATH", "/none")
    kubectl.complete()
    assert tuple(capfd.readouterr()) == (":4\n:4\n", ""), "an error text would end up in the command line"
