"""The cloud side: what ACK, ESS, ECS, SLB and VPC do for the objects of a management cluster.

One folder a product. Each has `controller.py` (cache change → key → look up, plan, apply) and `plan.py` (pure rules).
Products meet only in `allocation`, which hands out ids, addresses and quota, and in `world`, which holds the caches.
"""
