from ackbox.kube.cache import Cache
from ackbox.kube.refs import resolve, resource_cache
from ackbox.resources import VPC


def thing(name="a", version=1, uid="u1", **status):
    metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    return {"kind": "VPC", "metadata": metadata, "status": status}


def changes(cache: Cache):
    seen: list[tuple[bool, bool]] = []
    cache.subscribe(lambda old, new: seen.append((old is not None, new is not None)))
    return seen


def test_an_older_version_does_not_replace_a_newer_one():
    cache = Cache(VPC)
    seen = changes(cache)
    cache.upsert(thing(version=10))
    cache.upsert(thing(version=9))
    assert cache.get("ns", "a") == thing(version=10)
    assert seen == [(False, True)]


def test_an_object_born_again_replaces_the_old_one():
    cache = Cache(VPC)
    cache.upsert(thing(version=10))
    cache.upsert(thing(version=13, uid="u2"))
    assert cache.get("ns", "a") == thing(version=13, uid="u2")


def test_late_news_of_an_object_do_not_hide_the_one_that_was_born_with_its_name():
    cache = Cache(VPC)
    cache.upsert(thing(version=10))
    cache.upsert(thing(version=13, uid="u2"))
    cache.upsert(thing(version=11))
    cache.remove(thing(version=12))
    assert cache.get("ns", "a") == thing(version=13, uid="u2")


def test_a_late_delete_of_the_old_object_does_not_remove_the_new_one():
    cache = Cache(VPC)
    cache.upsert(thing(version=11, uid="u2"))
    cache.remove(thing(version=10, uid="u1"))
    assert len(cache) == 1


def test_a_list_from_before_a_deletion_does_not_bring_the_object_back():
    cache = Cache(VPC)
    cache.upsert(thing(version=5))
    cache.remove(thing(version=11))
    cache.replace([thing(version=5)], "10")
    assert len(cache) == 0


def test_a_list_drops_what_is_gone_and_keeps_what_is_newer_than_the_list():
    cache = Cache(VPC)
    cache.upsert(thing("old", version=5))
    cache.upsert(thing("young", version=50))
    cache.replace([thing("listed", version=7)], "20")
    assert {obj["metadata"]["name"] for obj in cache.all("ns")} == {"young", "listed"}


def test_an_index_follows_changes():
    cache = resource_cache(VPC)
    cache.upsert(thing(version=1))
    assert resolve(cache, "ns", "vpc-1") is None
    cache.upsert(thing(version=2, vpcId="vpc-1"))
    assert resolve(cache, "ns", "vpc-1") == resolve(cache, "ns", "a")
    assert resolve(cache, "other", "vpc-1") is None
    cache.remove(thing(version=3, vpcId="vpc-1"))
    assert resolve(cache, "ns", "vpc-1") is None
