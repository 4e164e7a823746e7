"""NodePools: ESS scaling groups that keep a number of Instances."""
