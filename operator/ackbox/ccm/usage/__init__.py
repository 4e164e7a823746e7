"""The metrics API of a workload cluster: what metrics-server serves, from what KWOK says that its containers use."""
