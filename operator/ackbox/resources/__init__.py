"""The custom resources: one pydantic model a kind, the one source of its schema. No I/O, no rules of the cloud."""

from ackbox.resources.account import ACCOUNT, Account
from ackbox.resources.acl import ACCESS_CONTROL_LIST, AccessControlList
from ackbox.resources.base import Kind, Resource
from ackbox.resources.cloudquota import CLOUD_QUOTA, CloudQuota
from ackbox.resources.clusteruser import CLUSTER_USER, ClusterUser
from ackbox.resources.eip import ELASTIC_IP_ADDRESS, ElasticIPAddress
from ackbox.resources.instance import INSTANCE, Instance
from ackbox.resources.listener import LISTENER, Listener
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER, ServiceLoadBalancer
from ackbox.resources.managedcluster import MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.network import ROUTE_TABLE, VPC, RouteTable, Vpc
from ackbox.resources.nodepool import NODE_POOL, NodePool
from ackbox.resources.servergroup import SERVER_GROUP, ServerGroup

__all__ = [
    "ACCESS_CONTROL_LIST",
    "ACCOUNT",
    "CLOUD_QUOTA",
    "CLUSTER_USER",
    "ELASTIC_IP_ADDRESS",
    "INSTANCE",
    "LISTENER",
    "MANAGED_CLUSTER",
    "NODE_POOL",
    "RESOURCES",
    "ROUTE_TABLE",
    "SERVER_GROUP",
    "SERVICE_LOAD_BALANCER",
    "VPC",
    "AccessControlList",
    "Account",
    "CloudQuota",
    "ClusterUser",
    "ElasticIPAddress",
    "Instance",
    "Kind",
    "Listener",
    "ManagedCluster",
    "NodePool",
    "Resource",
    "RouteTable",
    "ServerGroup",
    "ServiceLoadBalancer",
    "Vpc",
]

RESOURCES: tuple[type[Resource], ...] = (
    AccessControlList,
    Account,
    CloudQuota,
    ClusterUser,
    ElasticIPAddress,
    Instance,
    Listener,
    ManagedCluster,
    NodePool,
    RouteTable,
    ServerGroup,
    ServiceLoadBalancer,
    Vpc,
)
