"""Route controller: an entry in the VPC route table for the pod CIDR of every node."""
