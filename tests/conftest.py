"""Settings for every test."""

import contextlib
import getpass
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

# A real node, for the suites in tests/node and those of tests/e2e that can use it.
pytest_plugins = ["node.fixtures"]

# Nothing timed decides over pass and fail: a machine may be slow.
settings.register_profile("ackbox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ackbox")


def pytest_unconfigure() -> None:
    """Leave nothing in the system's temporary folder, unless a test failed there."""
    with contextlib.suppress(OSError):
        Path(tempfile.gettempdir(), f"pytest-of-{getpass.getuser()}").rmdir()
