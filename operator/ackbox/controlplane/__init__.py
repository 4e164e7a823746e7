"""How the control plane of a ManagedCluster is run. `local` runs it as supervised processes on this machine.

What a ManagedCluster means, its states and its objects in the management cluster are the products' business.
"""
