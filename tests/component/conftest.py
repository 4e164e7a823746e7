"""The data plane with a real Envoy, one a test module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from dataplane_world import LOOPBACK, Plane, World, running_envoy

from ackbox.kube.settings import Settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    home = tmp_path_factory.mktemp("home")
    run = home / "run"
    run.mkdir(mode=0o700)
    plane = Plane(Settings(home, home / "kubeconfig", LOOPBACK, run), World())
    async with running_envoy(run, home):
        plane.start()
        try:
            yield plane
        finally:
            await plane.stop()


@pytest.fixture
def world(plane: Plane) -> World:
    return plane.world
