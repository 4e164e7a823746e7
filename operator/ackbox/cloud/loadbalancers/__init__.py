"""ServiceLoadBalancers: SLB instances and their addresses."""
