"""One stack for the whole run, one shared workload cluster in it; a namespace of its own for each test."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e import annotations, objects
from e2e.stack import Api, Stack, eventually, is_ready

SHARED = "shared"


ON_NODE = "ACKBOX_E2E_STACK"
"""Set to `node`, the suites that can do so use ackbox as its chart installs it on a real node."""


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if os.environ.get(ON_NODE) == "node":
        yield request.getfixturevalue("ackbox")
        return
    stack = Stack(tmp_path_factory.mktemp("home"))
    try:
        stack.up()
        yield stack
    finally:
        stack.ackbox("clean", check=False)


@pytest.fixture
def namespace(stack: Stack) -> Iterator[str]:
    with stack.namespace() as name:
        yield name


@dataclass(frozen=True)
class Workload:
    """The shared cluster, and a namespace of this test in it."""

    stack: Stack
    api: Api
    namespace: str
    account: str = SHARED
    name: str = "one"

    @property
    def management(self) -> Api:
        return self.stack.api


@pytest.fixture(scope="session")
def shared_cluster(stack: Stack) -> Api:
    api = stack.api
    api.kubectl("create", "namespace", SHARED)
    api.apply(objects.quota(SHARED), objects.vpc(namespace=SHARED), objects.cluster(namespace=SHARED))
    api.apply(objects.pool(size=3, namespace=SHARED))
    eventually(lambda: is_ready(api.object("managedclusters", "one", SHARED)), "the shared cluster Ready")
    eventually(lambda: is_ready(api.object("nodepools", "pool", SHARED)), "its pool Ready")
    workload = stack.workload("one", SHARED)
    eventually(lambda: len(workload.nodes()) == 3, "its nodes")
    return workload


@pytest.fixture
def workload(stack: Stack, shared_cluster: Api) -> Iterator[Workload]:
    name = f"t-{secrets.token_hex(4)}"
    shared_cluster.kubectl("create", "namespace", name)
    try:
        yield Workload(stack, shared_cluster, name)
    finally:
        shared_cluster.kubectl("delete", "services", "--all", "-n", name, "--timeout=120s")
        shared_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def annotated(stack: Stack) -> Iterator[Stack]:
    """The account of the annotation suites: a cluster, pods, certificates and access control lists."""
    annotations.prepare(stack)
    yield stack
    stack.api.kubectl("delete", "namespace", annotations.ACCOUNT, "--wait=false")
