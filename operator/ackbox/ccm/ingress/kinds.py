"""The kinds of a workload cluster that an ALB Ingress is made of."""

from ackbox.resources import Kind

INGRESS = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
INGRESS_CLASS = Kind("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
ALB_CONFIG = Kind("alibabacloud.com", "v1", "albconfigs", "AlbConfig", namespaced=False)
"""Cluster-wide as in ACK: an IngressClass refers to it without a namespace; one in a manifest is ignored."""

CONTROLLER = "ingress.k8s.alibabacloud/alb"
"""`spec.controller` of the IngressClasses that are ours."""

CLASS_NAME = "alb"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_CONFIG = "default"
"""The AlbConfig of Ingresses that name none."""
