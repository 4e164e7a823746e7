"""What a control plane consists of in a cluster: its objects, its Pods and the files they see."""

import base64
import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
import yaml

from ackbox.controlplane import flags
from ackbox.controlplane.images import Images, PodOptions, from_environment
from ackbox.controlplane.incluster_keys import MOUNT, Keyring
from ackbox.controlplane.incluster_manifests import Manifests, etcd_service, manifests, stand_in
from ackbox.controlplane.labels import object_name
from ackbox.controlplane.spec import ApiServerSettings, ControlPlaneSpec, EtcdMember, Member
from ackbox.runtime.certificates import LEAF_VALIDITY, new_authority, new_private_key, utc_now

OPTIONS = PodOptions(Images("ackbox:1"))
AUTHORITY, SIGNING_KEY = new_authority("demo"), new_private_key()
SINGLE = ControlPlaneSpec(
    namespace="team",
    name="demo",
    cluster_id=f"c{1:032x}",
    members=(Member("apiserver1", IPv4Address("10.96.0.11"), "1.36"),),
    etcd=(),
    endpoint="https://10.96.0.99:6443",
    kubelet_address=IPv4Address("10.96.0.31"),
    service_cidr="172.19.0.0/20",
    pod_cidr="10.32.0.0/16",
    settings=ApiServerSettings(max_requests_inflight=440, max_mutating_requests_inflight=220),
    timezone=None,
    ca_cert_pem=AUTHORITY.certificate,
    ca_key_pem=AUTHORITY.key,
    sa_key_pem=SIGNING_KEY,
    uid="d1",
)
AVAILABLE = replace(
    SINGLE,
    members=(*SINGLE.members, Member("apiserver2", IPv4Address("10.96.0.12"), "1.35")),
    etcd=tuple(EtcdMember(f"etcd{number}", IPv4Address(f"10.96.0.2{number}")) for number in (1, 2, 3)),
)


def made(spec: ControlPlaneSpec, kept: dict[str, str] | None = None, options: PodOptions = OPTIONS) -> Manifests:
    keyring = Keyring(kept or FILES, utc_now)
    return manifests(spec, spec.etcd or stand_in("10.96.0.20"), keyring, options)


def files(found: Manifests) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in found.secret["data"].items()}


def _first_files() -> dict[str, str]:
    keyring = Keyring({}, utc_now)
    manifests(AVAILABLE, AVAILABLE.etcd, keyring, OPTIONS)
    single = Keyring(keyring.files, utc_now)
    manifests(SINGLE, stand_in("10.96.0.20"), single, OPTIONS)
    return {**keyring.files, **single.files}


FILES = _first_files()


def pods(found: Manifests) -> Iterator[tuple[str, dict[str, Any]]]:
    for workload in found.workloads:
        yield workload.name, workload.body["spec"]["template"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def mounted(pod: dict[str, Any]) -> set[str]:
    volumes = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    return {item["key"] for volume in volumes for item in volume["items"]}


def told(pod: dict[str, Any], number: int = 0) -> dict[str, str]:
    words = pod["spec"]["containers"][number]["command"]
    pairs = (word.removeprefix("--").partition("=") for word in words if word.startswith("--"))
    return {name: value for name, _, value in pairs}


def api_server(found: Manifests, member: str = "apiserver1") -> dict[str, Any]:
    pod: dict[str, Any] = found.api_servers[member].body["spec"]["template"]
    return pod


def test_the_same_spec_and_the_same_secret_give_the_same_objects() -> None:
    first = made(AVAILABLE)
    assert made(AVAILABLE, files(first)) == first


def test_every_member_is_an_object_of_its_own() -> None:
    assert [(each.kind.kind, each.name) for each in made(AVAILABLE).workloads] == [
        *(("StatefulSet", f"demo-etcd{number}") for number in (1, 2, 3)),
        *(("Deployment", f"demo-apiserver{number}") for number in (1, 2)),
        *(("Deployment", f"demo-apiserver{number}-controllers") for number in (1, 2)),
        ("Deployment", "demo-kwok"),
    ]
    assert [(each.kind.kind, each.name) for each in made(SINGLE).workloads] == [
        ("StatefulSet", "demo-etcd"),
        ("Deployment", "demo-apiserver1"),
        ("Deployment", "demo-apiserver1-controllers"),
        ("Deployment", "demo-kwok"),
    ]


def test_everything_goes_with_its_cluster_and_is_found_by_its_id() -> None:
    found = made(AVAILABLE)
    every = [found.secret, etcd_service(AVAILABLE), *found.budgets, *(each.body for each in found.workloads)]
    for each in every:
        assert [owner["uid"] for owner in each["metadata"]["ownerReferences"]] == ["d1"]
        assert each["metadata"]["labels"]["ackbox.dev/cluster-id"] == AVAILABLE.cluster_id
        assert each["metadata"]["namespace"] == "team"


def test_services_find_their_pods_by_what_they_are_dialled_as() -> None:
    dialled = {
        name: [pod["metadata"]["labels"].get(f"ackbox.dev/{each}") for each in ("cluster", "component", "member")]
        for name, pod in pods(made(AVAILABLE))
    }
    assert dialled["demo-etcd2"] == ["demo", "etcd", "etcd2"]
    assert dialled["demo-apiserver1"] == ["demo", "apiserver", "apiserver1"]
    assert dialled["demo-kwok"] == ["demo", "kubelet", "kwok"]
    # Nobody dials these: a Service that led to them would lead to nothing.
    assert dialled["demo-apiserver1-controllers"][1] is None
    own = etcd_service(SINGLE)["spec"]
    assert own["selector"].items() <= dict(pods(made(SINGLE)))["demo-etcd"]["metadata"]["labels"].items()
    assert own["publishNotReadyAddresses"]


def test_selectors_choose_exactly_their_own_pods() -> None:
    found = made(AVAILABLE)
    templates = dict(pods(found))
    for workload in found.workloads:
        wanted = workload.body["spec"]["selector"]["matchLabels"].items()
        assert [n for n, pod in templates.items() if wanted <= pod["metadata"]["labels"].items()] == [workload.name]


@pytest.mark.parametrize("spec", [SINGLE, AVAILABLE])
def test_pods_keep_to_the_restricted_standard(spec: ControlPlaneSpec) -> None:
    for _, pod in pods(made(spec)):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod):
            context = container["securityContext"]
            assert context["capabilities"]["drop"] == ["ALL"]
            assert set(context["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
            assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert not {kind for volume in pod["spec"]["volumes"] for kind in volume} - {"name", "secret", "emptyDir"}


def test_every_program_is_asked_how_it_is() -> None:
    for _, pod in pods(made(AVAILABLE)):
        for container in pod["spec"]["containers"]:
            ports = {port["containerPort"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in ports


def test_a_pod_sees_the_files_that_its_programs_name_and_no_others() -> None:
    found = dict(pods(made(AVAILABLE)))
    assert mounted(found["demo-etcd1"]) == {"etcd-ca.crt", "etcd-server-etcd1.crt", "etcd-server-etcd1.key"}
    assert "apiserver-apiserver1.key" in mounted(found["demo-apiserver1"])
    assert "apiserver-apiserver2.key" not in mounted(found["demo-apiserver1"])
    holders = {name for name, pod in found.items() if "ca.key" in mounted(pod)}
    assert holders == {"demo-apiserver1-controllers", "demo-apiserver2-controllers"}
    for pod in found.values():
        assert not mounted(pod) & {"etcd-ca.key", "front-proxy-ca.key", "bootstrap.key", "admin.key"}
    # Also what only a kubeconfig names.
    assert {"kwok.key", "kwok.crt", "ca.crt", "emulated.log"} <= mounted(found["demo-kwok"])


@pytest.mark.parametrize("spec", [SINGLE, AVAILABLE])
def test_no_program_names_a_file_that_its_pod_lacks(spec: ControlPlaneSpec) -> None:
    found = made(spec)
    for _, pod in pods(found):
        texts = [word for container in containers(pod) for word in container["command"]]
        texts += [files(found)[name] for name in mounted(pod)]
        named = {name for text in texts for name in re.findall(rf"{MOUNT}/([-.a-z0-9]+)", text)}
        assert named == mounted(pod)


def test_no_key_stands_in_a_command_or_an_annotation() -> None:
    shown = json.dumps([each.body for each in made(AVAILABLE).workloads])
    assert "PRIVATE KEY" not in shown
    assert base64.b64encode(SIGNING_KEY.encode()).decode()[:40] not in shown


def test_an_etcd_keeps_its_volume_as_long_as_its_cluster() -> None:
    body = made(SINGLE).etcd["etcd"].body["spec"]
    claim = body["volumeClaimTemplates"][0]
    assert claim["spec"]["resources"]["requests"]["storage"] == OPTIONS.etcd_storage
    assert body["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}
    mount = {each["name"]: each["mountPath"] for each in body["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert told(body["template"])["data-dir"].startswith(f"{mount[claim['metadata']['name']]}/")
    assert told(body["template"])["unsafe-no-fsync"] == "false"
    # A cluster that is made again under the name has another claim, so it finds nothing of this one.
    again = made(replace(SINGLE, cluster_id=f"c{2:032x}".replace("0", "f"))).etcd["etcd"].body["spec"]
    assert again["volumeClaimTemplates"][0]["metadata"]["name"] != claim["metadata"]["name"]


def test_an_ephemeral_etcd_claims_no_volume() -> None:
    body = made(replace(SINGLE, ephemeral=True)).etcd["etcd"].body["spec"]
    assert "volumeClaimTemplates" not in body
    assert [volume for volume in body["template"]["spec"]["volumes"] if "emptyDir" in volume]
    assert told(body["template"])["unsafe-no-fsync"] == "true"


def test_a_machine_that_is_off_has_no_pods_and_changes_no_other() -> None:
    (first, second), (lost, *left) = AVAILABLE.members, AVAILABLE.etcd
    off = replace(
        AVAILABLE, members=(replace(first, running=False), second), etcd=(replace(lost, running=False), *left)
    )
    before, after = made(AVAILABLE), made(off)
    replicas = {each.name: each.body["spec"]["replicas"] for each in after.workloads}
    assert [name for name, count in replicas.items() if count == 0] == [
        "demo-etcd1",
        "demo-apiserver1",
        "demo-apiserver1-controllers",
    ]
    assert dict(pods(after)) == dict(pods(before))


def test_a_budget_guards_several_members_and_never_a_single_one() -> None:
    assert made(SINGLE).budgets == ()
    of_servers, of_etcd = made(AVAILABLE).budgets
    assert of_servers["spec"]["maxUnavailable"] == 1
    # Counted from what is there: with a master off already, one less would be no majority.
    assert of_etcd["spec"]["minAvailable"] == 2
    for budget in (of_servers, of_etcd):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        chosen = [name for name, pod in pods(made(AVAILABLE)) if wanted <= pod["metadata"]["labels"].items()]
        assert len(chosen) > 1


def test_members_keep_apart_where_they_can() -> None:
    for _, pod in pods(made(AVAILABLE)):
        spread = pod["spec"]["topologySpreadConstraints"][0]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
        assert spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_nobody_comes_in_unasked_but_to_see_whether_all_is_well() -> None:
    found = made(SINGLE)
    server = told(api_server(found))
    assert "anonymous-auth" not in server
    document = yaml.safe_load(files(found)[server["authentication-config"].rpartition("/")[2]])
    allowed = {condition["path"] for condition in document["anonymous"]["conditions"]}
    assert allowed == {"/livez", "/readyz", "/healthz"}
    probed = api_server(found)["spec"]["containers"][0]
    assert {probed[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} <= allowed


def test_programs_listen_everywhere_and_are_dialled_by_their_services() -> None:
    found = made(AVAILABLE)
    server = told(api_server(found))
    assert (server["bind-address"], server["advertise-address"]) == ("0.0.0.0", "10.96.0.11")
    assert "endpoint-reconciler-type" not in server
    assert server["etcd-servers"] == ",".join(f"https://10.96.0.2{number}:2379" for number in (1, 2, 3))
    etcd = told(found.etcd["etcd2"].body["spec"]["template"])
    assert etcd["listen-peer-urls"] == "https://0.0.0.0:2380"
    assert etcd["initial-advertise-peer-urls"] == "https://10.96.0.22:2380"
    assert {etcd["client-cert-auth"], etcd["peer-client-cert-auth"]} == {"true"}
    assert "serverAddress: 0.0.0.0:10247" in files(found)["kwok.yaml"]


def test_each_member_runs_the_image_of_its_minor() -> None:
    images = {
        name: [container["image"] for container in pod["spec"]["containers"]] for name, pod in pods(made(AVAILABLE))
    }
    assert images["demo-apiserver1"] == ["registry.k8s.io/kube-apiserver:v1.36.3"]
    assert [image.partition("/")[2] for image in images["demo-apiserver2-controllers"]] == [
        "kube-controller-manager:v1.35.4",
        "kube-scheduler:v1.35.4",
    ]


def test_only_what_is_read_once_brings_new_pods() -> None:
    later = utc_now() + LEAF_VALIDITY - datetime.timedelta(days=1)
    keyring = Keyring(FILES, lambda: later)
    renewed = manifests(SINGLE, stand_in("10.96.0.20"), keyring, OPTIONS)
    assert keyring.files["apiserver-apiserver1.crt"] != FILES["apiserver-apiserver1.crt"]
    before = dict(pods(made(SINGLE)))
    # KWOK reads its certificate once; all others look at their files again.
    assert [name for name, pod in pods(renewed) if pod != before[name]] == ["demo-kwok"]


def test_another_setting_brings_new_api_servers_only() -> None:
    other = replace(SINGLE, settings=replace(SINGLE.settings, audit=True, encryption_key=KEY))
    before, after = made(SINGLE), made(other)
    assert [name for name, pod in pods(after) if pod != dict(pods(before))[name]] == ["demo-apiserver1"]
    assert told(api_server(after))["audit-log-path"] == "-"
    assert files(after)["encryption.yaml"] == flags.encryption(KEY)


KEY = base64.b64encode(b"k" * 32).decode()


def test_the_time_zone_is_the_controllers() -> None:
    there = dict(pods(made(replace(SINGLE, timezone="Asia/Shanghai"))))["demo-apiserver1-controllers"]
    assert [each["env"] for each in there["spec"]["containers"]] == [[{"name": "TZ", "value": "Asia/Shanghai"}]] * 2


@pytest.mark.parametrize("cluster", ["demo", "2048", "a.b", "x" * 63, "a-b"])
def test_names_are_those_of_services_and_tell_clusters_apart(cluster: str) -> None:
    name = object_name(cluster, "apiserver1-controllers")
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 52
    assert name != object_name(cluster.replace(".", "-") + "x", "apiserver1-controllers")


def test_images_come_from_where_whoever_installs_says() -> None:
    environment = {
        "ACKBOX_IMAGE_KUBERNETES": "mirror.test/{program}:{version}",
        "ACKBOX_IMAGE_PULL_POLICY": "Always",
        "ACKBOX_IMAGE_PULL_SECRETS": "one,two",
        "ACKBOX_IMAGE_ETCD": "",
        "ACKBOX_ETCD_STORAGE_CLASS": "fast",
    }
    options = from_environment("own:2", environment)
    assert options.images.of_kubernetes("kube-scheduler", "1.35") == "mirror.test/kube-scheduler:v1.35.4"
    assert options.images.of_etcd().startswith("registry.k8s.io/etcd:3.")
    assert (options.images.own, options.images.pull_policy) == ("own:2", "Always")
    assert (options.etcd_storage, options.priority_class) == ("4Gi", None)
    found = made(SINGLE, options=options)
    assert found.etcd["etcd"].body["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert {each["imagePullPolicy"] for _, pod in pods(found) for each in containers(pod)} == {"Always"}
    for _, pod in pods(found):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]


def test_an_image_with_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"program.*version"):
        from_environment("own:2", {"ACKBOX_IMAGE_KWOK": "kwok:{tag}"})
