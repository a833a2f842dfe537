"""The memory of the machine, or of the container that holds the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from alsobought.storage.machine_memory import usable_memory

GB = 2**30


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8 * GB),
        ("0::/", {"memory.max": "max"}, 8 * GB),
        ("0::/", {"memory.max": str(2 * GB)}, 2 * GB),
        ("0::/shop", {"shop/memory.max": str(3 * GB), "memory.max": str(2 * GB)}, 2 * GB),
        ("0::/shop", {"shop/memory.max": "max", "memory.max": str(9 * GB)}, 8 * GB),
        ("0::/docker/0123", {"memory.max": str(GB)}, GB),  # the path outside of the container
        ("5:cpu:/a\n4:memory:/shop", {"memory/shop/memory.limit_in_bytes": str(GB), "memory.max": "5"}, GB),
        ("4:memory:/shop", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, 8 * GB),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, groups: str, files: dict[str, str], expected: int) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal:       {8 * GB // 1024} kB\nMemFree:  1 kB\n")
    (proc / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert usable_memory(proc, root) == expected
