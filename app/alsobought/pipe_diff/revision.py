"""The pipes, macros and CSV files as git knows them at a revision, as files in a folder."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

from alsobought.errors import Unusable
from alsobought.pipes.template import files

FOLDERS = {
    "pipes": ".sql",
    "sql/macros": ".sql",
    "sql/parameters": ".sql",
    "sql": ".csv",
}  # and what in them makes an answer
ELSE = "--base-folder names a folder with the old pipes/ and sql/macros/"


def copy(home: Path, into: Path) -> None:
    """The same of the files as they are now, so that nobody edits them while they are read."""
    for folder, suffix in FOLDERS.items():
        for path in files(home / folder, suffix):
            (into / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, into / folder)


def check_out(home: Path, revision: str, into: Path) -> str:
    """Writes pipes/, sql/macros/, sql/parameters/ and sql/*.csv of a revision into a folder, and returns the revision's short hash.

    Nothing in `home` is touched. Raises Unusable where there is no git, no repository or no such revision.
    """
    _git(home, "rev-parse", "--git-dir", fault=f"{home} is in no git repository", hint=ELSE)
    commit = _git(
        *(home, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"),
        fault=f"git knows no revision {revision!r}",
        hint="A branch, a tag or a hash works; a shallow clone may lack it: `git fetch --unshallow`",
    )
    hashed = commit.decode().strip()
    listed = _git(home, "ls-tree", "-r", "-z", hashed, "--", *FOLDERS).decode(errors="surrogateescape")
    blobs = {}
    for kind, name in (line.split("\t", 1) for line in listed.split("\0") if line):
        if Path(name).suffix == FOLDERS.get(str(Path(name).parent)):
            blobs[name] = kind.split()[2]
    printed = io.BytesIO(_git(home, "cat-file", "--batch", given="\n".join(blobs.values())))
    for name in blobs:
        size = int(printed.readline().split()[2])
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(printed.read(size))
        printed.readline()
    return _git(home, "rev-parse", "--short", hashed).decode().strip()


def _git(home: Path, *words: str, given: str = "", fault: str = "", hint: str = "") -> bytes:
    """What git prints, with this on its input. `fault` is what it means when git refuses."""
    try:
        ran = subprocess.run(["git", "-C", str(home), *words], input=given.encode(), capture_output=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise Unusable("there is no git on this machine", ELSE) from error
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().split("\n", 1)[0].removeprefix("fatal: ")
        raise Unusable((fault or f"git {words[0]}") + (f" ({said})" if said else ""), hint)
    return ran.stdout
