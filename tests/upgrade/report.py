"""What a warehouse answers and holds, to be compared with the facts that version 0.1 wrote down.

Runs in its own process.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from alsobought.serving.answers import answer, open_library
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse


def answers(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to the same requests, with the same clock."""
    settings = from_environment()
    warehouse = open_warehouse(settings)
    try:
        library = open_library(settings, warehouse)
        now = datetime.fromisoformat(facts["now"])
        found = []
        for request in facts["answers"]:
            reply = answer(library, warehouse, request["pipe"], request["parameters"], now)
            columns = [column.name for column in reply.meta]
            found.append({**request, "rows": [dict(zip(columns, row, strict=True)) for row in reply.data]})
    finally:
        warehouse.close()
    return found


def counts(facts: dict[str, Any]) -> dict[str, Any]:
    """For each count table its rows and their checksum; for other tables their rows."""
    warehouse = open_warehouse(from_environment())
    try:
        tables = {name: warehouse.trusted_rows(table["sql"]).data[0] for name, table in facts["count_tables"].items()}
        rows = {
            name: int(warehouse.trusted_rows(f"select count() from {warehouse.database}.{name}").data[0][0])
            for name in facts["rows"]
        }
    finally:
        warehouse.close()
    checksums = {name: [int(rows), checksum] for name, (rows, checksum) in tables.items()}
    return {"count_tables": checksums, "rows": rows}


if __name__ == "__main__":
    facts = json.loads(Path(sys.argv[2]).read_text())
    sys.stdout.write(json.dumps(answers(facts) if sys.argv[1] == "answers" else counts(facts)))
