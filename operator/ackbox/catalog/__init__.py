"""What ACK knows, as data: regions, versions, instance types, quotas, network rules, annotations; and their loaders.

Each table is a file beside the module that loads it, with its source named on top. No I/O but reading those files, and
nothing of Kubernetes: rules that the API server keeps are rendered by `ackbox.resources.policy`.
"""
