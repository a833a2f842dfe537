"""Copy pipes, macros and CSV files into a folder, from a git revision or from the working tree."""

from __future__ import annotations

import io
import subprocess
from contextlib import suppress
from pathlib import Path

from alsobought.errors import Unusable
from alsobought.pipes.text_files import list_files
from alsobought.project_files import read_file

FOLDERS = {"pipes": ".sql", "sql/macros": ".sql", "sql/parameters": ".sql", "sql": ".csv"}  # files that affect answers
BASE_FOLDER_HINT = "--base-folder names a folder with the old pipes/ and sql/macros/"


def copy_working_tree(home: Path, target: Path) -> None:
    """Copies the current files, so that edits during the comparison do not matter."""
    for folder, suffix in FOLDERS.items():
        for path in list_files(home / folder, suffix):
            (target / folder).mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # what is no file is a fault of its pipe, not of the comparison
                (target / folder / path.name).write_bytes(read_file(path))


def check_out(home: Path, revision: str, target: Path) -> str:
    """Writes the files of a revision into a folder and returns its short hash. `home` stays unchanged.

    Raises Unusable without git, repository or revision.
    """
    _git(home, "rev-parse", "--git-dir", fault=f"{home} is not in a git repository", hint=BASE_FOLDER_HINT)
    commit = _git(
        *(home, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"),
        fault=f"there is no git revision {revision!r}",
        hint="A branch, a tag or a hash works; a shallow clone may lack it: `git fetch --unshallow`",
    )
    commit_hash = commit.decode().strip()
    listing = _git(home, "ls-tree", "-r", "-z", commit_hash, "--", *FOLDERS).decode(errors="surrogateescape")
    blobs = {}
    for entry, name in (line.split("\t", 1) for line in listing.split("\0") if line):
        if Path(name).suffix == FOLDERS.get(str(Path(name).parent)):
            blobs[name] = entry.split()[2]
    output = io.BytesIO(_git(home, "cat-file", "--batch", stdin="\n".join(blobs.values())))
    for name in blobs:
        size = int(output.readline().split()[2])
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(output.read(size))
        output.readline()
    return _git(home, "rev-parse", "--short", commit_hash).decode().strip()


def _git(home: Path, *arguments: str, stdin: str = "", fault: str = "", hint: str = "") -> bytes:
    """The output of git. Raises Unusable with `fault` as the message if git fails."""
    command = ["git", "-C", str(home), *arguments]
    try:
        result = subprocess.run(command, input=stdin.encode(), capture_output=True, check=False)  # noqa: S603
    except OSError as error:
        raise Unusable("git is not installed", BASE_FOLDER_HINT) from error
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().split("\n", 1)[0].removeprefix("fatal: ")
        raise Unusable((fault or f"git {arguments[0]}") + (f" ({reason})" if reason else ""), hint)
    return result.stdout
