"""Write the shop's own log to a file, in a process of its own for `alsobought evaluate`.

    python -m alsobought.evaluation.shop_log FILE < settings.json

One JSON object per line: a head, then the current catalogue, then the events in the order of their seq.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.events import Event
from alsobought.service.ipc_client import reach_warehouse
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse

PAGE_ROWS = 200_000
EVENT_COLUMNS = (
    "event_type, user_id, session_id, item_id, category, order_id, order_size, quantity, price, timestamp, properties"
)
ITEM_COLUMNS = "item_id, title, category, brand, price, available, image, attributes, embedding"
QUERY_SETTINGS = "settings date_time_output_format = 'iso', output_format_json_quote_decimals = 0"


class Head(msgspec.Struct):
    """The first line. `journey` has the offset and time of the newest event of the Complete Journey, if it was loaded."""

    items: int
    events: int
    newest: datetime | None
    journey: tuple[int, datetime] | None = None


class LoggedEvent(msgspec.Struct):
    """A row of the table `events`."""

    event_type: str
    item_id: str
    user_id: str
    session_id: str
    category: str
    order_id: str
    order_size: int
    quantity: int
    price: float
    timestamp: datetime
    properties: str

    def event(self) -> Event:
        fields: dict[str, Any] = msgspec.structs.asdict(self)
        text = fields.pop("properties")
        return Event(**fields, properties=msgspec.json.decode(text) if text else msgspec.UNSET)


def write_log(warehouse: Warehouse, file: IO[bytes]) -> None:
    """Raises WarehouseFault."""
    database = warehouse.database
    newest_seq, head = _head(warehouse)
    file.write(msgspec.json.encode(head) + b"\n")
    items = f"select {ITEM_COLUMNS} from {database}.items final order by item_id limit {head.items} {QUERY_SETTINGS}"
    file.write(warehouse.trusted_raw(items, None, "JSONEachRow"))
    after = 0
    while after < newest_seq:
        page = f"from {database}.events where seq > {after} and seq <= {newest_seq} order by seq limit {PAGE_ROWS}"
        last = int(warehouse.trusted_rows(f"select max(seq) from (select seq {page})").data[0][0])
        if not last:
            break
        rows = f"select {EVENT_COLUMNS} from {database}.events where seq > {after} and seq <= {last} order by seq {QUERY_SETTINGS}"
        file.write(warehouse.trusted_raw(rows, None, "JSONEachRow"))
        after = last


def _head(warehouse: Warehouse) -> tuple[int, Head]:
    """The newest seq, up to which the log is read because a running service goes on storing, and the first line."""
    database = warehouse.database
    items = int(warehouse.trusted_rows(f"select count() from {database}.items final").data[0][0])
    counts = (
        "select count(), max(seq), toString(max(timestamp)), countIf(source = 'journey'),"
        " maxIf(offset, source = 'journey'), toString(argMaxIf(timestamp, offset, source = 'journey'))"
    )
    events, seq, newest, journey_events, offset, time = warehouse.trusted_rows(f"{counts} from {database}.events").data[
        0
    ]
    journey = (int(offset), _utc(time)) if int(journey_events) else None
    return int(seq), Head(items, int(events), _utc(newest) if int(events) else None, journey)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def main(path: Path) -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    warehouse = reach_warehouse(settings, create=False)
    try:
        with path.open("wb") as file:
            write_log(warehouse, file)
    finally:
        warehouse.close()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except AlsoboughtError as error:
        sys.exit(str(error))
