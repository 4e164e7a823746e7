"""Admission policies of an earlier version go when ackbox is started anew, and nobody meets those that don't work yet."""

import asyncio

from ackbox.kube.errors import api_error
from ackbox.runtime.manifests import BINDING, POLICY, remove_outdated, wait_for_policies


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


def test_objects_are_taken_once_the_policies_know_the_kinds_of_their_parameters():
    answers = [
        api_error(404, "NotFound", 'namespaces "default" not found'),
        api_error(422, "Invalid", "denied request: failed to configure policy: failed to find resource referenced"),
        api_error(403, "Forbidden", "Forbidden.RAM slb:CreateLoadBalancer: spec.deniedActions of the Account default"),
    ]

    class Refusing:
        async def try_create(self, kind, body, namespace):
            raise answers.pop(0)

    asyncio.run(wait_for_policies(Refusing()))  # type: ignore[arg-type]
    assert not answers
