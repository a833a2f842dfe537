"""The metrics of experiments. Of all of them more is better; `sql/experiments/` computes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """`per`: a mean over units, or a ratio of two sums, whose denominator is one too. `shown`: it needs lists that were shown."""

    name: str
    title: str
    per: str
    shown: bool = False

    @property
    def is_ratio(self) -> bool:
        return self.per != "unit"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("revenue_per_unit", "revenue", "unit"),
        Metric("orders_per_unit", "orders", "unit"),
        Metric("conversion_rate", "units that bought", "unit"),
        Metric("add_to_cart_rate", "units that filled a cart", "unit"),
        Metric("average_order_value", "revenue per order", "order"),
        Metric("click_through_rate", "clicks per impression", "impression", shown=True),
    )
}

OF_LISTS = ("clicks", "carts", "purchases")
"""What an interleaved list is judged by: which of its items were clicked, put into a cart or bought."""
