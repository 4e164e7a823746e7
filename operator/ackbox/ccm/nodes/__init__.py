"""Node controller: Instances become Nodes, and Nodes keep the labels and addresses of their Instances."""
