"""ClusterUsers: what sub-accounts may do in workload clusters, and their kubeconfigs."""
