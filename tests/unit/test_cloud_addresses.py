"""Addresses and pod CIDRs are handed out once, inside their network, the lowest first."""

from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.addresses import free_addresses, free_blocks, integers, usable
from ackbox.cloud.allocation.loopback import AddressUse, candidates


def networks(shortest: int, longest: int):
    return st.builds(
        lambda base, mask: IPv4Network((base, mask), strict=False),
        st.integers(min_value=0, max_value=2**32 - 1),
        st.integers(min_value=shortest, max_value=longest),
    )


def test_a_vswitch_keeps_its_first_and_its_last_three_addresses():
    room = usable(IPv4Network("192.168.1.0/24"))
    assert (IPv4Address(room.start), IPv4Address(room.stop - 1), len(room)) == (
        IPv4Address("192.168.1.1"),
        IPv4Address("192.168.1.252"),
        252,
    )


@given(networks(24, 29), st.data())
def test_every_free_address_is_inside_and_not_taken_and_none_is_forgotten(cidr, data):
    room = list(usable(cidr))
    taken = data.draw(st.sets(st.sampled_from(room)))
    free = list(free_addresses(cidr, taken))
    assert free == sorted(set(room) - taken)
    assert all(IPv4Address(address) in cidr for address in free)


@given(networks(16, 24), st.integers(min_value=24, max_value=28), st.lists(networks(18, 30), max_size=5), st.data())
def test_blocks_lie_inside_and_overlap_nothing(network, mask, elsewhere, data):
    inside = data.draw(st.lists(st.sampled_from(list(islice(network.subnets(new_prefix=mask), 64))), max_size=8))
    taken = [*elsewhere, *inside]
    blocks = list(islice(free_blocks(network, mask, taken), 100))
    assert all(block.subnet_of(network) and block.prefixlen == mask for block in blocks)
    assert not any(block.overlaps(other) for block in blocks for other in taken)
    assert blocks == sorted(set(blocks))


@given(st.integers(min_value=0, max_value=255))
def test_handing_out_one_by_one_uses_every_block_once(count):
    network, taken = IPv4Network("10.32.0.0/16"), []
    for _ in range(count):
        taken.append(next(free_blocks(network, 24, taken)))
    assert len(set(taken)) == count
    assert len(list(free_blocks(network, 24, taken))) == 256 - count


def test_a_network_without_room_has_no_blocks():
    network = IPv4Network("10.0.0.0/26")
    assert list(free_blocks(network, 24, [])) == []
    assert list(free_blocks(network, 26, [network])) == []
    assert list(free_blocks(network, 26, [IPv4Network("10.0.0.0/8")])) == []


def test_integers():
    assert integers(["0.0.0.1", "0.0.1.0"]) == {1, 256}


def test_loopback_ranges_of_api_servers_and_load_balancers_are_apart():
    home = IPv4Network("127.42.0.0/16")
    servers, balancers = (list(candidates(home, use)) for use in AddressUse)
    assert (str(servers[0]), str(servers[-1])) == ("127.42.1.1", "127.42.15.254")
    assert (str(balancers[0]), str(balancers[-1])) == ("127.42.16.1", "127.42.127.254")
    assert not any(str(address).endswith((".0", ".255")) for address in servers + balancers)


def test_ids_follow_from_the_uid_and_look_like_the_clouds():
    assert ids.cluster_id("u") == ids.cluster_id("u") != ids.cluster_id("v")
    assert len(ids.cluster_id("u")) == 33
    assert len(ids.node_pool_id("u")) == 34
    assert ids.v_switch_id("u", "a") != ids.v_switch_id("u", "b")
    assert ids.vpc_id("u").startswith("vpc-")
    assert ids.vpc_id("u")[4:] != ids.route_table_id("u")[4:]
    assert ids.new_instance_id() != ids.new_instance_id()
    assert len(ids.new_instance_id()) == 22
