"""Instances: ECS machines that boot, stop, start and are released."""
