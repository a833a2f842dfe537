"""Test every fault between Kafka and the count tables, and report attempts, lost events and duplicates.

    .venv/bin/python -m benchmarks.faults [--thorough] [FILE …]

Runs tests/faults/test_kafka_*.py, test_server_kills.py and test_cluster.py, which verify every row after every fault, and
writes faults.md and the table of docs/explanation/each-event-once.md. Given files of tests, only their rows are measured again.
Half an hour; with --thorough (30 kills, outages of a minute, every step and every table) an hour and a half.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "faults"
HEADER = [
    "| fault | attempts | events lost | duplicates | other errors | recovery, median s | maximum s |",
    "|---|---|---|---|---|---|---|",
]


def run(thorough: bool, files: list[str], results: Path) -> int:
    """The exit status of the tests."""
    arguments = ["-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", "-m", "thorough or not thorough"]
    others = [TESTS / "test_server_kills.py", TESTS / "test_cluster.py"]
    arguments += files or map(str, [*sorted(TESTS.glob("test_kafka_*.py")), *others])
    environment = {**os.environ, "FAULTS_RESULTS": str(results), "KILLS": "30" if thorough else "4"}
    return subprocess.run([sys.executable, *arguments], env=environment, check=False, cwd=HERE.parent).returncode


def table(results: Path, earlier: list[str]) -> list[str]:
    """The lines of the table; `earlier` ones stay where nothing was measured again."""
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in results.read_text().splitlines():
        result = json.loads(line)
        by_fault[result["fault"]].append(result)
    rows = {line.split(" | ")[0].strip("| "): line for line in earlier}
    for fault, fault_results in by_fault.items():
        sums = [sum(result[name] for result in fault_results) for name in ("tries", "lost", "doubled")]
        others = sum(result["wrong"] for result in fault_results if not result["lost"] + result["doubled"])
        seconds = [result["seconds"] for result in fault_results]
        cells = [fault, *sums, others, f"{median(seconds):.1f}", f"{max(seconds):.1f}"]
        rows[fault] = f"| {' | '.join(map(str, cells))} |"
    return [*HEADER, *(rows[fault] for fault in sorted(rows))]


def earlier_rows() -> list[str]:
    lines = (HERE / "faults.md").read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and line not in HEADER]


def main() -> None:
    thorough = "--thorough" in sys.argv[1:]
    files = [argument for argument in sys.argv[1:] if argument != "--thorough"]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        status = run(thorough, files, results)
        lines = table(results, earlier_rows() if files else [])
    text = "\n".join(
        [
            "# Faults on the way from Kafka",
            "",
            f"`{' '.join(['python -m benchmarks.faults', *sys.argv[1:]])}`, {datetime.now(UTC):%Y-%m-%d}, 2 cores, two tests"
            f" at a time, Python {platform.python_version()}; the tests {'passed' if status == 0 else 'did not all pass'}.",
            *(["The rows of other files are those of an earlier run."] if files else []),
            "",
            "After each fault, all messages in Kafka are read and compared with `events`, field by field; the count tables with a",
            "calculation from those events in plain Python; `dead_letters` with the invalid messages; `ingest_ranges` with the",
            "log, for gaps. An error without lost events or duplicates counts under other errors.",
            "",
            "Recovery is the time from the end of the fault until an event sent then to each partition, and all before it, are",
            "committed. After a kill it includes the start of the next process; where another process takes over, it is the time",
            "until that one writes.",
            "",
            "The server is ClickHouse's own code out of the package chdb, in a process of its own, with its data on disk. It is",
            "killed and started again, stopped with SIGSTOP, and disconnected by a proxy.",
            "",
            *lines,
            "",
        ]
    )
    (HERE / "faults.md").write_text(text)
    page = HERE.parent / "docs" / "explanation" / "each-event-once.md"
    short = "\n".join(lines)
    page.write_text(
        re.sub(r"(<!-- faults:.*?-->\n).*?(<!-- /faults -->)", rf"\1{short}\n\2", page.read_text(), flags=re.S)
    )
    sys.exit(status)


if __name__ == "__main__":
    main()
