"""The workload cluster that the tests of the CCM's rules speak of."""

from ackbox.ccm.facts import ClusterFacts

FACTS = ClusterFacts(
    namespace="team",
    name="one",
    uid="u",
    cluster_id="c1",
    region="cn-hangzhou",
    vpc_id="net",
    v_switch_id="net-h",
    external=False,
    service_labels={},
    routed=True,
    kubelet_address="127.42.1.1",
    kubelet_version="v1.36.3",
    pod_network=None,
)
