"""Settings for every test."""

from hypothesis import HealthCheck, settings

# Nothing timed decides over pass and fail: a machine may be slow.
settings.register_profile("ackbox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ackbox")
