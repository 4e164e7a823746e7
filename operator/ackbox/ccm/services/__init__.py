"""Service controller for CLB: a Service becomes a load balancer, listeners and server groups.

`annotations` and `model` say what is wanted, `lookup` finds the load balancer, `plan` compares, `controller` applies.
"""
