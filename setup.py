"""Puts the project's files into the wheel: pipes/, sql/, migrations/ and the cases, as alsobought/project/files/.

They stand at the top of the repository and nowhere else in it; everything else about the package is in pyproject.toml.
"""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "app"))
from alsobought.project.patterns import project_files  # noqa: E402


class BuildWithProject(build_py):
    """Empties build/lib first: what an earlier build left there would go into the wheel."""

    def run(self) -> None:
        package = Path(self.build_lib, "alsobought")
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for path in project_files(HERE):
                copy = package / "project" / "files" / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(HERE / path, copy)


setup(cmdclass={"build_py": BuildWithProject})
