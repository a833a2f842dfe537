"""The files of the installed package, and the rule that no command writes to them."""

from __future__ import annotations

from pathlib import Path

from alsobought.errors import Unusable
from alsobought.project.patterns import project_files
from alsobought.settings import Settings, packaged_home

STARTER = Path(__file__).resolve().parent / "starter"


def package_files() -> dict[str, Path]:
    """{path in a project: the package's file}, in the order in which they are written."""
    home = packaged_home()
    files = {name: home / name for name in project_files(home)}
    return {".gitignore": STARTER / "gitignore", "README.md": STARTER / "README.md", **files}


def own_project(settings: Settings) -> Path:
    """The project's folder, for a command that writes to it. Raises Unusable where that is inside the installed package.

    In a checkout (an editable install) the package's files are there to be edited.
    """
    home = settings.home_folder
    if home == packaged_home() and home.name == "files":
        raise Unusable(
            "this folder is not a project, and the files of the installed package must not be changed",
            "Create a project with `alsobought init myshop`, and run the command in its folder",
        )
    return home
