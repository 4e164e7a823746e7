"""How the control plane of a ManagedCluster is run. `local` runs it as supervised processes on this machine,
`incluster` as Pods of the management cluster. What both run, and with which flags, says `flags` and `ackbox.runtime`.

What a ManagedCluster means, its states and its objects in the management cluster are the products' business.
"""
