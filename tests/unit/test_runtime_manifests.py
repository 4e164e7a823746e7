"""Admission policies of an earlier version go when ackbox is started anew."""

import asyncio

from ackbox.runtime.manifests import BINDING, POLICY, remove_outdated


class Server:
    """Policies and bindings of a management cluster."""

    def __init__(self, *names: str) -> None:
        self.names = {kind.kind: list(names) for kind in (POLICY, BINDING)}

    async def list(self, kind):
        return [{"metadata": {"name": name}} for name in self.names[kind.kind]], "1"

    async def delete(self, kind, name):
        self.names[kind.kind].remove(name)


def test_only_policies_of_ackbox_that_it_no_longer_has_are_deleted():
    server = Server("editions.ackbox.dev", "clusters.ackbox.dev", "somebody.example.com")
    wanted = [{"kind": kind.kind, "metadata": {"name": "clusters.ackbox.dev"}} for kind in (POLICY, BINDING)]
    asyncio.run(remove_outdated(server, wanted))  # type: ignore[arg-type]
    left = ["clusters.ackbox.dev", "somebody.example.com"]
    assert server.names == {POLICY.kind: left, BINDING.kind: left}
