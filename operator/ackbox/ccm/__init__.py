"""The cloud-controller-manager of every workload cluster: nodes, routes and services of type LoadBalancer.

It reads Instances and writes the spec of load balancers, listeners, server groups and route tables in the management
cluster; it knows nothing of how the cloud side or the data plane make them true.
"""
