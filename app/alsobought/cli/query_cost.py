"""One line of text for the cost of a query."""

from __future__ import annotations

from typing import Any


def cost_line(statistics: Any) -> str:
    """Time, rows and bytes read, such as `1.2 ms, 300 rows and 12 kB read`."""
    size = statistics.bytes_read
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if size >= 10 * factor:
            amount = f"{size / factor:,.0f} {unit}"
            break
    else:
        amount = f"{size:,} bytes"
    return f"{statistics.elapsed * 1000:.1f} ms, {statistics.rows_read:,} rows and {amount} read"
