"""Tags that ACK's components put on cloud resources."""

CLUSTER_TAG = "ack.aliyun.com"
"""On load balancers that a ccm made: the cluster's id (cloud-provider-alibaba-cloud)."""
