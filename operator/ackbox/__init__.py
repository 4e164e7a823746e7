"""ackbox: Alibaba Cloud ACK in a box, as a Kubernetes operator."""

__version__ = "0.1.0"
