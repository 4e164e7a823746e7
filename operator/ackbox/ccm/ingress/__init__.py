"""ALB Ingress controller of emulated clusters: Ingresses and AlbConfigs become load balancers of type alb.

One AlbConfig is one load balancer; the Ingresses that belong to it share its listeners. `model` says what is wanted,
`plan` what differs, `controller` carries it out and tells. The traffic itself is the data plane's affair.
"""
