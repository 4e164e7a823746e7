"""VPCs with their vSwitches, and route tables."""
