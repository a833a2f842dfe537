"""How much memory this process may use: that of the machine, or less in a container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 2**60  # a control group without a limit has a number near 2**63


def usable_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes; the least of the machine's memory and the limits of the control groups (version 1 or 2) that hold this process."""
    total = next(int(line.split()[1]) * 1024 for line in _lines(proc / "meminfo") if line.startswith("MemTotal:"))
    return min([total, *_limits(proc, groups)])


def _limits(proc: Path, groups: Path) -> Iterator[int]:
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = root / path.strip("/")
        for folder in (inside, *inside.parents):  # in a container the path is often that outside of it
            for text in _lines(folder / name):
                if text.isdigit() and int(text) < UNLIMITED:
                    yield int(text)
            if folder == root:
                break


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
