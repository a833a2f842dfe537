"""The Dockerfile, as lines of an instruction and its arguments."""

from __future__ import annotations

import re
import shlex

from alsobought.settings import PREFIX
from tests.support.project import ROOT

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
ARGS = dict(re.findall(r"^ARG (\w+)=(\S+)$", TEXT, re.M))
DOCKERFILE = [
    (line.partition(" ")[0], re.sub(r"\$\{(PYTHON)\}", lambda m: ARGS[m[1]], line.partition(" ")[2].strip()))
    for line in TEXT.splitlines()
    if line and not line.startswith("#")
]


def image_settings() -> dict[str, str]:
    """The settings that the image has in its environment."""
    pairs = [pair for word, rest in DOCKERFILE if word == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs if pair.startswith(PREFIX))
