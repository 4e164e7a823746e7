"""What a listener's resources are called in Envoy: `<namespace>/<listener>`, and behind it what sets several apart."""

from ackbox.kube.cache import Key


def resource_name(key: Key) -> str:
    """What a listener's resources are called."""
    return "/".join(key)


def owner(name: str) -> str:
    """The name of the listener that a resource belongs to: without `#<server group>` and `/<certificate>`."""
    return "/".join(name.split("#", 1)[0].split("/", 2)[:2])


def key_of_resource(name: str) -> Key:
    """The listener of a resource."""
    namespace, _, own = owner(name).partition("/")
    return namespace, own
