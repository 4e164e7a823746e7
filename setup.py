"""Puts the folders of the repository that ackbox reads when it runs into the wheel. All else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ("crds", "tools")
"""Found by `ackbox.runtime.shared`."""


class BuildWithShared(build_py):
    """Builds the package with `ackbox/share/` in it; an editable installation finds the folders in the checkout."""

    def run(self) -> None:
        """Build, from nothing: what an earlier build has left must not get into the wheel."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for folder in SHARED:
            shutil.copytree(folder, Path(self.build_lib, "ackbox", "share", folder))


setup(cmdclass={"build_py": BuildWithShared})
