"""Whatever the custom resources allow, a listener is served, waits or says what is wrong; nothing crashes."""

import base64
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ackbox.dataplane import plan
from ackbox.dataplane.model import Blocked, Serving, Targets
from ackbox.dataplane.outcome import resources
from ackbox.dataplane.tls import named, tls_settings
from ackbox.resources import AccessControlList, Listener, ServerGroup, ServiceLoadBalancer
from ackbox.resources.base import Resource
from ackbox.resources.crd import custom_resource_definition
from ackbox.resources.listener import ENCRYPTED, ListenerSpec, listener_name
from ackbox.runtime.certificates import Request, Usage, issue, new_authority

WORDS = st.sampled_from(
    ["a", "web", "*.a.test", "10.0.0.0/8", "10.0.0.1", "http_2xx", "tls_cipher_policy_1_2", "/path", "h2", ""]
)
CA = new_authority("test")
PAIR = issue(CA, Request("a.test", Usage.SERVER))


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows, and not much of it."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        fields = {name: values(one) for name, one in schema.get("properties", {}).items()}
        needed = {name: fields.pop(name) for name in required}
        return st.fixed_dictionaries(needed, optional=fields)
    if kind == "array":
        least, most = schema.get("minItems", 0), min(3, schema.get("maxItems", 3))
        return st.lists(values(schema["items"]), min_size=least, max_size=most)
    if kind == "integer":
        return st.integers(schema.get("minimum", -1), schema.get("maximum", 100_000))
    if kind == "boolean":
        return st.booleans()
    least, most = schema.get("minLength", 0), schema.get("maxLength", 20)
    return (WORDS | st.text(max_size=20)).map(lambda text: text[:most]).filter(lambda text: len(text) >= least)


def spec_of(kind: type[Resource]) -> st.SearchStrategy[Any]:
    version = custom_resource_definition(kind)["spec"]["versions"][0]
    return values(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


SECRET = {
    "metadata": {"name": "secret"},
    "data": {
        "tls.crt": base64.b64encode(PAIR.certificate.encode()).decode(),
        "tls.key": base64.b64encode(PAIR.key.encode()).decode(),
        "ca.crt": base64.b64encode(CA.certificate.encode()).decode(),
    },
}


def consistent(spec: dict[str, Any]) -> bool:
    """What the rules of the custom resource ask besides its schema."""
    ranged = "startPort" in spec and "endPort" in spec and spec["startPort"] <= spec["endPort"]
    plain = "startPort" not in spec and "endPort" not in spec
    forward = spec.get("listenerForward") == "on"
    fits = not forward or (spec["listenerProtocol"] == "http" and "forwardPort" in spec)
    return fits and (ranged if spec["listenerPort"] == 0 else plain)


def certificates(spec: ListenerSpec) -> tuple[str, ...]:
    try:
        return named(tls_settings(spec)) if spec.listener_protocol in ENCRYPTED else ()
    except ValueError:
        return ()


PORTS = st.just({}) | st.just({"listenerPort": 0, "startPort": 20_000, "endPort": 20_005})


@settings(max_examples=150)
@given(
    spec_of(Listener),
    PORTS,
    spec_of(ServerGroup),
    spec_of(ServiceLoadBalancer),
    spec_of(AccessControlList),
    st.booleans(),
    st.sampled_from([1, 1024]),
)
def test_every_listener_is_served_or_explained(
    listener: dict[str, Any],
    ports: dict[str, Any],
    group: dict[str, Any],
    balancer: dict[str, Any],
    acl: dict[str, Any],
    real: bool,
    lowest_port: int,
) -> None:
    listener = {name: value for name, value in listener.items() if name not in {"startPort", "endPort"}}
    listener |= {
        "loadBalancerId": "web",
        "vServerGroupId": "rsp",
        "listenerPort": max(1, listener["listenerPort"]),
        **ports,
    }
    if not consistent(listener):
        listener.pop("listenerForward")
    spec = ListenerSpec.model_validate(listener)
    label = f"{spec.start_port}-{spec.end_port}" if ports else spec.listener_port
    of_balancer = {"metadata": {"namespace": "ns", "name": "web"}, "status": {"reachable": "127.42.16.1"}}
    web = ServiceLoadBalancer.model_validate({**of_balancer, "spec": balancer})
    servers = ServerGroup.model_validate({"metadata": {"namespace": "ns", "name": "rsp"}, "spec": group})
    entries = AccessControlList.model_validate({"metadata": {"namespace": "ns", "name": "acl"}, "spec": acl})
    references = plan.References(
        web,
        servers,
        web,
        lists=dict.fromkeys(spec.acl_ids or (), entries),
        secrets=dict.fromkeys(certificates(spec), SECRET),
    )
    metadata = {"namespace": "ns", "name": listener_name("web", label, spec.transport)}
    given_listener = Listener.model_validate({"metadata": metadata, "spec": listener})
    admitted = plan.admit(given_listener, references, lowest_port)
    event(admitted.state.reason if isinstance(admitted, Blocked) else f"served by {spec.listener_protocol.value}")
    if isinstance(admitted, Blocked):
        assert admitted.state.message
        return
    addresses = {server.identity: ("127.42.128.1", 61_000) for server in servers.spec.backend_servers}
    admitted = plan.complete(given_listener, admitted, {}, None)
    branch = plan.branch(admitted, servers, Targets(real, addresses), {})
    serving = Serving(admitted.frontend, {"ns/web": branch}, admitted.credentials, plan.summary(admitted.problems))
    for wanted in resources("ns/web", serving):
        assert wanted.message.SerializeToString(deterministic=True) is not None
