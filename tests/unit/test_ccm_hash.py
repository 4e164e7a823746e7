"""The Service fingerprint against values that the CCM's own libraries gave."""

import pytest

from ackbox.ccm.services.hash import hash_of, service_hash, to_yaml

PREFIX = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"
HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80, "nodePort": 30080}
LAST_APPLIED = (
    '{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{},"name":"nginx","namespace":"default"},'
    '"spec":{"ports":[{"port":80}],"type":"LoadBalancer"}}\n'
)
MANY = {
    PREFIX + "delete-protection": "off",
    PREFIX + "bandwidth": "20",
    PREFIX + "protocol-port": "http:80,https:443",
    PREFIX + "id": "lb-1",
    PREFIX + "spec": "slb.s2.small",
    PREFIX + "force-override-listeners": "true",
    "service.beta.kubernetes.io/backend-type": "eni",
    "a": "",
    "x1": "1",
    "x10": "2",
    "x2": "3",
    "x-1": "y",
    "xa": "~",
    "xb": "0x1f",
    "xc": "1e3",
    "xd": "null",
    "xe": "2001-01-01",
    "xf": "12:30",
    "xg": "a: b",
    "xh": " lead",
    "xi": "k=v,k2=v2",
    "xj": '{"HTTP":80}',
    "xk": "中文",
}


def load_balancer(policy="Cluster", ports=(HTTP,), **more):
    return {"type": "LoadBalancer", "externalTrafficPolicy": policy, "ports": list(ports), **more}


CASES = {
    "one port": ({"spec": load_balancer()}, "9c89f4d33091dba35b566fae2b74570d5e96c7bdfc286896199438a0"),
    "deleting": (
        {"spec": load_balancer(), "metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}},
        "8d54e45551b0a7cb00ed28dc0806c13741235d6c1331669620895b03",
    ),
    "class and source ranges": (
        {
            "spec": load_balancer(
                ports=[{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 32080}],
                loadBalancerClass="alibabacloud.com/nlb",
                loadBalancerSourceRanges=["10.0.0.0/8"],
            ),
            "metadata": {"annotations": {PREFIX + "zone-maps": "cn-hangzhou-a:vsw-1,cn-hangzhou-b:vsw-2"}},
        },
        "41793f1fecc9a9d273c613a3233acb51ba663619be4d99496df36987",
    ),
    "zero values go": (
        {"spec": {"type": "ClusterIP", "ports": [{"protocol": "TCP", "port": 80, "targetPort": 0}]}},
        "c2622d84291d22558db6933c41eaf55deabcdd981b3ce9c40ae9d3e7",
    ),
    "blocks and folding": (
        {
            "spec": load_balancer(ports=[{"protocol": "TCP", "port": 80, "targetPort": 80, "nodePort": 31234}]),
            "metadata": {
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": LAST_APPLIED,
                    "long": "word and more " * 12 + "end",
                }
            },
        },
        "5af969ebf38af3ba76e9bfd6190bfdb9d6629f91123dcf23050ef363",
    ),
    "all styles and the order of keys": (
        {
            "spec": load_balancer(
                "Local",
                [
                    {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web", "nodePort": 30080},
                    {"name": "https", "protocol": "TCP", "port": 443, "targetPort": 443, "nodePort": 30443},
                ],
            ),
            "metadata": {"annotations": MANY},
        },
        "bee97f82c7a86e17b3c7488ee997a73b4370ec7d92c1b930097f016b",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_known_answers(case):
    service, expected = CASES[case]
    assert service_hash(service) == expected


def test_labels_do_not_count_and_annotations_do():
    plain = {"spec": load_balancer(), "metadata": {}}
    labelled = {"spec": load_balancer(), "metadata": {"labels": {"a": "b"}, "uid": "u"}}
    annotated = {"spec": load_balancer(), "metadata": {"annotations": {"a": "b"}}}
    assert service_hash(plain) == service_hash(labelled) != service_hash(annotated)


@pytest.mark.parametrize("text", ["yes", "On", "~", "1", "-2.5", "0b11", "1_000", ".5", "1:20", "2026-1-2", "+.inf"])
def test_texts_that_read_as_something_else_are_quoted(text):
    assert to_yaml([text]) == f'- "{text}"\n'


@pytest.mark.parametrize("text", ["a", "0x", "1.2.3", "2026-13-40", "yess", "v1", "9" * 400 + "x", "0xg"])
def test_other_texts_are_not(text):
    assert to_yaml([text]) == f"- {text}\n"


def test_numbers_in_keys_count_by_value_and_letters_come_last():
    keys = ["x10", "x2", "x1", "x-1", "xa", "x01", "z"]
    order = [line.split(":")[0] for line in to_yaml(dict.fromkeys(keys, "v")).splitlines()]
    assert order == ["x-1", "x1", "x01", "x2", "x10", "xa", "z"]


def test_a_huge_annotation_is_no_trouble():
    assert len(hash_of([{"a": "9" * 10_000, "b": "0x" + "f" * 5000}])) == 56
