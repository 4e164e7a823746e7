"""ManagedClusters: managed ones with a control plane that ackbox runs, and registered ones."""
