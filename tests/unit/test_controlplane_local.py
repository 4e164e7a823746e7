"""How control planes are run on this machine, as far as nothing has to run for it."""

import base64
from pathlib import Path
from typing import Any

import pytest
import small_control_plane
from cryptography import x509
from small_control_plane import groups_of

from ackbox.controlplane.local import LocalControlPlane
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.kube.connection import Connection, parse_kubeconfig
from ackbox.runtime.home import Home, prepare
from ackbox.runtime.probe import Endpoint


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    return prepare(tmp_path / "home")


@pytest.fixture
def spec(home: Home) -> ControlPlaneSpec:
    return small_control_plane.single(home)


def test_the_users_kubeconfig_is_stable_and_no_master_key(home: Home, spec: ControlPlaneSpec) -> None:
    text = LocalControlPlane(home).admin_kubeconfig(spec)
    assert LocalControlPlane(home).admin_kubeconfig(spec) == text
    connection = parse_kubeconfig(text)
    assert connection.server == spec.endpoint
    assert "ackbox:cluster-admins" in _subject(connection)
    assert "system:masters" not in _subject(connection)


def test_the_ccm_is_another_user_than_the_administrator(home: Home, spec: ControlPlaneSpec) -> None:
    plane = LocalControlPlane(home)
    admin, ccm = (parse_kubeconfig(text) for text in (plane.admin_kubeconfig(spec), plane.ccm_kubeconfig(spec)))
    assert ccm.server == admin.server
    assert ("CN=ackbox:admin" in _subject(admin), "CN=ackbox:ccm" in _subject(ccm)) == (True, True)
    assert "system:masters" not in _subject(ccm)


async def test_remove_deletes_exactly_the_clusters_keys(
    home: Home, spec: ControlPlaneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = LocalControlPlane(home)
    removed: list[str] = []

    async def forget(name: str) -> None:
        removed.append(name)

    async def groups(prefix: str) -> set[str]:
        return {f"{prefix}-kwok", f"{prefix}-a-kube-apiserver"}

    posted: list[tuple[str, dict[str, Any]]] = []

    async def post(self: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
        posted.append((path, body))
        return {}

    monkeypatch.setattr(plane._supervisor, "remove", forget)
    monkeypatch.setattr(plane._supervisor, "groups", groups)
    monkeypatch.setattr(Endpoint, "post", post)
    groups_of(home, spec)
    (home.logs / f"{spec.cluster_id}-kwok.log").touch()
    (home.logs / "etcd.log").touch()
    await plane.remove(spec.cluster_id)
    await plane.remove(spec.cluster_id)
    assert sorted(removed[:2]) == [f"{spec.cluster_id}-a-kube-apiserver", f"{spec.cluster_id}-kwok"]
    path, body = posted[0]
    begin, end = (base64.b64decode(body[key]) for key in ("key", "range_end"))
    assert path == "/v3/kv/deleterange"
    inside = f"/{spec.cluster_id}/pods/default/web".encode()
    others = [f"/{spec.cluster_id}0/pods".encode(), f"/{spec.cluster_id}".encode(), b"/c2/pods"]
    assert begin <= inside < end
    assert not [key for key in others if begin <= key < end]
    assert not (home.clusters / spec.cluster_id).exists()
    assert [path.name for path in home.logs.iterdir()] == ["etcd.log"]


def _subject(connection: Connection) -> str:
    assert connection.certificate
    return x509.load_pem_x509_certificate(connection.certificate.encode()).subject.rfc4514_string()
