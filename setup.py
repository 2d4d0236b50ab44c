"""Build into an empty folder: what an earlier build left there must not come back in a wheel."""

import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildAnew(build_py):
    """`build_py` without the leftovers of the last one."""

    def run(self):
        """Remove, then build."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(cmdclass={"build_py": BuildAnew})
